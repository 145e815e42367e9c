"""Tags of simulated resources, by ARN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.core.exceptions import ServiceException

from airflow_guardrails.simulator.engine.errors import TooManyTags, ValidationException
from airflow_guardrails.simulator.sagemaker.listing import paginate

# AWS allows 50 tags for each resource.
_PAGE_SIZE = 50
_MAX_TAGS = 50
_RESERVED = "aws:"


class Tags:
    """
    Tags of models, endpoint configurations, endpoints and experiments.

    The service model's bounds on keys and values are checked before.

    :param not_found: returns the error for an ARN that does not exist.
    """

    def __init__(self, not_found: Callable[[str], ServiceException]) -> None:
        self._by_arn: dict[str, dict[str, str]] = {}
        self._not_found = not_found

    def create(self, arn: str, request: Mapping[str, Any]) -> None:
        """Store the tags of a Create request."""
        self._by_arn[arn] = _pairs(request.get("Tags", ()))

    def of(self, arn: str) -> Mapping[str, str]:
        """Return key -> value; empty if there are none."""
        return self._by_arn.get(arn, {})

    def remove(self, arn: str) -> None:
        """Delete all tags of a deleted resource."""
        self._by_arn.pop(arn, None)

    def add(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out AddTags; raise TooManyTags above 50."""
        tags, new = self._of(request), _pairs(request["Tags"])
        # A tag that exists is replaced, so it does not count twice.
        if (count := len(tags.keys() | new.keys())) > _MAX_TAGS:
            raise TooManyTags(arn=request["ResourceArn"], count=count, most=_MAX_TAGS)
        tags.update(new)
        return {"Tags": _wire(tags)}

    def list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out ListTags."""
        return paginate(_wire(self._of(request)), request, key="Tags", default=_PAGE_SIZE)

    def delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out DeleteTags. Unknown keys are ignored."""
        tags = self._of(request)
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _of(self, request: Mapping[str, Any]) -> dict[str, str]:
        arn = request["ResourceArn"]
        if arn not in self._by_arn:
            raise self._not_found(arn)
        return self._by_arn[arn]


def check_keys(request: Mapping[str, Any]) -> None:
    """Raise ValidationException if a request adds or deletes a tag with the reserved prefix ``aws:``."""
    keys = [*_pairs(request.get("Tags") or ()), *(request.get("TagKeys") or ())]
    for key in keys:
        if key.lower().startswith(_RESERVED):
            raise ValidationException(f"System prefix 'aws:' reserved for AWS usage in tag key: {key}")


def _pairs(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _wire(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
