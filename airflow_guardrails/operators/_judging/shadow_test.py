"""Judge a shadow test by the metrics and the predictions of both variants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import denied_action, named_text
from airflow_guardrails.captured.database import check_duckdb
from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge import Evidence, Label, Reason, Verdict, combine, judge
from airflow_guardrails.domain.judge.publishing import TrialKind, not_published, verdict_data
from airflow_guardrails.domain.judge.verdict import verdict_of_error
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.predictions.verdict import prediction_reason
from airflow_guardrails.domain.shadow.evidence import (
    evidence_of,
    metrics_start,
    period_of,
    queries_of,
    slow_queries,
)
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.snapshots.metrics import METRICS_LAG, MetricQuery, finest_period
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.exceptions import InvalidArgument, MissingExtra
from airflow_guardrails.operators._judging.captures import compare_all
from airflow_guardrails.rules import MetricRule, PredictionRule

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


@dataclass(kw_only=True)
class ShadowTestJudge:
    """
    Judges a shadow test by rules for its metrics and its predictions.

    :param metrics: one rule for each metric.
    :param predictions: rule for predictions; ``None``: they are compared, but do not affect the verdict.
    :param comparison: the comparison that other tasks have made, as a dict; ``None``: make it here.
    :param compare_predictions: whether to read captured predictions at all.
    :param warm_up: how long after its first request the shadow is not judged.
    :param alpha: highest probability that an equally good model gets the verdict Fail, over all rules.
    """

    metrics: Sequence[MetricRule]
    predictions: PredictionRule | None
    comparison: Mapping[str, Any] | None
    compare_predictions: bool
    warm_up: timedelta
    alpha: float
    hook: GuardrailsHook
    log: Any

    def judge(self, experiment: Experiment, *, is_last: bool = True) -> tuple[Verdict, Comparison | None]:
        """
        Return the verdict, and the comparison of predictions if they were read.

        :param is_last: whether this verdict is final. If not, predictions are read only if the metrics pass.
        """
        # Predictions count as one more rule; each rule gets the same part of alpha (Bonferroni).
        part = self.alpha / (len(self.metrics) + 1) if self.predictions else 0.0
        verdict = self._judge_metrics(experiment, alpha=self.alpha - part)
        if not is_last and verdict.label is not Label.PASS:
            return verdict, None
        comparison = self._compare(experiment)
        if self.predictions is None:
            return verdict, comparison
        reasons = [*verdict.reasons, *self._judge_predictions(comparison, alpha=part)]
        return combine(reasons, requests=verdict.requests), comparison

    def publish(self, experiment: Experiment, verdict: Verdict, *, namespace: str) -> str | None:
        """Publish *verdict* as metrics of *namespace*; return the warning if that fails."""
        data = verdict_data(
            verdict,
            endpoint_name=experiment.endpoint_name,
            kind=TrialKind.SHADOW_TEST,
            name=experiment.name,
        )
        try:
            self.hook.put_metric_data(namespace, data)
        except (BotoCoreError, ClientError) as error:
            return not_published(namespace, named_text(error), denied=denied_action(error))
        return None

    def evidence(self, experiment: Experiment) -> Evidence:
        """Read the metrics of both variants so far, and of production before the test."""
        return evidence_of(experiment, self.metrics, self._series(experiment))

    def _judge_metrics(self, experiment: Experiment, *, alpha: float) -> Verdict:
        series = self._series(experiment)
        try:
            evidence = evidence_of(experiment, self.metrics, series)
            return judge(evidence, self.metrics, alpha=alpha, warm_up=self.warm_up)
        except Exception as error:  # noqa: BLE001 - odd data must give Inconclusive, not a failed task
            return self._unjudged("metrics", error)

    def _judge_predictions(self, comparison: Comparison | None, *, alpha: float) -> Iterable[Reason]:
        assert self.predictions is not None
        try:
            return [prediction_reason(comparison, self.predictions, alpha=alpha)]
        except Exception as error:  # noqa: BLE001 - as above
            return self._unjudged("predictions", error).reasons

    def _unjudged(self, what: str, error: Exception) -> Verdict:
        verdict = verdict_of_error(what, error)
        self.log.warning("%s", verdict.describe(), exc_info=error)
        return verdict

    def _series(self, experiment: Experiment) -> dict[MetricQuery, dict[datetime, float]]:
        starts, ends = period_of(experiment)
        # Of the last minutes only one variant may be published, which would look like a difference.
        ends = max(min(ends, experiment.seen_at - METRICS_LAG), starts)
        period = finest_period(starts, experiment.seen_at)
        series = self.hook.get_metric_data(
            queries_of(experiment, self.metrics), start=metrics_start(experiment), end=ends, period=period
        )
        if queries := slow_queries(experiment, self.metrics, series):
            try:
                series |= self.hook.get_metric_data(queries, start=starts, end=ends, period=period)
            except (BotoCoreError, ClientError) as error:
                self.log.warning("Slow requests are not counted: %s", named_text(error))
        return series

    def _compare(self, experiment: Experiment) -> Comparison | None:
        if self.comparison:
            return read_comparison(self.comparison, self.predictions)
        if not self.compare_predictions or experiment.storage is None:
            return None
        if self.predictions is None:
            # They affect no verdict, so a worker without the extra is no error.
            try:
                check_duckdb("The comparison of captured predictions")
            except MissingExtra as error:
                self.log.warning("%s", error)
                return None
        return compare_all(experiment, self.predictions or PredictionRule(), hook=self.hook, log=self.log)


def verdict_report(experiment: Experiment, verdict: Verdict, comparison: Comparison | None) -> dict[str, Any]:
    """Return the verdict as XCom ``verdict`` has it, with the names of test, endpoint and models."""
    starts, ends = period_of(experiment)
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


def read_comparison(value: Mapping[str, Any], rule: PredictionRule | None) -> Comparison:
    """
    Read a comparison that another task has made.

    :param rule: the rule that judges it; ``None``: any.
    :raises InvalidArgument: if it cannot be read, or was made by another rule than *rule*.
    """
    try:
        comparison = Comparison.from_dict(value)
    except GuardrailsValueError as error:
        raise InvalidArgument(f"comparison cannot be read (got {shown(value)}): {error}") from error
    if rule is not None:
        used = replace(comparison.rule, max_disagreement=rule.max_disagreement, min_pairs=rule.min_pairs)
        if used != rule:
            raise InvalidArgument(
                f"comparison was made by another rule than predictions (got {comparison.rule}, not {rule}): "
                "give both tasks the same rule"
            )
    return comparison
