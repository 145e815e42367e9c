"""Judge a model by what it did in the shadow of the one that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperatorLink

from airflow_guardrails.connected import ConnectedTask, check_choice
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.experiment import Experiment, Phase
from airflow_guardrails.domain.judge import Label, Verdict, combine, judge
from airflow_guardrails.domain.metric_query import finest_period
from airflow_guardrails.domain.prediction_verdict import prediction_reason
from airflow_guardrails.domain.predictions.comparison import Comparison
from airflow_guardrails.domain.shadow_evidence import evidence_of, queries_of, trial_of
from airflow_guardrails.exceptions import (
    CandidateRejected,
    CandidateUndecided,
    InvalidArgument,
    ReportedError,
    ShadowTestCancelled,
    ShadowTestNotFound,
)
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators.built import built
from airflow_guardrails.operators.captures import compare_all
from airflow_guardrails.rules import DEFAULT_RULES, MetricRule, PredictionRule

OnVerdict = Literal["fail", "skip", "return"]

VERDICT_KEY = "verdict"

# CloudWatch publishes a minute's metrics some minutes late; no document says how many.
METRICS_LAG = timedelta(minutes=3)


class SageMakerJudgeShadowTestOperator(ConnectedTask):
    """
    Say whether a model did as well in the shadow test as the one that serves: Pass, Fail or Inconclusive.

    It compares the metrics of both variants minute by minute, for the time the test has run, and, where the
    test kept requests and answers, the answers request by request. The verdict has one reason for each
    metric: what was measured, its interval, and the limit. Where data is missing, or the shadow did not get
    its share of the requests, that is told and is never a Pass. ``docs/judge.md`` says how.

    The verdict is the return value and XCom ``verdict``, which is there also when the task fails.

    :param name: name of the shadow test, as SageMaker knows it. (templated)
    :param metrics: rules for the metrics, :class:`~airflow_guardrails.rules.MetricRule` or
        dicts of its arguments; default: latency (mean and p90) and the three kinds of errors.
    :param predictions: rule for the answers,
        :class:`~airflow_guardrails.rules.PredictionRule`. Without, answers that were kept are
        compared and reported, and not judged.
    :param comparison: result of
        :class:`~airflow_guardrails.operators.predictions.SageMakerMergePredictionsOperator`, where mapped
        tasks have compared the answers; default: this task reads and compares them itself. (templated)
    :param compare_predictions: whether to read kept requests and answers at all.
    :param warm_up: how long after its first request the shadow is not judged.
    :param alpha: the chance that a model as good as production is found worse, over all metrics together;
        above 0 and below 0.5.
    :param on_fail: what the verdict Fail does to the task: ``"fail"`` it without retries, ``"skip"`` it
        and what depends on it, or ``"return"`` the verdict for the DAG to decide.
    :param on_inconclusive: the same for the verdict Inconclusive.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's own ways. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    template_fields: Sequence[str] = ("name", "comparison", "aws_conn_id", "region_name", "verify")
    template_fields_renderers: ClassVar[dict[str, str]] = {"comparison": "json"}
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#efe6d2"

    def __init__(
        self,
        *,
        name: str,
        metrics: Sequence[MetricRule | Mapping[str, Any]] | None = None,
        predictions: PredictionRule | Mapping[str, Any] | None = None,
        comparison: Mapping[str, Any] | None = None,
        compare_predictions: bool = True,
        warm_up: timedelta = timedelta(minutes=5),
        alpha: float = 0.05,
        on_fail: OnVerdict = "fail",
        on_inconclusive: OnVerdict = "fail",
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("on_fail", on_fail, OnVerdict)
        check_choice("on_inconclusive", on_inconclusive, OnVerdict)
        if not isinstance(warm_up, timedelta) or warm_up < timedelta(0):
            raise InvalidArgument(f"warm_up must be a timedelta of at least 0 (got {warm_up!r})")
        if isinstance(alpha, bool) or not 0 < alpha < 0.5:  # noqa: PLR2004 - a coin
            raise InvalidArgument(f"alpha must be above 0 and below 0.5 (got {alpha!r})")
        self.name = name
        self.metrics = metrics
        self.predictions = predictions
        self.comparison = comparison
        self.compare_predictions = compare_predictions
        self.warm_up = warm_up
        self.alpha = alpha
        self.on_fail = on_fail
        self.on_inconclusive = on_inconclusive
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def execute(self, context: Any) -> dict[str, Any]:
        rules, prediction_rule = self._rules(), self._prediction_rule()
        experiment = self.translated(self._experiment)
        self.push_endpoint_links(context, experiment.endpoint_name)
        # Answers count as one rule more: what may go wrong is divided among all.
        part = self.alpha / (len(rules) + 1) if prediction_rule else 0.0
        reasons = list(self._judge_metrics(experiment, rules, alpha=self.alpha - part).reasons)
        comparison = self._compared(experiment, prediction_rule)
        if prediction_rule is not None:
            reasons.append(prediction_reason(comparison, prediction_rule, alpha=part))
        verdict = combine(reasons)
        report = self._report(experiment, verdict, comparison)
        self.push(context, VERDICT_KEY, report)
        for reason in verdict.reasons:
            self.log.info("%s: %s", reason.label.value, reason.text)
        return self._end(verdict, report)

    def _rules(self) -> tuple[MetricRule, ...]:
        if self.metrics is None:
            return DEFAULT_RULES
        return tuple(built(MetricRule, rule) for rule in self.metrics)

    def _prediction_rule(self) -> PredictionRule | None:
        return None if self.predictions is None else built(PredictionRule, self.predictions)

    def _experiment(self) -> Experiment:
        look = self.hook.look_at_experiment(self.name)
        if not isinstance(look, Experiment):
            raise ShadowTestNotFound(f"There is no shadow test {self.name} in {self.hook.conn_region_name}")
        if look.phase is Phase.CANCELLED:
            raise ShadowTestCancelled(
                f"Shadow test {self.name} was cancelled ({look.reason or 'SageMaker gives no reason'}): what "
                "it has seen until then is no trial"
            )
        return look

    def _judge_metrics(self, experiment: Experiment, rules: Sequence[MetricRule], *, alpha: float) -> Verdict:
        starts, ends = trial_of(experiment)
        # A minute that is over may not be published yet; one side of it alone would be a difference.
        ends = min(ends, experiment.seen_at - METRICS_LAG)
        period = finest_period(starts, experiment.seen_at)
        series = self.hook.metric_series(
            queries_of(experiment, rules), start=starts, end=max(ends, starts), period=period
        )
        return judge(evidence_of(experiment, rules, series), rules, alpha=alpha, warm_up=self.warm_up)

    def _compared(self, experiment: Experiment, rule: PredictionRule | None) -> Comparison | None:
        if self.comparison:
            return _read(self.comparison, rule)
        if not self.compare_predictions or experiment.storage is None:
            return None
        return compare_all(experiment, rule or PredictionRule(), hook=self.hook, log=self.log)

    def _report(
        self, experiment: Experiment, verdict: Verdict, comparison: Comparison | None
    ) -> dict[str, Any]:
        starts, ends = trial_of(experiment)
        return {
            "schema_version": 1,
            "name": experiment.name,
            "endpoint_name": experiment.endpoint_name,
            "production_model_name": experiment.production.model_name if experiment.production else None,
            "shadow_model_name": experiment.shadow.model_name if experiment.shadow else None,
            "starts_at": starts.isoformat(),
            "ends_at": ends.isoformat(),
            **verdict.as_dict(),
            "predictions": comparison.summary() if comparison is not None else None,
        }

    def _end(self, verdict: Verdict, report: dict[str, Any]) -> dict[str, Any]:
        sentence = f"{report['shadow_model_name']} in the shadow of {report['production_model_name']}: "
        sentence += verdict.describe()
        if verdict.label is Label.PASS:
            self.log.info(sentence)
            return report
        wish, error = _WISHES[verdict.label]
        return self._accept(getattr(self, wish), error, sentence, report)

    def _accept(
        self, wish: OnVerdict, error: type[ReportedError], sentence: str, report: dict[str, Any]
    ) -> dict[str, Any]:
        if wish == "fail":
            raise error(sentence, report)
        self.log.warning(sentence)
        if wish == "skip":
            raise AirflowSkipException(sentence)
        return report


_WISHES: dict[Label, tuple[str, type[ReportedError]]] = {
    Label.FAIL: ("on_fail", CandidateRejected),
    Label.INCONCLUSIVE: ("on_inconclusive", CandidateUndecided),
}


def _read(written: Mapping[str, Any], rule: PredictionRule | None) -> Comparison:
    """:raises InvalidArgument: if the answers were compared otherwise than they are to be judged."""
    try:
        comparison = Comparison.from_dict(written)
    except GuardrailsValueError as error:
        raise InvalidArgument(f"comparison cannot be read: {error}") from error
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
