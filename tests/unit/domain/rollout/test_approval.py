"""What a person reads before an update, and what counts as an approval."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pytest
from markdown_it import MarkdownIt

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.rollout.approval import (
    Answer,
    AnswerKind,
    Proposal,
    approval_body,
    approval_report,
    describe_answer,
    digest_of,
    read_answer,
)
from airflow_guardrails.domain.rollout.plan import PlannedAlarm, UpdatePlan
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus, PendingDeployment
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from airflow_guardrails.strategies import Canary

NOON = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
VERDICT = {
    "schema_version": 1,
    "name": "trial",
    "endpoint_name": "churn",
    "production_model_name": "churn-1",
    "shadow_model_name": "churn-2",
    "starts_at": "2026-03-01T12:00:00+00:00",
    "ends_at": "2026-03-02T12:00:00+00:00",
    "label": "Inconclusive",
    "reasons": [
        {
            "label": "Pass",
            "text": "ModelLatency p90: +1.2% < limit +10% (95% interval +0.4% to +2%, 1,440 minutes)",
        },
        {
            "label": "Inconclusive",
            "text": "Invocation5XXErrors Sum: +3% not distinguishable from limit +0%",
            "missing": "a longer trial: 2 h more",
        },
        {"label": "Inconclusive", "text": "MemoryUtilization: no data", "ignored": True},
    ],
    "predictions": {
        "pairs": 45_000,
        "disagreements": 1_200,
        "disagreement_rate": 1_200 / 45_000,
        "records": {"production": 45_100, "shadow": 45_050},
    },
    "warnings": ["XCom verdict could not be written"],
}
HOSTILE = [
    "`ends the span` **bold**",
    "```\nfence\n```",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "[approve](https://evil.example/approve) ![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example <https://evil.example> someone@evil.example",
    "line\nbreak\r\n\n# heading\n- item\n> quote\n\n---",
    "a\u2028b\u2029c\x85d\x1b[31mred\x00\u202ereversed",
    "[ref]: https://evil.example 'title'",
    "ends with a backslash \\",
    "\\`escaped\\`",
    "&lt;b&gt; &#96;",
    "{{ conn.aws_default.password }}",
    " ` ",
    "x" * 2_000,
]


def variant(model, instances=4):
    return VariantConfig(
        name="AllTraffic", model_name=model, instance_types=("ml.m5.large",), initial_instances=instances
    )


def config(name, model, **changes):
    return EndpointConfig(name=name, arn="arn", variants=(variant(model),), **changes)


def endpoint(**changes):
    values = {"status": EndpointStatus.IN_SERVICE, "endpoint_config_name": "churn-v1", **changes}
    return Endpoint(name="churn", seen_at=NOON, **values)


def body(*, verdict=None, page_url=None, **changes):
    guardrails = changes.get("guardrails")
    values = {
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v2",
        "alarms": tuple(PlannedAlarm(name=name) for name in guardrails.alarms) if guardrails else (),
        **changes,
    }
    plan = UpdatePlan(**values)
    return approval_body(Proposal(plan=plan, verdict=verdict, answer_within=DAY, page_url=page_url))


# The text.


def test_the_text_says_what_is_deployed_where_how_and_why():
    text = body(
        endpoint=endpoint(),
        serving=config("churn-v1", "churn-1"),
        target=config("churn-v2", "churn-2", shadow_variants=(variant("churn-3", 1),)),
        guardrails=Guardrails(
            strategy=Canary(percent=25, bake=timedelta(minutes=10)), alarms=("errors", "latency")
        ),
        verdict=VERDICT,
    )

    assert text == (
        "**Update of endpoint `churn`**\n"
        "\n"
        "- In service: `churn-v1`: model `churn-1`, 4 instances `ml.m5.large`; status `InService`\n"
        "- To deploy: `churn-v2`: model `churn-2`, 4 instances `ml.m5.large`; "
        "shadow model `churn-3`, 1 instance `ml.m5.large`\n"
        "- Strategy: `canary: 25 % of the fleet, bake 10 min, then all, "
        "no wait before the old fleet is removed`\n"
        "- Alarms that roll it back: `errors`, `latency`\n"
        "\n"
        "**Shadow test `trial`: Inconclusive**\n"
        "\n"
        "- Model `churn-2` in the shadow of `churn-1`, "
        "from `2026-03-01T12:00:00+00:00` to `2026-03-02T12:00:00+00:00`\n"
        "- **Pass**: `ModelLatency p90: +1.2% < limit +10% (95% interval +0.4% to +2%, 1,440 minutes)`\n"
        "- **Inconclusive**: `Invocation5XXErrors Sum: +3% not distinguishable from limit +0%`; "
        "missing: `a longer trial: 2 h more`\n"
        "- **Inconclusive** (does not count): `MemoryUtilization: no data`\n"
        "- Predictions: 1,200 of 45,000 pairs disagree (2.67%); "
        "captured requests: 45,100 of `production`, 45,050 of `shadow`\n"
        "- Warning: `XCom verdict could not be written`\n"
        "\n"
        "Without an answer within 24 h, the update is rejected."
    )


def test_the_text_leads_to_the_page_of_the_endpoint():
    url = "https://airflow.example/airflow-guardrails/rollouts?endpoint=churn"
    assert f"[Earlier rollouts and shadow tests of this endpoint]({url})\n" in body(page_url=url)
    assert "Earlier rollouts" not in body()


def test_what_is_not_known_is_said_to_be_unknown():
    text = body(unread=("The endpoint is not shown: access denied (sagemaker:DescribeEndpoint)",))

    assert "- To deploy: `churn-v2`\n" in text
    assert "access denied (sagemaker:DescribeEndpoint)" in text
    assert "**No verdict of a shadow test**" in text
    assert "In service" not in text
    assert "Strategy" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"endpoint": endpoint(pending=PendingDeployment(endpoint_config_name="other"))},
            "**Another update is in flight**, to `other`",
        ),
        (
            {"endpoint": endpoint(endpoint_config_name="churn-v2")},
            "**The endpoint serves this configuration already**",
        ),
        ({"guardrails": Guardrails(strategy=None)}, "Alarms that roll it back: **none known to this task**"),
        (
            {
                "guardrails": Guardrails(strategy=None),
                "guards": ("5xx errors of the new fleet > 1 %, 1 min",),
            },
            "- Guards that roll it back: `5xx errors of the new fleet > 1 %, 1 min`",
        ),
        (
            {"verdict": {**VERDICT, "endpoint_name": "staging"}},
            "**It was a test of another endpoint**: `staging`",
        ),
    ],
)
def test_what_a_person_must_not_overlook_is_bold(changes, said):
    assert said in body(**changes)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_of_others_is_markup(hostile):
    reason = {"label": hostile, "text": hostile, "missing": hostile, "ignored": False}
    verdict = {name: hostile for name in VERDICT if name not in ("schema_version", "endpoint_name")}
    verdict |= {
        "reasons": [reason, hostile],
        "warnings": [hostile],
        "endpoint_name": hostile,
        "predictions": {"pairs": hostile, "disagreements": None, "records": {hostile: hostile}},
    }
    plain = {**verdict, "label": "Pass", "name": "x", "reasons": [{**reason, "label": "Pass"}]}
    for text in (
        body(verdict=verdict, unread=(hostile,), endpoint=endpoint(endpoint_config_name=hostile)),
        body(verdict=plain, target=config("churn-v2", hostile)),
    ):
        ours = outside_of_code(text)
        assert re.fullmatch(r"[\w\s*():;,.-]*", ours, re.ASCII), ours
        assert "evil" not in ours
        assert "alert" not in ours
        assert all(line == "" or re.match(r"\*\*|- |Without an answer", line) for line in text.split("\n"))
        assert len(text.splitlines()) == len(text.split("\n"))
        assert kinds_in(text) <= OURS


OURS = {"paragraph", "inline", "bullet_list", "list_item", "strong", "code_inline", "text", "softbreak"}


def kinds_in(text):
    """What a reader of GitHub's Markdown, which makes links of bare URLs, finds in *text*."""
    tokens = MarkdownIt("gfm-like", {"html": True}).parse(text)
    found = [each for token in tokens for each in (token, *(token.children or ()))]
    return {each.type.removesuffix("_open").removesuffix("_close") for each in found}


def outside_of_code(text):
    """Each code span is opened and closed by one backtick, in one line."""
    lines = text.split("\n")
    assert all(line.count("`") % 2 == 0 for line in lines)
    return "\n".join(re.sub(r"`[^`|\n]+`", "", line) for line in lines)


@pytest.mark.parametrize(
    "odd", [{}, {"reasons": 7}, {"reasons": "ab"}, {"reasons": [7, None]}, {"predictions": {}}]
)
def test_an_odd_verdict_is_shown_as_far_as_it_goes(odd):
    assert "**Shadow test: Fail**" in body(verdict={"label": "Fail", **odd})


def test_the_digest_is_that_of_the_text():
    assert digest_of("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_of(body()) != digest_of(body(verdict=VERDICT))


# The answer.

QUESTION = {
    "endpoint_name": "churn",
    "endpoint_config_name": "churn-v2",
    "evidence_digest": "sha256:00",
    "asked_at": "2026-03-02T11:00:00+00:00",
    "warnings": [],
}
JANE = {"id": "jane", "name": "Jane Doe"}


def event(option="Approve", **changes):
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": NOON,
        "responded_by_user": JANE,
        "timedout": False,
        **changes,
    }


def answered(given):
    return read_answer(given, approve="Approve", reject="Reject")


def test_an_answer_has_who_what_and_when():
    assert answered(event()) == Answer(kind=AnswerKind.APPROVED, by=JANE, at=NOON)
    assert answered(event("Reject")) == Answer(kind=AnswerKind.REJECTED, by=JANE, at=NOON)


@pytest.mark.parametrize(
    "given",
    [
        event("Reject", timedout=True, responded_by_user=None),
        event("Approve", timedout=True, responded_by_user=None),
        {"error": "The timeout has passed", "error_type": "timeout"},
    ],
)
def test_no_answer_in_time_is_no_approval_whatever_the_default_is(given):
    assert answered(given).kind is AnswerKind.TIMED_OUT
    assert (answered(given).by, answered(given).at, answered(given).params) == (None, None, {})


@pytest.mark.parametrize(
    "given",
    [
        {},
        None,
        "Approve",
        {"error": "schema", "error_type": "validation"},
        event(chosen_options=None),
        event(chosen_options=[]),
        event(chosen_options=["approve"]),
        event(chosen_options=["Approve", "Reject"]),
        event(chosen_options="Approve"),
    ],
)
def test_whatever_is_not_clearly_an_approval_is_none(given):
    answer = answered(given)

    assert answer.kind is AnswerKind.INVALID
    assert "is not valid: " in describe_answer(answer, QUESTION, answer_within=DAY)


@pytest.mark.parametrize("user", [None, {}, "jane", {"id": None, "name": None}])
def test_an_unknown_user_is_said_to_be_one(user):
    answer = answered(event(responded_by_user=user))

    assert answer.by is None
    assert describe_answer(answer, QUESTION, answer_within=DAY).startswith("Approved by an unknown user at ")


def test_the_report_is_json_whatever_was_entered():
    answer = answered(event("Reject", params_input={"comment": "too slow", "day": NOON, "when": {1: {2}}}))

    report = json.loads(json.dumps(approval_report(answer, QUESTION)))

    assert report["params_input"]["comment"] == "too slow"
    assert report | {"params_input": None} == {
        "schema_version": 1,
        "answer": "Rejected",
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v2",
        "answered_by": JANE,
        "answered_at": "2026-03-02T12:00:00+00:00",
        "asked_at": "2026-03-02T11:00:00+00:00",
        "params_input": None,
        "problem": None,
        "evidence_digest": "sha256:00",
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            event("Reject", responded_by_user={"id": "7", "name": "Jane"}, params_input={"why": "slow"}),
            "Rejected by Jane (7) at 2026-03-02T12:00:00+00:00: the update of churn to churn-v2 (why: slow)",
        ),
        (
            event(responded_by_user={"id": "7", "name": "a\nb\x1b[31m"}),
            "Approved by a b (7) at 2026-03-02T12:00:00+00:00: the update of churn to churn-v2",
        ),
        (
            event("Reject", timedout=True, responded_by_user=None),
            "Nobody answered within 24 h: the update of churn to churn-v2 is rejected",
        ),
    ],
)
def test_one_line_says_who_answered_what_and_when(given, text):
    assert describe_answer(answered(given), QUESTION, answer_within=DAY) == text
