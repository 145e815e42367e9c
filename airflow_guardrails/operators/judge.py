"""Judge a shadow test: does the candidate as well as production?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperatorLink, conf

from airflow_guardrails.captured.database import check_duckdb
from airflow_guardrails.domain.arguments import (
    Check,
    check_custom_namespace,
    check_options,
    optional,
)
from airflow_guardrails.domain.judge.publishing import NOT_PUBLISHED
from airflow_guardrails.domain.judge.verdict import Label, Verdict
from airflow_guardrails.domain.shadow.spec import NO_TEST, WARM_UP
from airflow_guardrails.domain.snapshots.experiment import Experiment, Phase
from airflow_guardrails.exceptions import (
    CandidateRejected,
    CandidateUndecided,
    ShadowTestCancelled,
    ShadowTestNotFound,
)
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.rules import DEFAULT_RULES, MetricRule, PredictionRule
from airflow_guardrails.tasks.aws_task import AwsTask, fire_floor
from airflow_guardrails.tasks.metrics import count_verdict
from airflow_guardrails.tasks.outcome import show_outcome
from airflow_guardrails.tasks.shadow_test import check_test_name
from airflow_guardrails.tasks.validation import (
    check_alpha,
    check_choice,
    check_duration,
    check_flags,
    check_list,
    check_seconds,
    coerce,
)

if TYPE_CHECKING:
    # It imports the judge, which the parsing of a DAG file need not pay for.
    from airflow_guardrails.operators._judging.shadow_test import ShadowTestJudge

OnVerdict = Literal["fail", "skip", "return"]

_VERDICT_KEY = "verdict"


class SageMakerJudgeShadowTestOperator(AwsTask):
    """
    Judge a shadow test: Pass, Fail or Inconclusive.

    Compares the metrics of both variants minute by minute. If the test has captured requests and predictions,
    it also compares the predictions request by request. The verdict has one reason for each metric: measured
    value, confidence interval and limit. Missing data, or a shadow that did not get its share of the
    requests, is never a Pass. See ``docs/judge.md``.

    Returns the verdict, which is also XCom ``verdict``, and is there also if the task fails.

    :param name: name of the shadow test in SageMaker. (templated)
    :param metrics: rules for metrics: :class:`~airflow_guardrails.rules.MetricRule`, or dicts of its
        arguments. Default: latency (mean and p90) and the three kinds of errors.
    :param predictions: rule for predictions: :class:`~airflow_guardrails.rules.PredictionRule`, or a dict of
        its arguments. Default: captured predictions are compared and reported, but do not affect the verdict.
        Needs DuckDB: ``pip install 'airflow-guardrails[predictions]'``.
    :param comparison: result of
        :class:`~airflow_guardrails.operators.predictions.SageMakerMergePredictionsOperator`, if mapped tasks
        have compared the predictions. Default: this task reads and compares them. (templated)
    :param compare_predictions: whether to read captured requests and predictions at all.
    :param warm_up: how long after its first request the shadow is not judged.
    :param alpha: highest probability that an equally good candidate gets the verdict Fail, over all rules
        together; above 0 and below 0.5.
    :param on_fail: what the verdict Fail does to the task: ``"fail"`` (no retry), ``"skip"`` (also what
        depends on it), or ``"return"`` (the task succeeds and returns the verdict).
    :param on_inconclusive: the same for the verdict Inconclusive.
    :param until_decided: whether to judge a running test repeatedly, until the verdict is Pass or Fail, or
        the test is over. Repeated looks do not raise the probability of a wrong verdict. Predictions are read
        only when the metrics pass.
    :param deferrable: whether to wait between two verdicts in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two verdicts.
    :param verdict_namespace: CloudWatch namespace in which each verdict is published as metrics, for alarms
        and dashboards; not one that begins with ``AWS/``. Default: none is published. (templated)
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises CandidateRejected: if the verdict is Fail, and *on_fail* is ``"fail"``.
    :raises CandidateUndecided: if the verdict is Inconclusive, and *on_inconclusive* is ``"fail"``.
    :raises ShadowTestNotFound: if there is no such test.
    :raises ShadowTestCancelled: if the test was cancelled.
    """

    template_fields: Sequence[str] = ("name", "comparison", "verdict_namespace", *AwsTask.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"comparison": "json"}
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_test_name,
        "comparison": check_options,
        "verdict_namespace": optional(check_custom_namespace),
        **AwsTask.rendered_checks,
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
        warm_up: timedelta = WARM_UP,
        alpha: float = 0.05,
        on_fail: OnVerdict = "fail",
        on_inconclusive: OnVerdict = "fail",
        until_decided: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 300,
        verdict_namespace: str | None = None,
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
        if predictions is not None and compare_predictions and comparison is None:
            check_duckdb("SageMakerJudgeShadowTestOperator with predictions, but without comparison,")
        check_alpha("alpha", alpha)
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
        self.verdict_namespace = verdict_namespace
        # Built here only for their checks, so that a wrong rule is an error of the DAG file.
        self._rules()
        self._prediction_rule()

    def check_rendered(self) -> None:
        """
        Check the templated fields, and that *comparison* was made by the rule *predictions*.

        :raises InvalidArgument: if one of them breaks a rule.
        """
        super().check_rendered()
        if self.comparison:
            from airflow_guardrails.operators._judging.shadow_test import read_comparison  # noqa: PLC0415 - not in every DAG file

            read_comparison(self.comparison, self._prediction_rule())

    def execute(self, context: Any) -> dict[str, Any] | None:
        """
        Judge the test, repeatedly with ``until_decided``; return the verdict as a dict.

        If there was no test, because the endpoint does not exist yet, there is no verdict: None.
        """
        self.check_rendered()
        if self.name == NO_TEST:
            self.log.info("No verdict: %s", NO_TEST)
            show_outcome(context, "JUDGE: NO TEST")
            return None
        from airflow_guardrails.operators._judging.shadow_test import verdict_report  # noqa: PLC0415 - not in every DAG file

        judge = self._judge()
        while True:
            experiment = self._experiment()
            self.push_endpoint_links(context, experiment.endpoint_name)
            # The status is read before the metrics, so a test that ends in between can still be judged again.
            may_wait = self.until_decided and not experiment.phase.over
            verdict, comparison = judge.judge(experiment, is_last=not may_wait)
            self._publish(judge, experiment, verdict)
            report = self.with_warnings(verdict_report(experiment, verdict, comparison))
            # At each look, for the page; and before _end(), because Airflow keeps no return value of a task
            # that fails.
            self.push(context, _VERDICT_KEY, report)
            if not may_wait or verdict.label is not Label.INCONCLUSIVE:
                break
            self.log.info("No verdict yet: %s", verdict.describe())
            if self.deferrable:
                self._defer()
            self.sleep(self.waiter_delay)
        for reason in verdict.reasons:
            self.log.info("%s: %s", reason.label.value, reason.text)
        count_verdict(verdict.label.value, endpoint_name=experiment.endpoint_name)
        show_outcome(context, f"JUDGE: {verdict.label.value.upper()}")
        return self._end(verdict, report)

    def execute_again(
        self,
        context: Any,
        event: Any = None,  # noqa: ARG002
        warnings: Sequence[str] = (),
    ) -> dict[str, Any] | None:
        """Judge again; Airflow calls it after the pause."""
        self._troubles = tuple(warnings)
        return self.execute(context)

    def _publish(self, judge: ShadowTestJudge, experiment: Experiment, verdict: Verdict) -> None:
        """Publish the verdict if there is a namespace for it. A failure is only a warning, given once."""
        if self.verdict_namespace is None:
            return
        warning = judge.publish(experiment, verdict, namespace=self.verdict_namespace)
        if warning and not any(known.startswith(NOT_PUBLISHED) for known in self._troubles):
            self.warn(warning)

    def _defer(self) -> NoReturn:
        """Defer until the next verdict. Only warnings are kept: each verdict is read anew from AWS."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger  # noqa: PLC0415

        pause = timedelta(seconds=max(self.waiter_delay, fire_floor()))
        self.defer(
            trigger=TimeDeltaTrigger(pause),
            method_name="execute_again",
            kwargs={"warnings": list(self._troubles)},
        )

    def _judge(self) -> ShadowTestJudge:
        from airflow_guardrails.operators._judging.shadow_test import ShadowTestJudge  # noqa: PLC0415 - not in every DAG file

        return ShadowTestJudge(
            metrics=self._rules(),
            predictions=self._prediction_rule(),
            comparison=self.comparison,
            compare_predictions=self.compare_predictions,
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
        experiment = self.hook.describe_inference_experiment(self.name)
        if not isinstance(experiment, Experiment):
            raise ShadowTestNotFound(f"There is no shadow test {self.name} in {self.hook.conn_region_name}")
        # SageMaker has no status Failed for experiments: one that ends by an error is Cancelled, too.
        if experiment.phase is Phase.CANCELLED:
            raise ShadowTestCancelled(
                f"Shadow test {self.name} was cancelled ({experiment.reason or 'no reason given'}): "
                "its data cannot be judged"
            )
        return experiment

    def _end(self, verdict: Verdict, report: dict[str, Any]) -> dict[str, Any]:
        text = f"{report['shadow_model_name']} in the shadow of {report['production_model_name']}: "
        text += verdict.describe()
        if verdict.label is Label.PASS:
            self.log.info(text)
            return report
        action, error = {
            Label.FAIL: (self.on_fail, CandidateRejected),
            Label.INCONCLUSIVE: (self.on_inconclusive, CandidateUndecided),
        }[verdict.label]
        if action == "fail":
            raise error(text, report)
        self.log.warning(text)
        if action == "skip":
            raise AirflowSkipException(text)
        return report
