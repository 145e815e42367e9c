"""What a look at endpoints answers: their present state, or an older one, as the knobs say."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.simulator.clock import Clock
from airflow_guardrails.simulator.describing import SUMMARY_FIELDS, describe, summarize
from airflow_guardrails.simulator.endpoints import Description, Endpoint
from airflow_guardrails.simulator.errors import ThrottlingException
from airflow_guardrails.simulator.knobs import Knobs

_SECOND = timedelta(seconds=1)


class Looks:
    """DescribeEndpoint and ListEndpoints lag in their own ways, and the former can be asked too often."""

    def __init__(self, *, clock: Clock, knobs: Knobs, rng: random.Random) -> None:
        self._clock = clock
        self._knobs = knobs
        self._rng = rng
        self._asked: deque[datetime] = deque()

    def pace(self) -> None:
        """Raise ThrottlingException for one DescribeEndpoint more than a second allows."""
        now, limit = self._clock.now(), self._knobs.describe_limit_per_second
        while self._asked and self._asked[0] <= now - _SECOND:
            self._asked.popleft()
        if limit is not None and len(self._asked) >= limit:
            raise ThrottlingException
        self._asked.append(now)

    def describe(self, endpoint: Endpoint) -> Description:
        now = self._clock.now()
        look = endpoint.history.frozen(now)
        if not look and self._rng.random() < self._knobs.stale_read_probability:
            look = endpoint.history.as_of(now - timedelta(seconds=self._knobs.stale_read_seconds))
        return look or describe(endpoint)

    def summaries(self, endpoints: Iterable[Endpoint], gone: Iterable[Endpoint]) -> list[dict[str, Any]]:
        if not self._knobs.list_lag_seconds:
            return [summarize(endpoint) for endpoint in endpoints]
        then = self._clock.now() - timedelta(seconds=self._knobs.list_lag_seconds)
        looks = [endpoint.history.as_of(then) for endpoint in (*endpoints, *gone)]
        return [{name: look[name] for name in SUMMARY_FIELDS} for look in looks if look]
