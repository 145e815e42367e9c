"""Wait for a shadow test that something else created, and report its outcome."""

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

from airflow_guardrails.domain.arguments import Check
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.shadow.report import ShadowReport
from airflow_guardrails.domain.shadow.spec import NO_TEST, WARM_UP
from airflow_guardrails.domain.shadow.state import LONGEST_WAIT, ShadowTestState, Until
from airflow_guardrails.exceptions import InvalidArgument, ShadowTestTimedOut, ShadowTestTooShort
from airflow_guardrails.links.rollout_page import RolloutPageLink
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.tasks.shadow_test import ShadowTestTask, check_test_name
from airflow_guardrails.tasks.validation import (
    check_choice,
    check_count,
    check_duration,
    check_flags,
    check_interval,
    check_seconds,
)

WaitUntil = Literal["Running", "Completed"]

_SECOND_LOOK_AFTER_SECONDS = 15.0

# A test may start long after it was created.
_LONGEST_TIMEOUT = timedelta(days=366)


class SageMakerShadowTestSensor(ShadowTestTask, BaseSensorOperator):
    """
    Wait until a shadow test runs, is over, or has had enough requests.

    A test that was cancelled, by somebody or by an error, fails the sensor with SageMaker's reason. So does a
    test that does not exist.

    Returns the report of the test, which is also XCom ``shadow_test_report``, and is there also if the sensor
    fails.

    Use ``deferrable=True`` for a test that takes days. A rescheduled sensor works too, and starts a worker at
    every poke.

    :param name: name of the shadow test, an inference experiment in SageMaker. (templated)
    :param until: ``"Running"`` (also true for a test that ran and is over) or ``"Completed"``.
    :param min_requests: wait until production and shadow have each had this many requests after the warm-up;
        instead of *until*. A test that is over with fewer fails the sensor with ``ShadowTestTooShort``. Needs
        ``cloudwatch:GetMetricStatistics``.
    :param warm_up: how long after the first request to the shadow requests do not count for *min_requests*,
        because the judge does not judge them; default: as the judge's default.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param poke_interval: seconds between two calls of DescribeInferenceExperiment.
    :param timeout: seconds after which the sensor fails with ``ShadowTestTimedOut``; the test goes on.
        Default: 31 days, because a test may take 30.
    :param soft_fail: whether the task is skipped instead of failed after *timeout*, or with too few requests.
        A cancelled test always fails the task.
    :param max_describe_gap: maximum number of seconds between two calls of DescribeInferenceExperiment by the
        triggerer. In between it may use lists of tests instead. A change may be reported this late.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises ShadowTestCancelled: if the test was cancelled.
    :raises ShadowTestError: if the sensor fails otherwise; its subclasses name the outcome.
    """

    template_fields: Sequence[str] = ("name", *ShadowTestTask.template_fields)
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "name": check_test_name,
        **ShadowTestTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (RolloutPageLink(), SageMakerEndpointLink())
    ui_color = "#d7ecd9"

    def __init__(
        self,
        *,
        name: str,
        until: WaitUntil = "Completed",
        min_requests: int | None = None,
        warm_up: timedelta = WARM_UP,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = 60,
        timeout: timedelta | float = LONGEST_WAIT,
        soft_fail: bool = False,
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        # Before Airflow's constructor, which raises other errors for wrong values.
        check_interval("poke_interval", poke_interval)
        check_interval("timeout", timeout, most=_LONGEST_TIMEOUT, may_be_zero=True)
        # Airflow's own soft_fail would also skip a cancelled test, so it is not passed on.
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        check_flags(deferrable=deferrable, soft_fail=soft_fail)
        check_choice("until", until, WaitUntil)
        check_seconds("max_describe_gap", max_describe_gap)
        _check_min_requests(min_requests, until)
        check_duration("warm_up", warm_up, may_be_zero=True)
        self.name = name
        self.until = until
        self.min_requests = min_requests
        self.warm_up = warm_up
        self.deferrable = deferrable
        self.skip_unfinished = soft_fail
        self.max_describe_gap = max_describe_gap
        self._state: ShadowTestState | None = None
        self._check_base_arguments()

    def execute(self, context: Any) -> Any:
        """Wait for what *until* or *min_requests* says; return the report."""
        if self.name == NO_TEST:
            return self.without_test()
        if self.deferrable:
            return self._look_or_defer(context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            # Airflow measures the time-out, also in reschedule mode; the report has what was seen last.
            state = self._state or self._first_state()
            return self.finish_test(context, state.give_up())

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """Look at the test once; return the report if the wait is over, else False."""
        report = self._look(context)
        return PokeReturnValue(is_done=True, xcom_value=report) if report else False

    def end_test(self, context: Any, report: ShadowReport) -> ShadowReport:
        """
        Push the report, and return it if the test has reached what the sensor waits for.

        :raises ShadowTestError: if it has not; its subclasses name the outcome.
        :raises AirflowSkipException: if ``soft_fail`` says so.
        """
        try:
            return super().end_test(context, report)
        except (ShadowTestTimedOut, ShadowTestTooShort) as error:
            if self.skip_unfinished:
                raise AirflowSkipException(str(error)) from error
            raise

    def _look_or_defer(self, context: Any) -> ShadowReport:
        report = self._look(context)
        if report is None:
            assert self._state is not None
            longest = timedelta(seconds=self.timeout)
            state = self._state.with_timeout(longest, now=datetime.now(timezone.utc))
            self.defer_test(context, state, every=self.poke_interval)
        return report

    def _look(self, context: Any) -> ShadowReport | None:
        self.check_rendered()
        before = self._state or self._first_state()
        state = self.poll_test_once(context, before)
        while self.reschedule and state.missing_since and not (state.outcome or state.unanswered):
            # The next poke does not know since when the test is missing, so this one waits.
            self.sleep(_SECOND_LOOK_AFTER_SECONDS)
            state = self.poll_test_once(context, state)
        self._state = state
        if state.look is not None and before.look is None:
            self.push_endpoint_links(context, state.look.endpoint_name)
        return self.finish_test(context, state) if state.outcome else None

    def _first_state(self) -> ShadowTestState:
        # Without min_requests nothing is counted.
        warm_up = self.warm_up if self.min_requests else timedelta(0)
        return ShadowTestState(
            name=self.name, until=Until(self.until), min_requests=self.min_requests, warm_up=warm_up
        )

    def _check_base_arguments(self) -> None:
        """
        Check the arguments of Airflow's sensors.

        :raises InvalidArgument: if one of them would hide a cancelled test.
        """
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
        raise InvalidArgument(f"until must be left out with min_requests (got {until!r}): give one of them")
