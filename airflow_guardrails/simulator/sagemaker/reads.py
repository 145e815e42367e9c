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
        self._recent_calls: deque[datetime] = deque()

    def throttle(self) -> None:
        """Raise ThrottlingException for one DescribeEndpoint more than a second allows."""
        now, limit = self._clock.now(), self._knobs.describe_limit_per_second
        while self._recent_calls and self._recent_calls[0] <= now - _SECOND:
            self._recent_calls.popleft()
        if limit is not None and len(self._recent_calls) >= limit:
            raise ThrottlingException
        self._recent_calls.append(now)

    def describe(self, endpoint: Endpoint) -> Description:
        description = stale_description(
            endpoint.history,
            now=self._clock.now(),
            rng=self._rng,
            probability=self._knobs.stale_read_probability,
            seconds=self._knobs.stale_read_seconds,
        )
        return description or describe(endpoint)

    def summaries(self, endpoints: Iterable[Endpoint], deleted: Iterable[Endpoint]) -> list[dict[str, Any]]:
        if not self._knobs.list_lag_seconds:
            return [summarize(endpoint) for endpoint in endpoints]
        when = self._clock.now() - timedelta(seconds=self._knobs.list_lag_seconds)
        return rows_as_of([endpoint.history for endpoint in (*endpoints, *deleted)], when, SUMMARY_FIELDS)


def stale_description(
    history: History, *, now: datetime, rng: random.Random, probability: float, seconds: float
) -> Description | None:
    """
    What a read that lags answers in place of the present: while it is frozen always that, else *seconds* ago.

    None where it does not lag.
    """
    description = history.frozen(now)
    if not description and rng.random() < probability:
        description = history.as_of(now - timedelta(seconds=seconds))
    return description


def rows_as_of(histories: Iterable[History], when: datetime, fields: Collection[str]) -> list[dict[str, Any]]:
    """The rows of a list that is as old as *when*, with those of *fields* that were there."""
    descriptions = [history.as_of(when) for history in histories]
    return [
        {name: description[name] for name in fields if name in description}
        for description in descriptions
        if description
    ]
