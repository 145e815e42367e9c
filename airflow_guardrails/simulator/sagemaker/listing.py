"""Filters, order and pages of SageMaker's List operations."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow_guardrails.simulator.engine.errors import ValidationException

_Summary = Mapping[str, Any]

# API reference of ListEndpoints: MaxResults is 10 by default, at most 100.
_DEFAULT_PAGE_SIZE = 10


def page(rows: Sequence[_Summary], request: Mapping[str, Any], *, prefix: str, key: str) -> dict[str, Any]:
    """
    Return one page of the rows that match *request*: by default ten, the newest first.

    :param prefix: prefix of the fields, such as ``Endpoint`` in ``EndpointName``.
    :param key: name of the list in the response.
    :raises ValidationException: for a wrong NextToken.
    """
    found = [row for row in rows if _matches(row, request, prefix)]
    found.sort(
        # Also by name: resources of the same moment must keep one order over all pages.
        key=lambda row: (row[_sort_field(request, prefix)], row[f"{prefix}Name"]),
        reverse=request.get("SortOrder", "Descending") == "Descending",
    )
    return paginate(found, request, key=key, default=_DEFAULT_PAGE_SIZE)


def paginate(rows: Sequence[Any], request: Mapping[str, Any], *, key: str, default: int) -> dict[str, Any]:
    """
    Return one page of *rows* under *key*, with a NextToken if there are more; *default* is the page size.
    """
    start = _offset(request.get("NextToken"))
    end = start + (request.get("MaxResults") or default)
    response: dict[str, Any] = {key: list(rows[start:end])}
    if end < len(rows):
        response["NextToken"] = base64.urlsafe_b64encode(f"from:{end}".encode()).decode()
    return response


def _matches(row: _Summary, request: Mapping[str, Any], prefix: str) -> bool:
    return (
        request.get("NameContains", "") in row[f"{prefix}Name"]
        and request.get("StatusEquals") in {None, row.get(f"{prefix}Status")}
        and all(_in_time_range(row, request, field) for field in ("CreationTime", "LastModifiedTime"))
    )


def _in_time_range(row: _Summary, request: Mapping[str, Any], field: str) -> bool:
    after, before = parse_time(request.get(f"{field}After")), parse_time(request.get(f"{field}Before"))
    return (after is None or row[field] >= after) and (before is None or row[field] < before)


def parse_time(value: Any) -> datetime | None:
    """Read a time of a request: epoch seconds, or a datetime, which is UTC if it has no zone."""
    if value is None:
        return None
    when = value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), timezone.utc)
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _sort_field(request: Mapping[str, Any], prefix: str) -> str:
    by = request.get("SortBy", "CreationTime")
    # SortBy says Name or Status, but the fields have a prefix, such as EndpointName.
    return by if by == "CreationTime" else f"{prefix}{by}"


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
        if word == "from":
            return int(number)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    raise ValidationException("Invalid NextToken.")
