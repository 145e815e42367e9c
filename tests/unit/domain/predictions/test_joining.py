"""The order of the records does not matter: the tests of how ties are broken."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.predictions import records
from airflow_guardrails.domain.predictions.joining import pair_nearest
from airflow_guardrails.domain.predictions.records import HOUR, SECOND, JoinKey, Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.tally import Tally

TEN = 491_000 * HOUR


def record(score, *, at=0.0, inference_id="", event_id=""):
    return TEN + round(at * SECOND), inference_id, event_id, b"1", [(None, score, None)], None


def test_requests_of_one_moment_are_paired_the_same_way():
    chain = [(side, record(float(score))) for side in Side for score in (1, 2, 3)]
    pairs, left = pair_nearest(chain, within=SECOND)
    assert (len(pairs), left) == (3, [])
    mixed = [chain[place] for place in (3, 0, 5, 1, 4, 2)]
    assert pair_nearest(mixed, within=SECOND) == (pairs, left)


def test_examples_that_are_equally_bad_are_the_first_by_id():
    pairs = [(record(0.0, event_id=f"{n:03}"), record(1.0, event_id=f"{n:03}")) for n in range(450)]
    tally = Tally(PredictionRule())
    tally.count_pairs(JoinKey.EVENT_ID, reversed(pairs))
    assert [each["production"]["event_id"] for each in tally.examples] == [f"{n:03}" for n in range(20)]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_record_that_does_not_fit_is_not_replaced_by_one_further_away(monkeypatch, order):
    monkeypatch.setattr(records, "_PRUNE_AT", 10)
    near = [record(1.0, at=number, event_id=f"{number}" + "x" * 1200) for number in range(10)]
    far = [record(1.0, at=20 + number, event_id=f"{number}") for number in range(10)]
    dropped = []
    carried = records.BoundaryRecords(lambda *told: dropped.append(told))
    for each in (near + far)[order]:
        carried.add(Side.SHADOW, each)
    assert [each for _, each in records.parse_records(carried.kept())] == near[:6]
    assert dropped == [(Side.SHADOW, True)] * 14
