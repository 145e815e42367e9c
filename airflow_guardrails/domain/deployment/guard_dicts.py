"""Guards that are written as dicts, in a template or in YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.arguments import rendered_number, shown
from airflow_guardrails.domain.deployment.guards import Alarm, ErrorRate, Guard, Latency
from airflow_guardrails.domain.errors import InvalidGuard

_KINDS: Mapping[str, type[Any]] = {kind.__name__: kind for kind in (ErrorRate, Latency, Alarm)}


def as_guard(value: object) -> Guard:
    """
    Return *value* if it is a guard, else the guard that a dict stands for.

    :param value: a guard, or ``{"guard": "ErrorRate", "above": 0.01}``: the name of its class, and its
        arguments. Numbers may be text, as Jinja renders them; a duration is a dict of the arguments of
        timedelta.
    :raises InvalidGuard: if it is neither, or a value breaks its rule.
    """
    if isinstance(value, ErrorRate | Latency | Alarm):
        return value
    kind = _KINDS.get(str(value.get("guard"))) if isinstance(value, Mapping) else None
    if kind is None or not isinstance(value, Mapping):
        raise InvalidGuard(
            'guards must be built from airflow_guardrails.guards, or be dicts like {"guard": "ErrorRate", '
            f'"above": 0.01}} with one of {", ".join(_KINDS)} (got {shown(value)})',
            field="guards",
        )
    arguments = {str(name): _rendered(argument) for name, argument in value.items() if name != "guard"}
    guard: Guard = kind(**arguments)
    return guard


def _rendered(value: Any) -> Any:
    """Return a number or a duration as such, if a dict has it as text or as a dict; else the value."""
    if isinstance(value, Mapping) and value and set(value) <= {"milliseconds", "seconds", "minutes"}:
        try:
            return timedelta(**{unit: float(amount) for unit, amount in value.items()})
        except (TypeError, ValueError, OverflowError):
            return value
    number = rendered_number(value)
    if isinstance(number, str) and re.fullmatch(r"\s*-?[0-9]*\.?[0-9]+([eE][-+]?[0-9]{1,3})?\s*", number):
        return float(number)
    return number
