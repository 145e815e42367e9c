"""
A confidence sequence for the difference or the ratio of two event rates: it holds at every look.

If both sides have the same rate, each event falls on the candidate with a probability equal to its share of
the requests. That is true for every rate, also for one that changes from minute to minute. A bet on a larger
share then gains only by chance, so its wealth is an e-process: over all looks it reaches 1 / alpha with a
probability of at most alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log

from airflow_guardrails.domain.judge.statistics.means import Interval
from airflow_guardrails.domain.judge.statistics.overdispersion import MinuteCounts

# The alternatives of the mixture: the candidate's rate as a multiple of production's, and their weights. A
# further bet is on a rate of zero on one side: a model that fails where none failed before.
_RATE_RATIOS = (1.02, 1.1, 1.3, 1.6, 2.2, 3.5, 8.0)
_WEIGHTS = (0.04, 0.08, 0.1, 0.1, 0.12, 0.1, 0.06)

# Weight of the bet on a rate of zero: if production's history has no event or is unknown, and if it has some.
ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS = 0.4, 0.1

_BISECTION_STEPS = 60
_VERY_LARGE = 1e6


def difference_interval(
    minutes: Sequence[MinuteCounts],
    *,
    dispersion: float,
    zero_rate_weight: float,
    alpha_low: float,
    alpha_high: float,
) -> Interval:
    """
    Return the confidence interval of the candidate's rate minus production's, in events per request.

    :param minutes: those in which both sides had requests.
    :param dispersion: index of dispersion, at least 1: how many events come together.
    :param zero_rate_weight: weight, 0 to 1, of the bet that one side has no events at all.
    :param alpha_low: probability, 0 to 1, that the low end is ever above the truth.
    :param alpha_high: probability, 0 to 1, that the high end is ever below the truth.
    """
    more, less = (
        _bets(minutes, alternatives(zero_rate_weight, more=more), ratio=1.0) for more in (True, False)
    )
    control, candidate = _rates(minutes)
    # A request has at most one error; of other events it may have many.
    reach = 1.0 if max(control, candidate) <= 1 else 10 * (control + candidate)
    low = _root(lambda at: _log_wealth(more, at, dispersion) < -log(alpha_low), -reach, reach)
    high = _root(lambda at: _log_wealth(less, at, dispersion) >= -log(alpha_high), -reach, reach)
    measured = candidate - control
    return Interval(measured=measured, low=min(low, measured), high=max(high, measured))


def ratio_of_rates_interval(
    minutes: Sequence[MinuteCounts],
    *,
    dispersion: float,
    zero_rate_weight: float,
    alpha_low: float,
    alpha_high: float,
) -> Interval:
    """
    Return the confidence interval of the candidate's rate divided by production's.

    The parameters are those of :func:`difference_interval`. Ends that are unknown are 0 and ``inf``.
    """

    def log_wealth(at: float, *, more: bool) -> float:
        bets = _bets(minutes, alternatives(zero_rate_weight, more=more), ratio=exp(at))
        return _log_wealth(bets, 0.0, dispersion)

    reach = log(_VERY_LARGE)
    low = exp(_root(lambda at: log_wealth(at, more=True) < -log(alpha_low), -reach, reach))
    high = exp(_root(lambda at: log_wealth(at, more=False) >= -log(alpha_high), -reach, reach))
    control, candidate = _rates(minutes)
    measured = candidate / control if control > 0 else (inf if candidate > 0 else 1.0)
    # An end at the limit of the search is unknown.
    low, high = (low if low > 1 / _VERY_LARGE * 2 else 0.0), (high if high < _VERY_LARGE / 2 else inf)
    return Interval(measured=measured, low=min(low, measured), high=max(high, measured))


def requests_without_events(difference: float, *, share: float, alpha: float) -> int:
    """
    Return the candidate's requests after which its rate is proven to be less than *difference* above
    production's, if neither side has an event. With events it takes more requests.

    :param difference: events per request, above 0.
    :param share: the candidate's requests for each of production's.
    :param alpha: probability, 0 to 1, that the conclusion is ever wrong.
    """
    # Without events, wealth depends only on requests times difference, so one request is enough to solve it.
    one = MinuteCounts(control=0, candidate=0, control_requests=1 / share, candidate_requests=1)
    bets = _bets([one], alternatives(ZERO_RATE_WEIGHT, more=False), ratio=1.0)
    return ceil(_root(lambda at: _log_wealth(bets, at, 1.0) >= -log(alpha), 0.0, _VERY_LARGE) / difference)


def alternatives(zero_rate_weight: float, *, more: bool) -> list[tuple[float, float]]:
    """
    List the alternatives of the mixture as (rate ratio, weight); the weights sum to 1.

    :param more: ratios above 1, up to ``inf``; else below 1, down to 0.
    """
    whole = sum(_WEIGHTS) / (1 - zero_rate_weight)
    finite = [
        (ratio if more else 1 / ratio, weight / whole)
        for ratio, weight in zip(_RATE_RATIOS, _WEIGHTS, strict=True)
    ]
    return [*finite, (inf if more else 0.0, zero_rate_weight)]


def _rates(minutes: Sequence[MinuteCounts]) -> tuple[float, float]:
    """Return events per request of production and of the candidate."""
    control = sum(minute.control for minute in minutes) / sum(minute.control_requests for minute in minutes)
    candidate = sum(minute.candidate for minute in minutes)
    return control, candidate / sum(minute.candidate_requests for minute in minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bet:
    """The log wealth of one bet, as a linear function of the difference that is tested."""

    weight: float
    log_wealth: float
    slope: float


def _bets(
    minutes: Sequence[MinuteCounts], alternatives: Sequence[tuple[float, float]], *, ratio: float
) -> list[_Bet]:
    groups = _by_share(minutes)
    return [_bet(groups, rate_ratio, weight, ratio=ratio) for rate_ratio, weight in alternatives]


def _by_share(minutes: Sequence[MinuteCounts]) -> list[MinuteCounts]:
    """Add up the minutes in which requests were divided alike: a bet has the same stake in them."""
    groups: dict[float, list[MinuteCounts]] = {}
    for minute in minutes:
        groups.setdefault(minute.candidate_requests / minute.control_requests, []).append(minute)
    return [
        MinuteCounts(
            control=sum(minute.control for minute in group),
            candidate=sum(minute.candidate for minute in group),
            control_requests=sum(minute.control_requests for minute in group),
            candidate_requests=sum(minute.candidate_requests for minute in group),
        )
        for group in groups.values()
    ]


def _bet(minutes: Sequence[MinuteCounts], rate_ratio: float, weight: float, *, ratio: float) -> _Bet:
    """
    Bet that the candidate's rate is *rate_ratio* times *ratio* times production's.

    With y requests of the candidate for each x of production's, and c and b events, a stake s in (-1, x / y)
    gives the wealth (1 + s)^c (1 - s y / x)^b exp(-s y d). Its expectation is at most 1 if events are
    Poisson, or 0 or 1 for each request, and the candidate's rate is at most production's plus d (for s < 0:
    at least). For d = 0 it is the likelihood ratio of the split of c + b, given their total: Lindon and
    Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, on inhomogeneous Poisson
    processes. The mixture over s is theirs and Robbins's, "Statistical methods related to the law of the
    iterated logarithm", Annals of Mathematical Statistics 41, 1970.
    """
    log_wealth, slope = 0.0, 0.0
    for minute in minutes:
        share = ratio * minute.candidate_requests / minute.control_requests
        stake = 1 / share if rate_ratio == inf else (rate_ratio - 1) / (1 + rate_ratio * share)
        log_wealth += minute.candidate * _log(1 + stake) + minute.control * _log(1 - stake * share)
        slope += stake * minute.candidate_requests
    return _Bet(weight=weight, log_wealth=log_wealth, slope=slope)


def _log(value: float) -> float:
    # Where the whole stake is lost, the subtraction may leave a rounding error instead of 0.
    return log(value) if value > 1e-12 else -_VERY_LARGE  # noqa: PLR2004


def _log_wealth(bets: Sequence[_Bet], difference: float, dispersion: float) -> float:
    """
    Return the log wealth of the mixture against *difference*.

    A burst of s events counts as one: the s-th root keeps the expectation at most 1, because
    (1 + s)^(c / s) is convex.
    """
    logs = [(bet.log_wealth - difference * bet.slope) / dispersion + log(bet.weight) for bet in bets]
    largest = max(logs)
    return largest + log(sum(exp(one - largest) for one in logs))


def _root(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Find by bisection where *holds* becomes true; at *high* it is true, or nothing is known there."""
    if holds(low):
        return low
    for _ in range(_BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return (low + high) / 2
