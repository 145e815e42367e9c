"""Edges of neighbouring hours, joined."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta

from airflow_guardrails.domain.predictions.counts import Lost, lost
from airflow_guardrails.domain.predictions.edges import boundary, read
from airflow_guardrails.domain.predictions.joining import Join
from airflow_guardrails.domain.predictions.records import Record, Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.predictions.tally import Tally


def join_edges(texts: Iterable[str], rule: PredictionRule) -> Tally:
    """Join the records of *texts* that lie near the same end of an hour, and count what is left."""
    tally = Tally(rule)

    def lose(side: Side, _: Record) -> None:
        tally.counts[lost(side, Lost.ONLY)] += 1

    with closing(Join(tally, within=microseconds(rule.within), cell=boundary, lose=lose)) as join:
        add = {side: join.adder(side) for side in Side}
        for side, record in read(texts):
            add[side](record)
        join.run()
    return tally


def microseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1_000_000)
