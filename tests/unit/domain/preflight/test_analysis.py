"""An analysis that could not judge, or not undo what it judges, is found before the update."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.judge import Evidence, History, Label, Series, judge
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.analysis import with_power
from airflow_guardrails.domain.preflight.findings import Code, Severity
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling
from tests.support.preflight import (
    NOW,
    OLD,
    SWITCH,
    asked,
    config,
    context,
    endpoint,
    live,
    minutes,
)

ERRORS = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.05)
FEWER = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.002)
LATENCY = MetricRule("ModelLatency")
ANALYSIS = CanaryAnalysis(rules=[ERRORS])
# Of the old fleet's two instances, one new beside them: a third of the requests.
CANARY = Canary(percent=50, bake=minutes(30), termination_wait=minutes(10))
CODES = {code for code in Code if code.value.startswith("analysis_")}


def served(number, rules=(ERRORS,), value=0.0, *, a_minute=100.0):
    """The past of a variant: requests in the last *number* minutes, and the metrics of *rules* at *value*."""
    moments = [NOW - timedelta(minutes=ago) for ago in range(number, 0, -1)]
    values = value if callable(value) else lambda _: value
    points = {moment: float(values(at)) for at, moment in enumerate(moments)}
    return History(requests=dict.fromkeys(moments, a_minute), metrics=dict.fromkeys(rules, points))


def analysed(analysis=ANALYSIS, strategy=CANARY, *, instances=2, an_hour=6000.0, **changes):
    guardrails = Guardrails(strategy=strategy, alarms=("errors", SWITCH))
    fleets = {
        "endpoint": endpoint(live(instances=instances)),
        "target": config("churn-v2", asked(instances=instances)),
    }
    given = {"guardrails": guardrails, **fleets, "traffic": {"AllTraffic": an_hour}, **changes}
    return context(analysis=analysis, **given)


def findings(given):
    return [finding for finding in preflight(with_power(given)) if finding.code in CODES]


def found(given):
    """What is wrong."""
    return [finding for finding in findings(given) if finding.severity is not Severity.NOTE]


def codes(given):
    return [finding.code for finding in found(given)]


@pytest.mark.parametrize(
    "given",
    [
        analysed(),
        analysed(strategy=Linear(percent=50, bake=minutes(30))),
        analysed(strategy=Rolling(batch_percent=50, bake=minutes(30))),
        analysed(CanaryAnalysis(rules=[LATENCY])),
        analysed(None, strategy=AllAtOnce(termination_wait=minutes(5)), an_hour=0),
    ],
    ids=lambda given: given.guardrails.describe(),
)
def test_an_analysis_with_enough_time_and_traffic_has_no_findings(given):
    assert found(given) == []


# Acting.


def test_an_analysis_needs_the_abort_switch():
    without = analysed(switch=None, guardrails=Guardrails(strategy=CANARY, alarms=("errors",)))

    assert codes(without) == [Code.ANALYSIS_NO_SWITCH]
    assert found(without)[0].stops


def test_observe_only_needs_no_switch():
    guardrails = Guardrails(strategy=CANARY, alarms=("errors",))

    assert found(analysed(replace(ANALYSIS, observe_only=True), switch=None, guardrails=guardrails)) == []


# Time.


@pytest.mark.parametrize(
    "strategy",
    [
        AllAtOnce(termination_wait=minutes(60)),
        AllAtOnce(),
        Canary(percent=50, bake=minutes(0), termination_wait=minutes(60)),
    ],
    ids=str,
)
def test_there_must_be_a_bake_in_which_both_fleets_have_traffic(strategy):
    given = analysed(strategy=strategy, allow_unguarded=True)

    assert codes(given) == [Code.ANALYSIS_NO_BAKE]
    assert found(given)[0].stops


def test_ignored_bakes_do_not_count_even_with_allow_unguarded():
    accepted = analysed(marketplace=True, allow_unguarded=True)

    assert codes(accepted) == [Code.ANALYSIS_NO_BAKE]
    assert "AWS Marketplace" in found(accepted)[0].text
    assert codes(replace(accepted, allow_unguarded=False)) == []


# 5 minutes of data, after 2 of warm-up, before 4 of CloudWatch and 2 of the switch.
@pytest.mark.parametrize(
    ("strategy", "enough"),
    [
        (lambda bake: Canary(percent=50, bake=bake), 13),
        # Behind the bake there is time for the switch, and for CloudWatch.
        (lambda bake: Canary(percent=50, bake=bake, termination_wait=minutes(4)), 9),
        (lambda bake: Canary(percent=50, bake=bake, termination_wait=minutes(60)), 7),
        # Too short to act in.
        (lambda bake: Canary(percent=50, bake=bake, termination_wait=minutes(1)), 13),
        (lambda bake: Linear(percent=50, bake=bake), 13),
        (lambda bake: Linear(percent=25, bake=bake), 5),
        # The last batch bakes too, though there is nothing to compare any more.
        (lambda bake: Rolling(batch_percent=50, bake=bake), 7),
        (lambda bake: Rolling(batch_percent=25, bake=bake), 4),
    ],
)
def test_the_fix_names_the_shortest_bake_that_suffices(strategy, enough):
    short = analysed(strategy=strategy(minutes(enough - 1)), instances=4)

    assert codes(short) == [Code.ANALYSIS_BAKE_SHORT]
    assert found(short)[0].fix.startswith(f"bake for at least {enough} min")
    assert codes(analysed(strategy=strategy(minutes(enough)), instances=4)) == []


def test_the_finding_says_how_much_of_the_bakes_is_left():
    (finding,) = found(analysed(strategy=Canary(percent=50, bake=minutes(10))))

    assert finding.stops
    assert finding.text == (
        "the rules need 5 minutes with data, and the bakes leave 2: "
        "less 2 min of warm_up, 4 min for CloudWatch, 2 min for the switch to act"
    )


def test_observe_only_needs_no_time_for_the_switch():
    eleven = Canary(percent=50, bake=minutes(11))

    assert codes(analysed(strategy=eleven)) == [Code.ANALYSIS_BAKE_SHORT]
    assert codes(analysed(replace(ANALYSIS, observe_only=True), eleven)) == []


@pytest.mark.parametrize(
    ("rule", "minutes_needed"),
    [
        (LATENCY, 9),
        (replace(LATENCY, min_minutes=20), 20),
        (replace(ERRORS, min_minutes=20), 20),
    ],
)
def test_a_bake_shorter_than_the_rules_need_is_found(rule, minutes_needed):
    short = Canary(percent=50, bake=minutes(minutes_needed + 7))
    given = analysed(CanaryAnalysis(rules=[rule]), short, past={"AllTraffic": served(60, rules=())})

    assert codes(given) == [Code.ANALYSIS_BAKE_SHORT]
    assert f"the rules need {minutes_needed} minutes with data" in found(given)[0].text


def test_an_endpoint_without_enough_history_of_errors_is_found():
    young = analysed(past={"AllTraffic": served(20)})

    (finding,) = found(young)

    assert finding.code is Code.ANALYSIS_PAST_SHORT
    assert finding.stops
    assert finding.text == (
        "the endpoint had requests in 20 minutes of the last 6 h, and the bakes leave 28: whether errors "
        "come in bursts takes 50 of either, and Invocation5XXErrors Sum cannot pass without"
    )
    assert finding.fix == "update when it has served for 30 minutes more"


def test_long_bakes_replace_the_history_of_errors():
    longer = replace(CANARY, bake=minutes(53))

    assert found(analysed(strategy=longer, past={"AllTraffic": served(20)})) == []


def test_a_short_history_is_no_error_without_counts_or_without_hold():
    means = CanaryAnalysis(rules=[LATENCY])
    goes_on = replace(ANALYSIS, on_inconclusive="continue")

    assert found(analysed(means, past={"AllTraffic": served(20)})) == []
    (finding,) = found(analysed(goes_on, past={"AllTraffic": served(20)}))
    assert finding.severity is Severity.WARNING


def test_the_fix_says_if_no_bake_is_long_enough():
    patient = CanaryAnalysis(rules=[ERRORS], warm_up=minutes(60))

    (finding,) = found(analysed(patient))

    assert finding.fix.startswith("no bake of up to an hour suffices")


# Traffic.


def test_too_little_traffic_is_found_with_its_arithmetic():
    given = analysed(an_hour=300)  # 5 a minute, a third of them to the new fleet, for 28 minutes

    (finding,) = found(given)

    assert finding.code is Code.ANALYSIS_TRAFFIC_LOW
    assert finding.stops
    assert finding.text == (
        "AllTraffic had 300 requests in the last hour, of which a fleet would get about 47 while both are "
        "compared < 100 (min_requests)"
    )


@pytest.mark.parametrize(("an_hour", "shortest"), [(400, 47), (200, None), (0, None)])
def test_how_long_to_bake_follows_from_the_traffic(an_hour, shortest):
    (finding,) = found(analysed(an_hour=an_hour))

    expected = f"bake for at least {shortest} min" if shortest else "no bake of up to an hour suffices"
    assert finding.fix.startswith(expected)
    if shortest:
        assert found(analysed(strategy=replace(CANARY, bake=minutes(shortest)), an_hour=an_hour)) == []


def test_a_bake_that_is_too_short_names_a_bake_long_enough_for_the_traffic():
    short = analysed(strategy=replace(CANARY, bake=minutes(2)), an_hour=400)

    assert codes(short) == [Code.ANALYSIS_BAKE_SHORT]
    assert found(short)[0].fix.startswith("bake for at least 47 min")


def test_the_fleet_with_fewer_requests_counts():
    """At the end of a rolling update that is the old one."""
    most = analysed(strategy=Rolling(batch_percent=50, bake=minutes(30)), an_hour=210, instances=2)

    assert found(most)[0].code is Code.ANALYSIS_TRAFFIC_LOW
    assert "about 49 while" in found(most)[0].text


@pytest.mark.parametrize(
    "wish", [{"on_inconclusive": "continue"}, {"observe_only": True}], ids=["goes on", "observes"]
)
def test_low_traffic_is_only_a_warning_without_hold(wish):
    (finding,) = found(analysed(replace(ANALYSIS, **wish), an_hour=0))

    assert (finding.code, finding.severity) == (Code.ANALYSIS_TRAFFIC_LOW, Severity.WARNING)


# A good model.


def of_rule(rule, value, *, strategy=CANARY, minutes_known=360, **wishes):
    past = {"AllTraffic": served(minutes_known, [rule], value)}
    return analysed(CanaryAnalysis(rules=[rule], **wishes), strategy, past=past)


def test_too_few_requests_for_a_pass_without_any_error_are_found():
    # 100 a minute, a third of them to the new fleet, for 28 minutes.
    (finding,) = found(of_rule(FEWER, 0.0))

    assert finding.code is Code.ANALYSIS_PASS_UNLIKELY
    assert finding.stops
    assert finding.text == (
        "a model as good as production passes with under 5% (Invocation5XXErrors Sum under 5%: 0 for 100 "
        "requests in the past), at 33% of 6,000 requests an hour; an update without a Pass is rolled back"
    )
    assert finding.fix == (
        "bake for at least 58 min; or allow Invocation5XXErrors Sum a margin of 0.004; or set "
        'on_inconclusive="continue"'
    )


@pytest.mark.parametrize(("bake", "label"), [(57, Label.INCONCLUSIVE), (58, Label.PASS)])
def test_a_model_without_errors_passes_in_the_bake_that_the_fix_names(bake, label):
    given = of_rule(FEWER, 0.0, strategy=replace(CANARY, bake=minutes(bake)))
    begin = datetime(2026, 3, 2, tzinfo=timezone.utc)

    def always(value):
        # Without the warm-up; termination_wait is there for the switch and CloudWatch.
        return {begin + minutes(after): value for after in range(bake - 2)}

    evidence = Evidence(
        requests=Series(control=always(200 / 3), candidate=always(100 / 3)),
        metrics={FEWER: Series(control=always(0.0), candidate=always(0.0))},
        expected_share=0.5,
        paired=False,
    )

    assert judge(evidence, [FEWER]).label is label
    assert (found(given) == []) is (label is Label.PASS)


def test_errors_of_the_past_that_no_bake_outweighs_are_found():
    """A tenth of the requests fails, and half a point is allowed."""
    given = of_rule(replace(ERRORS, margin=0.005), lambda at: 9 + at % 3)

    (finding,) = found(given)

    assert (finding.code, finding.stops) == (Code.ANALYSIS_PASS_UNLIKELY, True)
    assert "Invocation5XXErrors Sum under 5%: 10 for 100 requests in the past" in finding.text
    assert finding.fix.startswith(
        "no bake of up to an hour suffices; or allow Invocation5XXErrors Sum a margin"
    )


def test_the_margin_of_the_fix_suffices():
    (finding,) = found(of_rule(replace(ERRORS, margin=0.005), 10.0))

    margin = float(re.search(r"a margin of ([\d.]+)", finding.fix)[1])
    assert found(of_rule(replace(ERRORS, margin=margin), 10.0)) == []
    assert found(of_rule(replace(ERRORS, margin=margin / 4), 10.0)) != []


def test_a_larger_share_is_named_if_it_suffices():
    tenth = Canary(percent=10, bake=minutes(60), termination_wait=minutes(10))

    (finding,) = found(of_rule(FEWER, 0.0, strategy=tenth))

    assert "no bake of up to an hour suffices; or use percent=50; or allow" in finding.fix


@pytest.mark.parametrize(
    "wish", [{"on_inconclusive": "continue"}, {"observe_only": True}], ids=["goes on", "observes"]
)
def test_an_unlikely_pass_is_only_a_warning_without_hold(wish):
    (finding,) = found(of_rule(FEWER, 0.0, **wish))

    assert (finding.code, finding.severity) == (Code.ANALYSIS_PASS_UNLIKELY, Severity.WARNING)
    assert "rolled back" not in finding.text


def test_a_pass_that_means_make_unlikely_is_a_warning_because_their_noise_may_be_overstated():
    noisy = of_rule(LATENCY, lambda at: 100 + 40 * (at % 2) + at % 7)

    (finding,) = found(noisy)

    assert (finding.code, finding.severity) == (Code.ANALYSIS_PASS_UNLIKELY, Severity.WARNING)
    assert finding.text.startswith(
        "a model as good as production may pass with only under 5% (ModelLatency Average under 5%: its "
        "minutes vary by"
    )
    assert "a good model may pass with only under 5%" in findings(noisy)[-1].text


def test_what_can_be_found_is_a_note():
    (finding,) = findings(of_rule(ERRORS, 0.0))

    assert (finding.code, finding.severity, finding.stops) == (Code.ANALYSIS_POWER, Severity.NOTE, False)
    assert re.fullmatch(
        r"at 33% of 6,000 requests an hour: a good model passes with over 95%; "
        r"Invocation5XXErrors Sum \+\d+(\.\d+)? points by minute \d+ is found \(90% chance\)",
        finding.text,
    )
    assert str(finding) == f"note analysis_power: {finding.text}"


def test_the_minute_counts_from_the_beginning_of_the_bakes():
    """Two minutes of warm-up, and four until CloudWatch has a minute."""
    (variant,) = with_power(of_rule(ERRORS, 0.0)).power
    (rule,) = variant.rules

    assert variant.as_dicts()[0]["by_minute"] == rule.by_minute + 6
    assert f"by minute {rule.by_minute + 6} " in variant.describe()


def test_an_unknown_past_is_told_and_is_no_number():
    given = analysed(past={"AllTraffic": served(360, [])})

    (finding,) = findings(given)

    assert finding.text == (
        "at 33% of 6,000 requests an hour: a good model passes with an unknown chance; "
        "Invocation5XXErrors Sum is unknown (0 of 50 minutes of its past are known)"
    )


def test_missing_requests_explain_an_unlikely_pass():
    few = analysed(an_hour=300, past={"AllTraffic": served(360, a_minute=5.0)})

    assert codes(few) == [Code.ANALYSIS_TRAFFIC_LOW]


def test_several_variants_are_told_apart_and_share_alpha():
    both = {
        "endpoint": endpoint(live("a"), live("b")),
        "serving": config(OLD, asked("a"), asked("b")),
        "target": config("churn-v2", asked("a"), asked("b")),
        "traffic": {"a": 6000.0, "b": 6000.0},
    }
    known = {"a": served(360), "b": served(360)}

    (finding,) = findings(analysed(past=known, **both))
    (alone,) = with_power(of_rule(ERRORS, 0.0)).power

    assert finding.text.startswith("a: at 33%")
    assert "; b: at 33%" in finding.text
    assert with_power(analysed(past=known, **both)).power[0].rules[0].by_minute > alone.rules[0].by_minute


def test_a_percentile_needs_its_requests_each_minute():
    p90 = CanaryAnalysis(rules=[MetricRule("ModelLatency", stat="p90", min_requests=1)])

    (finding,) = found(analysed(p90, an_hour=60 * 149))

    assert finding.code is Code.ANALYSIS_TRAFFIC_LOW
    assert "about 49.7 a minute < 50, which ModelLatency p90 needs" in finding.text
    assert found(analysed(p90, an_hour=60 * 151)) == []


def test_a_high_percentile_needs_none_because_slow_requests_are_counted():
    p99 = CanaryAnalysis(rules=[MetricRule("ModelLatency", stat="p99", min_requests=1)])

    assert found(analysed(p99, an_hour=60 * 10)) == []


def test_each_variant_with_a_weight_is_counted():
    both = {
        "endpoint": endpoint(live("a"), live("b"), live("idle", weight=0)),
        "serving": config(OLD, asked("a"), asked("b"), asked("idle")),
        "target": config("churn-v2", asked("a"), asked("b"), asked("idle")),
    }

    given = analysed(traffic={"a": 6000.0, "b": 10.0, "idle": 0.0}, **both)

    (finding,) = found(given)
    assert finding.text.startswith("b had 10 requests in the last hour")


def test_unreadable_traffic_is_a_warning_with_the_reason():
    (finding,) = found(analysed(traffic={}, traffic_unread="AccessDenied: not authorized"))

    assert (finding.code, finding.severity) == (Code.ANALYSIS_UNREADABLE, Severity.WARNING)
    assert "AccessDenied: not authorized" in finding.text


def test_instance_metrics_are_a_warning():
    cpu = MetricRule("CPUUtilization", namespace="/aws/sagemaker/Endpoints", margin="20%")

    (finding,) = found(analysed(CanaryAnalysis(rules=[ERRORS, cpu])))

    assert (finding.code, finding.severity) == (Code.ANALYSIS_BY_INSTANCES, Severity.WARNING)
    assert "CPUUtilization Average" in finding.text


def test_findings_show_the_durations_of_the_analysis():
    slow = CanaryAnalysis(rules=[ERRORS], every=timedelta(minutes=4), warm_up=timedelta(minutes=1))

    (finding,) = found(analysed(slow, Canary(percent=50, bake=minutes(10))))

    assert "less 1 min of warm_up, 4 min for CloudWatch, 5 min for the switch to act" in finding.text
