"""What is asked of endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple


class Asked(NamedTuple):
    """One request; *event* numbers it among all, *inference_id* is the caller's own, if there is one."""

    body: bytes
    event: int
    inference_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests of one kind, sent to one endpoint at one moment."""

    endpoint_name: str
    content_type: str
    accept: str | None
    asked: tuple[Asked, ...]

    @property
    def bodies(self) -> list[bytes]:
        return [one.body for one in self.asked]

    def only(self, asked: Iterable[Asked]) -> Batch:
        return replace(self, asked=tuple(asked))
