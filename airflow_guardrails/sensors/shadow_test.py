"""Wait for a shadow test that something else created, and tell how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperatorLink,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_guardrails.domain.arguments import Check, check_experiment_name
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.shadow.report import ShadowReport
from airflow_guardrails.domain.shadow.state import LONGEST_WAIT, ShadowTestState, Until
from airflow_guardrails.exceptions import InvalidArgument, ShadowTestTimedOut, ShadowTestTooShort
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.tasks.shadow_test import ShadowTestTask
from airflow_guardrails.tasks.validation import (
    check_choice,
    check_count,
    check_flags,
    check_interval,
    check_seconds,
)

WaitUntil = Literal["Running", "Completed"]

LOOK_AGAIN_AFTER = 15.0

# A test may begin long after it is made.
LONGEST_TIMEOUT = timedelta(days=366)


class SageMakerShadowTestSensor(ShadowTestTask, BaseSensorOperator):
    """
    Wait until a shadow test runs, or is over, or has had enough requests.

    A test that was cancelled, by somebody or by an error, fails the sensor with what SageMaker says of it; so
    does one that does not exist. The report is the return value and XCom ``shadow_test_report``.

    Deferrable is the best choice for what takes days; a rescheduled sensor needs no memory, and costs a
    worker's start at every look.

    :param name: of the shadow test, which SageMaker knows as an inference experiment. (templated)
    :param until: ``"Running"``, which a test that has run and is over has reached, too, or ``"Completed"``.
    :param min_requests: instead, wait until production and shadow have each had so many requests, however
        long that takes. A test that is over with fewer fails the sensor with ``ShadowTestTooShort``. Counting
        them takes ``cloudwatch:GetMetricStatistics``.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param poke_interval: seconds between two looks.
    :param timeout: seconds after which the sensor gives up with ``ShadowTestTimedOut``, and leaves the test
        as it is. Default: 31 days, for a test may take 30.
    :param soft_fail: skip where the test was not there in time or has had too few requests. A cancelled test
        is never skipped by it.
    :param max_describe_gap: the most seconds between two looks of the triggerer at this test while lists of
        tests spare them; so late, at most, a change is seen that a list has missed.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    template_fields: Sequence[str] = ("name", *ShadowTestTask.template_fields)
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_experiment_name,
        **ShadowTestTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#d7ecd9"

    def __init__(
        self,
        *,
        name: str,
        until: WaitUntil = "Completed",
        min_requests: int | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = 60,
        timeout: timedelta | float = LONGEST_WAIT,
        soft_fail: bool = False,
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        check_interval("poke_interval", poke_interval)
        check_interval("timeout", timeout, most=LONGEST_TIMEOUT, may_be_zero=True)
        # Airflow's own soft_fail skips on every failure, a cancelled test included; so it is not told.
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        check_flags(deferrable=deferrable, soft_fail=soft_fail)
        check_choice("until", until, WaitUntil)
        check_seconds("max_describe_gap", max_describe_gap)
        _check_min_requests(min_requests, until)
        self.name = name
        self.until = until
        self.min_requests = min_requests
        self.deferrable = deferrable
        self.skip_unfinished = soft_fail
        self.max_describe_gap = max_describe_gap
        self._watch: ShadowTestState | None = None
        self._refuse_what_hides_a_cancelled_test()

    def execute(self, context: Any) -> Any:
        if self.deferrable:
            return self._look_or_defer(context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            # Airflow knows since when it pokes, also in reschedule mode; what was last seen is told of.
            watch = self._watch or self._begun()
            return self.conclude_test(context, watch.give_up())

    def poke(self, context: Any) -> bool | PokeReturnValue:
        report = self._look(context)
        return PokeReturnValue(is_done=True, xcom_value=report) if report else False

    def end_test(self, context: Any, report: ShadowReport) -> ShadowReport:
        try:
            return super().end_test(context, report)
        except (ShadowTestTimedOut, ShadowTestTooShort) as error:
            if self.skip_unfinished:
                raise AirflowSkipException(str(error)) from error
            raise

    def _look_or_defer(self, context: Any) -> ShadowReport:
        report = self._look(context)
        if report is None:
            assert self._watch is not None
            longest = timedelta(seconds=self.timeout)
            watch = self._watch.with_timeout(longest, now=datetime.now(timezone.utc))
            self.defer_test(context, watch, every=self.poke_interval)
        return report

    def _look(self, context: Any) -> ShadowReport | None:
        self.check_rendered()
        before = self._watch or self._begun()
        watch = self.observe_test(context, before)
        while self.reschedule and watch.missing_since and not (watch.outcome or watch.unanswered):
            # The next sensor would not know since when it is missing.
            self.sleep(LOOK_AGAIN_AFTER)
            watch = self.observe_test(context, watch)
        self._watch = watch
        if watch.look is not None and before.look is None:
            self.push_endpoint_links(context, watch.look.endpoint_name)
        return self.conclude_test(context, watch) if watch.outcome else None

    def _begun(self) -> ShadowTestState:
        return ShadowTestState(name=self.name, until=Until(self.until), min_requests=self.min_requests)

    def _refuse_what_hides_a_cancelled_test(self) -> None:
        for flag in ("silent_fail", "never_fail"):
            if (value := getattr(self, flag)) is not False:
                raise InvalidArgument(
                    f"{flag} must not be set (got {value!r}): it would hide a cancelled shadow test. Use a "
                    "trigger_rule downstream to go on after one"
                )


def _check_min_requests(value: Any, until: str) -> None:
    if value is None:
        return
    check_count("min_requests", value)
    if until != Until.COMPLETED.value:
        raise InvalidArgument(
            f"until must be left out where min_requests is given (got {until!r}): the requests decide"
        )
