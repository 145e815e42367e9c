"""Requests of CreateModel, and how a model compares with one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_guardrails.aws.reading import Response, text_of


def package_model_request(package_arn: str, *, name: str, role_arn: str) -> dict[str, Any]:
    """Return CreateModel's request for a version of the model registry."""
    return {
        "ModelName": name,
        "ExecutionRoleArn": role_arn,
        "Containers": [{"ModelPackageName": package_arn}],
    }


def why_not_deployable(package: Response) -> str | None:
    """
    Return why a model package must not be deployed; None if it is approved and complete.

    :param package: the response of DescribeModelPackage.
    """
    status = text_of(package, "ModelPackageStatus")
    if status != "Completed":
        return f"its ModelPackageStatus is {status or 'missing'}, and must be Completed"
    approval = text_of(package, "ModelApprovalStatus")
    if approval != "Approved":
        return f"its ModelApprovalStatus is {approval or 'missing'}, and must be Approved"
    return None


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
