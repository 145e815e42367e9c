"""Lines of captured data of both variants, compared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from airflow_guardrails.aws.captures import captured
from airflow_guardrails.domain.predictions.compare import compare
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule


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
