"""The order of the records does not matter: the tests of how ties are broken."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.predictions import records
from airflow_guardrails.domain.predictions.joining import Link, join, pair_nearest
from airflow_guardrails.domain.predictions.records import HOUR, SECOND, JoinKey, Record, Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.tally import Tally

TEN = 491_000 * HOUR


def record(score, *, at=0.0, inference_id="", event_id=""):
    return Record(TEN + round(at * SECOND), inference_id, event_id, "1", [(None, score, None)])


def test_requests_of_one_moment_are_paired_the_same_way():
    chain = [Link(TEN, side, False, score, f"{side.value} {score}") for side in Side for score in (1, 2, 3)]
    pairs, left = pair_nearest(chain, within=SECOND)
    assert (len(pairs), left) == (3, [])
    mixed = [chain[place] for place in (3, 0, 5, 1, 4, 2)]
    assert pair_nearest(mixed, within=SECOND) == (pairs, left)


def test_a_request_without_an_id_is_paired_before_one_of_another_id():
    production = [(Side.PRODUCTION, record(1.0, inference_id="a")), (Side.PRODUCTION, record(2.0, at=1))]
    shadow = [(Side.SHADOW, record(1.0, at=0.4)), (Side.SHADOW, record(2.0, inference_id="b", at=0.3))]
    joined = join([*production, *shadow], within=SECOND, cell=lambda at: at // HOUR)
    assert {(one.rows[0][1], other.rows[0][1]) for _, one, other in joined.pairs} == {(1.0, 1.0), (2.0, 2.0)}


def test_examples_that_are_equally_bad_are_the_first_by_id():
    tally = Tally(PredictionRule())
    for number in reversed(range(450)):
        name = f"{number:03}"
        tally.count_pair(JoinKey.EVENT_ID, record(0.0, event_id=name), record(1.0, event_id=name))
    assert [each["production"]["event_id"] for each in tally.examples] == [f"{n:03}" for n in range(20)]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_record_that_does_not_fit_is_not_replaced_by_one_further_away(order):
    near = [record(1.0, at=number, event_id=f"{number}" + "x" * 1200) for number in range(10)]
    far = [record(1.0, at=20 + number, event_id=f"{number}") for number in range(10)]
    texts = [records.to_json(Side.SHADOW, each) for each in near + far]
    kept, dropped = records.keep_nearest(texts[order])
    assert [each for _, each in records.parse_records(kept)] == near[:7]
    assert dropped == {Side.SHADOW: 13}


def test_kept_in_parts_is_kept_at_once():
    texts = [
        records.to_json(Side.SHADOW, record(1.0, at=n * 7 % 50, event_id=f"{n}" + "x" * (n * 37 % 900)))
        for n in range(100)
    ]
    parts = [records.keep_nearest(texts[first::3])[0] for first in range(3)]
    assert records.keep_nearest(sum(parts, ()))[0] == records.keep_nearest(texts)[0]
