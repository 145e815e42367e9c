"""Where a resource of AWS is: partition, region and account, as its ARN names them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """The partition ("aws", "aws-cn"), region and account of a resource; ``None`` where it has none."""

    partition: str | None = None
    region: str | None = None
    account: str | None = None


def place_of(arn: str | None) -> Place:
    """Return where the resource is; a place without any part if *arn* is unknown or no ARN."""
    # arn:partition:service:region:account:resource
    parts = (arn or "").split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":  # noqa: PLR2004 - the six parts of an ARN
        return Place()
    return Place(partition=parts[1] or None, region=parts[3] or None, account=parts[4] or None)
