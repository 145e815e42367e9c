"""AWS's clock, from the ``Date`` headers of its responses."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from threading import Lock

from airflow_guardrails.domain.times import AwsClock, parse_time

# "Mon, 02 Mar 2026 10:00:00 GMT" without its day of the week, which a proxy may have translated.
_HTTP_DATE = re.compile(
    r"\d{1,2}[ -][A-Za-z]{3}[ -]\d{2,4} \d{2}:\d{2}:\d{2}(?: *(?:[A-Z]{1,4}\b|[+-]\d{4}))?"
)


class HeaderClock:
    """
    AWS's clock, from the ``Date`` header of each response.

    Without a readable header, the time is that of the last response plus the time since. This machine's clock
    is only used before the first header. Threads may share an instance.

    :param monotonic: returns seconds of a clock that never jumps.
    :param wall: returns seconds since the epoch.
    """

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._lock = Lock()
        self._clock: AwsClock | None = None

    def read(self, date_header: object) -> datetime:
        """Set the clock to the time in *date_header* and return it; if unreadable, return :meth:`now`."""
        read = read_date(date_header)
        if read is None:
            return self.now()
        with self._lock:
            self._clock = AwsClock(self._monotonic, as_of=read)
        return read

    def read_first(self, date_header: object) -> None:
        """Set the clock to the time in *date_header*, unless it is set already."""
        # Read without the lock, because go_on_from() checks it again under the lock.
        if self._clock is None:
            self.go_on_from(read_date(date_header))

    def go_on_from(self, as_of: datetime | None) -> None:
        """Set the clock to *as_of*, read by another process, unless this process has read a header itself."""
        with self._lock:
            if self._clock is None and as_of is not None:
                self._clock = AwsClock(self._monotonic, as_of=as_of)

    def now(self) -> datetime:
        """Return the time now, in UTC."""
        with self._lock:
            if self._clock is None:
                return datetime.fromtimestamp(self._wall(), timezone.utc)
            return self._clock.now()


# One for the process: all services and regions of AWS have the same time.
HEADER_CLOCK = HeaderClock()


def read_date(header: object) -> datetime | None:
    """
    Return the first readable time in a ``Date`` header, or None.

    Some proxies add a second header, and HTTP clients join the two with a comma. No time zone means UTC.
    """
    for part in _parts(header):
        if moment := _moment(part):
            return moment
    return None


def _parts(header: object) -> Iterator[str]:
    for text in header if isinstance(header, list | tuple) else (header,):
        if isinstance(text, str):
            yield from _HTTP_DATE.findall(text)
            yield text


def _moment(text: str) -> datetime | None:
    try:
        return parse_time(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return parse_time(text)
