"""The evidence of a trial, and its minutes in which both sides can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from math import inf, isfinite

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.overdispersion import MinuteCounts
from airflow_guardrails.domain.snapshots.metrics import Points, is_kept_by_minute

# How much of production's history is used.
MAX_HISTORY = timedelta(hours=6)

_MINUTE = timedelta(minutes=1)

# Requests that must lie beyond a percentile. The percentile of few requests is biased. The bias is the same
# on both sides if their counts differ by at most 10 %.
_BEYOND_IF_SIMILAR, _BEYOND_IF_DIFFERENT = 1, 5
_SIMILAR = 0.1


class InvalidEvidence(GuardrailsValueError):
    """The evidence contradicts itself: infinite values, negative requests, an impossible share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    One metric of both sides, minute -> value. A minute without data has no key.

    :raises InvalidEvidence: if a value is infinite or NaN.
    """

    control: Points = field(default_factory=dict)
    candidate: Points = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = (*self.control.values(), *self.candidate.values())
        # NaN makes every comparison false, so it would go unnoticed until the verdict.
        odd = next((value for value in values if not isfinite(value)), None)
        if odd is not None:
            raise InvalidEvidence(f"a series must consist of finite numbers (got {odd!r})")

    def per(self, denominator: Series) -> Series:
        """Return the ratio in each minute in which both have a value and *denominator* is above 0."""
        return Series(
            control=_ratio(self.control, denominator.control),
            candidate=_ratio(self.candidate, denominator.candidate),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowRequests:
    """
    How many requests were slower than a limit.

    :param counts: minute -> number of requests.
    :param control_limit: production's limit, in the metric's unit.
    :param candidate_limit: the candidate's: production's and the margin.
    """

    counts: Series
    control_limit: float
    candidate_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    What production did before the trial, minute by minute.

    Nothing in it is compared with the candidate. It shows whether events come in bursts, and whether the
    metric has slow waves; a trial alone takes longer to show these.

    :param requests: minute -> requests of production.
    :param metrics: minute -> value, for each rule and denominator; one without history may be absent.
    """

    requests: Points = field(default_factory=dict)
    metrics: Mapping[MetricRule, Points] = field(default_factory=dict)

    @classmethod
    def before(cls, start: datetime, requests: Points, metrics: Mapping[MetricRule, Points]) -> History:
        """Keep the minutes that ended by *start* and are not older than :data:`MAX_HISTORY`."""

        def past(points: Points) -> Points:
            first, last = start - MAX_HISTORY, start - _MINUTE
            return {moment: value for moment, value in points.items() if first <= moment <= last}

        kept = {rule: past(points) for rule, points in metrics.items()}
        return cls(requests=past(requests), metrics={rule: points for rule, points in kept.items() if points})


def history_start(start: datetime, now: datetime) -> datetime:
    """
    Return the time from which metrics are read: :data:`MAX_HISTORY` before *start*, or *start* itself.

    It is *start* if CloudWatch has already deleted minutes of the history (it keeps minutes for 15 days). A
    request that begins before the data it has may return no data at all.
    """
    before = start - MAX_HISTORY
    return before if is_kept_by_minute(before, now) else start


# Without slots, so that busy_minutes can be kept: every rule asks for them.
@dataclass(frozen=True, kw_only=True)
class Evidence:
    """
    Everything that is known about a trial.

    :param requests: minute -> requests.
    :param metrics: minute -> value, for each rule and denominator; one without data may be absent.
    :param expected_share: the candidate's expected requests for each of production's, above 0.
    :param minutes: duration of the trial; default: from the first to the last minute in *requests*.
    :param paired: True if the candidate got copies of production's requests (shadow test), False if requests
        were divided between the sides (canary).
    :param history: what production did before the trial.
    :param slow: for rules of high percentiles, the counts of slow requests; a rule without may be absent.
    :raises InvalidEvidence: if *expected_share* or a number of requests is out of range.
    """

    requests: Series
    metrics: Mapping[MetricRule, Series] = field(default_factory=dict)
    expected_share: float = 1.0
    minutes: int | None = None
    paired: bool = True
    history: History = field(default_factory=History)
    slow: Mapping[MetricRule, SlowRequests] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.expected_share, bool) or not 0 < self.expected_share < inf:
            raise InvalidEvidence(
                f"expected_share must be above 0: the candidate's requests for each of production's "
                f"(got {self.expected_share!r})"
            )
        # A shadow variant gets a sample of production's requests, never more than all of them.
        if self.paired and self.expected_share > 1:
            raise InvalidEvidence(
                f"expected_share must be at most 1 for copies of requests (got {self.expected_share!r})"
            )
        if any(
            count < 0 for side in (self.requests.control, self.requests.candidate) for count in side.values()
        ):
            raise InvalidEvidence("requests must not be negative")

    @property
    def minutes_run(self) -> int:
        """Duration of the trial in minutes, at least 1."""
        if self.minutes is not None:
            return max(self.minutes, 1)
        moments = [*self.requests.control, *self.requests.candidate]
        return int((max(moments) - min(moments)).total_seconds() // 60) + 1 if moments else 1

    @cached_property
    def busy_minutes(self) -> list[datetime]:
        """The minutes in which both sides had requests, in ascending order."""
        control, candidate = self.requests.control, self.requests.candidate
        return sorted(
            moment for moment, count in control.items() if count > 0 and candidate.get(moment, 0) > 0
        )

    def minutes_of(self, rule: MetricRule) -> list[datetime]:
        """Return the busy minutes in which *rule* should have data: its denominator is not 0 on any side."""
        if rule.denominator is None:
            return self.busy_minutes
        denominator = self.metrics.get(rule.denominator, Series())
        sides = denominator.control, denominator.candidate
        return [moment for moment in self.busy_minutes if all(side.get(moment) != 0 for side in sides)]

    def series_of(self, rule: MetricRule) -> Series:
        """Return the values of *rule*; if it has a denominator, the ratios."""
        series = self.metrics.get(rule, Series())
        if rule.denominator is None:
            return series
        return series.per(self.metrics.get(rule.denominator, Series()))

    def without_warm_up(self, warm_up: timedelta) -> Evidence:
        """Drop all minutes up to *warm_up* after the candidate's first request; the history stays."""
        served = [moment for moment, count in self.requests.candidate.items() if count > 0]
        # Without any request of the candidate there is nothing to warm up.
        if not served or not warm_up:
            return self
        return self.since(min(served) + warm_up)

    def renamed(self, rule: MetricRule, new: MetricRule) -> Evidence:
        """Return the evidence in which the data of *rule* are those of *new*."""
        past = self.history.metrics
        return replace(
            self,
            metrics={**self.metrics, new: self.metrics.get(rule, Series())},
            history=replace(self.history, metrics={**past, new: past.get(rule, {})}),
        )

    def since(self, begin: datetime) -> Evidence:
        """Drop all minutes before *begin*; the history stays."""
        first = min((*self.requests.control, *self.requests.candidate, begin))
        dropped = int((begin - first).total_seconds() // 60)
        return replace(
            self,
            requests=_since(self.requests, begin),
            metrics={rule: _since(series, begin) for rule, series in self.metrics.items()},
            slow={rule: replace(slow, counts=_since(slow.counts, begin)) for rule, slow in self.slow.items()},
            minutes=None if self.minutes is None else max(self.minutes - dropped, 1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """
    The minutes of one metric that have data on both sides: values and requests, one item a minute.

    :param history: production's values before the trial.
    :param history_requests: production's requests in the same minutes.
    :param control_denominators: what the values were divided by; empty for other rules than ratios.
    :param candidate_denominators: the same.
    """

    control: list[float]
    candidate: list[float]
    control_requests: list[float]
    candidate_requests: list[float]
    history: list[float] = field(default_factory=list)
    history_requests: list[float] = field(default_factory=list)
    control_denominators: list[float] = field(default_factory=list)
    candidate_denominators: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.control)

    @property
    def least_requests(self) -> float:
        """Requests of the side that had fewer."""
        return min(sum(self.control_requests), sum(self.candidate_requests))

    def weights(self, first: int = 0, last: int | None = None) -> list[float]:
        """
        Return a weight for each minute: the fourth root of n m / (n + m).

        n and m are the requests of the sides, or the denominators of a ratio. The square root would be right
        if a minute's variance came from its requests alone, a constant if it came from what they share. The
        fourth root is between the two.

        :param first: the first minute, and *last* the first that is left out; default: all.
        """
        both = zip(
            (self.control_denominators or self.control_requests)[first:last],
            (self.candidate_denominators or self.candidate_requests)[first:last],
            strict=True,
        )
        return [(one * other / (one + other)) ** 0.25 for one, other in both]

    def counts(self, *, as_rate: bool) -> list[MinuteCounts]:
        """Return events and requests of each minute; *as_rate* if the values are shares of the requests."""
        rows = zip(self.control, self.candidate, self.control_requests, self.candidate_requests, strict=True)
        return [
            MinuteCounts(
                control=control * (requests if as_rate else 1),
                candidate=candidate * (served if as_rate else 1),
                control_requests=requests,
                candidate_requests=served,
            )
            for control, candidate, requests, served in rows
        ]


def pairs_of(evidence: Evidence, rule: MetricRule) -> Pairs:
    """Return the minutes by which *rule* can be judged; a percentile needs enough requests in a minute."""
    series, requests, quantile = evidence.series_of(rule), evidence.requests, rule.quantile
    moments = [
        moment
        for moment in evidence.busy_minutes
        if moment in series.control
        and moment in series.candidate
        and is_comparable(quantile, requests.control[moment], requests.candidate[moment])
    ]
    denominator = evidence.metrics[rule.denominator] if moments and rule.denominator else None
    history, history_requests = history_of(evidence.history, rule)
    return Pairs(
        control=[series.control[moment] for moment in moments],
        candidate=[series.candidate[moment] for moment in moments],
        control_requests=[requests.control[moment] for moment in moments],
        candidate_requests=[requests.candidate[moment] for moment in moments],
        history=history,
        history_requests=history_requests,
        control_denominators=[denominator.control[moment] for moment in moments] if denominator else [],
        candidate_denominators=[denominator.candidate[moment] for moment in moments] if denominator else [],
    )


def history_of(history: History, rule: MetricRule) -> tuple[list[float], list[float]]:
    values, quantile = history.metrics.get(rule, {}), rule.quantile
    if rule.denominator:
        values = _ratio(values, history.metrics.get(rule.denominator, {}))
    rows = [
        (values[moment], count)
        for moment, count in sorted(history.requests.items())
        if count > 0 and moment in values and is_comparable(quantile, count, count)
    ]
    return [value for value, _ in rows], [count for _, count in rows]


def is_comparable(quantile: float | None, control: float, candidate: float) -> bool:
    """
    Say whether a minute has enough requests on both sides to compare its percentile.

    :param quantile: 0 to 1; ``None`` for a mean or a sum, which can always be compared.
    """
    if quantile is None:
        return True
    needed = requests_needed(quantile, similar=is_similar(control, candidate))
    return min(control, candidate) >= needed


def is_similar(control: float, candidate: float) -> bool:
    """Say whether the sides had similar numbers of requests, so that their percentiles have the same bias."""
    return abs(control - candidate) <= _SIMILAR * max(control, candidate)


def requests_needed(quantile: float, *, similar: bool) -> float:
    """
    Return the requests that each side needs in a minute, so that its percentile can be compared.

    :param quantile: 0 to 1.
    :param similar: whether both sides have similar numbers of requests (:func:`is_similar`).
    """
    beyond = _BEYOND_IF_SIMILAR if similar else _BEYOND_IF_DIFFERENT
    return round(beyond / min(quantile, 1 - quantile), 6)


def _ratio(numerator: Points, denominator: Points) -> dict[datetime, float]:
    return {
        moment: value / denominator[moment]
        for moment, value in numerator.items()
        if denominator.get(moment, 0) > 0
    }


def _since(series: Series, begin: datetime) -> Series:
    return Series(
        control={moment: value for moment, value in series.control.items() if moment >= begin},
        candidate={moment: value for moment, value in series.candidate.items() if moment >= begin},
    )
