"""Fields of a response that the installed botocore does not know, so that no copy loses them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# botocore's event before it parses the response, and the key that the response gets if a field is unknown.
EVENT = "before-parse.sagemaker.DescribeEndpointConfig"
UNKNOWN = "UnknownFields"

_NO_JSON = "(the response is not JSON, so its fields cannot be compared)"


def note_unknown_fields(
    *, operation_model: Any, response_dict: Any, customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """
    Add the key ``UnknownFields`` to a response with fields that botocore would drop; a listener of botocore.

    botocore adds everything in *customized_response_dict* to the parsed response.
    """
    if response_dict["status_code"] >= 300:  # noqa: PLR2004 - HTTP's successes end here
        return
    try:
        raw = json.loads(response_dict["body"])
    except ValueError:
        customized_response_dict[UNKNOWN] = (_NO_JSON,)
        return
    if unknown := tuple(unknown_fields(raw, operation_model.output_shape)):
        customized_response_dict[UNKNOWN] = unknown


def unknown_fields(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    """
    Yield the paths of the fields in the JSON *value* that *shape* lacks, such as ``VpcConfig.Zone``.

    A field whose value is null says nothing, so it is left out.
    """
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, inner in value.items():
            if inner is None:
                continue
            here = f"{path}.{name}" if path else name
            if name in members:
                yield from unknown_fields(inner, members[name], here)
            else:
                yield here
    elif kind == "list" and isinstance(value, list):
        for at, inner in enumerate(value):
            yield from unknown_fields(inner, shape.member, f"{path}[{at}]")
    elif kind == "map" and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from unknown_fields(inner, shape.value, f"{path}.{name}")
