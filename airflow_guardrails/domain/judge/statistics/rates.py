"""
How much more often something happens on one side than on the other, with an interval that holds at every
look.

An event falls on the candidate with the chance that its share of the requests gives it, if both sides are
alike, however often events happen, and however that changes from minute to minute. A bet on a larger share
that can only win by chance then is an e-process: it reaches one over alpha with a chance of alpha at most,
over all looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log

from airflow_guardrails.domain.judge.statistics.means import Interval
from airflow_guardrails.domain.judge.statistics.overdispersion import Minute

# How many times as often events happen on the candidate's side, and in which parts is bet on that. Never once
# on production's side is the case of a model that fails where none failed before.
_TIMES = (1.02, 1.1, 1.3, 1.6, 2.2, 3.5, 8.0)
_PARTS = (0.04, 0.08, 0.1, 0.1, 0.12, 0.1, 0.06)

# Parts of the stake on "never", where production has had no event for hours, or where nobody knows, and where
# it has had some.
NEVER, NEVER_AGAIN = 0.4, 0.1

_HALVINGS = 60
_FAR = 1e6


def difference_interval(
    minutes: Sequence[Minute], *, burst: float, never: float, alpha_low: float, alpha_high: float
) -> Interval:
    """
    Bound how much larger the candidate's rate is: events for each request.

    :param minutes: those in which both sides had requests.
    :param burst: how many events come as one, at least 1.
    :param never: part of the stake on events that one side never has: :data:`NEVER`, :data:`NEVER_AGAIN`.
    :param alpha_low: the chance that the low end is ever above the truth, above 0 and below 1.
    :param alpha_high: the chance that the high end is ever below it.
    """
    more, less = (_bets(minutes, grid(never, more=more), ratio=1.0) for more in (True, False))
    control, candidate = rates(minutes)
    # A request has one error at most; of other events it may have many.
    reach = 1.0 if max(control, candidate) <= 1 else 10 * (control + candidate)
    low = _crossing(lambda at: _wealth(more, at, burst) < -log(alpha_low), -reach, reach)
    high = _crossing(lambda at: _wealth(less, at, burst) >= -log(alpha_high), -reach, reach)
    measured = candidate - control
    return Interval(measured=measured, low=min(low, measured), high=max(high, measured))


def ratio_of_rates_interval(
    minutes: Sequence[Minute], *, burst: float, never: float, alpha_low: float, alpha_high: float
) -> Interval:
    """Bound how many times as large the candidate's rate is; as :func:`difference_interval`."""

    def wealth(at: float, *, more: bool) -> float:
        return _wealth(_bets(minutes, grid(never, more=more), ratio=exp(at)), 0.0, burst)

    far = log(_FAR)
    low = exp(_crossing(lambda at: wealth(at, more=True) < -log(alpha_low), -far, far))
    high = exp(_crossing(lambda at: wealth(at, more=False) >= -log(alpha_high), -far, far))
    control, candidate = rates(minutes)
    measured = candidate / control if control > 0 else (inf if candidate > 0 else 1.0)
    low, high = (low if low > 1 / _FAR * 2 else 0.0), (high if high < _FAR / 2 else inf)
    return Interval(measured=measured, low=min(low, measured), high=max(high, measured))


def requests_without_events(difference: float, *, share: float, alpha: float) -> int:
    """
    Say how many requests of the candidate's show that its rate is less than *difference* above production's,
    if nothing happens on either side: no series takes fewer.

    :param difference: above 0.
    :param share: requests of the candidate for each of production's.
    :param alpha: the chance that it is ever wrong.
    """
    one = Minute(control=0, candidate=0, control_requests=1 / share, candidate_requests=1)
    bets = _bets([one], grid(NEVER, more=False), ratio=1.0)
    return ceil(_crossing(lambda at: _wealth(bets, at, 1.0) >= -log(alpha), 0.0, _FAR) / difference)


def rates(minutes: Sequence[Minute]) -> tuple[float, float]:
    """Give both sides' events for each request, production's first."""
    control = sum(minute.control for minute in minutes) / sum(minute.control_requests for minute in minutes)
    candidate = sum(minute.candidate for minute in minutes)
    return control, candidate / sum(minute.candidate_requests for minute in minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bet:
    """The logarithm of what one bet has won, as a straight line over the difference it is made against."""

    weight: float
    won: float
    slope: float


def grid(never: float, *, more: bool) -> list[tuple[float, float]]:
    """List the bets: how many times as often, and which part of the stake is on it."""
    whole = sum(_PARTS) / (1 - never)
    often = [(times if more else 1 / times, part / whole) for times, part in zip(_TIMES, _PARTS, strict=True)]
    return [*often, (inf if more else 0.0, never)]


def _bets(minutes: Sequence[Minute], grid: Sequence[tuple[float, float]], *, ratio: float) -> list[_Bet]:
    groups = _by_share(minutes)
    return [_bet(groups, more, weight, ratio=ratio) for more, weight in grid]


def _by_share(minutes: Sequence[Minute]) -> list[Minute]:
    """Put together the minutes in which requests were divided alike: a bet is the same on them."""
    groups: dict[float, list[Minute]] = {}
    for minute in minutes:
        groups.setdefault(minute.candidate_requests / minute.control_requests, []).append(minute)
    return [
        Minute(
            control=sum(minute.control for minute in group),
            candidate=sum(minute.candidate for minute in group),
            control_requests=sum(minute.control_requests for minute in group),
            candidate_requests=sum(minute.candidate_requests for minute in group),
        )
        for group in groups.values()
    ]


def _bet(minutes: Sequence[Minute], more: float, weight: float, *, ratio: float) -> _Bet:
    """
    Bet that events are *more* times as frequent on the candidate's side as *ratio* times production's rate.

    With y requests of the candidate for each x of production's, and c and b events, a stake s in (-1, x / y)
    makes (1 + s)^c (1 - s y / x)^b exp(-s y d), which has a mean of at most 1 if events are Poisson's, or of
    0 and 1, and the candidate's rate is at most production's plus d (for s < 0: at least). For d = 0 it is
    the likelihood ratio of the split of c + b, given their total: Lindon and Malek, "Anytime-valid inference
    for multinomial count data", NeurIPS 2022, on inhomogeneous Poisson processes. The mixture over s is
    theirs and Robbins's, "Statistical methods related to the law of the iterated logarithm", Annals of
    Mathematical Statistics 41, 1970.
    """
    won, slope = 0.0, 0.0
    for minute in minutes:
        share = ratio * minute.candidate_requests / minute.control_requests
        stake = 1 / share if more == inf else (more - 1) / (1 + more * share)
        won += minute.candidate * _log(1 + stake) + minute.control * _log(1 - stake * share)
        slope += stake * minute.candidate_requests
    return _Bet(weight=weight, won=won, slope=slope)


def _log(value: float) -> float:
    # Whole minus whole may leave a rounding, where all is lost.
    return log(value) if value > 1e-12 else -_FAR  # noqa: PLR2004


def _wealth(bets: Sequence[_Bet], difference: float, burst: float) -> float:
    """
    Give the logarithm of the mixture's value against *difference*.

    Bursts of s events are worth one: the s-th root keeps the mean at most 1, for (1 + s)^(c / s) is convex.
    """
    logs = [(bet.won - difference * bet.slope) / burst + log(bet.weight) for bet in bets]
    most = max(logs)
    return most + log(sum(exp(one - most) for one in logs))


def _crossing(within: Callable[[float], bool], low: float, high: float) -> float:
    """Find where *within* begins to hold; it holds at *high*, or nothing is known there."""
    if within(low):
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if within(middle) else (middle, high)
    return (low + high) / 2
