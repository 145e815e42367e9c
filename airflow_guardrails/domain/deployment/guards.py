"""
Guards: alarms that a DAG declares, and that are made for one rollout.

A guard says what must not happen; it names no alarm. The alarm can be made only for a rollout, because what
tells the new fleet from the old one in CloudWatch is the name of the new configuration.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from airflow_guardrails.domain.arguments import is_number, shown
from airflow_guardrails.domain.constructors import names_arguments
from airflow_guardrails.domain.deployment.metric_units import REQUESTS, unit_of, value_in_words
from airflow_guardrails.domain.errors import InvalidGuard
from airflow_guardrails.domain.text import duration_in_words

On = Literal["new", "both"]
Status = Literal["5xx", "4xx", "model"]
Missing = Literal["notBreaching", "breaching", "missing", "ignore"]

# SageMaker publishes its metrics by the minute, so no period can be shorter, and none lets a guard go off
# sooner.
PERIOD = timedelta(minutes=1)
# PutMetricAlarm: a day for all periods together, if they are shorter than an hour.
_MOST_PERIODS = 1440
# SageMaker ends a request after 60 s, and a stream after 8 min.
_LONGEST_LATENCY = timedelta(minutes=8)

_SAGEMAKER = frozenset({REQUESTS, "/aws/sagemaker/Endpoints"})
_ERROR_METRICS = {
    "5xx": "Invocation5XXErrors",
    "4xx": "Invocation4XXErrors",
    "model": "InvocationModelErrors",
}
_WHOSE = {"new": " of the new fleet", "both": " of both fleets"}
_SIMPLE_STATISTICS = frozenset({"SampleCount", "Average", "Sum", "Minimum", "Maximum"})
_EXTENDED_STATISTIC = re.compile(r"(p|tm|tc|ts|wm)\d{1,3}(\.\d{1,10})?|IQM|(PR|TM|TC|TS|WM)\([^()]{1,60}\)")
# The Id of the expression in the alarm, which none of its metrics may have.
RESULT_ID = "guard_result"
# The pattern of an Id in a metric query. Functions of metric math are in capitals.
_ID = re.compile(rf"(?!{RESULT_ID}$)[a-z][a-zA-Z0-9_]*")
_IDS = re.compile(r"(?<![\w.])[a-z]\w*")


class _Guard(ABC):
    """What every guard has."""

    __slots__ = ()

    @property
    @abstractmethod
    def alarm(self) -> Alarm:
        """The guard as the alarm that is made of it."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """What it watches, without the fleet: ``5xx errors``."""

    @property
    def label(self) -> str:
        """The subject in letters, digits and hyphens, for the name of its alarm."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.subject).strip("-")[:60].strip("-") or "metric"

    @property
    def unit(self) -> str | None:
        """The unit of its values, see :func:`unit_of`."""
        return unit_of(self.alarm.namespace, self.alarm.metric, self.alarm.stat)

    def watches(self, variant: str | None = None) -> str:
        """Return what it watches: ``5xx errors of the new fleet``; *variant* if there are several."""
        named = f" of variant {variant}" if variant else ""
        return f"{self.subject}{named}{_WHOSE.get(self.alarm.on or '', '')}"

    def condition(self) -> str:
        """Return when it goes off: ``> 1 %, 1 min``."""
        alarm, minute = self.alarm, duration_in_words(PERIOD)
        lasting = minute if alarm.periods == 1 else f"{alarm.periods} x {minute}"
        return f"{alarm.sign} {value_in_words(alarm.threshold, self.unit)}, {lasting}"

    def describe(self, variant: str | None = None) -> str:
        """Return the guard in one line: ``5xx errors of the new fleet > 1 %, 1 min``."""
        return f"{self.watches(variant)} {self.condition()}"

    def __str__(self) -> str:
        return self.describe()


@names_arguments(InvalidGuard)
@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate(_Guard):
    """
    Roll back if more than a share of the requests fail.

    :param above: share of the requests, above 0 and below 1: 0.01 is 1 %.
    :param status: which requests have failed: ``"5xx"`` (default), ``"4xx"``, or ``"model"``, which counts
        every answer of the container that is no 2xx, and its time-outs.
    :param on: ``"new"`` (default) watches the new fleet alone, ``"both"`` the variant as clients see it.
    :param periods: for how many minutes in a row, 1 by default.
    :raises InvalidGuard: if a value breaks its rule.
    """

    above: float
    status: str = "5xx"
    on: str = "new"
    periods: int = 1

    def __post_init__(self) -> None:
        if not is_number(self.above) or not 0 < self.above < 1:
            raise _invalid(self, "above", "a share above 0 and below 1: write 1 % as 0.01", self.above)
        _check_choice(self, "status", Status)
        _check_choice(self, "on", On)
        _check_periods(self)

    @property
    def subject(self) -> str:
        """``5xx errors``."""
        return f"{self.status} errors"

    @property
    def alarm(self) -> Alarm:
        """The guard as an alarm: each request counts 0 or 1, so the average is the share."""
        metric = _ERROR_METRICS[self.status]
        return Alarm(metric=metric, stat="Average", above=self.above, on=self.on, periods=self.periods)


@names_arguments(InvalidGuard)
@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(_Guard):
    """
    Roll back if the model answers too slowly (ModelLatency: the container and the way to it).

    :param above: the longest time that is accepted, up to 8 minutes.
    :param percentile: of the requests of a minute, above 0 and below 100; 99 by default: the slowest request
        in a hundred.
    :param on: ``"new"`` (default) watches the new fleet alone, ``"both"`` the variant as clients see it.
    :param periods: for how many minutes in a row, 1 by default.
    :raises InvalidGuard: if a value breaks its rule.
    """

    above: timedelta
    percentile: float = 99
    on: str = "new"
    periods: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.above, timedelta) or not timedelta(0) < self.above <= _LONGEST_LATENCY:
            rule = (
                "a timedelta above 0 and at most 8 min, for example timedelta(milliseconds=250), or in a "
                'dict {"milliseconds": 250}'
            )
            raise _invalid(self, "above", rule, self.above)
        if not is_number(self.percentile) or not 0 < self.percentile < 100:  # noqa: PLR2004 - percent
            raise _invalid(self, "percentile", "above 0 and below 100", self.percentile)
        _check_choice(self, "on", On)
        _check_periods(self)

    @property
    def subject(self) -> str:
        """``p99 latency``."""
        return f"p{self.percentile:g} latency"

    @property
    def alarm(self) -> Alarm:
        """The guard as an alarm: SageMaker publishes latencies in microseconds."""
        microseconds = self.above / timedelta(microseconds=1)
        stat = f"p{self.percentile:g}"
        return Alarm(metric="ModelLatency", stat=stat, above=microseconds, on=self.on, periods=self.periods)


@names_arguments(InvalidGuard)
@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """
    A metric in the expression of an :class:`Alarm`.

    :param metric: its name.
    :param stat: its statistic in CloudWatch's words: ``Average``, ``Sum``, ``p99``.
    :param namespace: its namespace; default: that of SageMaker's metrics of requests.
    :param dimensions: all of its dimensions; default: those of ``on`` of the alarm.
    :raises InvalidGuard: if a value breaks its rule.
    """

    metric: str
    stat: str
    namespace: str = REQUESTS
    dimensions: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        _check_metric(self)


@names_arguments(InvalidGuard)
@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(_Guard):
    """
    Roll back if a CloudWatch metric, or an expression over several, is above or below a threshold.

    Give *metric* and *stat*, or *expression* and *metrics*; and one of *above* and *below*.

    :param metric: name of the metric.
    :param stat: its statistic in CloudWatch's words: ``Average``, ``Sum``, ``p99``.
    :param namespace: its namespace; default: that of SageMaker's metrics of requests, ``AWS/SageMaker``.
    :param above: goes off above this value, in the metric's unit: latencies of SageMaker are in microseconds.
    :param below: goes off below this value.
    :param on: ``"new"`` (default) watches the new fleet alone, ``"both"`` the variant as clients see it. Only
        for metrics of SageMaker, because only they have these dimensions.
    :param dimensions: all dimensions of the metric, instead of *on*; required for a metric that is not
        SageMaker's; may be empty.
    :param periods: for how many minutes in a row, 1 by default.
    :param missing: what a minute without data counts as, in CloudWatch's words: ``"notBreaching"`` (default),
        ``"breaching"``, ``"missing"`` or ``"ignore"``.
    :param expression: CloudWatch metric math over the keys of *metrics*: ``"errors / requests"``.
    :param metrics: name in the expression -> :class:`Metric`, or a dict of its arguments. A name begins with
        a lower-case letter.
    :raises InvalidGuard: if a value breaks its rule.
    """

    metric: str | None = None
    stat: str | None = None
    namespace: str = REQUESTS
    above: float | None = None
    below: float | None = None
    on: str | None = None
    dimensions: Mapping[str, str] | None = None
    periods: int = 1
    missing: str = "notBreaching"
    expression: str | None = None
    metrics: Mapping[str, Metric] | None = None

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise InvalidGuard("Alarm must have one of above and below", field="above")
        name = "below" if self.above is None else "above"
        if not is_number(getattr(self, name)):
            raise _invalid(self, name, "a number", getattr(self, name))
        if self.expression is None:
            self._check_one_metric()
        else:
            self._check_expression()
        self._settle_on()
        _check_periods(self)
        _check_choice(self, "missing", Missing)
        if self.missing == "breaching" and self.on == "new":
            rule = 'another value with on="new", because the new fleet has no data before it gets requests'
            raise _invalid(self, "missing", rule, self.missing)

    def _check_one_metric(self) -> None:
        if self.metrics is not None:
            raise InvalidGuard("Alarm.metrics must be left out without expression", field="metrics")
        _check_metric(self)

    def _check_expression(self) -> None:
        given = [name for name in ("metric", "stat", "dimensions") if getattr(self, name) is not None]
        if given or self.namespace != REQUESTS:
            name = given[0] if given else "namespace"
            rule = "left out with expression: give it for each of the metrics"
            raise _invalid(self, name, rule, getattr(self, name))
        if not isinstance(self.expression, str) or not 1 <= len(self.expression) <= 1024:  # noqa: PLR2004 - API
            raise _invalid(self, "expression", "text of 1 to 1024 characters", self.expression)
        if not isinstance(self.metrics, Mapping) or not self.metrics:
            raise _invalid(self, "metrics", "a dict of names and metrics", self.metrics)
        metrics = {name: _as_metric(name, value) for name, value in self.metrics.items()}
        used = set(_IDS.findall(self.expression))
        if used != set(metrics):
            rule = f"the names in the expression, {', '.join(sorted(used)) or 'which has none'}"
            raise _invalid(self, "metrics", rule, sorted(metrics))
        # A frozen value has no other way to keep what a dict stands for.
        object.__setattr__(self, "metrics", metrics)

    def _settle_on(self) -> None:
        if all(dimensions is not None for dimensions in self._all_dimensions()):
            if self.on is not None:
                raise _invalid(self, "on", "left out with dimensions", self.on)
            return
        object.__setattr__(self, "on", "new" if self.on is None else self.on)
        _check_choice(self, "on", On)

    def _all_dimensions(self) -> Sequence[Mapping[str, str] | None]:
        return [metric.dimensions for metric in self.operands.values()]

    @property
    def operands(self) -> Mapping[str, Metric]:
        """The metrics by their names in the expression; a metric without an expression is ``metric``."""
        if self.metrics is not None:
            return self.metrics
        assert self.metric is not None
        assert self.stat is not None
        one = Metric(metric=self.metric, stat=self.stat, namespace=self.namespace, dimensions=self.dimensions)
        return {"metric": one}

    @property
    def alarm(self) -> Alarm:
        """The guard itself."""
        return self

    @property
    def subject(self) -> str:
        """The metric and its statistic, or the expression."""
        return self.expression or f"{self.metric} {self.stat}"

    @property
    def threshold(self) -> float:
        """The value that it is compared with."""
        threshold = self.below if self.above is None else self.above
        assert threshold is not None
        return float(threshold)

    @property
    def sign(self) -> str:
        """``>`` or ``<``."""
        return "<" if self.above is None else ">"


Guard = ErrorRate | Latency | Alarm


def _as_metric(name: object, value: object) -> Metric:
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise InvalidGuard(
            "Alarm.metrics must have names of letters, digits and _, beginning with a lower-case letter "
            f"(got {shown(name)})",
            field="metrics",
        )
    if isinstance(value, Metric):
        return value
    if not isinstance(value, Mapping):
        raise InvalidGuard(
            f"Alarm.metrics[{name!r}] must be a Metric or a dict of its arguments (got {shown(value)})",
            field="metrics",
        )
    try:
        return Metric(**value)
    except InvalidGuard as error:
        raise InvalidGuard(f"Alarm.metrics[{name!r}]: {error}", field="metrics") from error


def _check_metric(metric: Metric | Alarm) -> None:
    for name in ("metric", "namespace"):
        text = getattr(metric, name)
        if not isinstance(text, str) or not text.strip() or len(text) > 255 or not text.isprintable():  # noqa: PLR2004 - API
            raise _invalid(metric, name, "text of 1 to 255 characters", text)
    stat = metric.stat
    if not isinstance(stat, str) or not (stat in _SIMPLE_STATISTICS or _EXTENDED_STATISTIC.fullmatch(stat)):
        rule = "a statistic of CloudWatch, such as Average, Sum or p99"
        raise _invalid(metric, "stat", rule, stat)
    dimensions = metric.dimensions
    if dimensions is None and metric.namespace not in _SAGEMAKER:
        rule = "given for a metric that is not SageMaker's ({} for one without dimensions)"
        raise _invalid(metric, "dimensions", rule, dimensions)
    if dimensions is not None and not (isinstance(dimensions, Mapping) and _are_texts(dimensions)):
        raise _invalid(metric, "dimensions", "a dict of texts", dimensions)


def _are_texts(dimensions: Mapping[Any, Any]) -> bool:
    return all(isinstance(text, str) and text.strip() for pair in dimensions.items() for text in pair)


def _check_periods(guard: Any) -> None:
    periods = guard.periods
    if isinstance(periods, bool) or not isinstance(periods, int) or not 1 <= periods <= _MOST_PERIODS:
        raise _invalid(guard, "periods", f"a whole number of minutes from 1 to {_MOST_PERIODS}", periods)


def _check_choice(guard: Any, name: str, choices: Any) -> None:
    known, value = choices.__args__, getattr(guard, name)
    if value not in known:
        raise _invalid(guard, name, f"one of {', '.join(map(repr, known))}", value)


def _invalid(guard: object, name: str, rule: str, value: object) -> InvalidGuard:
    return InvalidGuard(f"{type(guard).__name__}.{name} must be {rule} (got {shown(value)})", field=name)
