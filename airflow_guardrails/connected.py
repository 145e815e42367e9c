"""What every task of this package has: a connection to AWS, a clock, and a place to leave what it found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from airflow.providers.common.compat.sdk import BaseOperator, conf
from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.permissions import denied_action, denied_resource
from airflow_guardrails.exceptions import AccessDenied, InvalidArgument, UnexpectedAnswer
from airflow_guardrails.links.sagemaker import FACTS_KEY, link_facts

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

Result = TypeVar("Result")

# Our own deadline comes first, so that the task ends with our report and not with Airflow's bare time-out.
AIRFLOW_TIMEOUT_MARGIN = timedelta(minutes=2)


# What Airflow calls of a task.
_ENTRIES = ("execute", "execute_complete", "execute_again", "poke")


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
    now: Callable[[], float] = staticmethod(time.time)

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
        if self.do_xcom_push and (task_instance := context.get("ti")) is not None:
            task_instance.xcom_push(key=key, value=value)

    def push_endpoint_links(
        self, context: Mapping[str, Any], endpoint_name: str, *, alarms: Iterable[str] = ()
    ) -> None:
        facts = link_facts(
            region_name=self.hook.conn_region_name,
            partition=self.hook.conn_partition,
            endpoint_name=endpoint_name,
            alarms=alarms,
        )
        self.push(context, FACTS_KEY, facts)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _ENTRIES:
            if name in vars(cls):
                setattr(cls, name, _translating(vars(cls)[name]))

    def translated(self, call: Callable[[], Result]) -> Result:
        """Give errors of the lower layers their public names; no credentials are in the text of any."""
        try:
            return call()
        except errors.UnexpectedAnswer as error:
            raise UnexpectedAnswer(errors.text_for_people(error)) from error
        except (ClientError, BotoCoreError) as error:
            errors.cleaned(error)
            if isinstance(error, ClientError) and (action := denied_action(error)):
                raise self._denied(action, error) from error
            raise

    def _denied(self, action: str, error: ClientError) -> AccessDenied:
        resource = denied_resource(error) or self._subject or "what this task works on"
        return AccessDenied(
            f"Access denied: {action} on {resource}. Allow it to the role or user of the connection "
            f"{self.aws_conn_id}, and clear this task ({errors.text_for_people(error)})"
        )

    @property
    def _subject(self) -> str | None:
        """What the task works on, for an error of AWS that does not say it."""
        for field, noun in (("endpoint_name", "endpoint"), ("name", "shadow test")):
            if name := getattr(self, field, None):
                return f"{noun} {name}"
        return None


def _translating(method: Callable[..., Result]) -> Callable[..., Result]:
    @wraps(method)
    def translating(task: ConnectedTask, *args: Any, **kwargs: Any) -> Result:
        return task.translated(lambda: method(task, *args, **kwargs))

    return translating


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


def fire_floor() -> float:
    """Seconds before which a trigger may not fire; follows the heartbeat that makes it necessary."""
    from airflow_guardrails.triggers.firing import FIRE_FLOOR  # noqa: PLC0415

    heartbeat = float(conf.get("workers", "min_heartbeat_interval", fallback="5"))
    return min(FIRE_FLOOR, heartbeat + 3)
