"""Requests for model packages, and the responses as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_guardrails.aws.errors import UnexpectedAnswer
from airflow_guardrails.aws.reading import (
    Response,
    enum_of,
    required_text,
    section_of,
    sections_of,
    shown,
    text_of,
    whole_number_of,
)
from airflow_guardrails.domain.snapshots.model_package import ApprovalStatus, ModelPackage, PackageStatus
from airflow_guardrails.domain.text import safe_text

_METADATA_PREFIX = "airflow-guardrails-"
# UpdateModelPackage, CustomerMetadataProperties: a value has 1 to 256 of these characters.
_NOT_IN_METADATA = re.compile(r"[^\w .:/=+\-@]")
_LONGEST_VALUE = 256


def outcome_metadata(outcome: Mapping[str, str | None]) -> dict[str, str]:
    """
    Return what is written to a package's CustomerMetadataProperties about the rollout that deployed it.

    :param outcome: name -> value; what is unknown becomes ``none``, so that it replaces an older value.
    """
    return {
        f"{_METADATA_PREFIX}{name}": _NOT_IN_METADATA.sub("-", value or "none")[:_LONGEST_VALUE]
        for name, value in outcome.items()
    }


def newest_approved_request(group: str) -> dict[str, Any]:
    """Return ListModelPackages' request for the newest approved version of *group* (name or ARN)."""
    return {
        "ModelPackageGroupName": group,
        "ModelApprovalStatus": ApprovalStatus.APPROVED.value,
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": 1,
    }


def parse_newest(response: Response) -> str | None:
    """Return the ARN of the first package in a response of ListModelPackages; None if there is none."""
    found = sections_of(response, "ModelPackageSummaryList")
    return required_text(found[0], "ModelPackageArn", by="ListModelPackages") if found else None


def parse_model_package(response: Response) -> ModelPackage:
    """
    Return the package in a response of DescribeModelPackage.

    :raises UnexpectedAnswer: if its ARN is missing, or a status is one that this version does not know.
    """
    arn = required_text(response, "ModelPackageArn", by="DescribeModelPackage")
    status = enum_of(PackageStatus, response.get("ModelPackageStatus"))
    if status is None:
        raise _unknown(arn, "ModelPackageStatus", response)
    approval = enum_of(ApprovalStatus, response.get("ModelApprovalStatus"))
    if approval is None and response.get("ModelApprovalStatus") is not None:
        raise _unknown(arn, "ModelApprovalStatus", response)
    return ModelPackage(
        arn=arn,
        status=status,
        approval=approval,
        approval_description=safe_text(response.get("ApprovalDescription")),
        group=text_of(response, "ModelPackageGroupName"),
        version=whole_number_of(response, "ModelPackageVersion"),
        metadata={
            key: value
            for key, value in section_of(response, "CustomerMetadataProperties").items()
            if isinstance(value, str)
        },
    )


def _unknown(arn: str, field: str, response: Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"Unknown {field} {shown(response.get(field))} of model package {arn}. It is treated as an error: "
        "check the package in SageMaker and update airflow-guardrails"
    )
