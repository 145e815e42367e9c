"""
A confidence sequence for the difference or the ratio of two event rates: it holds at every look.

If both sides have the same rate, each event falls on the candidate with a probability equal to its share of
the requests. That is true for every rate, also for one that changes from minute to minute. A bet on a larger
share then gains only by chance, so its wealth is an e-process: over all looks it reaches 1 / alpha with a
probability of at most alpha.

With y requests of the candidate and x of production in a minute, and c and b events, a stake s in (-1, x / y)
multiplies the wealth by (1 + s)^c (1 - s y / x)^b exp(-s y d). The expectation of that is at most 1 if events
are Poisson, or 0 or 1 for each request, and the candidate's rate is at most production's plus d (for s < 0:
at least). For d = 0 it is the likelihood ratio of the split of c + b, given their total: Lindon and Malek,
"Anytime-valid inference for multinomial count data", NeurIPS 2022, on inhomogeneous Poisson processes. The
mixture over s is theirs and Robbins's, "Statistical methods related to the law of the iterated logarithm",
Annals of Mathematical Statistics 41, 1970.

A burst of k events counts as one: the bet is the k-th root. A burst of j <= k events multiplies it by
(1 + s)^(j / k), which is at most 1 + s j / k (Bernoulli's inequality), so the expectation stays at most 1.
That is proven for a known k and bursts within a minute. The benchmark shows that it holds for an estimated k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, isnan, log, log1p, nan, sqrt

from airflow_guardrails.domain.judge.statistics.interval import Interval
from airflow_guardrails.domain.judge.statistics.onsets import NO_HARM, Harm, harm_over_onsets, log_sum
from airflow_guardrails.domain.judge.statistics.overdispersion import MinuteCounts

# The alternatives of the mixture: the candidate's rate as a multiple of production's, and their weights. A
# further bet is on a rate of zero on one side: a model that fails where none failed before.
_RATE_RATIOS = (1.02, 1.1, 1.3, 1.6, 2.2, 3.5, 8.0)
_WEIGHTS = (0.04, 0.08, 0.1, 0.1, 0.12, 0.1, 0.06)

# Weight of the bet on a rate of zero: if production's history has no event or is unknown, and if it has some.
ZERO_RATE_WEIGHT, ZERO_RATE_WEIGHT_AFTER_EVENTS = 0.4, 0.1

# The ends of an interval are exact to this part of the searched range.
_TOLERANCE = 1e-10
_VERY_LARGE = 1e6

# Minutes whose log shares differ by at most this, times the cube root of (dispersion / events), are added up.
# The third derivative of log(1 + exp(v)) is at most 0.0963, so the error of a log e-value is at most 0.005.
_GROUP_WIDTH = 0.8

# Limits of the ratio of the sides' requests, so that its reciprocal is a number too.
_SMALLEST, _LARGEST = 1e-290, 1e290


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
    control, candidate = standardised_rates(minutes)
    if dispersion == inf:
        return Interval(measured=candidate - control, low=-inf, high=inf)
    more, less = (
        _linear_bets(minutes, alternatives(zero_rate_weight, more=more), dispersion) for more in (True, False)
    )
    # A request has at most one error; of other events it may have many.
    reach = 1.0 if max(control, candidate) <= 1 else 10 * (control + candidate)
    low = _root(lambda at: _log_wealth(more, at) + log(alpha_low), reach, -reach)
    high = _root(lambda at: _log_wealth(less, at) + log(alpha_high), -reach, reach)
    return _interval(candidate - control, low, high)


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
    if dispersion == inf:
        return Interval(measured=measured(minutes, relative=True), low=0.0, high=inf)
    value = measured(minutes, relative=True)
    splits = _GroupedSplits.of(minutes, dispersion)
    more, less = (alternatives(zero_rate_weight, more=more) for more in (True, False))
    reach = log(_VERY_LARGE)
    # The search begins at the measured ratio, if it has a logarithm.
    start = min(max(log(value), -reach), reach) if 0 < value < inf else 0.0
    step = splits.standard_error
    low = exp(_end(lambda at: splits.log_wealth(more, at) + log(alpha_low), start, -step, -reach))
    high = exp(_end(lambda at: splits.log_wealth(less, at) + log(alpha_high), start, step, reach))
    # An end at the limit of the search is unknown.
    low, high = (low if low > 1 / _VERY_LARGE * 2 else 0.0), (high if high < _VERY_LARGE / 2 else inf)
    return _interval(value, low, high)


def harm_beyond(
    margin: float,
    minutes: Sequence[MinuteCounts],
    *,
    relative: bool,
    more: bool,
    dispersion: float,
    zero_rate_weight: float,
) -> Harm:
    """
    Return the evidence that the candidate's rate is beyond *margin*, in the whole trial or since some minute.

    :param margin: the candidate's rate divided by production's if *relative*, else minus production's.
    :param more: whether larger than *margin* is harm; else smaller.
    """
    if dispersion == inf:
        return NO_HARM
    times, difference = (margin, 0.0) if relative else (1.0, margin)
    splits = Splits.of(minutes, times)
    bets = []
    for ratio, weight in alternatives(zero_rate_weight, more=more):
        factors = splits.bet(ratio)
        if difference:
            slopes = splits.slopes(ratio)
            factors = [factor - difference * slope for factor, slope in zip(factors, slopes, strict=True)]
        bets.append((weight, factors if dispersion == 1 else [factor / dispersion for factor in factors]))
    harm = harm_over_onsets(bets)
    return NO_HARM if isnan(harm.log_e) else harm


def measured(minutes: Sequence[MinuteCounts], *, relative: bool) -> float:
    """Return the candidate's rate divided by production's if *relative*, else minus production's."""
    control, candidate = standardised_rates(minutes)
    if not relative:
        return candidate - control
    return candidate / control if control > 0 else (inf if candidate > 0 else 1.0)


def requests_to_exclude(
    margin: float,
    *,
    rate: float,
    share: float,
    relative: bool,
    more: bool,
    dispersion: float,
    zero_rate_weight: float,
    alpha: float,
) -> float:
    """
    Predict after how many requests of the candidate *margin* is excluded, if both sides have the same rate.

    The prediction is where the expected log wealth of the bets reaches log(1 / alpha). Without events it is
    exact; with events most trials need somewhat less.

    :param margin: the candidate's rate divided by production's if *relative*, else minus production's.
    :param rate: events per request of both sides.
    :param share: the candidate's requests for each of production's.
    :param more: whether it is to be shown that the truth is above *margin*; else below.
    :param dispersion: index of dispersion, at least 1.
    :param alpha: probability, 0 to 1, that the conclusion is ever wrong.
    :return: ``inf`` if no number of requests is enough.
    """
    # What one request of the candidate adds to the log wealth of each bet; a bet is linear in the events.
    times, difference = (margin, 0.0) if relative else (1.0, margin)
    one = MinuteCounts(
        control=rate / share, candidate=rate, control_requests=1 / share, candidate_requests=1.0
    )
    splits = Splits.of([one], times)
    gains = []
    for ratio, weight in alternatives(zero_rate_weight, more=more):
        (factor,), (slope,) = splits.bet(ratio), splits.slopes(ratio)
        gains.append((log(weight), (factor - difference * slope) / dispersion))
    best = max(gain for _, gain in gains)
    if not best > 0:
        return inf
    # In units of the best bet's gain; 0 * inf would not be a number.
    return (
        _root(
            lambda at: (
                log_sum([start + (gain / best * at if at else 0.0) for start, gain in gains]) + log(alpha)
            ),
            0.0,
            1e3,
        )
        / best
    )


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


def standardised_rates(minutes: Sequence[MinuteCounts]) -> tuple[float, float]:
    """
    Return events per request of production and of the candidate, with the same weight of a minute for both.

    The weight is x y / (x + y), so that a minute counts as much as it can say about the difference. These are
    Mantel and Haenszel's weights, for rate differences by Greenland and Robins, "Estimation of a common
    effect parameter from sparse follow-up data", Biometrics 41, 1985. Rates of all requests would compare
    different times while the candidate's share grows: an incident in which production has most requests would
    look like its own fault.
    The bets on a small difference have the same weights, so the interval lies around this difference.
    """
    control = candidate = requests = 0.0
    for minute in minutes:
        served = minute.control_requests + minute.candidate_requests
        control += minute.candidate_requests / served * minute.control
        candidate += minute.control_requests / served * minute.candidate
        requests += minute.control_requests / served * minute.candidate_requests
    return (control / requests, candidate / requests) if requests > 0 else (nan, nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """
    The minutes as splits of their events between the sides.

    :param shares: the candidate's requests for each of production's, times the ratio that is tested.
    :param log_shares: logs of 1 + share.
    """

    control: list[float]
    candidate: list[float]
    requests: list[float]
    shares: list[float]
    log_shares: list[float]

    @classmethod
    def of(cls, minutes: Sequence[MinuteCounts], times: float = 1.0) -> Splits:
        shares = [
            min(max(times * minute.candidate_requests / minute.control_requests, _SMALLEST), _LARGEST)
            for minute in minutes
        ]
        return cls(
            control=[minute.control for minute in minutes],
            candidate=[minute.candidate for minute in minutes],
            requests=[minute.candidate_requests for minute in minutes],
            shares=shares,
            log_shares=list(map(log1p, shares)),
        )

    def bet(self, ratio: float) -> list[float]:
        """
        Return the log of what a bet on *ratio* multiplies its wealth by in each minute, for d = 0.

        The stake (ratio - 1) / (1 + ratio share) is the best one if the candidate's rate is *ratio* times
        production's.
        """
        if ratio in (0, inf):
            won, lost = (self.candidate, self.control) if ratio else (self.control, self.candidate)
            logs = self.log_shares if not ratio else [log1p(1 / share) for share in self.shares]
            return [-inf if bad > 0 else good * one for good, bad, one in zip(won, lost, logs, strict=True)]
        gain = log(ratio)
        rows = zip(self.control, self.candidate, self.shares, self.log_shares, strict=True)
        return [c * gain + (b + c) * (one - log1p(ratio * share)) for b, c, share, one in rows]

    def slopes(self, ratio: float) -> list[float]:
        """Return what is subtracted from :meth:`bet` in each minute for each unit of d."""
        rows = zip(self.requests, self.shares, strict=True)
        if ratio == inf:
            return [requests / share for requests, share in rows]
        stake = ratio - 1
        return [stake * requests / (1 + ratio * share) for requests, share in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinearBet:
    """The log wealth of one bet, as a linear function of the difference that is tested."""

    log_weight: float
    log_wealth: float
    slope: float


def _linear_bets(
    minutes: Sequence[MinuteCounts], alternatives: Sequence[tuple[float, float]], dispersion: float
) -> list[_LinearBet]:
    splits = Splits.of(minutes)
    made = []
    for ratio, weight in alternatives:
        factors, slopes = splits.bet(ratio), splits.slopes(ratio)
        made.append(
            _LinearBet(
                log_weight=log(weight), log_wealth=sum(factors) / dispersion, slope=sum(slopes) / dispersion
            )
        )
    return made


def _log_wealth(bets: Sequence[_LinearBet], difference: float) -> float:
    return log_sum([bet.log_weight + bet.log_wealth - difference * bet.slope for bet in bets])


@dataclass(frozen=True, slots=True, kw_only=True)
class _GroupedSplits:
    """
    The splits of all events, for the log wealth against any ratio.

    A bet on the ratio r against the ratio t has the log wealth C log(r) + F(t) - F(r t), where C is the
    number of the candidate's events and F(t) the sum of log(1 + t share) over all events. Minutes of similar
    shares are added up, so F has few terms: it is a Taylor series to the second order around the mean.

    :param groups: events, share, and half the variance of the logarithm of the share.
    """

    control: float
    candidate: float
    candidate_log_shares: float
    groups: list[tuple[float, float, float]]
    dispersion: float

    @classmethod
    def of(cls, minutes: Sequence[MinuteCounts], dispersion: float) -> _GroupedSplits:
        rows = [(_log_share(minute), minute.control, minute.candidate) for minute in minutes]
        control, candidate = sum(b for _, b, _ in rows), sum(c for _, _, c in rows)
        width = _GROUP_WIDTH * (dispersion / max(control + candidate, 1.0)) ** (1 / 3)
        return cls(
            control=control,
            candidate=candidate,
            candidate_log_shares=sum(c * share for share, _, c in rows),
            groups=_grouped([(share, b + c) for share, b, c in rows if b + c > 0], width=width),
            dispersion=dispersion,
        )

    @property
    def standard_error(self) -> float:
        """About that of the logarithm of the measured ratio."""
        return sqrt(self.dispersion * (1 / max(self.control, 1.0) + 1 / max(self.candidate, 1.0)))

    def log_wealth(self, alternatives: Sequence[tuple[float, float]], log_ratio: float) -> float:
        """Return the log wealth of the mixture against the ratio exp(*log_ratio*)."""
        null = self._sum(exp(log_ratio))
        return log_sum(
            [
                log(weight) + self._log_wealth(ratio, log_ratio, null) / self.dispersion
                for ratio, weight in alternatives
            ]
        )

    def _log_wealth(self, ratio: float, log_ratio: float, null: float) -> float:
        if ratio == inf:
            gained = null - self.candidate * log_ratio - self.candidate_log_shares
            return gained if self.control == 0 else -inf
        if ratio == 0:
            return null if self.candidate == 0 else -inf
        return self.candidate * log(ratio) + null - self._sum(ratio * exp(log_ratio))

    def _sum(self, ratio: float) -> float:
        """Return F(*ratio*)."""
        total = 0.0
        for events, share, half_variance in self.groups:
            odds = ratio * share
            total += events * (log1p(odds) + half_variance * odds / ((1 + odds) * (1 + odds)))
        return total


def _log_share(minute: MinuteCounts) -> float:
    share = log(minute.candidate_requests) - log(minute.control_requests)
    return min(max(share, log(_SMALLEST)), log(_LARGEST))


def _grouped(shares: list[tuple[float, float]], *, width: float) -> list[tuple[float, float, float]]:
    """Add up minutes, given as (log share, events), whose log shares differ by at most *width*."""
    groups: list[list[tuple[float, float]]] = []
    for share, events in sorted(shares):
        if not groups or share - groups[-1][0][0] > width:
            groups.append([])
        groups[-1].append((share, events))
    made = []
    for minutes in groups:
        events = sum(many for _, many in minutes)
        mean = sum(many * share for share, many in minutes) / events
        variance = sum(many * (share - mean) * (share - mean) for share, many in minutes) / events
        made.append((events, exp(mean), variance / 2))
    return made


def _interval(value: float, low: float, high: float) -> Interval:
    """Return the interval; without numbers (values near the limits of a float) nothing is known."""
    if isnan(value) or isnan(low) or isnan(high):
        return Interval(measured=value, low=-inf, high=inf)
    return Interval(measured=value, low=min(low, value), high=max(high, value))


def _end(excess: Callable[[float], float], start: float, step: float, limit: float) -> float:
    """
    Find where *excess* becomes positive between *start* and *limit*; *limit* if it never does.

    :param step: first step from *start*; it doubles.
    """
    reached = start
    while reached != limit:
        at = min(reached + step, limit) if limit > start else max(reached + step, limit)
        value = excess(at)
        if isnan(value):
            return nan
        if value > 0:
            return _root(excess, reached, at)
        reached, step = at, 2 * step
    return limit


def _root(excess: Callable[[float], float], start: float, end: float) -> float:
    """
    Find where *excess* becomes positive between *start* and *end*; *end* if it never does.

    By the Illinois method (Dowell and Jarratt, "A modified regula falsi method", BIT 11, 1971), which takes
    few steps for a smooth function. Every third step is a bisection, so that it always ends.
    """
    inside, outside = excess(start), excess(end)
    if isnan(inside) or isnan(outside):
        return nan
    if inside > 0 or outside <= 0:
        return start if inside > 0 else end
    tolerance = _TOLERANCE * abs(end - start)
    step, moved = 0, 0
    while abs(end - start) > tolerance:
        step += 1
        middle = (start + end) / 2
        if step % 3 and isfinite(outside - inside):
            middle = end - outside * (end - start) / (outside - inside)
        value = excess(middle)
        if isnan(value):
            return nan
        if abs(value) < _TOLERANCE:
            return middle
        # An end that stays twice gets half its value, or the other one would move in ever smaller steps.
        if value > 0:
            end, outside, inside = middle, value, inside / 2 if moved > 0 else inside
            moved = 1
        else:
            start, inside, outside = middle, value, outside / 2 if moved < 0 else outside
            moved = -1
    return (start + end) / 2
