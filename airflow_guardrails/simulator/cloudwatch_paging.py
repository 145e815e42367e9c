"""Pages of a list; a token is the place where the next page begins, and to a client just a string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from airflow_guardrails.simulator.cloudwatch_errors import InvalidNextToken

Item = TypeVar("Item")
_PREFIX = "from-"


def page(items: Sequence[Item], token: str | None, size: int) -> tuple[Sequence[Item], str | None]:
    """Return one page and the token of the next, None after the last."""
    begin = offset_of(token)
    end = begin + size
    return items[begin:end], token_at(end) if end < len(items) else None


def offset_of(token: str | None) -> int:
    if token is None:
        return 0
    offset = token.removeprefix(_PREFIX)
    if not token.startswith(_PREFIX) or not offset.isdecimal():
        raise InvalidNextToken(f"The token '{token}' is invalid.")
    return int(offset)


def token_at(offset: int) -> str:
    return f"{_PREFIX}{offset}"


def answer(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return *members* without those that are None: AWS leaves out what there is not."""
    return {name: value for name, value in members.items() if value is not None}
