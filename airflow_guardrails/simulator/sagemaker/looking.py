"""What a look at endpoints answers: their present state, or an older one, as the knobs say."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.errors import ThrottlingException
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.describing import SUMMARY_FIELDS, describe, summarize
from airflow_guardrails.simulator.sagemaker.endpoints import Description, Endpoint, History

_SECOND = timedelta(seconds=1)


class ReadModel:
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
        look = older(
            endpoint.history,
            now=self._clock.now(),
            rng=self._rng,
            probability=self._knobs.stale_read_probability,
            seconds=self._knobs.stale_read_seconds,
        )
        return look or describe(endpoint)

    def summaries(self, endpoints: Iterable[Endpoint], gone: Iterable[Endpoint]) -> list[dict[str, Any]]:
        if not self._knobs.list_lag_seconds:
            return [summarize(endpoint) for endpoint in endpoints]
        then = self._clock.now() - timedelta(seconds=self._knobs.list_lag_seconds)
        return as_listed([endpoint.history for endpoint in (*endpoints, *gone)], then, SUMMARY_FIELDS)


def older(
    history: History, *, now: datetime, rng: random.Random, probability: float, seconds: float
) -> Description | None:
    """
    What a read that lags answers in place of the present: while it is frozen always that, else *seconds* ago.

    None where it does not lag.
    """
    look = history.frozen(now)
    if not look and rng.random() < probability:
        look = history.as_of(now - timedelta(seconds=seconds))
    return look


def as_listed(histories: Iterable[History], then: datetime, fields: Collection[str]) -> list[dict[str, Any]]:
    """The rows of a list that is as old as *then*, with those of *fields* that were there."""
    looks = [history.as_of(then) for history in histories]
    return [{name: look[name] for name in fields if name in look} for look in looks if look]
