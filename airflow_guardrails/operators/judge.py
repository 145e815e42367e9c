"""Judge a model by what it did in the shadow of the one that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperatorLink, conf

from airflow_guardrails.domain.arguments import Check, check_experiment_name, check_options
from airflow_guardrails.domain.judge.verdict import Label, Verdict
from airflow_guardrails.domain.snapshots.experiment import Experiment, Phase
from airflow_guardrails.exceptions import (
    CandidateRejected,
    CandidateUndecided,
    InvalidArgument,
    ReportedError,
    ShadowTestCancelled,
    ShadowTestNotFound,
)
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.rules import DEFAULT_RULES, MetricRule, PredictionRule
from airflow_guardrails.tasks.aws_task import ConnectedTask, fire_floor
from airflow_guardrails.tasks.validation import (
    check_choice,
    check_duration,
    check_flags,
    check_list,
    check_seconds,
    coerce,
)

if TYPE_CHECKING:
    # It brings the judge, which a DAG file need not pay for.
    from airflow_guardrails.operators._judging.shadow_test import ShadowTestJudge

OnVerdict = Literal["fail", "skip", "return"]

VERDICT_KEY = "verdict"


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
    :param until_decided: whether a test that is still running is judged again and again, until the verdict is
        Pass or Fail or the test is over. The judge may look as often as it likes without erring more often;
        kept answers are read once the metrics pass.
    :param deferrable: whether to wait for the next look in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two looks.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    template_fields: Sequence[str] = ("name", "comparison", *ConnectedTask.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"comparison": "json"}
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_experiment_name,
        "comparison": check_options,
        **ConnectedTask.rendered_checks,
    }
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
        until_decided: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flags(
            compare_predictions=compare_predictions, until_decided=until_decided, deferrable=deferrable
        )
        check_choice("on_fail", on_fail, OnVerdict)
        check_choice("on_inconclusive", on_inconclusive, OnVerdict)
        check_seconds("waiter_delay", waiter_delay)
        check_duration("warm_up", warm_up, may_be_zero=True)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < 0.5:  # noqa: PLR2004 - a coin
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
        self.until_decided = until_decided
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self._rules()
        self._prediction_rule()

    def check_rendered(self) -> None:
        super().check_rendered()
        if self.comparison:
            from airflow_guardrails.operators._judging.shadow_test import read_comparison  # noqa: PLC0415 - not in every DAG file

            read_comparison(self.comparison, self._prediction_rule())

    def execute(self, context: Any) -> dict[str, Any]:
        self.check_rendered()
        from airflow_guardrails.operators._judging.shadow_test import verdict_report  # noqa: PLC0415 - not in every DAG file

        judging = self._judging()
        while True:
            experiment = self._experiment()
            self.push_endpoint_links(context, experiment.endpoint_name)
            may_wait = self.until_decided and not experiment.phase.over
            verdict, comparison = judging.judge(experiment, is_last=not may_wait)
            if not may_wait or verdict.label is not Label.INCONCLUSIVE:
                break
            self.log.info("Not decided yet: %s", verdict.describe())
            if self.deferrable:
                self._come_back()
            self.sleep(self.waiter_delay)
        report = verdict_report(experiment, verdict, comparison)
        self.push(context, VERDICT_KEY, report)
        for reason in verdict.reasons:
            self.log.info("%s: %s", reason.label.value, reason.text)
        return self._end(verdict, report)

    def execute_again(self, context: Any, event: Any = None) -> dict[str, Any]:  # noqa: ARG002
        """Judge anew; called by Airflow when it is time."""
        return self.execute(context)

    def _come_back(self) -> NoReturn:
        """Leave the worker: all that is known is in AWS, so the next look begins from nothing."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger  # noqa: PLC0415

        pause = timedelta(seconds=max(self.waiter_delay, fire_floor()))
        self.defer(trigger=TimeDeltaTrigger(pause), method_name="execute_again")

    def _judging(self) -> ShadowTestJudge:
        from airflow_guardrails.operators._judging.shadow_test import ShadowTestJudge  # noqa: PLC0415 - not in every DAG file

        return ShadowTestJudge(
            metrics=self._rules(),
            predictions=self._prediction_rule(),
            merged=self.comparison,
            compares=self.compare_predictions,
            warm_up=self.warm_up,
            alpha=self.alpha,
            hook=self.hook,
            log=self.log,
        )

    def _rules(self) -> tuple[MetricRule, ...]:
        if self.metrics is None:
            return DEFAULT_RULES
        check_list("metrics", self.metrics, of="MetricRules or dicts of their arguments")
        return tuple(coerce("metrics", MetricRule, rule) for rule in self.metrics)

    def _prediction_rule(self) -> PredictionRule | None:
        return None if self.predictions is None else coerce("predictions", PredictionRule, self.predictions)

    def _experiment(self) -> Experiment:
        look = self.hook.describe_inference_experiment(self.name)
        if not isinstance(look, Experiment):
            raise ShadowTestNotFound(f"There is no shadow test {self.name} in {self.hook.conn_region_name}")
        if look.phase is Phase.CANCELLED:
            raise ShadowTestCancelled(
                f"Shadow test {self.name} was cancelled ({look.reason or 'SageMaker gives no reason'}): what "
                "it has seen until then is no trial"
            )
        return look

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
