"""Reading and writing of times, and an estimate of AWS's clock between two of its responses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import overload


def parse_time(value: object) -> datetime | None:
    """
    Return *value* as a time with a time zone; None if it is not a time.

    :param value: a datetime, or text in ISO 8601. UTC is assumed if it has no zone.
    """
    time = parse_iso(value.strip()) if isinstance(value, str) else value
    if not isinstance(time, datetime):
        return None
    return time.replace(tzinfo=timezone.utc) if time.utcoffset() is None else time


def parse_iso(text: str) -> datetime | None:
    """Read a time in ISO 8601, with or without a zone; None if *text* is not one."""
    if text[-1:] in {"Z", "z"}:
        # Python 3.10 does not read the Z.
        text = f"{text[:-1]}+00:00"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


@overload
def format_time(time: datetime) -> str: ...
@overload
def format_time(time: None) -> None: ...
@overload
def format_time(time: datetime | None) -> str | None: ...


def format_time(time: datetime | None) -> str | None:
    """Return *time* in ISO 8601, as in reports and stored states; None for None."""
    return time.isoformat() if time else None


class AwsClock:
    """
    An estimate of AWS's clock: the time of its last response plus the seconds since on this machine.

    The time of day on this machine is not used, because it may be wrong.

    :param monotonic: seconds on this machine, from any origin.
    :param as_of: time of the last response of AWS.
    """

    def __init__(self, monotonic: Callable[[], float], *, as_of: datetime) -> None:
        self._monotonic = monotonic
        self._as_of = as_of
        self._read_at = monotonic()

    def answered(self, as_of: datetime) -> None:
        """Set the clock to the time of a response of AWS."""
        self._as_of = as_of
        self._read_at = self._monotonic()

    def now(self) -> datetime:
        """Return the estimated time."""
        return self._as_of + timedelta(seconds=self._monotonic() - self._read_at)

    def seconds_until(self, deadline: datetime | None) -> float:
        """Return the seconds left: infinity without a deadline, 0 after it."""
        if deadline is None:
            return float("inf")
        return max(0.0, (deadline - self.now()).total_seconds())
