"""What a judge is given, and the minutes of it in which both sides can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf, isfinite

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.autocorrelation import unquiet_hour
from airflow_guardrails.domain.judge.statistics.overdispersion import Minute
from airflow_guardrails.domain.snapshots.metrics import Points, is_kept_by_minute

# How much of production's past is worth reading: the judge learns from it how its minutes behave.
HISTORY = timedelta(hours=6)

_MINUTE = timedelta(minutes=1)

# Percentiles of few requests lie elsewhere than those of many, unless both sides have as few.
_BEYOND_ALIKE, _BEYOND_UNLIKE = 1, 5
_ALIKE = 0.1

# Minutes of so many requests, or of at most twice as many on one side, have means that are skewed alike.
_MANY, _TWICE = 100, 2


class InvalidEvidence(GuardrailsValueError):
    """What was measured contradicts what these words mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric on both sides: a value for each minute that has one."""

    control: Points
    candidate: Points

    def __post_init__(self) -> None:
        values = (*self.control.values(), *self.candidate.values())
        odd = next((value for value in values if not isfinite(value)), None)
        if odd is not None:
            raise InvalidEvidence(f"a series must consist of finite numbers (got {odd!r})")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    What production alone did before the trial, minute by minute.

    Nothing in it is compared. It tells how much minutes resemble each other, and how errors come in bursts:
    what a trial has to find out by itself else, which takes time that a bake does not have.

    :param requests: requests per minute.
    :param metrics: values per minute for each rule; a rule that is not here has none.
    """

    requests: Points = field(default_factory=dict)
    metrics: Mapping[MetricRule, Points] = field(default_factory=dict)

    @classmethod
    def before(cls, start: datetime, requests: Points, metrics: Mapping[MetricRule, Points]) -> History:
        """Take the minutes that were over at *start*, and none that is older than :data:`HISTORY`."""

        def past(points: Points) -> Points:
            first, last = start - HISTORY, start - _MINUTE
            return {moment: value for moment, value in points.items() if first <= moment <= last}

        kept = {rule: past(points) for rule, points in metrics.items()}
        return cls(requests=past(requests), metrics={rule: points for rule, points in kept.items() if points})


def history_from(start: datetime, now: datetime) -> datetime:
    """
    Say from when on series are to be read: :data:`HISTORY` before *start*, or from *start*.

    Asked for minutes from a time of which it has none any more, CloudWatch may answer with no datum at all.
    """
    before = start - HISTORY
    return before if is_kept_by_minute(before, now) else start


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What is known of a trial.

    :param requests: requests per minute.
    :param metrics: what CloudWatch has for each rule; a rule that is not here has no data.
    :param expected_share: requests that the candidate should get for each of production's.
    :param minutes: how long the trial ran; default: as far as the requests reach.
    :param paired: whether the candidate got copies of production's requests, rather than requests of its own.
    :param history: what production did in up to :data:`HISTORY` before the trial.
    """

    requests: Series
    metrics: Mapping[MetricRule, Series] = field(default_factory=dict)
    expected_share: float = 1.0
    minutes: int | None = None
    paired: bool = True
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        if isinstance(self.expected_share, bool) or not 0 < self.expected_share < inf:
            raise InvalidEvidence(
                f"expected_share must be above 0: the candidate's requests for each of production's "
                f"(got {self.expected_share!r})"
            )
        if self.paired and self.expected_share > 1:
            raise InvalidEvidence(
                f"expected_share must be at most 1 for copies of requests (got {self.expected_share!r})"
            )
        if any(
            count < 0 for side in (self.requests.control, self.requests.candidate) for count in side.values()
        ):
            raise InvalidEvidence("requests must not be negative")

    @property
    def ran(self) -> int:
        """Minutes that the trial ran, at least 1."""
        if self.minutes is not None:
            return max(self.minutes, 1)
        moments = [*self.requests.control, *self.requests.candidate]
        return int((max(moments) - min(moments)).total_seconds() // 60) + 1 if moments else 1

    def busy(self) -> list[datetime]:
        """Name the minutes in which both sides had requests."""
        control, candidate = self.requests.control, self.requests.candidate
        return sorted(
            moment for moment, count in control.items() if count > 0 and candidate.get(moment, 0) > 0
        )

    def after(self, warm_up: timedelta) -> Evidence:
        """Leave out the minutes of *warm_up* from the candidate's first request on, and all before."""
        served = [moment for moment, count in self.requests.candidate.items() if count > 0]
        if not served or not warm_up:
            return self
        begin = min(served) + warm_up
        first = min((*self.requests.control, *served))
        gone = int((begin - first).total_seconds() // 60)
        return replace(
            self,
            requests=_from(self.requests, begin),
            metrics={rule: _from(series, begin) for rule, series in self.metrics.items()},
            minutes=None if self.minutes is None else max(self.minutes - gone, 1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """
    The minutes of one metric that both sides have, and requests of each side in them.

    :param past: production's before the trial.
    """

    control: list[float]
    candidate: list[float]
    control_requests: list[float]
    candidate_requests: list[float]
    past: list[float] = field(default_factory=list)
    past_requests: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.control)

    @property
    def typical_minutes_compare(self) -> bool:
        """
        Say whether a typical minute of the candidate's may be held against one of production's.

        If some requests are far worse than the rest, the mean of few mostly looks better than that of many.
        Where the candidate has fewer, that can hide harm, which its mean still shows; where production has,
        it would look like harm.
        """
        served, others = sum(self.candidate_requests), sum(self.control_requests)
        return served <= _TWICE * others or min(served, others) >= _MANY * len(self)

    def weights(self) -> list[float]:
        """
        Scale minutes by the fourth root of n m / (n + m), on average to 1.

        The square root would make minutes vary alike if they did so by their requests alone, and 1 if they
        did by what all requests of a minute share; both are so in part.
        """
        both = zip(self.control_requests, self.candidate_requests, strict=True)
        raw = [(one * other / (one + other)) ** 0.25 for one, other in both]
        mean = sum(raw) / len(raw)
        return [weight / mean for weight in raw]

    def minutes(self, *, as_rate: bool) -> list[Minute]:
        """Count events; *as_rate*: what is given is their share of the requests."""
        rows = zip(self.control, self.candidate, self.control_requests, self.candidate_requests, strict=True)
        return [
            Minute(
                control=control * (requests if as_rate else 1),
                candidate=candidate * (served if as_rate else 1),
                control_requests=requests,
                candidate_requests=served,
            )
            for control, candidate, requests, served in rows
        ]


def pairs_of(evidence: Evidence, rule: MetricRule) -> Pairs:
    """Take the minutes that *rule* can be judged by."""
    series = evidence.metrics.get(rule)
    requests, quantile = evidence.requests, rule.quantile
    moments = (
        []
        if series is None
        else [
            moment
            for moment in evidence.busy()
            if moment in series.control
            and moment in series.candidate
            and enough_for(quantile, requests.control[moment], requests.candidate[moment])
        ]
    )
    past, past_requests = _past_of(evidence.history, rule)
    return Pairs(
        control=[series.control[moment] for moment in moments] if series else [],
        candidate=[series.candidate[moment] for moment in moments] if series else [],
        control_requests=[requests.control[moment] for moment in moments],
        candidate_requests=[requests.candidate[moment] for moment in moments],
        past=past,
        past_requests=past_requests,
    )


def _past_of(history: History, rule: MetricRule) -> tuple[list[float], list[float]]:
    values, quantile = history.metrics.get(rule, {}), rule.quantile
    rows = [
        (values[moment], count)
        for moment, count in sorted(history.requests.items())
        if count > 0 and moment in values and enough_for(quantile, count, count)
    ]
    if not rule.counted:
        first, last = unquiet_hour([value for value, _ in rows])
        rows = rows[:first] + rows[last:]
    return [value for value, _ in rows], [count for _, count in rows]


def enough_for(quantile: float | None, control: float, candidate: float) -> bool:
    """Say whether a minute's percentile can be compared: enough requests lie beyond it."""
    if quantile is None:
        return True
    needed = requests_needed(quantile, alike=alike(control, candidate))
    return min(control, candidate) >= needed


def alike(control: float, candidate: float) -> bool:
    """Say whether both sides had about as many requests, so that their percentiles are off by the same."""
    return abs(control - candidate) <= _ALIKE * max(control, candidate)


def requests_needed(quantile: float, *, alike: bool) -> float:
    """Requests per minute and side that a percentile takes, where both sides have *alike* many or not."""
    beyond = _BEYOND_ALIKE if alike else _BEYOND_UNLIKE
    return round(beyond / min(quantile, 1 - quantile), 6)


def _from(series: Series, begin: datetime) -> Series:
    return Series(
        control={moment: value for moment, value in series.control.items() if moment >= begin},
        candidate={moment: value for moment, value in series.candidate.items() if moment >= begin},
    )
