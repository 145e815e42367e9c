"""Merged comparisons of single hours equal one comparison of all hours."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.captured.comparing import compare_captures as compare
from airflow_guardrails.domain.errors import InvalidComparison
from airflow_guardrails.domain.predictions.comparison import Comparison, merge
from airflow_guardrails.domain.predictions.rule import PredictionRule
from tests.support.capture_lines import capture_line, hour_of
from tests.support.reference import reference_comparison

RULE = PredictionRule(label="y", score="s", absolute_tolerance=0.1)


def text(comparison):
    return json.dumps([comparison.as_dict(), comparison.summary()])


def records(shift):
    """Requests around the ends of hours, with few ids and inputs, so that many are in each other's way."""
    near_an_end = st.builds(
        lambda hour, quarters: hour * 3600 + quarters / 4, st.integers(0, 3), st.integers(-20, 20)
    )
    return st.lists(
        st.builds(
            lambda at, inference_id, event_id, sent, label, score: capture_line(
                {"y": label, "s": score},
                at=at + shift,
                inference_id=inference_id,
                event_id=event_id,
                sent=sent,
            ),
            near_an_end,
            st.sampled_from(["", "", "i1", "i2"]),
            st.sampled_from(["", "", "e1", "e2"]),
            st.sampled_from(["", "1", "2"]),
            st.sampled_from("abc"),
            st.sampled_from([0.1, 0.2, 0.3, 1e-300, 1e300]),
        ),
        max_size=12,
    )


def in_python(production, shadow):
    """Compare without the engine, which test_engine.py compares with this: quicker for a few records."""
    return reference_comparison(*([line.encode() for line in lines] for lines in (production, shadow)), RULE)


@given(production=records(0), shadow=records(1 / 8), data=st.data())
@settings(max_examples=40)
def test_any_split_in_hours_merges_to_the_same_in_any_order_and_grouping(production, shadow, data):
    hours = sorted({hour_of(each) for each in production + shadow})
    parts = [
        in_python(
            [each for each in production if hour_of(each) == hour],
            [each for each in shadow if hour_of(each) == hour],
        )
        for hour in hours
    ]
    parts.append(in_python([], []))
    together = text(in_python(production, shadow))
    parts = data.draw(st.permutations(parts))
    cut = data.draw(st.integers(1, len(parts)))
    grouped = merge([merge(parts[:cut]), *parts[cut:]])
    assert text(merge(parts)) == text(grouped) == together
    stored = [Comparison.from_dict(json.loads(json.dumps(part.as_dict()))) for part in parts]
    assert text(merge(stored)) == together


@given(production=records(0), shadow=records(1 / 8))
@settings(max_examples=40)
def test_every_record_is_in_a_pair_or_has_a_reason(production, shadow):
    summary = in_python([*production, "no record"], shadow).summary()
    joined = sum(summary["joined_by"].values())
    assert joined == summary["pairs"] + summary["incomparable"]
    for side, number in summary["records"].items():
        assert number == joined + sum(summary["unjoined"][side].values())


def test_a_pair_across_the_end_of_an_hour_is_joined_when_the_hours_are_put_together(captured):
    ten = compare([captured(1, at=3599.9, event_id="x")], [])
    eleven = compare([], [captured(2, at=3600.1, event_id="x")])
    assert ten.summary()["unjoined"]["production"]["only"] == 1
    both = merge([ten, eleven])
    assert (both.pairs, both.settled().pairs, both.summary()["disagreements"]) == (0, 1, 1)


def test_a_record_filed_with_the_next_hour_finds_its_pair_all_the_same(captured):
    ten = compare([captured(1, at=3599.9, event_id="x")], [])
    eleven = compare([], [captured(1, at=3599.95, event_id="x")])
    assert merge([ten, eleven]).settled().pairs == 1


def test_what_lies_far_from_the_end_of_an_hour_is_not_carried(captured):
    ten = compare([captured(1, at=3500, event_id="x")], [])
    assert ten.edges == ()
    assert ten.counts["production.only"] == 1


def test_a_running_total_settles_what_no_coming_hour_can_change(captured):
    ten = compare([captured(1, at=1, event_id="x"), captured(1, at=3599, event_id="y")], [])
    eleven = compare([], [captured(1, at=3601, event_id="y")])
    running = merge([ten.settled(before=datetime(2026, 3, 2, 11, tzinfo=timezone.utc)), eleven])
    assert len(ten.edges) == 2
    assert len(running.edges) == 2
    assert running.summary() == merge([ten, eleven]).summary()


def test_an_hour_is_small_whatever_was_captured(captured):
    """The worst in everything: unmatched records, differences of all sizes, long labels, ids beyond ASCII."""

    def side(shift):
        near = [captured({"y": "a", "s": 1}, at=n / 4, event_id=f"ö{shift}{n}" * 16) for n in range(150)]
        late = [
            captured({"y": "a", "s": 1}, at=3599 - n / 4, event_id=f"ü{shift}{n}" * 16) for n in range(150)
        ]
        joined = [
            captured(
                {"y": f"{n * 7 % 900:040}", "s": (-1) ** n * shift * 2.0 ** (n / 16 - 30)},
                at=100 + n,
                inference_id=f"é{n}" * 12,
                sent="ß" * 900,
            )
            for n in range(800)
        ]
        return near + late + joined

    comparison = compare(
        side(0), side(1), PredictionRule(label="y", score="s", absolute_tolerance=0), with_payloads=True
    )
    assert comparison.pairs == comparison.disagreements == 800
    assert len(comparison.edges) > 20
    assert len(json.dumps(comparison.as_dict())) < 100_000
    assert len(json.dumps(comparison.summary())) < 100_000


def test_within_its_hour_a_request_is_joined_first(captured):
    production = [captured(1, at=3599.9, sent="in"), captured(2, at=3600.4, sent="in")]
    comparison = compare(production, [captured(2, at=3600.1, sent="in")])
    assert (comparison.settled().pairs, comparison.disagreements) == (1, 0)


def test_what_is_too_much_to_carry_is_counted(captured):
    production = [captured(1, at=3599 - number / 1000, event_id=f"{number}") for number in range(600)]
    comparison = compare(production, [])
    summary = comparison.summary()
    assert summary["unjoined"]["production"]["only"] == 600
    assert summary["not_carried"]["production"] == 600 - len(comparison.edges) > 450
    # The nearest to the end are those that are carried.
    assert merge([comparison, compare([], [captured(1, at=3600, event_id="0")])]).settled().pairs == 1


def test_comparisons_by_different_rules_are_not_merged():
    with pytest.raises(InvalidComparison, match="must have the same rule"):
        merge([compare([], []), compare([], [], RULE)])


def test_no_comparison_at_all_is_none():
    with pytest.raises(InvalidComparison, match="at least one comparison"):
        merge([])


def test_a_comparison_of_another_version_is_refused():
    written = {**compare([], []).as_dict(), "schema_version": 1}
    with pytest.raises(InvalidComparison, match=r"schema_version 2 \(got 1\)"):
        Comparison.from_dict(written)
