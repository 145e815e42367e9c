"""Answers of the simulator, compared with the shapes in botocore's models."""

from __future__ import annotations

import json
from typing import Any

from botocore.validate import ParamValidator


def check_answer(http_response, parsed, model, **_: Any) -> None:
    if http_response.status_code >= 300 or model.output_shape is None:
        return
    if model.service_model.service_name == "iam":
        return  # botocore has turned its policies from texts into dicts before anybody may look
    answer = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
    report = ParamValidator().validate(answer, model.output_shape)
    assert not report.has_errors(), f"{model.name}: {report.generate_report()}"
    if http_response.headers.get("Content-Type", "").startswith("application/x-amz-json"):
        foreign = list(foreign_members(json.loads(http_response.content or b"{}"), model.output_shape))
        assert not foreign, f"{model.name} answers members botocore does not know: {foreign}"


def foreign_members(value: Any, shape: Any, path: str = ""):
    """The paths in a JSON answer that its shape does not have; botocore's parser drops them silently."""
    if shape.type_name == "structure":
        for name, member in (value or {}).items():
            if name not in shape.members:
                yield f"{path}.{name}"
            else:
                yield from foreign_members(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for index, item in enumerate(value or []):
            yield from foreign_members(item, shape.member, f"{path}[{index}]")
    elif shape.type_name == "map":
        for name, item in (value or {}).items():
            yield from foreign_members(item, shape.value, f"{path}.{name}")
