"""Faults that calls to AWS meet on demand."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal, get_args

_Kind = Literal["throttle", "error", "hang", "lose", "date", "alter"]
_DateFault = Literal["missing", "malformed", "doubled", "repeated", "without_zone", "unknown_zone"]


@dataclass(slots=True, kw_only=True)
class Fault:
    """
    A fault for the calls of one operation.

    :param operation: its name in the API, for example ``UpdateEndpoint``.
    :param kind: ``throttle`` (400 "Rate exceeded"), ``error`` (*code*, *message*, *status*), ``hang`` (the
        response comes *seconds* of real time late, or when faults are cleared), ``lose`` (the call is carried
        out, then the connection drops), ``date`` (the response has a wrong Date header) or ``alter`` (the
        response has *changes*).
    :param times: number of calls that meet it; None means all.
    :param probability: of meeting it, for each call, 0 to 1.
    :param date: what is wrong with the Date header: ``missing``, ``malformed`` ("not a date"), ``doubled``
        ("X, X"), ``repeated`` (two headers), ``without_zone`` or ``unknown_zone`` ("-0000").
    :param changes: path in the response -> new value, or None to remove the field.
    :raises TypeError: if *changes* is not a mapping.
    :raises ValueError: if a value is out of its range.
    """

    operation: str
    kind: _Kind = "throttle"
    times: int | None = None
    probability: float = 1.0
    seconds: float = 0.0
    code: str = "InternalFailure"
    message: str = "The request processing has failed because of an unknown error, exception or failure."
    status: int = 500
    date: _DateFault | None = None
    changes: Mapping[str, Any] | None = None
    cleared: Event = field(default_factory=Event, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(_Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(_Kind))} (got {self.kind!r})")
        if (self.kind == "date") != (self.date is not None):
            raise ValueError(
                f"date must be set if, and only if, kind is 'date' (got {self.date!r}, {self.kind!r})"
            )
        if (self.kind == "alter") != bool(self.changes):
            raise ValueError(
                f"changes must be set if, and only if, kind is 'alter' (got {self.changes!r}, {self.kind!r})"
            )
        if not isinstance(self.changes, Mapping | None):
            raise TypeError(f"changes must be a mapping of paths to values (got {self.changes!r})")
        if self.date not in {None, *get_args(_DateFault)}:
            raise ValueError(f"date must be one of {', '.join(get_args(_DateFault))} (got {self.date!r})")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be between 0 and 1 (got {self.probability})")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be None or at least 1 (got {self.times})")
        if self.seconds < 0:
            raise ValueError(f"seconds must not be negative (got {self.seconds})")

    def dates(self, true: str) -> list[str]:
        """Return the Date headers to send instead of *true*, the correct one, which ends in `` GMT``."""
        return {
            "missing": [],
            "malformed": ["not a date"],
            "doubled": [f"{true}, {true}"],
            "repeated": [true, true],
            "without_zone": [true.removesuffix(" GMT")],
            # RFC 5322 writes "-0000" for an unknown zone.
            "unknown_zone": [true.replace("GMT", "-0000")],
        }.get(self.date or "", [true])

    def hang(self) -> None:
        """Wait until *seconds* of real time have passed or the fault is cleared."""
        self.cleared.wait(self.seconds)


class Faults:
    """The active faults, oldest first. A call meets the first one that applies."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._active: list[Fault] = []
        # Also faults that are used up: a call may still wait for one of them.
        self._hanging: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault for the calls from now on."""
        self._active.append(fault)
        if fault.kind == "hang":
            self._hanging.append(fault)

    def clear(self) -> None:
        """Remove all faults. Calls that hang are answered now."""
        self._active.clear()
        while self._hanging:
            self._hanging.pop().cleared.set()

    def draw(self, operation: str) -> Fault | None:
        """
        Return the fault that the next call of *operation* meets, or None. A fault with *times* counts this
        call.
        """
        for fault in self._active:
            if fault.operation == operation and self._rng.random() < fault.probability:
                self._use_up(fault)
                return fault
        return None

    def _use_up(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if not fault.times:
                self._active.remove(fault)
