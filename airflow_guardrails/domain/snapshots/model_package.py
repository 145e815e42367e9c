"""A version of a model in the model registry: a model package, as DescribeModelPackage shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class ApprovalStatus(str, Enum):
    """``ModelApprovalStatus`` of the SageMaker API."""

    APPROVED = "Approved"
    REJECTED = "Rejected"
    PENDING_MANUAL_APPROVAL = "PendingManualApproval"


class PackageStatus(str, Enum):
    """``ModelPackageStatus`` of the SageMaker API: how far the creation of the package is."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    DELETING = "Deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPackage:
    """
    One model package.

    :param approval: ``None`` if the package has no approval status: it is in no model package group.
    :param approval_description: what the person who approved or rejected it wrote.
    :param metadata: its ``CustomerMetadataProperties``.
    """

    arn: str
    status: PackageStatus
    approval: ApprovalStatus | None = None
    approval_description: str = ""
    group: str | None = None
    version: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def deployable(self) -> bool:
        """Whether it is complete and approved."""
        return self.status is PackageStatus.COMPLETED and self.approval is ApprovalStatus.APPROVED

    @property
    def why_never(self) -> str | None:
        """Why it cannot be deployed, unless somebody changes it; None if it can be, or may be soon."""
        if self.status in {PackageStatus.FAILED, PackageStatus.DELETING}:
            return f"its ModelPackageStatus is {self.status.value}"
        if self.approval is ApprovalStatus.REJECTED:
            said = f" ({self.approval_description})" if self.approval_description else ""
            return f"it is Rejected{said}"
        if self.approval is None:
            return "it has no ModelApprovalStatus, because it is in no model package group"
        return None

    def describe(self) -> str:
        """Return its statuses: ``PendingManualApproval``, or ``Approved, InProgress``."""
        approval = self.approval.value if self.approval else "no approval status"
        return approval if self.status is PackageStatus.COMPLETED else f"{approval}, {self.status.value}"


@dataclass(frozen=True, slots=True)
class NoModelPackage:
    """
    There is no such model package, or no approved one in the group.

    :param name: ARN of the package, or name of the group.
    :param reason: why SageMaker does not know it; ``None``: the group has no approved version yet.
    """

    name: str
    reason: str | None = None


PackageLook = ModelPackage | NoModelPackage


def is_decided(look: PackageLook) -> bool:
    """Whether the wait for an approval is over: it is approved, or never will be, or does not exist."""
    if isinstance(look, NoModelPackage):
        return look.reason is not None
    return look.deployable or look.why_never is not None


def approval_report(look: PackageLook) -> dict[str, Any]:
    """
    Return what is known about the package as JSON, for the event of the trigger.

    ``refusal`` says why it cannot be deployed, and is None if it can be.
    """
    if isinstance(look, NoModelPackage):
        return {"model_package_arn": None, "refusal": look.reason, "found": False}
    return {"model_package_arn": look.arn, "refusal": look.why_never, "found": True}
