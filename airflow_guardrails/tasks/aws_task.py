"""The base of all operators and sensors: the AWS connection, a clock, XComs, and public errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.providers.common.compat.sdk import BaseOperator, conf
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.errors import denied_action, denied_resource
from airflow_guardrails.domain.arguments import Check, shown
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.exceptions import (
    AccessDenied,
    ConnectionNotFound,
    InvalidArgument,
    UnexpectedAnswer,
)
from airflow_guardrails.links.sagemaker import LINK_DATA_KEY, console_link_data
from airflow_guardrails.tasks.log_ending import end_log_with_error_text
from airflow_guardrails.tasks.validation import CONNECTION_CHECKS, check_options

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

Result = TypeVar("Result")

# Airflow's time-out of a deferral comes this long after our own deadline, so that the task ends with our
# report and not with a bare TaskDeferralTimeout. Clocks of worker and scheduler may differ by ten minutes.
AIRFLOW_TIMEOUT_MARGIN = timedelta(minutes=15)
# A day longer than the longest shadow test.
LONGEST_DEFERRAL = timedelta(days=31)


# The methods of a task that Airflow calls; all others run within one of them.
_ENTRIES = ("execute", "execute_complete", "execute_again", "poke")


class AwsTask(BaseOperator):
    """
    Base of the operators and sensors of this package that call AWS.

    :param aws_conn_id: the Airflow connection for AWS, which must exist; ``None``: boto3's default credential
        chain. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param verify: whether, or with which certificates, TLS is verified. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``; stored in plain text, so nothing secret.
    """

    # Tests and rehearsals replace these two, so that no wait takes wall time.
    sleep: Callable[[float], object] = staticmethod(time.sleep)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    # Warnings of this task that the report does not hold yet.
    _troubles: tuple[str, ...] = ()

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "verify")
    # How each templated field is checked once it is rendered; the constructor checks all other arguments.
    rendered_checks: ClassVar[Mapping[str, Check]] = CONNECTION_CHECKS

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
        check_options("botocore_config", botocore_config)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def check_rendered(self) -> None:
        """
        Check the rendered templated fields; ``execute`` and ``poke`` do so before they call AWS.

        ``execute_complete`` does not: templates may render to other values after a deferral.

        :raises InvalidArgument: if a field breaks a rule; the text gives name, rule and value.
        """
        try:
            for name in self.template_fields:
                # A user's subclass may have templated fields of its own.
                if name in self.rendered_checks:
                    self.rendered_checks[name](name, getattr(self, name))
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error

    @cached_property
    def hook(self) -> GuardrailsHook:
        """
        The hook for this task's connection and region, made at the first use.

        :raises ConnectionNotFound: if Airflow has no connection *aws_conn_id*.
        :raises InvalidArgument: if *botocore_config* has arguments that botocore does not know.
        """
        from airflow_guardrails.hooks.guardrails import GuardrailsHook  # noqa: PLC0415

        try:
            hook = GuardrailsHook(
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                config=self.botocore_config,
            )
        except (TypeError, ValueError, BotoCoreError) as error:
            raise InvalidArgument(
                "botocore_config must be arguments of botocore.config.Config "
                f"(got {shown(self.botocore_config)}): {error}"
            ) from error
        # Look the connection up now, so that a missing one fails the task before its first call to AWS.
        with self.public_errors():
            _ = hook.conn_config
        return hook

    def push(self, context: Mapping[str, Any], key: str, value: Any) -> None:
        """Push *value* as an XCom. If that fails, the task continues and its report has a warning."""
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
        """Push what the links to the AWS console need. If that fails, the report has a warning."""
        try:
            link_data = console_link_data(
                region_name=self.hook.conn_region_name,
                partition=self.hook.conn_partition,
                endpoint_name=endpoint_name,
                alarms=alarms,
            )
        except Exception as error:  # noqa: BLE001 - a link is a convenience
            self.warn(f"No links to the AWS console ({type(error).__name__}: {error})")
            return
        self.push(context, LINK_DATA_KEY, link_data)

    def warn(self, warning: str) -> None:
        """Log *warning* now, and add it to the report later."""
        self.log.warning(warning)
        self._troubles = (*self._troubles, warning)

    def with_warnings(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return *report* with this task's warnings added to its own."""
        return {**report, "warnings": [*report.get("warnings", ()), *self._troubles]}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Each class wraps its own methods, so the overrides of a user's subclass raise public errors, too.
        for name in _ENTRIES:
            if name in vars(cls):
                setattr(cls, name, _with_public_errors(vars(cls)[name]))

    @contextmanager
    def public_errors(self) -> Iterator[None]:
        """
        Raise errors of lower layers as this package's public ones; credentials in their texts are masked.

        All methods that Airflow calls (``execute``, ``poke`` ...) run within it.
        """
        end_log_with_error_text()
        try:
            yield
        except errors.UnexpectedAnswer as error:
            raise UnexpectedAnswer(errors.text_for_people(error)) from error
        except errors.ConnectionNotFound as error:
            raise ConnectionNotFound(errors.text_for_people(error)) from error
        except NoRegionError as error:
            raise InvalidArgument(
                f"region_name must be given (got {self.region_name!r}): neither the connection nor the "
                "environment says a region"
            ) from error
        except (ClientError, BotoCoreError) as error:
            # Changed in place, because Airflow also logs the causes of an error.
            errors.cleaned(error)
            if isinstance(error, ClientError) and (action := denied_action(error)):
                raise self._denied(action, error) from error
            raise

    def _denied(self, action: str, error: ClientError) -> AccessDenied:
        return AccessDenied(
            self.denied_text(action, errors.text_for_people(error), resource=denied_resource(error))
        )

    def denied_text(self, action: str, reason: str, *, resource: str | None = None) -> str:
        """Return an error text: the action that AWS denied, on what, and what to do."""
        resource = resource or self._subject or "what this task works on"
        return (
            f"Access denied: {action} on {resource}. Allow it to the role or user of the connection "
            f"{self.aws_conn_id}, and clear this task ({reason})"
        )

    @property
    def _subject(self) -> str | None:
        """The endpoint or shadow test of this task, for an error of AWS that does not name it."""
        for field, noun in (("endpoint_name", "endpoint"), ("name", "shadow test")):
            if name := getattr(self, field, None):
                return f"{noun} {name}"
        return None


def _with_public_errors(method: Callable[..., Result]) -> Callable[..., Result]:
    @wraps(method)
    def with_public_errors(task: AwsTask, *args: Any, **kwargs: Any) -> Result:
        with task.public_errors():
            return method(task, *args, **kwargs)

    return with_public_errors


def defer_timeout(
    as_of: datetime | None, deadline: datetime | None, *, extra: timedelta = timedelta(0)
) -> timedelta:
    """
    Return the ``timeout`` of a deferral: the time until our own deadline and a margin.

    :param as_of: the time on AWS's clock at the last look; None if AWS has not answered yet.
    :param deadline: when the trigger stops waiting, on AWS's clock; None if it has no limit.
    :param extra: time the trigger may need after its deadline, for example for a rollback.
    """
    if as_of is None or deadline is None:
        return LONGEST_DEFERRAL
    return max(timedelta(0), deadline - as_of) + AIRFLOW_TIMEOUT_MARGIN + extra


def fire_floor() -> float:
    """
    Return the seconds after its start before which a trigger must not fire.

    Airflow 3.3 may mark a task failed whose trigger fires before the worker's last heartbeat is over, so the
    value follows ``[workers] min_heartbeat_interval``.
    """
    from airflow_guardrails.triggers._base import FIRE_FLOOR  # noqa: PLC0415

    # Measured with the default of 5 s: no task failed whose trigger fired 6 s or more after the deferral.
    heartbeat = float(conf.get("workers", "min_heartbeat_interval", fallback="5"))
    return min(FIRE_FLOOR, heartbeat + 3)
