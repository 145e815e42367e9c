"""Whether a planned shadow test can get the requests that the tasks behind it wait for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airflow_guardrails.domain.text import duration_in_words

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsNeeded:
    """
    What the tasks behind a shadow test need.

    :param min_requests: requests of each variant after the warm-up; None: no number.
    :param warm_up: how long after its first request the shadow is not judged.
    """

    min_requests: int | None
    warm_up: timedelta

    def impossible(self, length: timedelta) -> str | None:
        """Return why a test of this *length* cannot get them, whatever the traffic is; None if it can."""
        if self.warm_up < length:
            return None
        return (
            f"the test lasts {duration_in_words(length)} <= {duration_in_words(self.warm_up)} of warm_up, so "
            "no request of it would be judged: make the test longer, or shorten warm_up"
        )

    def unlikely(self, length: timedelta, *, requests: float, sampling_percentage: int) -> str | None:
        """
        Return why the traffic of the last hour is too low for a test of this *length*; None if it is not.

        :param requests: requests to production in the last hour.
        :param sampling_percentage: percentage of them that the shadow gets.
        """
        if self.min_requests is None:
            return None
        judged = length - self.warm_up
        copied = requests * sampling_percentage / 100
        expected = copied * (judged / _HOUR)
        if expected >= self.min_requests:
            return None
        fix = "make the test longer, lower min_requests, or raise sampling_percentage"
        return (
            f"Production had {requests:,.0f} requests in the last hour. At that rate the shadow gets about "
            f"{expected:,.0f} < {self.min_requests:,} (min_requests) in the {duration_in_words(judged)} "
            f"after the warm-up: {fix}"
        )
