"""Captured requests of both variants, compared: streams in, one small value out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from airflow_guardrails.domain.predictions.answers import answer_reader
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.predictions.counts import NOT_CARRIED, RECORDS, Lost, lost, of_side
from airflow_guardrails.domain.predictions.edges import Edges
from airflow_guardrails.domain.predictions.examples import cut
from airflow_guardrails.domain.predictions.joining import Join
from airflow_guardrails.domain.predictions.records import HOUR, Captured, Record, Side
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule
from airflow_guardrails.domain.predictions.settling import microseconds
from airflow_guardrails.domain.predictions.tally import Tally


def compare(
    production: Iterable[Captured | None],
    shadow: Iterable[Captured | None],
    rule: PredictionRule = DEFAULT_RULE,
    *,
    workdir: Path | None = None,
    with_payloads: bool = False,
) -> Comparison:
    """
    Join production's captured requests with shadow's and compare their answers by *rule*.

    Production's are read first, then shadow's, each once and in any order; ``None`` is a line that is no
    captured request. Hours are joined one by one, so the result of many is that of each, merged.

    :param workdir: a folder for temporary files (the system's own if not given), which take about 150 bytes a
        record and the size of its answer
    :param with_payloads: show the beginning of inputs and answers in the examples
    """
    tally = Tally(rule)

    def count_lost(side: Side, near_end: bool) -> None:
        tally.counts[lost(side, Lost.ONLY)] += 1
        tally.counts[of_side(side, NOT_CARRIED)] += near_end

    edges = Edges(count_lost)
    within = microseconds(rule.within)
    with closing(Join(tally, within=within, cell=_hour, lose=edges.offer, folder=workdir)) as join:
        intake = _Intake(tally, rule, with_payloads=with_payloads)
        intake.take(production, Side.PRODUCTION, join.adder(Side.PRODUCTION))
        intake.take(shadow, Side.SHADOW, join.adder(Side.SHADOW))
        join.run()
    return Comparison.from_tally(
        tally, rule=rule, edges=edges.kept(), first_at=intake.first_at, last_at=intake.last_at
    )


class _Intake:
    """Reads answers, counts what has none, and remembers the first and the last time."""

    def __init__(self, tally: Tally, rule: PredictionRule, *, with_payloads: bool) -> None:
        self._counts = tally.counts
        self._read = answer_reader(rule)
        self._with_payloads = with_payloads
        self.first_at: int | None = None
        self.last_at: int | None = None

    def take(self, stream: Iterable[Captured | None], side: Side, add: Callable[[Record], None]) -> None:
        read, with_payloads = self._read, self._with_payloads
        records = broken = no_output = 0
        first, last = self.first_at, self.last_at
        for captured in stream:
            records += 1
            if captured is None:
                broken += 1
                continue
            at, inference_id, event_id, digest, form, output, sent = captured
            if first is None or at < first:
                first = at
            if last is None or at > last:
                last = at
            if not output:
                no_output += 1
                continue
            shown = (cut(sent), cut(str(output))) if with_payloads else None
            add((at, inference_id, event_id, digest, read(form, output), shown))
        self.first_at, self.last_at = first, last
        self._counts[of_side(side, RECORDS)] += records
        self._counts[lost(side, Lost.BROKEN)] += broken
        self._counts[lost(side, Lost.NO_OUTPUT)] += no_output


def _hour(at: int) -> int:
    return at // HOUR
