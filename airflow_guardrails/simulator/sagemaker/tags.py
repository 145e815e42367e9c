"""Tags of the resources that are ours, by ARN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.core.exceptions import ServiceException

from airflow_guardrails.simulator.engine.errors import TooManyTags, ValidationException
from airflow_guardrails.simulator.sagemaker.listing import paginate

_PAGE_SIZE = 50
_MAX_TAGS = 50
_RESERVED = "aws:"


class Tags:
    """Keys, values and the length of a request's list are the service model's, checked before."""

    def __init__(self, not_found: Callable[[str], ServiceException]) -> None:
        self._by_arn: dict[str, dict[str, str]] = {}
        self._not_found = not_found

    def create(self, arn: str, request: Mapping[str, Any]) -> None:
        """Begin with what a Create request says."""
        self._by_arn[arn] = _pairs(request.get("Tags", ()))

    def of(self, arn: str) -> Mapping[str, str]:
        return self._by_arn.get(arn, {})

    def remove(self, arn: str) -> None:
        self._by_arn.pop(arn, None)

    def add(self, request: Mapping[str, Any]) -> dict[str, Any]:
        tags, new = self._of(request), _pairs(request["Tags"])
        if (count := len(tags.keys() | new.keys())) > _MAX_TAGS:
            raise TooManyTags(arn=request["ResourceArn"], count=count, most=_MAX_TAGS)
        tags.update(new)
        return {"Tags": _wire(tags)}

    def list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return paginate(_wire(self._of(request)), request, key="Tags", default=_PAGE_SIZE)

    def delete(self, request: Mapping[str, Any]) -> dict[str, Any]:
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
    """Raise ValidationException for a tag, to be added or deleted, that only AWS itself may have."""
    keys = [*_pairs(request.get("Tags") or ()), *(request.get("TagKeys") or ())]
    for key in keys:
        if key.lower().startswith(_RESERVED):
            raise ValidationException(f"System prefix 'aws:' reserved for AWS usage in tag key: {key}")


def _pairs(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _wire(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
