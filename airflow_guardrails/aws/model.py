"""Models on the wire: what of DescribeModel's answer decides how an update is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def from_marketplace(model: Mapping[str, Any], *, account_id: str) -> bool:
    """
    Whether a container of the model is AWS Marketplace's: a package of another account, without a version.

    A package shared from another account's model registry has a version; that is how the two are told apart
    here. No document of AWS says so.
    """
    containers = [
        *([model["PrimaryContainer"]] if model.get("PrimaryContainer") else []),
        *model.get("Containers", ()),
    ]
    return any(
        _foreign_without_version(container.get("ModelPackageName", ""), account_id)
        for container in containers
    )


def account_of(arn: str) -> str:
    return arn.split(":")[4]


def _foreign_without_version(package: str, account_id: str) -> bool:
    if not package.startswith("arn:"):
        return False
    versioned = package.rpartition("/")[2].isdigit()
    return account_of(package) != account_id and not versioned
