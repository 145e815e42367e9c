"""Create a shadow test: send copies of an endpoint's traffic to a second model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from airflow_guardrails.domain.arguments import (
    ARN_PREFIX,
    Check,
    check_instance_type,
    check_matches,
    check_name,
    check_sampling_percentage,
    check_text,
    check_time,
    optional,
    rendered_number,
)
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.shadow.planning import RequestsNeeded
from airflow_guardrails.domain.shadow.report import ShadowReport, shadow_test_report
from airflow_guardrails.domain.shadow.spec import (
    LONGEST,
    NO_TEST,
    WARM_UP,
    Schedule,
    ShadowTest,
    ShadowVariant,
)
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState, Until
from airflow_guardrails.domain.snapshots.experiment import CaptureStorage, Experiment
from airflow_guardrails.exceptions import EndpointNotFound, InvalidArgument
from airflow_guardrails.links.rollout_page import RolloutPageLink
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._launch.approval import check_update
from airflow_guardrails.operators._shadow.creation import ShadowTestCreation
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.tasks.shadow_test import CHANGING, OnKillTest, ShadowTestTask
from airflow_guardrails.tasks.validation import (
    check_choice,
    check_content_types,
    check_count,
    check_duration,
    check_flag,
    check_seconds,
    check_tags,
    parse_time_argument,
)
from airflow_guardrails.triggers._keys import SHADOW_TEST_REPORT_KEY

WaitUntil = Literal["Running", "Completed"]

# A test may start long after it was created.
_LONGEST_MAX_WAIT = 12 * LONGEST

_check_key = optional(
    partial(check_matches, pattern=r"[a-zA-Z0-9:/_-]{1,2048}", rule="the id, alias or ARN of a KMS key")
)

# The XCom that ``create.output["name"]`` reads.
_NAME_KEY = "name"


class SageMakerCreateShadowTestOperator(ShadowTestTask):
    """
    Create a shadow test: a second model gets copies of an endpoint's requests. Callers do not get its
    responses.

    SageMaker runs the test as an *inference experiment*: it adds the model as a shadow variant, copies
    requests to it, and removes it at the end. Model, instance type and count of production are read from the
    endpoint; the shadow gets the same instances by default.

    The name of the test follows from the task instance and the arguments, so a retry finds the test of an
    earlier try, and there is only one. After a cancelled test, a retry creates another one, with the next
    number at the end of its name. A test of that name that somebody has changed raises
    :class:`~airflow_guardrails.exceptions.ShadowTestDiffers`.

    Returns the report of the test, which is also XCom ``shadow_test_report``. The name of the test in
    SageMaker is its key ``name``, and XCom ``name`` as soon as the test exists; later tasks use
    ``name=create.output["name"]``.

    While the test runs, the endpoint has a configuration that SageMaker manages, and accepts no guarded
    update.

    :param name: beginning of the test's name: letters, digits, and hyphens between them. (templated)
    :param endpoint_name: name of the endpoint, which must be InService with one production variant.
        (templated)
    :param role_arn: role with which SageMaker reads the model's artifacts and image, changes the endpoint and
        writes to *data_storage_uri*. (templated)
    :param shadow_model_name: name of the model to test. (templated)
    :param shadow_variant_name: name of the shadow variant; it must differ from production's. (templated)
    :param sampling_percentage: percentage of production's requests that are copied to the shadow, 1 to 100.
        (templated)
    :param duration: how long the test runs, at most 30 days. (SageMaker's documents ask for at least an
        hour.) Default: 7 days, unless *end_time* is given.
    :param start_time: when the test begins, with time zone; default, or if it is past: at once. (templated)
    :param end_time: when the test ends, with time zone; instead of *duration*. (templated)
    :param instance_type: instance type of the shadow; default: production's. (templated)
    :param instance_count: instance count of the shadow; default: production's current count.
    :param data_storage_uri: S3 prefix for requests and predictions of both variants, which
        :class:`~airflow_guardrails.operators.judge.SageMakerJudgeShadowTestOperator` compares. Default: they
        are not stored. (templated)
    :param data_storage_kms_key: KMS key for them. (templated)
    :param csv_content_types: content types that are stored as text, as CSV.
    :param json_content_types: content types that are stored as text, as JSON. Other types are stored as
        base64.
    :param volume_kms_key: KMS key for the volumes of the shadow's instances. (templated)
    :param description: description of the test in the console. (templated)
    :param tags: tags of the test. (templated)
    :param min_requests: requests of each variant that the tasks behind this one wait for. If the traffic of
        the last hour is too low for that, the report has a warning. Optional permission:
        ``cloudwatch:GetMetricStatistics``.
    :param warm_up: how long after its first request the judge behind this task does not judge the shadow. A
        test that is not longer is refused.
    :param update: the guarded update behind the test, not mapped by ``expand``. Before the test is created,
        the checks of the update are made too, as far as they are known by then: fleet, strategy, alarms. What
        it will refuse refuses the test. If there is no endpoint, and the update has ``if_missing="create"``,
        there is no test: XCom ``name`` says so, and the tasks behind this one succeed without a verdict.
    :param wait_until: ``"Running"`` or ``"Completed"``; ``None``: do not wait.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two calls of DescribeInferenceExperiment.
    :param max_wait: how long to wait after the creation of the test, on AWS's clock. A retry does not extend
        it. Default: the planned start or end, and an hour.
    :param on_kill: what happens if somebody marks the waiting task failed: ``"leave"`` leaves the test
        running, ``"stop"`` stops it and keeps production. A cleared task, an evicted worker or a restarted
        triggerer never stops a test.
    :param max_describe_gap: maximum number of seconds between two calls of DescribeInferenceExperiment by the
        triggerer. In between it may use lists of tests instead. A change may be reported this late.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises ShadowTestRefused: if the endpoint cannot have such a test, or the update behind it would be
        refused; the text lists all reasons.
    :raises EndpointBusy: if the endpoint is being changed, or has another test; Airflow retries.
    :raises ModelNotFound: if there is no model *shadow_model_name*.
    :raises ShadowTestDiffers: if somebody has changed the test of this task.
    :raises ShadowTestError: if the test did not reach *wait_until*; its subclasses name the outcome.
    """

    template_fields: Sequence[str] = (
        "name",
        "endpoint_name",
        "role_arn",
        "shadow_model_name",
        "shadow_variant_name",
        "sampling_percentage",
        "start_time",
        "end_time",
        "instance_type",
        "data_storage_uri",
        "data_storage_kms_key",
        "volume_kms_key",
        "description",
        "tags",
        *ShadowTestTask.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tags": "json"}
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_name,
        "endpoint_name": check_name,
        "role_arn": partial(
            check_matches,
            pattern=rf"{ARN_PREFIX}:iam::\d{{12}}:role/[\w+=,.@/-]{{1,1024}}",
            rule="the ARN of an IAM role",
        ),
        "shadow_model_name": check_name,
        "shadow_variant_name": check_name,
        "sampling_percentage": check_sampling_percentage,
        "start_time": check_time,
        "end_time": check_time,
        "instance_type": optional(check_instance_type),
        "data_storage_uri": optional(
            partial(
                check_matches,
                pattern=r"s3://[^/\s]{1,63}(/[^\n]{0,448})?",
                rule="an S3 URI, s3://bucket/prefix",
            )
        ),
        "data_storage_kms_key": _check_key,
        "volume_kms_key": _check_key,
        "description": optional(check_text),
        "tags": check_tags,
        **ShadowTestTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (RolloutPageLink(), SageMakerEndpointLink())
    ui_color = "#dfe3f2"

    def __init__(  # noqa: PLR0915 - it checks and assigns, one argument after the other
        self,
        *,
        name: str,
        endpoint_name: str,
        role_arn: str,
        shadow_model_name: str,
        shadow_variant_name: str = "shadow",
        sampling_percentage: int | str = 100,
        duration: timedelta | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        instance_type: str | None = None,
        instance_count: int | None = None,
        data_storage_uri: str | None = None,
        data_storage_kms_key: str | None = None,
        csv_content_types: Sequence[str] = ("text/csv",),
        json_content_types: Sequence[str] = ("application/json",),
        volume_kms_key: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        min_requests: int | None = None,
        warm_up: timedelta | None = None,
        update: SageMakerGuardedUpdateOperator | None = None,
        wait_until: WaitUntil | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 60,
        max_wait: timedelta | None = None,
        on_kill: OnKillTest = "leave",
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flag("deferrable", deferrable)
        if min_requests is not None:
            check_count("min_requests", min_requests)
        if warm_up is not None:
            check_duration("warm_up", warm_up, may_be_zero=True)
        check_update(update)
        if wait_until is not None:
            check_choice("wait_until", wait_until, WaitUntil)
        check_choice("on_kill", on_kill, OnKillTest)
        check_seconds("waiter_delay", waiter_delay)
        check_seconds("max_describe_gap", max_describe_gap)
        if duration is not None:
            check_duration("duration", duration, most=LONGEST)
        if max_wait is not None:
            check_duration("max_wait", max_wait, most=_LONGEST_MAX_WAIT)
        if instance_count is not None:
            check_count("instance_count", instance_count)
        check_content_types("csv_content_types", csv_content_types)
        check_content_types("json_content_types", json_content_types)
        self.name = name
        self.endpoint_name = endpoint_name
        self.role_arn = role_arn
        self.shadow_model_name = shadow_model_name
        self.shadow_variant_name = shadow_variant_name
        self.sampling_percentage = sampling_percentage
        self.duration = duration
        self.start_time = start_time
        self.end_time = end_time
        self.instance_type = instance_type
        self.instance_count = instance_count
        self.data_storage_uri = data_storage_uri
        self.data_storage_kms_key = data_storage_kms_key
        self.csv_content_types = csv_content_types
        self.json_content_types = json_content_types
        self.volume_kms_key = volume_kms_key
        self.description = description
        self.tags = tags
        self.needed = None
        if min_requests is not None or warm_up is not None:
            warm_up = WARM_UP if warm_up is None else warm_up
            self.needed = RequestsNeeded(min_requests=min_requests, warm_up=warm_up)
        self._update = update
        self._may_be_first = update is not None and update.if_missing == "create"
        if update is not None and self._may_be_first:
            update.shadow_test_task_id = self.task_id
        self.wait_until = wait_until
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.max_wait = max_wait
        self.kill_action = on_kill  # on_kill is a method of every operator
        self.max_describe_gap = max_describe_gap

    def execute(self, context: Any) -> ShadowReport:
        """Create the test, or find that of an earlier try; wait for *wait_until* and return the report."""
        self.check_rendered()
        test = self._test()
        self.push_endpoint_links(context, self.endpoint_name)
        creation = ShadowTestCreation(
            test=test,
            prefix=self.name,
            context=context,
            hook=self.hook,
            log=self.log,
            sleep=self._sleep,
            refuse_if_killed=self.refuse_if_killed,
            monotonic=self.monotonic,
            pause=self.waiter_delay,
            description=self.description,
            tags=self.tags or {},
            needed=self.needed,
        )
        if self._update is not None:
            from airflow_guardrails.operators._shadow.update_check import UpdateCheck  # noqa: PLC0415 - not in DAG files

            creation.check_update = UpdateCheck(update=self._update, context=context, asking=self).run
        try:
            created = creation.run()
        except EndpointNotFound:
            if not self._may_be_first:
                raise
            # The update then creates the endpoint, and refuses to update one that it finds.
            self.push(context, _NAME_KEY, NO_TEST)
            return self.without_test()
        # First of all: if the task was killed since the test exists, this stops the test.
        self.stop_test_if_killed(context, created.name)
        # Before the wait, so that a teardown can stop the test even if this task fails.
        self.push(context, _NAME_KEY, created.name)
        state = ShadowTestState(
            name=created.name,
            until=Until(self.wait_until or "Running"),
            adopted=created.adopted,
            warnings=created.warnings,
        )
        # One look is taken in any case, so that a test that SageMaker has cancelled fails the task.
        state = self.poll_test_once(context, state)
        if self.wait_until is None and state.outcome in {None, ShadowTestOutcome.REACHED}:
            report = shadow_test_report(replace(state, outcome=None))
            self.push(context, SHADOW_TEST_REPORT_KEY, report)
            return report
        if state.outcome is not None:
            return self.finish_test(context, state)
        state = state.with_timeout(self._remaining(state.look, test), now=datetime.now(timezone.utc))
        if self.deferrable:
            self.defer_test(context, state, every=self.waiter_delay)
        state = self.wait_for_test(context, state, every=self.waiter_delay)
        return self.finish_test(context, state)

    def _test(self) -> ShadowTest:
        try:
            return ShadowTest(
                endpoint_name=self.endpoint_name,
                role_arn=self.role_arn,
                shadow=ShadowVariant(
                    model_name=self.shadow_model_name,
                    name=self.shadow_variant_name,
                    sampling_percentage=rendered_number(self.sampling_percentage),
                    instance_type=self.instance_type,
                    instance_count=self.instance_count,
                ),
                schedule=Schedule(
                    starts_at=parse_time_argument("start_time", self.start_time),
                    ends_at=parse_time_argument("end_time", self.end_time),
                    duration=self.duration,
                ),
                storage=self._storage(),
                volume_kms_key=self.volume_kms_key,
            )
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error

    def _storage(self) -> CaptureStorage | None:
        if self.data_storage_uri is None:
            return None
        return CaptureStorage(
            uri=self.data_storage_uri,
            kms_key=self.data_storage_kms_key,
            csv_content_types=tuple(self.csv_content_types),
            json_content_types=tuple(self.json_content_types),
        )

    def _remaining(self, experiment: Experiment | None, test: ShadowTest) -> timedelta:
        """Return how long to wait from now on. The time since the creation counts, on AWS's clock."""
        if experiment is None or experiment.created_at is None:
            return self.max_wait or test.schedule.longest + CHANGING
        if self.max_wait:
            limit = experiment.created_at + self.max_wait
        else:
            planned = experiment.ends_at if self.wait_until == "Completed" else experiment.starts_at
            limit = (planned or experiment.seen_at) + CHANGING
        # Both are times of AWS, so a wrong clock of this machine does not change the result.
        return max(timedelta(0), limit - experiment.seen_at)
