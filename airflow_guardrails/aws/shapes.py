"""Check a dict that a user wrote in the form of an API's request against botocore's description of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_guardrails.domain.arguments import InvalidValue, shown

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,12}\s*")
_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,12}(\.[0-9]{1,12})?\s*")
_FLAGS = {"true": True, "false": False}


def fitted(value: Any, shape: Any, path: str) -> Any:
    """
    Return *value* as the request needs it: numbers and flags may be text, as Jinja renders them.

    ``None`` stays: it means that the field is left out.

    :param shape: botocore's shape.
    :param path: where the value stands, for errors; for example ``config.Model``.
    :raises InvalidValue: for an unknown key or a value of another type.
    """
    if value is None:
        return None
    if shape.type_name == "structure":
        return _structure(value, shape, path)
    if shape.type_name == "list":
        if not isinstance(value, list | tuple):
            raise _wrong(path, "a list", value)
        return [fitted(each, shape.member, f"{path}[{at}]") for at, each in enumerate(value)]
    if shape.type_name == "map":
        if not isinstance(value, Mapping):
            raise _wrong(path, "a dict", value)
        return {key: fitted(each, shape.value, f"{path}.{key}") for key, each in value.items()}
    rule, read = _SCALARS.get(shape.type_name, ("text", _text))
    read_value = read(value)
    if read_value is None:
        raise _wrong(path, rule, value)
    return read_value


def _structure(value: Any, shape: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(path, "a dict", value)
    for key in value:
        if key not in shape.members:
            raise InvalidValue(
                f"{path} has the unknown key {key!r} (known: {', '.join(shape.members)}): correct it, or "
                "upgrade boto3 and botocore if SageMaker has it",
                field=path,
            )
    return {key: fitted(each, shape.members[key], f"{path}.{key}") for key, each in value.items()}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _whole_number(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return _FLAGS.get(value.strip().lower())
    return value if isinstance(value, bool) else None


_SCALARS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "boolean": ("True or False", _flag),
    "double": ("a number", _number),
    "float": ("a number", _number),
    "integer": ("a whole number", _whole_number),
    "long": ("a whole number", _whole_number),
    "string": ("text", _text),
}


def _wrong(path: str, rule: str, value: Any) -> InvalidValue:
    return InvalidValue(f"{path} must be {rule} (got {shown(value)})", field=path)
