"""What a shadow test has captured in S3, read hour by hour and compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_guardrails.aws.captures import CaptureKey, capture_keys, capture_prefix, captured
from airflow_guardrails.domain.predictions.comparison import Comparison, compare, merge
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule
from airflow_guardrails.domain.shadow.evidence import hours_of
from airflow_guardrails.domain.snapshots.experiment import Experiment

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


def compare_captures(
    production: Iterable[bytes | str],
    shadow: Iterable[bytes | str],
    rule: PredictionRule = DEFAULT_RULE,
    *,
    workdir: Path | None = None,
    with_payloads: bool = False,
) -> Comparison:
    """
    Compare two streams of JSON lines, as SageMaker captures them, by *rule*.

    Each stream is read once, line by line, production's first; the order of lines means nothing. An hour is
    compared in one call, with all objects of both variants; ``merge`` puts hours together.

    :param workdir: a folder for temporary files; the system's own if not given
    :param with_payloads: show the beginning of inputs and answers in the examples
    """
    return compare(
        captured(production, with_inputs=with_payloads),
        captured(shadow),
        rule,
        workdir=workdir,
        with_payloads=with_payloads,
    )


class Captures:
    """
    The captured data of one test.

    SageMaker's documents do not say whether the experiment's name is a level of the keys, so both places are
    looked at.
    """

    def __init__(self, experiment: Experiment, *, hook: GuardrailsHook) -> None:
        assert experiment.storage is not None
        self._experiment = experiment
        self._bucket, _, self._prefix = experiment.storage.uri.removeprefix("s3://").partition("/")
        self._hook = hook

    def compare(self, hour: datetime, rule: PredictionRule, *, with_payloads: bool = False) -> Comparison:
        """Join what both variants answered in *hour*; objects are read as streams, none is held whole."""
        production, shadow = self._experiment.production_name, self._experiment.shadow_name
        return compare_captures(
            self._lines(production, hour), self._lines(shadow, hour), rule, with_payloads=with_payloads
        )

    def _lines(self, variant_name: str, hour: datetime) -> Iterator[bytes]:
        wanted = CaptureKey(
            endpoint_name=self._experiment.endpoint_name, variant_name=variant_name, hour=hour
        )
        for prefix in self._prefixes(wanted):
            for key in capture_keys(self._hook.list_keys(self._bucket, prefix), wanted):
                yield from self._hook.read_lines(self._bucket, key)

    def _prefixes(self, wanted: CaptureKey) -> tuple[str, ...]:
        return (
            capture_prefix(self._prefix, wanted),
            capture_prefix(self._prefix, wanted, experiment_name=self._experiment.name),
        )


def compare_all(
    experiment: Experiment, rule: PredictionRule, *, hook: GuardrailsHook, log: Any
) -> Comparison:
    """Compare all hours of the test, one after the other."""
    captures, total = Captures(experiment, hook=hook), None
    for hour in hours_of(experiment):
        compared = captures.compare(hour, rule)
        log.info("Compared the predictions of %s: %d pairs", hour.strftime("%Y-%m-%d %H:00"), compared.pairs)
        total = compared if total is None else merge([total, compared]).settled(before=hour)
    assert total is not None
    return total.settled()
