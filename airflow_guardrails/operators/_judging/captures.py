"""Read the data that a shadow test has captured in S3, hour by hour, and compare it."""

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
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
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
    Compare two streams of JSON lines, as SageMaker captures them.

    Each stream is read once, production first; the order of the lines does not matter. Compare an hour in one
    call, with all objects of both variants, and combine hours with ``merge``.

    :param workdir: folder for temporary files; default: the temporary folder of the system.
    :param with_payloads: whether the examples show the beginning of inputs and predictions.
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

    The docs do not say whether the name of the experiment is a part of the S3 keys, so both prefixes are
    read.
    """

    def __init__(self, experiment: Experiment, *, hook: GuardrailsHook) -> None:
        assert experiment.storage is not None
        self._experiment = experiment
        self._bucket, _, self._prefix = experiment.storage.uri.removeprefix("s3://").partition("/")
        self._hook = hook

    def compare(self, hour: datetime, rule: PredictionRule, *, with_payloads: bool = False) -> Comparison:
        """Join and compare the predictions of both variants in *hour*; S3 objects are read as streams."""
        production, shadow = self._experiment.production_name, self._experiment.shadow_name
        return compare_captures(
            self._lines(production, hour), self._lines(shadow, hour), rule, with_payloads=with_payloads
        )

    def _lines(self, variant_name: str, hour: datetime) -> Iterator[bytes]:
        key_parts = CaptureKey(
            endpoint_name=self._experiment.endpoint_name, variant_name=variant_name, hour=hour
        )
        for prefix in self._prefixes(key_parts):
            for key in capture_keys(self._hook.list_keys(self._bucket, prefix), key_parts):
                yield from self._hook.read_lines(self._bucket, key)

    def _prefixes(self, key_parts: CaptureKey) -> tuple[str, ...]:
        return (
            capture_prefix(self._prefix, key_parts),
            capture_prefix(self._prefix, key_parts, experiment_name=self._experiment.name),
        )


def compare_all(
    experiment: Experiment, rule: PredictionRule, *, hook: GuardrailsHook, log: Any
) -> Comparison:
    """Compare all hours of the test, one after the other, in this process."""
    captures, total = Captures(experiment, hook=hook), None
    for hour in hours_of(experiment):
        compared = captures.compare(hour, rule)
        log.info("Compared the predictions of %s: %d pairs", hour.strftime("%Y-%m-%d %H:00"), compared.pairs)
        total = compared if total is None else merge([total, compared]).settled(before=hour)
    assert total is not None
    return total.settled()
