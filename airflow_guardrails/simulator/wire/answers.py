"""Answers of the simulated services, written in the protocol of the request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from moto.core.responses import ActionContext, ActionResult


class Answer(ActionResult):  # type: ignore[misc]  # moto has no types for mypy here
    """
    The answer of an operation: mappings with the names of the API, at every level.

    moto's own ActionResult also takes objects, and tries several names for each field. That takes most of the
    time of a long answer.
    """

    def __init__(self, result: Mapping[str, Any]) -> None:
        super().__init__(result)

    def execute_result(self, context: ActionContext) -> Any:
        """Return status, headers and body."""
        context.serializer_class = _reading_mappings(context.serializer_class)
        return super().execute_result(context)


@cache
def _reading_mappings(serializer: Any) -> Any:
    """Return moto's serializer of a protocol, for answers of mappings."""

    def get_value(_: Any, value: Mapping[str, Any], key: str, __: Any) -> Any:
        return value.get(key)

    return type(f"Mapping{serializer.__name__}", (serializer,), {"get_value": get_value})
