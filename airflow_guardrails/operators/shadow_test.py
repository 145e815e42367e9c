"""Try a model in the shadow of the one that serves."""

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
from airflow_guardrails.domain.shadow.report import ShadowReport, shadow_test_report
from airflow_guardrails.domain.shadow.spec import LONGEST, Schedule, ShadowTest, ShadowVariant
from airflow_guardrails.domain.shadow.state import ShadowTestOutcome, ShadowTestState, Until
from airflow_guardrails.domain.snapshots.experiment import CaptureStorage, Experiment
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._shadow.creation import ShadowTestCreation
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
from airflow_guardrails.triggers._base import SHADOW_TEST_REPORT_KEY

WaitUntil = Literal["Running", "Completed"]

# A test may begin long after it is made.
LONGEST_TO_WAIT = 12 * LONGEST

_check_key = optional(
    partial(check_matches, pattern=r"[a-zA-Z0-9:/_-]{1,2048}", rule="the id, alias or ARN of a KMS key")
)

# Of the XCom that ``create.output["name"]`` reads.
NAME_KEY = "name"


class SageMakerCreateShadowTestOperator(ShadowTestTask):
    """
    Give a model a copy of an endpoint's live traffic, without a word of its answers to the callers.

    SageMaker runs the test as an *inference experiment*: it puts the model beside the production variant,
    copies requests to it, and takes it down at the end. Production's model, instance type and count are read
    from the live endpoint, and the shadow gets the same unless told otherwise.

    The test's name follows from the task instance and from what the test is to be, so a retry finds the test
    that an earlier try has made; there is one test, however often the task is tried. A test that was
    cancelled is over: a task that is run again begins another one, with the next number behind its name. A
    test of that name that somebody has changed is :class:`~airflow_guardrails.exceptions.ShadowTestDiffers`.

    The return value, and XCom ``shadow_test_report``, is the report. Its ``name``, which XCom ``name`` has as
    soon as the test is made, is the name that SageMaker knows the test by, for the tasks that come after:
    ``name=create.output["name"]``.

    While the test runs the endpoint has a configuration of SageMaker's own, and takes no guarded update.

    :param name: how the test's name begins: letters, digits and hyphens between. (templated)
    :param endpoint_name: name of the endpoint, which must be InService with one production variant.
        (templated)
    :param role_arn: role with which SageMaker reaches the model's artefact and image, the endpoint and
        *data_storage_uri*. (templated)
    :param shadow_model_name: name of the SageMaker model to try. (templated)
    :param shadow_variant_name: what the shadow is called; not as production. (templated)
    :param sampling_percentage: of the requests to production, how many the shadow gets too, 1 to 100.
        (templated)
    :param duration: how long the test runs, at most 30 days; SageMaker's documents want an hour at least.
        Default: 7 days, unless *end_time* is given.
    :param start_time: when the test begins, with its zone; default, or where it is past: at once. (templated)
    :param end_time: when it ends, with its zone; instead of *duration*. (templated)
    :param instance_type: of the shadow; default: production's. (templated)
    :param instance_count: of the shadow; default: production's as it is scaled now.
    :param data_storage_uri: S3 prefix for the requests and answers of both variants, which
        :class:`~airflow_guardrails.operators.judge.SageMakerJudgeShadowTestOperator` compares. (templated)
    :param data_storage_kms_key: KMS key for them. (templated)
    :param csv_content_types: content types to keep as text, as CSV.
    :param json_content_types: content types to keep as text, as JSON; what is in neither list is kept as
        base64.
    :param volume_kms_key: KMS key for the volume of the shadow's instances. (templated)
    :param description: of the test, shown in the console. (templated)
    :param tags: tags of the test. (templated)
    :param wait_until: ``"Running"`` or ``"Completed"``, or None to end as soon as SageMaker has accepted.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two looks.
    :param max_wait: how long after its creation to wait; default: an hour longer than the schedule says. A
        retry does not extend it.
    :param on_kill: what happens to the test when somebody marks the waiting task failed: ``"leave"`` it, or
        ``"stop"`` it and keep production. A cleared task, an evicted worker or a restarted triggerer never
        stops anything.
    :param max_describe_gap: the most seconds between two looks of the triggerer at this test while lists of
        tests spare them.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
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
                rule="a place in S3, s3://bucket/prefix",
            )
        ),
        "data_storage_kms_key": _check_key,
        "volume_kms_key": _check_key,
        "description": optional(check_text),
        "tags": check_tags,
        **ShadowTestTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#dfe3f2"

    def __init__(
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
        if wait_until is not None:
            check_choice("wait_until", wait_until, WaitUntil)
        check_choice("on_kill", on_kill, OnKillTest)
        check_seconds("waiter_delay", waiter_delay)
        check_seconds("max_describe_gap", max_describe_gap)
        if duration is not None:
            check_duration("duration", duration, most=LONGEST)
        if max_wait is not None:
            check_duration("max_wait", max_wait, most=LONGEST_TO_WAIT)
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
        self.wait_until = wait_until
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.max_wait = max_wait
        self.kill_action = on_kill  # on_kill is a method of every operator
        self.max_describe_gap = max_describe_gap

    def execute(self, context: Any) -> ShadowReport:
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
        )
        made = creation.run()
        self.stop_test_if_killed(context, made.name)
        self.push(context, NAME_KEY, made.name)
        watch = ShadowTestState(
            name=made.name,
            until=Until(self.wait_until or "Running"),
            adopted=made.adopted,
            warnings=made.warnings,
        )
        watch = self.observe_test(context, watch)
        if self.wait_until is None and watch.outcome in {None, ShadowTestOutcome.REACHED}:
            report = shadow_test_report(replace(watch, outcome=None))
            self.push(context, SHADOW_TEST_REPORT_KEY, report)
            return report
        if watch.outcome is not None:
            return self.conclude_test(context, watch)
        watch = watch.with_timeout(self._longest_wait(watch.look, test), now=datetime.now(timezone.utc))
        if self.deferrable:
            self.defer_test(context, watch, every=self.waiter_delay)
        watch = self.follow_test(context, watch, every=self.waiter_delay)
        return self.conclude_test(context, watch)

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

    def _longest_wait(self, look: Experiment | None, test: ShadowTest) -> timedelta:
        """Return how long to wait from now on; what the test has used up already is told by AWS's clock."""
        if look is None or look.created_at is None:
            return self.max_wait or test.schedule.longest + CHANGING
        limit = look.created_at + self.max_wait if self.max_wait else self._planned(look) + CHANGING
        return max(timedelta(0), limit - look.seen_at)

    def _planned(self, look: Experiment) -> datetime:
        planned = look.ends_at if self.wait_until == "Completed" else look.starts_at
        return planned or look.seen_at
