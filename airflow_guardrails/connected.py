"""What every task of this package has: a connection to AWS, a clock, and a place to leave what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_guardrails.aws import errors
from airflow_guardrails.exceptions import InvalidArgument, UnexpectedAnswer
from airflow_guardrails.links.sagemaker import FACTS_KEY, link_facts

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

Result = TypeVar("Result")

# Our own deadline comes first, so that the task ends with our report and not with Airflow's bare time-out;
# the clocks of worker and scheduler may differ by ten minutes.
AIRFLOW_TIMEOUT_MARGIN = timedelta(minutes=15)
LONGEST_DEFERRAL = timedelta(days=31)


class ConnectedTask(BaseOperator):
    """
    Base of the operators and sensors of this package that speak to AWS.

    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's own ways. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    # Time comes in here, so that a rehearsal can bring its own.
    sleep: Callable[[float], object] = staticmethod(time.sleep)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    _troubles: tuple[str, ...] = ()

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "verify")

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    @cached_property
    def hook(self) -> GuardrailsHook:
        from airflow_guardrails.hooks.guardrails import GuardrailsHook  # noqa: PLC0415

        return GuardrailsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    def push(self, context: Mapping[str, Any], key: str, value: Any) -> None:
        """Leave *value* as an XCom; where that fails, the task goes on, and its report says so."""
        task_instance = context.get("ti")
        if not self.do_xcom_push or task_instance is None:
            return
        try:
            task_instance.xcom_push(key=key, value=value)
        except Exception as error:  # noqa: BLE001 - whatever Airflow, or a backend of the user's own, raises
            self.warn(f"XCom {key} could not be written ({type(error).__name__}: {error})")

    def push_endpoint_links(
        self, context: Mapping[str, Any], endpoint_name: str, *, alarms: Iterable[str] = ()
    ) -> None:
        try:
            facts = link_facts(
                region_name=self.hook.conn_region_name,
                partition=self.hook.conn_partition,
                endpoint_name=endpoint_name,
                alarms=alarms,
            )
        except Exception as error:  # noqa: BLE001 - a link is a convenience
            self.warn(f"The links to the console could not be made ({type(error).__name__}: {error})")
            return
        self.push(context, FACTS_KEY, facts)

    def warn(self, warning: str) -> None:
        """Log what a reader of the report has to know, too."""
        self.log.warning(warning)
        self._troubles = (*self._troubles, warning)

    def with_warnings(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return the report with what went wrong beside it."""
        return {**report, "warnings": [*report.get("warnings", ()), *self._troubles]}

    def translated(self, call: Callable[[], Result]) -> Result:
        """Give errors of the lower layers their public names."""
        try:
            return call()
        except errors.UnexpectedAnswer as error:
            raise UnexpectedAnswer(str(error)) from error


def check_choice(name: str, value: str, choices: Any) -> None:
    """:raises InvalidArgument: if *value* is none of the ``Literal`` *choices*."""
    if value not in get_args(choices):
        known = ", ".join(repr(choice) for choice in get_args(choices))
        raise InvalidArgument(f"{name} must be one of {known} (got {value!r})")


def check_seconds(name: str, value: float) -> None:
    """:raises InvalidArgument: if *value* is not a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise InvalidArgument(f"{name} must be a number of seconds greater than 0 (got {value!r})")


def check_duration(name: str, value: timedelta | None) -> None:
    """:raises InvalidArgument: if *value* is neither None nor a positive timedelta."""
    if value is not None and not (isinstance(value, timedelta) and value > timedelta(0)):
        raise InvalidArgument(f"{name} must be a timedelta greater than 0 (got {value!r})")


def defer_timeout(
    as_of: datetime | None, deadline: datetime | None, *, extra: timedelta = timedelta(0)
) -> timedelta:
    """
    Return how long Airflow may leave a task deferred: until its own deadline, and generously longer.

    :param as_of: what AWS's clock shows.
    :param deadline: when the trigger stops waiting, on AWS's clock.
    """
    if as_of is None or deadline is None:
        return LONGEST_DEFERRAL
    return max(timedelta(0), deadline - as_of) + AIRFLOW_TIMEOUT_MARGIN + extra


def fire_floor() -> float:
    """Seconds before which a trigger may not fire; follows the heartbeat that makes it necessary."""
    from airflow_guardrails.triggers.firing import FIRE_FLOOR  # noqa: PLC0415

    heartbeat = float(conf.get("workers", "min_heartbeat_interval", fallback="5"))
    return min(FIRE_FLOOR, heartbeat + 3)
