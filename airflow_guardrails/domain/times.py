"""Times as AWS writes them, and the time on its clock between two of its answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone


def read_moment(value: object) -> datetime | None:
    """
    Return *value* as a time with a time zone; None for what is no time.

    :param value: a datetime, or text in ISO 8601. Without a zone it is taken for UTC.
    """
    moment = _parsed(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        return None
    return moment.replace(tzinfo=timezone.utc) if moment.utcoffset() is None else moment


def _parsed(text: str) -> datetime | None:
    text = text.strip()
    if text[-1:] in {"Z", "z"}:
        # Python 3.10 does not read the Z.
        text = f"{text[:-1]}+00:00"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


class AwsClock:
    """
    AWS's clock between its answers.

    An answer says how late it is there. Between two, and while AWS does not answer, the time that has passed
    on this machine is added; what this machine takes for the time of day plays no part.

    :param monotonic: seconds on this machine, from any origin.
    :param as_of: what AWS's clock showed last.
    """

    def __init__(self, monotonic: Callable[[], float], *, as_of: datetime) -> None:
        self._monotonic = monotonic
        self._as_of = as_of
        self._read_at = monotonic()

    def answered(self, as_of: datetime) -> None:
        self._as_of = as_of
        self._read_at = self._monotonic()

    def now(self) -> datetime:
        return self._as_of + timedelta(seconds=self._monotonic() - self._read_at)

    def seconds_until(self, deadline: datetime | None) -> float:
        """Return infinity if there is no deadline, 0 if it has passed."""
        if deadline is None:
            return float("inf")
        return max(0.0, (deadline - self.now()).total_seconds())
