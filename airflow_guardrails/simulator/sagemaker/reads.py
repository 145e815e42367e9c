"""Reads of endpoints, which lag or are throttled if the knobs say so."""

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
    """What DescribeEndpoint and ListEndpoints return. Each lags by its own knobs."""

    def __init__(self, *, clock: Clock, knobs: Knobs, rng: random.Random) -> None:
        self._clock = clock
        self._knobs = knobs
        self._rng = rng
        self._recent_calls: deque[datetime] = deque()

    def throttle(self) -> None:
        """Count a DescribeEndpoint; raise ThrottlingException if there are too many in a second."""
        now, limit = self._clock.now(), self._knobs.describe_limit_per_second
        # A sliding window of one simulated second.
        while self._recent_calls and self._recent_calls[0] <= now - _SECOND:
            self._recent_calls.popleft()
        # AWS publishes no rate. Its Python SDK polls every 30 seconds, because 5 caused throttling.
        if limit is not None and len(self._recent_calls) >= limit:
            raise ThrottlingException
        self._recent_calls.append(now)

    def describe(self, endpoint: Endpoint) -> Description:
        """Return the response of DescribeEndpoint, possibly an older one."""
        description = stale_description(
            endpoint.history,
            now=self._clock.now(),
            rng=self._rng,
            probability=self._knobs.stale_read_probability,
            seconds=self._knobs.stale_read_seconds,
        )
        return description or describe(endpoint)

    def summaries(self, endpoints: Iterable[Endpoint], deleted: Iterable[Endpoint]) -> list[dict[str, Any]]:
        """Return the rows of ListEndpoints, as of ``list_lag_seconds`` ago. *deleted* may still be listed."""
        if not self._knobs.list_lag_seconds:
            return [summarize(endpoint) for endpoint in endpoints]
        when = self._clock.now() - timedelta(seconds=self._knobs.list_lag_seconds)
        return rows_as_of([endpoint.history for endpoint in (*endpoints, *deleted)], when, SUMMARY_FIELDS)


def stale_description(
    history: History, *, now: datetime, rng: random.Random, probability: float, seconds: float
) -> Description | None:
    """
    Return what a lagging read returns, or None if this read does not lag.

    A frozen description always lags. Otherwise the read is *seconds* old, with *probability*.
    """
    # The lag after a change is certain; other stale reads are drawn at random.
    description = history.frozen(now)
    if not description and rng.random() < probability:
        description = history.as_of(now - timedelta(seconds=seconds))
    return description


def rows_as_of(histories: Iterable[History], when: datetime, fields: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of a list as they were at *when*, with *fields* as far as they were present."""
    descriptions = [history.as_of(when) for history in histories]
    return [
        {name: description[name] for name in fields if name in description}
        for description in descriptions
        if description
    ]
