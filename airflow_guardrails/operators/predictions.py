"""
Compare the answers of both variants of a shadow test by mapped tasks, an hour each.

>>> plan = SageMakerPlanPredictionsOperator(task_id="plan", name=name)  # doctest: +SKIP
>>> compare = SageMakerComparePredictionsOperator.partial(  # doctest: +SKIP
...     task_id="compare", name=name, predictions=rule
... ).expand(hour=plan.output)
>>> merge = SageMakerMergePredictionsOperator(  # doctest: +SKIP
...     task_id="merge", comparisons=compare.output
... )
>>> SageMakerJudgeShadowTestOperator(  # doctest: +SKIP
...     task_id="judge", name=name, predictions=rule, comparison=merge.output
... )

For a test of a few hours the judge's own reading does; a month of traffic is better split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_guardrails.domain.arguments import Check, check_experiment_name, shown
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.predictions.comparison import Comparison, merge
from airflow_guardrails.domain.shadow.evidence import hours_of
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.exceptions import InvalidArgument, ShadowTestNotFound
from airflow_guardrails.operators._judging.captures import Captures
from airflow_guardrails.rules import PredictionRule
from airflow_guardrails.tasks.aws_task import ConnectedTask
from airflow_guardrails.tasks.validation import check_flag, check_list, coerce, parse_time_argument

SUMMARY_KEY = "predictions"


def _hour(name: str, value: Any) -> datetime:
    try:
        hour = parse_time_argument(name, value)
    except InvalidArgument:
        hour = None
    if hour is None or hour != hour.replace(minute=0, second=0, microsecond=0):
        raise InvalidArgument(
            f"{name} must be the beginning of an hour with its zone, as in ISO 8601 (got {shown(value)})"
        )
    return hour


def _check_hour(name: str, value: Any) -> None:
    _hour(name, value)


class CapturesTask(ConnectedTask):
    """Base of the tasks that look at what a shadow test has captured."""

    name: str
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_experiment_name,
        **ConnectedTask.rendered_checks,
    }

    def experiment(self) -> Experiment:
        """
        :raises ShadowTestNotFound: if there is no such test.
        :raises InvalidArgument: if it captures nothing.
        """
        look = self.hook.describe_inference_experiment(self.name)
        if not isinstance(look, Experiment):
            raise ShadowTestNotFound(f"There is no shadow test {self.name} in {self.hook.conn_region_name}")
        if look.storage is None:
            raise InvalidArgument(
                f"name must be that of a shadow test with a data_storage_uri (got {self.name}, without one)"
            )
        return look


class SageMakerPlanPredictionsOperator(CapturesTask):
    """
    Name the hours of a shadow test, for :class:`SageMakerComparePredictionsOperator` to be expanded over.

    The return value is a list of times in ISO 8601, the beginning of each hour in UTC. Plan once the test is
    over, and some minutes later: captured data is delivered late.

    :param name: name of the shadow test, as SageMaker knows it. (templated)
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    template_fields: Sequence[str] = ("name", *ConnectedTask.template_fields)
    ui_color = "#efe6d2"

    def __init__(
        self,
        *,
        name: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name

    def execute(self, context: Any) -> list[str]:  # noqa: ARG002 - Airflow's signature
        self.check_rendered()
        return [format_time(hour) for hour in hours_of(self.experiment())]


class SageMakerComparePredictionsOperator(CapturesTask):
    """
    Join what both variants answered in one hour, request by request, and compare it.

    The return value is the comparison, below 100 kB whatever was captured;
    :class:`SageMakerMergePredictionsOperator` puts those of all hours together. ``docs/predictions.md`` says
    what is compared and how requests are joined.

    :param name: name of the shadow test, as SageMaker knows it. (templated)
    :param hour: beginning of the hour, in ISO 8601. (templated)
    :param predictions: how answers are compared: :class:`~airflow_guardrails.rules.PredictionRule` or a dict
        of its arguments. Default: answers agree if they are equal.
    :param with_payloads: show the beginning of inputs and answers in the examples of disagreements, which go
        into XCom. Without, only their ids do.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    template_fields: Sequence[str] = ("name", "hour", *ConnectedTask.template_fields)
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "hour": _check_hour,
        **CapturesTask.rendered_checks,
    }
    ui_color = "#efe6d2"

    def __init__(
        self,
        *,
        name: str,
        hour: str,
        predictions: PredictionRule | Mapping[str, Any] | None = None,
        with_payloads: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flag("with_payloads", with_payloads)
        self.name = name
        self.hour = hour
        self.predictions = predictions
        self.with_payloads = with_payloads
        self._rule()

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        self.check_rendered()
        captures = Captures(self.experiment(), hook=self.hook)
        hour = _hour("hour", self.hour)
        compared = captures.compare(hour, self._rule(), with_payloads=self.with_payloads)
        self.log.info("%s: %d pairs, %d of them disagree", self.hour, compared.pairs, compared.disagreements)
        return compared.as_dict()

    def _rule(self) -> PredictionRule:
        rule: PredictionRule = coerce(
            "predictions", PredictionRule, {} if self.predictions is None else self.predictions
        )
        return rule


class SageMakerMergePredictionsOperator(BaseOperator):
    """
    Put the comparisons of all hours together, exactly; requests at the end of an hour are joined here.

    The return value is for ``comparison`` of
    :class:`~airflow_guardrails.operators.judge.SageMakerJudgeShadowTestOperator`; XCom ``predictions`` is the
    summary for people: disagreements and their rate, differences of scores, the table of classes, examples,
    and how many requests could not be joined and why. Calls nothing in AWS.

    :param comparisons: return values of :class:`SageMakerComparePredictionsOperator`. (templated)
    """

    template_fields: Sequence[str] = ("comparisons",)
    ui_color = "#efe6d2"

    def __init__(self, *, comparisons: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.comparisons = comparisons

    def execute(self, context: Any) -> dict[str, Any]:
        parts = self._parts()
        try:
            merged = merge(parts).settled()
        except GuardrailsValueError as error:
            raise InvalidArgument(f"comparisons cannot be merged: {error}") from error
        if self.do_xcom_push and (task_instance := context.get("ti")) is not None:
            task_instance.xcom_push(key=SUMMARY_KEY, value=merged.summary())
        self.log.info("%d pairs, %d of them disagree", merged.pairs, merged.disagreements)
        return merged.as_dict()

    def _parts(self) -> list[Comparison]:
        check_list("comparisons", self.comparisons, of="what SageMakerComparePredictionsOperator returns")
        if not self.comparisons:
            raise InvalidArgument(
                f"comparisons must be those of one hour at least (got {self.comparisons!r})"
            )
        return [_comparison(part) for part in self.comparisons]


def _comparison(part: Any) -> Comparison:
    try:
        return Comparison.from_dict(part)
    except GuardrailsValueError as error:
        raise InvalidArgument(f"comparisons cannot be read (got {shown(part)}): {error}") from error
