"""
What a newer client may send: operations and fields that the installed botocore does not know.

Neither is answered as if it had been understood.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import botocore
import botocore.session

_FIX = f"botocore {botocore.__version__}, which the simulator reads, does not have it: install a newer one"
_NOT_FIELDS = frozenset({"Action", "Version"})


def unknown_operation(name: str) -> str:
    """Return the answer to an operation that botocore does not know."""
    return f"The operation {name} is not simulated: {_FIX}"


def unknown_field(service: str, operation: str, request: str | Iterable[str]) -> str | None:
    """
    Return why a request is not answered, if it has a field that botocore does not know.

    :param service: botocore's name of the service.
    :param request: JSON as text, or the names in the form of the query protocol.
    """
    shape = _input_shape(service, operation)
    if isinstance(request, str):
        found = _unknown(shape, json.loads(request) if request else {}, "")
    else:
        names = (name for name in request if name not in _NOT_FIELDS)
        found = (name for name in names if not _is_known(shape, name.split(".")))
    field = next(found, None)
    return None if field is None else f"The field {field} of {operation} is not simulated: {_FIX}"


@cache
def _service_model(service: str) -> Any:
    return botocore.session.Session().get_service_model(service)


@cache
def _input_shape(service: str, operation: str) -> Any:
    return _service_model(service).operation_model(operation).input_shape


def _is_known(shape: Any, path: Sequence[str]) -> bool:
    """Return whether the path of a name in a form, such as ``MetricData.member.1.Value``, is in *shape*."""
    if not path:
        return True
    if shape is not None and shape.type_name == "list" and path[0] == "member":
        return _is_known(shape.member, path[2:])
    members = shape.members if shape is not None and shape.type_name == "structure" else {}
    return path[0] in members and _is_known(members[path[0]], path[1:])


def _unknown(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield the paths of fields that are not in *shape*."""
    kind = shape.type_name if shape is not None else "structure"
    if kind == "structure" and isinstance(value, Mapping):
        members = shape.members if shape is not None else {}
        for name, member in value.items():
            if name not in members:
                yield f"{path}{name}"
            else:
                yield from _unknown(members[name], member, f"{path}{name}.")
    elif kind == "list" and isinstance(value, list):
        for item in value:
            yield from _unknown(shape.member, item, path)
    elif kind == "map" and isinstance(value, Mapping):
        for member in value.values():
            yield from _unknown(shape.value, member, path)
