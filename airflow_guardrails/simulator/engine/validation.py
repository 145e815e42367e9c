"""
Check requests against the bounds in botocore's service model, as SageMaker does before anything else.

botocore's client checks only missing fields, types and minima. Enums, patterns, maxima and lengths are
checked by the server.
"""

from __future__ import annotations

import itertools
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import botocore.session
from botocore.model import Shape

from airflow_guardrails.simulator.engine.errors import ConstraintViolation
from airflow_guardrails.simulator.engine.instance_types import INSTANCE_TYPES


def check(operation: str, request: Mapping[str, Any]) -> None:
    """Raise ConstraintViolation if *request* breaks any bound in SageMaker's model of *operation*."""
    if violations := list(_violations(_input_shape(operation), request, "")):
        raise ConstraintViolation(*violations)


def violation(value: Any, path: str, rule: str) -> str:
    """Return one part of the text of a ConstraintViolation; *path* is in camel case, as in AWS's texts."""
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"


def enum_values(shape_name: str) -> list[str]:
    """Return the values of an enum in SageMaker's model, such as EndpointStatus."""
    return list(_service_model().shape_for(shape_name).enum)


@cache
def _service_model() -> Any:
    return botocore.session.Session().get_service_model("sagemaker")


@cache
def _input_shape(operation: str) -> Shape:
    return _service_model().operation_model(operation).input_shape


def _violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    yield from (violation(value, path, rule) for rule in _broken_rules(shape, value))
    if shape.type_name == "structure":
        yield from _member_violations(shape, value, path)
    elif shape.type_name == "list":
        for number, item in enumerate(value, start=1):
            yield from _violations(shape.member, item, f"{path}.{number}.member")
    elif shape.type_name == "map":
        yield from _map_violations(shape, value, path)


def _member_violations(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        at = f"{path}.{_camel(name)}".lstrip(".")
        if value.get(name) is not None:
            yield from _violations(member, value[name], at)
        elif name in shape.required_members:
            yield violation(None, at, "Member must not be null")


def _map_violations(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for kind, member, items in (("keys", shape.key, value.keys()), ("value", shape.value, value.values())):
        for item in items:
            if rules := list(_broken_rules(member, item)):
                yield violation(value, path, f"Map {kind} must satisfy constraint: [{', '.join(rules)}]")


def _broken_rules(shape: Any, value: Any) -> Iterator[str]:
    limits, enum = shape.metadata, _accepted_values(shape)
    sized = shape.type_name in {"string", "list", "map"}
    measured, what = (len(value), "length") if sized else (value, "value")
    # The texts are those of AWS's general validation errors.
    if "max" in limits and measured > limits["max"]:
        yield f"Member must have {what} less than or equal to {limits['max']}"
    if "min" in limits and measured < limits["min"]:
        yield f"Member must have {what} greater than or equal to {limits['min']}"
    if enum and value not in enum:
        yield f"Member must satisfy enum value set: [{', '.join(enum)}]"
    if "pattern" in limits and not _matches(limits["pattern"], value):
        yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


# botocore 1.43.0 and older give InferenceExperiments the enum of notebooks, InstanceType.
_INSTANCE_TYPE_SHAPES = frozenset({"ProductionVariantInstanceType", "InstanceType"})


def _accepted_values(shape: Any) -> Sequence[str]:
    values: Sequence[str] = getattr(shape, "enum", None) or ()
    if shape.name in _INSTANCE_TYPE_SHAPES:
        return list(dict.fromkeys([*INSTANCE_TYPES, *values]))
    return values


# Python's re has no Unicode categories. Those in SageMaker's patterns are replaced by character ranges.
_CATEGORY = re.compile(r"\\p\{([LMNPSZ])\}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_CATEGORY.sub(lambda found: _ranges()[found[1]], pattern))


@cache
def _ranges() -> Mapping[str, str]:
    """Map each general category of Unicode, by its first letter, to the inside of a character class."""
    ranges: dict[str, str] = {}
    codes = range(sys.maxunicode + 1)
    for category, group in itertools.groupby(codes, key=lambda code: unicodedata.category(chr(code))[0]):
        first, *others = group
        last = others[-1] if others else first
        ranges[category] = f"{ranges.get(category, '')}\\U{first:08x}-\\U{last:08x}"
    return MappingProxyType(ranges)


def _matches(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
