"""Requests of CreateModel, and how a model compares with one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def package_model_request(package_arn: str, *, name: str, role_arn: str) -> dict[str, Any]:
    """Return CreateModel's request for a version of the model registry."""
    return {
        "ModelName": name,
        "ExecutionRoleArn": role_arn,
        "Containers": [{"ModelPackageName": package_arn}],
    }


def model_differences(found: Any, wanted: Any, path: str = "") -> Iterator[str]:
    """
    Yield how the model *found* (DescribeModel) differs from the request *wanted*, as texts.

    SageMaker adds defaults and what a model package contains, so only what was requested is compared.
    """
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key, value in wanted.items():
            if key != "Tags":
                yield from model_differences(found.get(key), value, f"{path}.{key}" if path else key)
    elif isinstance(wanted, list) and isinstance(found, list) and len(found) == len(wanted):
        for at, (had, asked) in enumerate(zip(found, wanted, strict=True)):
            yield from model_differences(had, asked, f"{path}[{at}]")
    elif found != wanted and not (found is None and wanted in ({}, [], False)):
        yield f"{path} is {found!r} instead of {wanted!r}"
