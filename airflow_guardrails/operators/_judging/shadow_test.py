"""What a verdict on a shadow test is made of: the metrics of both variants, and their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge import Evidence, Label, Reason, Verdict, combine, judge
from airflow_guardrails.domain.judge.verdict import verdict_of_error
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.predictions.verdict import prediction_reason
from airflow_guardrails.domain.shadow.evidence import evidence_of, queries_of, read_from, trial_of
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.snapshots.metrics import MetricQuery, finest_period
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators._judging.captures import compare_all
from airflow_guardrails.rules import MetricRule, PredictionRule

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# CloudWatch publishes a minute's metrics some minutes late; no document says how many.
METRICS_LAG = timedelta(minutes=3)


@dataclass(kw_only=True)
class ShadowTestJudge:
    """
    How a shadow test is judged.

    :param predictions: rule for the answers; None: they are compared, and decide nothing.
    :param merged: the comparison that other tasks have made; None: it is made here.
    :param compares: whether answers are looked at at all.
    """

    metrics: Sequence[MetricRule]
    predictions: PredictionRule | None
    merged: Mapping[str, Any] | None
    compares: bool
    warm_up: timedelta
    alpha: float
    hook: GuardrailsHook
    log: Any

    def judge(self, experiment: Experiment, *, is_last: bool = True) -> tuple[Verdict, Comparison | None]:
        """
        Judge what there is; where this is not the last look, answers are read only if they may decide.
        """
        # Answers count as one rule more: what may go wrong is divided among all.
        part = self.alpha / (len(self.metrics) + 1) if self.predictions else 0.0
        verdict = self._judge_metrics(experiment, alpha=self.alpha - part)
        if not is_last and verdict.label is not Label.PASS:
            return verdict, None
        comparison = self._compared(experiment)
        if self.predictions is None:
            return verdict, comparison
        return combine([*verdict.reasons, *self._judge_answers(comparison, alpha=part)]), comparison

    def evidence(self, experiment: Experiment) -> Evidence:
        """Read what both variants did so far, and production before the test."""
        return evidence_of(experiment, self.metrics, self._series(experiment))

    def _judge_metrics(self, experiment: Experiment, *, alpha: float) -> Verdict:
        series = self._series(experiment)
        try:
            evidence = evidence_of(experiment, self.metrics, series)
            return judge(evidence, self.metrics, alpha=alpha, warm_up=self.warm_up)
        except Exception as error:  # noqa: BLE001 - a judge may fail by whatever data there are
            return self._unjudged("metrics", error)

    def _judge_answers(self, comparison: Comparison | None, *, alpha: float) -> Iterable[Reason]:
        assert self.predictions is not None
        try:
            return [prediction_reason(comparison, self.predictions, alpha=alpha)]
        except Exception as error:  # noqa: BLE001 - as above
            return self._unjudged("answers", error).reasons

    def _unjudged(self, what: str, error: Exception) -> Verdict:
        verdict = verdict_of_error(what, error)
        self.log.warning("%s", verdict.describe(), exc_info=error)
        return verdict

    def _series(self, experiment: Experiment) -> dict[MetricQuery, dict[datetime, float]]:
        starts, ends = trial_of(experiment)
        # A minute that is over may not be published yet; one side of it alone would be a difference.
        ends = min(ends, experiment.seen_at - METRICS_LAG)
        return self.hook.get_metric_data(
            queries_of(experiment, self.metrics),
            start=read_from(experiment),
            end=max(ends, starts),
            period=finest_period(starts, experiment.seen_at),
        )

    def _compared(self, experiment: Experiment) -> Comparison | None:
        if self.merged:
            return read_comparison(self.merged, self.predictions)
        if not self.compares or experiment.storage is None:
            return None
        return compare_all(experiment, self.predictions or PredictionRule(), hook=self.hook, log=self.log)


def verdict_report(experiment: Experiment, verdict: Verdict, comparison: Comparison | None) -> dict[str, Any]:
    """Write the verdict down, with what it is about."""
    starts, ends = trial_of(experiment)
    return {
        "schema_version": 1,
        "name": experiment.name,
        "endpoint_name": experiment.endpoint_name,
        "production_model_name": experiment.production.model_name if experiment.production else None,
        "shadow_model_name": experiment.shadow.model_name if experiment.shadow else None,
        "starts_at": format_time(starts),
        "ends_at": format_time(ends),
        **verdict.as_dict(),
        "predictions": comparison.summary() if comparison is not None else None,
    }


def read_comparison(written: Mapping[str, Any], rule: PredictionRule | None) -> Comparison:
    """:raises InvalidArgument: if the answers were compared otherwise than they are to be judged."""
    try:
        comparison = Comparison.from_dict(written)
    except GuardrailsValueError as error:
        raise InvalidArgument(f"comparison cannot be read (got {shown(written)}): {error}") from error
    if rule is not None:
        as_compared = replace(
            comparison.rule, max_disagreement=rule.max_disagreement, min_pairs=rule.min_pairs
        )
        if as_compared != rule:
            raise InvalidArgument(
                f"comparison was compared by another rule than predictions says (got {comparison.rule} for "
                f"{rule}): give both tasks the same"
            )
    return comparison
