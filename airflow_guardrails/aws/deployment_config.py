"""
``DeploymentConfig`` of UpdateEndpoint: from a strategy and its alarms, and back.

botocore checks only required members and minima. A dict that a user writes in the API's form is checked here,
by building the strategy from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from airflow_guardrails.aws._strict_dict import Found, Section
from airflow_guardrails.aws.reading import section_of, sections_of, text_of
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.strategies import (
    NO_WAIT,
    AllAtOnce,
    Canary,
    Linear,
    Rolling,
    Strategy,
)
from airflow_guardrails.domain.errors import InvalidAlarms, InvalidStrategy
from airflow_guardrails.domain.text import whole_seconds

_PERCENT, _COUNT = "CAPACITY_PERCENT", "INSTANCE_COUNT"
_POLICIES = ("BlueGreenUpdatePolicy", "RollingUpdatePolicy")
_DEPLOYMENT_CONFIG = (*_POLICIES, "AutoRollbackConfiguration")
_BLUE_GREEN = ("TrafficRoutingConfiguration", "TerminationWaitInSeconds", "MaximumExecutionTimeoutInSeconds")
_CAPACITY = ("Type", "Value")
_ROUTING = ("Type", "WaitIntervalInSeconds", "CanarySize", "LinearStepSize")
_ROLLING = (
    "MaximumBatchSize",
    "WaitIntervalInSeconds",
    "RollbackMaximumBatchSize",
    "MaximumExecutionTimeoutInSeconds",
)

# The developer guide's page on rolling updates has a value that the API does not accept.
_HINTS = {"CAPACITY_PERCENTAGE": "the API's value is CAPACITY_PERCENT"}

_Arguments = dict[str, Found]
# A class of strategies.
_Kind = Callable[..., Strategy]


def as_guardrails(strategy: Strategy | Mapping[str, Any] | None, alarms: Iterable[str] = ()) -> Guardrails:
    """
    Return a DAG author's arguments as one checked value.

    :param strategy: a strategy, or a dict in the form of the API's ``DeploymentConfig``; None: SageMaker's
        default, all at once.
    :param alarms: names of alarms; added to those in the dict, without duplicates.
    :raises InvalidStrategy: if the strategy breaks a rule. For a dict, the text begins with the path.
    :raises InvalidAlarms: if the alarms break a rule.
    """
    given = _as_tuple(alarms)
    if isinstance(strategy, Mapping):
        return _with_alarms(parse_deployment_config(strategy), given)
    _check_is_strategy(strategy)
    return Guardrails(strategy=strategy, alarms=given)


def deployment_config_request(guardrails: Guardrails) -> dict[str, Any]:
    """Return the ``DeploymentConfig`` to send; empty if there is neither a strategy nor an alarm."""
    return {**_policy(guardrails.strategy), **_auto_rollback(guardrails.alarms)}


def parse_deployment_config(content: Mapping[str, Any]) -> Guardrails:
    """
    Return the guardrails in a dict in the form of ``DeploymentConfig``. Numbers may be text, as from Jinja.

    :raises InvalidStrategy: for an unknown, missing or contradictory key, or a value out of range.
    :raises InvalidAlarms: if the alarms break a rule.
    """
    config = Section(content, "DeploymentConfig", known=_DEPLOYMENT_CONFIG)
    given = [policy for policy in _POLICIES if policy in config]
    # The API reference allows one policy. What SageMaker does with two is not documented.
    if len(given) > 1:
        raise InvalidStrategy(f"{config.path} must have one update policy (got {' and '.join(given)})")
    strategy = None
    if given:
        kind, arguments = _PARSE_POLICY[given[0]](config)
        with _naming_path(arguments):
            strategy = kind(**{name: found.value for name, found in arguments.items()})
    alarms = _parse_alarms(config)
    with _naming_path({"alarms": alarms}):
        return Guardrails(strategy=strategy, alarms=alarms.value)


@contextmanager
def _naming_path(arguments: _Arguments) -> Iterator[None]:
    """Put the path of the wrong argument before the text of its error."""
    try:
        yield
    except (InvalidStrategy, InvalidAlarms) as error:
        path = arguments[str(error.field)].path
        raise type(error)(f"{path}: {error}", field=error.field) from None


def _with_alarms(written: Guardrails, alarms: tuple[str, ...]) -> Guardrails:
    others = (alarm for alarm in alarms if alarm not in written.alarms)
    return Guardrails(strategy=written.strategy, alarms=(*written.alarms, *others))


def _check_is_strategy(strategy: object) -> None:
    if strategy is not None and not isinstance(strategy, Strategy):
        what = "built from airflow_guardrails.strategies, or a dict in the form of the API's DeploymentConfig"
        raise InvalidStrategy(f"strategy must be {what} (got {strategy!r})")


def _as_tuple(alarms: object) -> tuple[str, ...]:
    # Text and dicts are iterable too, but here they are mistakes.
    if isinstance(alarms, (str, bytes, Mapping)) or not isinstance(alarms, Iterable):
        raise InvalidAlarms(f"alarms must be a list of alarm names (got {alarms!r})", field="alarms")
    return tuple(alarms)


def alarm_names(content: object) -> tuple[str, ...]:
    """Return the names of the alarms in a ``DeploymentConfig``, even if the rest of it cannot be read."""
    if not isinstance(content, Mapping):
        return ()
    alarms = sections_of(section_of(content, "AutoRollbackConfiguration"), "Alarms")
    return tuple(name for alarm in alarms if (name := text_of(alarm, "AlarmName")))


def _policy(strategy: Strategy | None) -> dict[str, Any]:
    # Without a policy SageMaker updates blue/green, all at once (API reference, DeploymentConfig).
    if strategy is None:
        return {}
    if isinstance(strategy, Rolling):
        return {"RollingUpdatePolicy": _rolling(strategy)}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": _routing(strategy),
            "TerminationWaitInSeconds": whole_seconds(strategy.termination_wait),
            **_limit(strategy),
        }
    }


def _routing(strategy: AllAtOnce | Canary | Linear) -> dict[str, Any]:
    if isinstance(strategy, AllAtOnce):
        # botocore requires the interval, although there is only one step.
        return {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    kind, size = ("CANARY", "CanarySize") if isinstance(strategy, Canary) else ("LINEAR", "LinearStepSize")
    return {
        "Type": kind,
        "WaitIntervalInSeconds": whole_seconds(strategy.bake),
        size: _capacity(strategy.percent, strategy.instances),
    }


def _rolling(strategy: Rolling) -> dict[str, Any]:
    return {
        "MaximumBatchSize": _capacity(strategy.batch_percent, strategy.batch_instances),
        "WaitIntervalInSeconds": whole_seconds(strategy.bake),
        **_rollback_batch(strategy),
        **_limit(strategy),
    }


def _rollback_batch(strategy: Rolling) -> dict[str, Any]:
    size = (strategy.rollback_batch_percent, strategy.rollback_batch_instances)
    # If it is left out, SageMaker moves the whole fleet back at once.
    return {} if size == (None, None) else {"RollbackMaximumBatchSize": _capacity(*size)}


def _capacity(percent: int | None, instances: int | None) -> dict[str, Any]:
    if instances is None:
        return {"Type": _PERCENT, "Value": percent}
    return {"Type": _COUNT, "Value": instances}


def _limit(strategy: Strategy) -> dict[str, Any]:
    limit = strategy.max_duration
    return {} if limit is None else {"MaximumExecutionTimeoutInSeconds": whole_seconds(limit)}


def _auto_rollback(alarms: tuple[str, ...]) -> dict[str, Any]:
    if not alarms:
        return {}
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}}


class _RoutingType(NamedTuple):
    """A ``Type`` of TrafficRoutingConfiguration: its strategy, the key of its step, and keys it refuses."""

    kind: _Kind
    step: str | None
    refused: tuple[str, ...]
    because: str


# AWS does not document what it does with a size that belongs to another type, so none is sent.
_ROUTING_TYPES = {
    "ALL_AT_ONCE": _RoutingType(
        AllAtOnce, None, ("CanarySize", "LinearStepSize"), "ALL_AT_ONCE has a single step"
    ),
    "CANARY": _RoutingType(Canary, "CanarySize", ("LinearStepSize",), "CANARY is sized by CanarySize"),
    "LINEAR": _RoutingType(Linear, "LinearStepSize", ("CanarySize",), "LINEAR is sized by LinearStepSize"),
}


# Each parser returns the class of the strategy and its arguments, which know where they were written.


def _parse_blue_green(config: Section) -> tuple[_Kind, _Arguments]:
    policy = config.section("BlueGreenUpdatePolicy", known=_BLUE_GREEN)
    routing = policy.section("TrafficRoutingConfiguration", known=_ROUTING)
    kind, step, refused, because = _ROUTING_TYPES[routing.choice("Type", _ROUTING_TYPES)]
    for key in refused:
        routing.refuse(key, because)
    arguments: _Arguments = {}
    if step is None:
        _refuse_bake(routing)
    else:
        arguments["bake"] = routing.seconds("WaitIntervalInSeconds")
        arguments |= _parse_capacity(routing.section(step, known=_CAPACITY))
    if "TerminationWaitInSeconds" in policy:
        arguments["termination_wait"] = policy.seconds("TerminationWaitInSeconds")
    if "MaximumExecutionTimeoutInSeconds" in policy:
        arguments["max_duration"] = policy.seconds("MaximumExecutionTimeoutInSeconds")
    return kind, arguments


def _refuse_bake(routing: Section) -> None:
    if "WaitIntervalInSeconds" in routing and routing.seconds("WaitIntervalInSeconds").value != NO_WAIT:
        routing.refuse("WaitIntervalInSeconds", "ALL_AT_ONCE has a single step; use TerminationWaitInSeconds")


def _parse_rolling(config: Section) -> tuple[_Kind, _Arguments]:
    policy = config.section("RollingUpdatePolicy", known=_ROLLING)
    arguments = _parse_capacity(policy.section("MaximumBatchSize", known=_CAPACITY), prefix="batch_")
    if "RollbackMaximumBatchSize" in policy:
        size = policy.section("RollbackMaximumBatchSize", known=_CAPACITY)
        arguments |= _parse_capacity(size, prefix="rollback_batch_")
    arguments["bake"] = policy.seconds("WaitIntervalInSeconds")
    if "MaximumExecutionTimeoutInSeconds" in policy:
        arguments["max_duration"] = policy.seconds("MaximumExecutionTimeoutInSeconds")
    return Rolling, arguments


_PARSE_POLICY: dict[str, Callable[[Section], tuple[_Kind, _Arguments]]] = {
    "BlueGreenUpdatePolicy": _parse_blue_green,
    "RollingUpdatePolicy": _parse_rolling,
}


def _parse_capacity(capacity: Section, *, prefix: str = "") -> _Arguments:
    unit = "percent" if capacity.choice("Type", (_PERCENT, _COUNT), hints=_HINTS) == _PERCENT else "instances"
    return {f"{prefix}{unit}": capacity.number("Value")}


def _parse_alarms(config: Section) -> Found:
    path = f"{config.path}.AutoRollbackConfiguration.Alarms"
    if "AutoRollbackConfiguration" not in config:
        return Found((), path)
    rollback = config.section("AutoRollbackConfiguration", known=("Alarms",))
    if "Alarms" not in rollback:
        return Found((), path)
    alarms = rollback.sections("Alarms", known=("AlarmName",))
    return Found(tuple(alarm["AlarmName"] for alarm in alarms), path)
