"""
Compare the predictions of both variants of a shadow test in mapped tasks, one for each hour.

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

For a test of a few hours, the judge can compare the predictions itself. Split a month of traffic like this.
An hour that is too large for one worker can be cut, too: ``.expand(hour=plan.output, part=["1/2", "2/2"])``.

DuckDB joins the requests: ``pip install 'airflow-guardrails[predictions]'``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_guardrails.captured.database import check_duckdb
from airflow_guardrails.domain.arguments import Check, check_experiment_name, shown
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.predictions.comparison import Comparison, Part, merge
from airflow_guardrails.domain.shadow.evidence import hours_of
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.exceptions import InvalidArgument, ShadowTestNotFound
from airflow_guardrails.operators._judging.captures import Captures
from airflow_guardrails.rules import PredictionRule
from airflow_guardrails.tasks.aws_task import AwsTask
from airflow_guardrails.tasks.validation import check_flag, check_list, coerce, parse_time_argument

_SUMMARY_KEY = "predictions"


def _hour(name: str, value: Any) -> datetime:
    try:
        hour = parse_time_argument(name, value)
    except InvalidArgument:
        hour = None
    # The S3 keys of captured data name the hour and no smaller unit, so whole hours are compared.
    if hour is None or hour != hour.replace(minute=0, second=0, microsecond=0):
        raise InvalidArgument(
            f"{name} must be the beginning of an hour with time zone, as ISO 8601 (got {shown(value)})"
        )
    return hour


def _check_part(_name: str, value: Any) -> None:
    try:
        Part.parse(value)
    except GuardrailsValueError as error:
        raise InvalidArgument(str(error)) from error


def _check_hour(name: str, value: Any) -> None:
    _hour(name, value)


class _CapturesTask(AwsTask):
    """Base of the tasks that read the captured data of a shadow test."""

    name: str
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_experiment_name,
        **AwsTask.rendered_checks,
    }

    def experiment(self) -> Experiment:
        """
        Return the shadow test as SageMaker describes it.

        :raises ShadowTestNotFound: if there is no such test.
        :raises InvalidArgument: if the test captures no data.
        """
        experiment = self.hook.describe_inference_experiment(self.name)
        if not isinstance(experiment, Experiment):
            raise ShadowTestNotFound(f"There is no shadow test {self.name} in {self.hook.conn_region_name}")
        if experiment.storage is None:
            raise InvalidArgument(
                f"name must be a shadow test with data_storage_uri (got {self.name}, which has none)"
            )
        return experiment


class SageMakerPlanPredictionsOperator(_CapturesTask):
    """
    List the hours of a shadow test, to expand :class:`SageMakerComparePredictionsOperator` over them.

    Returns the beginning of each hour in UTC, as ISO 8601. Run it some minutes after the end of the test,
    because SageMaker delivers captured data late.

    :param name: name of the shadow test in SageMaker. (templated)
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    """

    template_fields: Sequence[str] = ("name", *AwsTask.template_fields)
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
        """Return the beginning of each hour of the test."""
        self.check_rendered()
        return [format_time(hour) for hour in hours_of(self.experiment())]


class SageMakerComparePredictionsOperator(_CapturesTask):
    """
    Compare the predictions of both variants in one hour, request by request.

    Returns the comparison, which is always below 100 kB. :class:`SageMakerMergePredictionsOperator` merges
    the comparisons of all hours. ``docs/predictions.md`` describes how requests are joined and compared.

    :param name: name of the shadow test in SageMaker. (templated)
    :param hour: beginning of the hour, as ISO 8601 with time zone. (templated)
    :param part: compare only a part of the hour, such as "2/8": the second of eight. Requests are divided by
        their inference id; those without one are in the first part. Every part reads all files of the hour,
        and needs less memory and disk. A request whose id only one of its two records has is not joined in
        parts. (templated)
    :param predictions: how to compare: :class:`~airflow_guardrails.rules.PredictionRule`, or a dict of its
        arguments. Default: two predictions agree if they are equal.
    :param with_payloads: whether the examples of disagreements, which are in XCom, show the beginning of
        inputs and predictions. Otherwise they only have ids.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    """

    template_fields: Sequence[str] = ("name", "hour", "part", *AwsTask.template_fields)
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "hour": _check_hour,
        "part": _check_part,
        **_CapturesTask.rendered_checks,
    }
    ui_color = "#efe6d2"

    def __init__(
        self,
        *,
        name: str,
        hour: str,
        part: str = "1/1",
        predictions: PredictionRule | Mapping[str, Any] | None = None,
        with_payloads: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_duckdb(type(self).__name__)
        check_flag("with_payloads", with_payloads)
        self.name = name
        self.hour = hour
        self.part = part
        self.predictions = predictions
        self.with_payloads = with_payloads
        # Built here only for its checks, so that a wrong rule is an error of the DAG file.
        self._rule()

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Compare the hour; return the comparison as a dict."""
        self.check_rendered()
        captures = Captures(self.experiment(), hook=self.hook)
        hour = _hour("hour", self.hour)
        compared = captures.compare(
            hour, self._rule(), part=Part.parse(self.part), with_payloads=self.with_payloads
        )
        self.log.info("%s: %d pairs, %d of them disagree", self.hour, compared.pairs, compared.disagreements)
        return compared.as_dict()

    def _rule(self) -> PredictionRule:
        rule: PredictionRule = coerce(
            "predictions", PredictionRule, {} if self.predictions is None else self.predictions
        )
        return rule


class SageMakerMergePredictionsOperator(BaseOperator):
    """
    Merge the comparisons of all hours, and join the requests whose records are in two different hours.

    Returns the merged comparison, for the argument ``comparison`` of
    :class:`~airflow_guardrails.operators.judge.SageMakerJudgeShadowTestOperator`. XCom ``predictions`` is a
    summary: disagreements and their rate, differences of scores, the table of classes, examples, and how many
    requests could not be joined and why. Makes no calls to AWS.

    :param comparisons: return values of :class:`SageMakerComparePredictionsOperator`. (templated)
    :raises InvalidArgument: if they cannot be read or merged: after different rules, or if the same captured
        files were compared twice.
    """

    template_fields: Sequence[str] = ("comparisons",)
    ui_color = "#efe6d2"

    def __init__(self, *, comparisons: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.comparisons = comparisons

    def execute(self, context: Any) -> dict[str, Any]:
        """Merge the comparisons; return the merged one as a dict."""
        parts = self._parts()
        try:
            merged = merge(parts).settled()
        except GuardrailsValueError as error:
            raise InvalidArgument(f"comparisons cannot be merged: {error}") from error
        if self.do_xcom_push and (task_instance := context.get("ti")) is not None:
            task_instance.xcom_push(key=_SUMMARY_KEY, value=merged.summary())
        self.log.info("%d pairs, %d of them disagree", merged.pairs, merged.disagreements)
        return merged.as_dict()

    def _parts(self) -> list[Comparison]:
        check_list("comparisons", self.comparisons, of="what SageMakerComparePredictionsOperator returns")
        if not self.comparisons:
            raise InvalidArgument(f"comparisons must have at least one hour (got {self.comparisons!r})")
        return [_comparison(part) for part in self.comparisons]


def _comparison(part: Any) -> Comparison:
    try:
        return Comparison.from_dict(part)
    except GuardrailsValueError as error:
        raise InvalidArgument(f"comparisons cannot be read (got {shown(part)}): {error}") from error
