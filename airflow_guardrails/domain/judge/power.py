"""
Before a trial: how likely a good candidate passes, and which harm would be found by when.

It follows from production's past (the last hours, by the minute) and the schedule of the trial. The judge is
the real one, the trials are made up. What is assumed:

- **The past goes on.** Traffic is that of the last hour; values and error rates are those of the past.
- **Requests are divided at random**, as SageMaker does it in an update. Both sides share what moves
  production from minute to minute, also its bursts of errors. They differ by the noise of their requests.
- **Means.** The variance of a minute's noise is that of one request, divided by the number of requests. It is
  taken from the successive differences of the past. Where production jumps from minute to minute, that
  overstates the noise, so chances are understated. What makes one fleet differ for many minutes (a slow
  instance) does not show in production's past, so it is not predicted. The same is true for the bias of a
  percentile of few requests.
- **Counts.** Events fall on the sides independently, at production's past rate (Poisson). The judge takes
  their overdispersion from the same past.
- **Harm** begins with the trial and stays the same.

Trials of means are drawn from the past with a fixed seed, so the same past gives the same answer. Counts are
not drawn: the judge is asked about their quantiles, spread evenly over the minutes. What the past cannot tell
is ``None``, never a number.

Compared with simulated trials, the chance of a Pass was right within about 10 points, and the minute within
about 10 minutes. With real ones the chance was mostly too low (docs/analysis.md, "What a bake can find").
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate, islice, pairwise
from math import ceil, exp, inf, isfinite, log, log1p, sqrt
from random import Random
from statistics import NormalDist, fmean

from airflow_guardrails.domain.judge import alpha_of
from airflow_guardrails.domain.judge.counts import judge_counts
from airflow_guardrails.domain.judge.evidence import History, Pairs, history_of, is_comparable
from airflow_guardrails.domain.judge.means import judge_means
from airflow_guardrails.domain.judge.rules import Direction, MetricRule
from airflow_guardrails.domain.judge.statistics.overdispersion import MIN_MINUTES
from airflow_guardrails.domain.judge.tails import is_counted_by_limit
from airflow_guardrails.domain.text import error_in_words

# The chance with which harm counts as found.
FOUND_CHANCE = 0.9

# Fewer minutes of the past say too little about the noise of a mean.
_LEAST_PAST = 30

# Harm that is tried for means, as a part of production's value.
_EFFECTS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)

# Harm that is tried for counts: so many margins beyond the margin, or thousandths if the margin is 0.
_EXTRA = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 15.0, 25.0, 50.0, 100.0, 200.0)
_NO_MARGIN = 0.001

# Made-up trials of a mean; at least, and of how many minutes together.
_TRIALS, _LEAST_TRIALS, _MINUTES_JUDGED = 16, 6, 1200

# If the chance of a Pass is further than this from 0 and 1, so many times the trials are made.
_UNCLEAR, _IF_UNCLEAR = 0.1, 3

# Looks at which the judge is asked; each has so many times the minutes of the one before.
_LOOKS, _LOOK_RATIO = 4, 1.25

_ROUNDING, _TINY = 1e-9, 1e-300

# Quantiles of a count are searched to this many standard deviations, by so many bisections.
_FARTHEST, _QUANTILE_STEPS = 4.0, 7

# Courses of a count over the looks.
_COURSES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePower:
    """
    What a rule can find in a trial.

    :param pass_chance: the chance, 0 to 1, that a candidate as good as production passes before the end;
        ``None`` if unknown.
    :param found: the smallest harm that is found with a chance of 90 %, in the unit of the rule's margin: a
        fraction of production's value, events per request, or the metric's unit; ``None`` if none is found.
    :param by_minute: the minute, of those that are judged, by which it is found; ``None`` likewise.
    :param because: what the past is like on which the chance depends.
    :param unknown: why nothing can be said; ``None`` if something can.
    """

    rule: MetricRule
    pass_chance: float | None = None
    found: float | None = None
    by_minute: int | None = None
    because: str = ""
    unknown: str | None = None


def power(
    rules: Sequence[MetricRule],
    history: History,
    parts: Sequence[tuple[float, timedelta]],
    *,
    alpha: float,
    requests: float,
    only: Collection[MetricRule] | None = None,
) -> tuple[RulePower, ...]:
    """
    Return what each of *rules* can find.

    :param parts: the judged parts of the bakes: the candidate's share of the requests, 0 to 1, and how long.
    :param alpha: as for the judge.
    :param requests: requests a minute, to both sides together.
    :param only: the rules that are asked about; default: all.
    """
    minutes = _minutes(parts, requests)
    return tuple(
        _power(rule, history, minutes, alpha_fail=alpha_of(rule, rules, alpha), alpha_pass=alpha)
        for rule in dict.fromkeys(rules)
        if only is None or rule in only
    )


def all_pass_chance(powers: Sequence[RulePower]) -> float | None:
    """
    Return the chance that a good candidate passes all rules; ``None`` if that of one is unknown.

    Rules for the same metric pass together, others independently.
    """
    least: dict[tuple[str, str], float] = {}
    for one in powers:
        if one.pass_chance is None:
            return None
        metric = one.rule.namespace, one.rule.metric
        least[metric] = min(one.pass_chance, least.get(metric, 1.0))
    chance = 1.0
    for each in least.values():
        chance *= each
    return chance


# Requests of production and of the candidate in a minute.
_Minute = tuple[float, float]

# How far an interval must move towards harm before it fails, infinite if nothing is enough; and whether it
# passes.
_End = tuple[float, bool]


def _minutes(parts: Sequence[tuple[float, timedelta]], requests: float) -> list[_Minute]:
    """Return the minutes in which both sides are expected to have requests."""
    minutes: list[_Minute] = []
    whole = 0.0
    for share, part in parts:
        sides = requests * (1 - share), requests * share
        busy = (1 - exp(-sides[0])) * (1 - exp(-sides[1]))
        whole += part.total_seconds() / 60 * busy
        # A part of a minute at the end of one bake is made up by the next one.
        minutes += [sides] * int(whole + _ROUNDING - len(minutes))
    return minutes


def _power(
    rule: MetricRule, history: History, minutes: list[_Minute], *, alpha_fail: float, alpha_pass: float
) -> RulePower:
    values, served = history_of(history, rule)
    if unknown := _unknown(rule, values):
        return RulePower(rule=rule, unknown=unknown)
    minutes = [sides for sides in minutes if is_comparable(rule.quantile, *sides)]
    looks = _looks(rule, minutes)
    if not looks:
        return RulePower(rule=rule, pass_chance=0.0, because="the bakes have too few requests or minutes")
    both = rule.direction is Direction.BOTH
    kind = _CountPower if rule.counted else _MeanPower
    asked = [
        kind(
            rule=replace(rule, direction=direction),
            past=values,
            past_requests=served,
            minutes=minutes,
            looks=looks,
            alpha_fail=alpha_fail / 2 if both else alpha_fail,
            alpha_pass=alpha_pass,
        )
        for direction in ((Direction.INCREASE, Direction.DECREASE) if both else (rule.direction,))
    ]
    try:
        answers = [one.answer() for one in asked]
    except (ArithmeticError, ValueError) as error:
        # A prediction must not stop an update.
        return RulePower(rule=rule, unknown=f"its past cannot be judged ({error_in_words(error)})")
    # Of both directions, the one in which only the larger harm is found.
    worst = max(answers, key=lambda one: inf if one.found is None else one.found)
    chance = min(one.pass_chance or 0.0 for one in answers)
    return replace(worst, rule=rule, pass_chance=chance, because=asked[0].because)


def _unknown(rule: MetricRule, past: list[float]) -> str | None:
    """Return why the past says nothing about *rule*, or None."""
    needed = MIN_MINUTES if rule.counted else _LEAST_PAST
    if len(past) < needed:
        return f"{len(past)} of {needed} minutes of its past are known"
    if min(past) < 0 if rule.counted else rule.relative and sum(past) <= 0:
        return "its past has values below 0, which cannot be judged"
    if is_counted_by_limit(rule):
        return "it is judged by counting slow requests, and the past has no such counts"
    return None


def _looks(rule: MetricRule, minutes: list[_Minute]) -> list[int]:
    """Return numbers of minutes at which the judge is asked, up to all, each with enough data for *rule*."""
    count = len(minutes)
    asked = {ceil(count / _LOOK_RATIO**number) for number in range(_LOOKS)}
    totals = [list(accumulate(side)) for side in zip(*minutes, strict=True)]
    return [
        look
        for look in sorted(asked)
        if look >= rule.min_minutes and min(total[look - 1] for total in totals) >= rule.min_requests
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Power:
    """
    A rule, its past and its trial.

    :param minutes: requests of production and candidate in each minute of the trial.
    :param looks: see :func:`_looks`.
    """

    rule: MetricRule
    past: list[float]
    past_requests: list[float]
    minutes: list[_Minute]
    looks: list[int]
    alpha_fail: float
    alpha_pass: float

    @property
    def limit(self) -> float:
        """The ratio, or the difference, at the margin."""
        allowed = self.rule.allowed if self.rule.worse_is_more else -self.rule.allowed
        return 1 + allowed if self.rule.relative else allowed

    def pairs(self, control: list[float], candidate: list[float]) -> Pairs:
        sides = zip(*self.minutes[: len(control)], strict=True)
        control_requests, candidate_requests = (list(side) for side in sides)
        return Pairs(
            control=control,
            candidate=candidate,
            control_requests=control_requests,
            candidate_requests=candidate_requests,
            history=self.past,
            history_requests=self.past_requests,
        )


# Means.


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeanPower(_Power):
    """
    Power of a rule for a mean.

    A candidate that is worse by a constant moves both ends of the interval by that constant (of a ratio:
    their logarithms). So each made-up trial is judged once at each look, with a good candidate.
    """

    def answer(self) -> RulePower:
        trials = [self._ends(number) for number in range(self._trials)]
        if _UNCLEAR < self._pass_chance(trials) < 1 - _UNCLEAR:
            trials += [self._ends(number) for number in range(self._trials, _IF_UNCLEAR * self._trials)]
        chance = self._pass_chance(trials)
        for effect in _EFFECTS:
            by_look = self._found_by_look(effect, trials)
            if by_look[-1] >= FOUND_CHANCE:
                found = effect * (1 if self.rule.relative else abs(fmean(self.past)))
                by_minute = self._minute_of(by_look)
                return RulePower(rule=self.rule, pass_chance=chance, found=found, by_minute=by_minute)
        return RulePower(rule=self.rule, pass_chance=chance)

    @staticmethod
    def _pass_chance(trials: list[list[_End]]) -> float:
        return fmean(any(passes for _, passes in trial) for trial in trials)

    @property
    def because(self) -> str:
        steps = [later - value for value, later in pairwise(self.past)]
        variation = sqrt(fmean(step * step for step in steps) / 2) / max(abs(fmean(self.past)), _TINY)
        return f"its minutes vary by {variation:.1%} in the past"

    @property
    def _trials(self) -> int:
        return max(_LEAST_TRIALS, min(_TRIALS, _MINUTES_JUDGED // len(self.minutes)))

    def _found_by_look(self, effect: float, trials: list[list[_End]]) -> list[float]:
        """Return for each look the part of the trials in which harm of *effect* is found by then."""
        shift = self._shift_of(effect)
        found = [[fails_from < shift for fails_from, _ in trial] for trial in trials]
        return [fmean(any(each[: at + 1]) for each in found) for at in range(len(self.looks))]

    def _minute_of(self, by_look: list[float]) -> int:
        """Return the minute by which harm is found; between two looks its chance grows about linearly."""
        at = next(at for at, chance in enumerate(by_look) if chance >= FOUND_CHANCE)
        if at == 0:
            return self.looks[0]
        before, minutes = self.looks[at - 1], self.looks[at] - self.looks[at - 1]
        part = (FOUND_CHANCE - by_look[at - 1]) / (by_look[at] - by_look[at - 1])
        return before + ceil(minutes * part - _ROUNDING)

    def _shift_of(self, effect: float) -> float:
        """Return by how much the interval of a candidate that is worse by *effect* is moved."""
        if not self.rule.relative:
            return effect * abs(fmean(self.past))
        if self.rule.worse_is_more:
            return log1p(effect)
        return -log1p(-effect) if effect < 1 else inf

    def _ends(self, number: int) -> list[_End]:
        """Judge a made-up trial of a good candidate at each look."""
        control, candidate = self._made_up(number)
        ends = []
        for look in self.looks:
            pairs = self.pairs(control[:look], candidate[:look])
            interval = judge_means(
                self.rule, pairs, alpha_fail=self.alpha_fail, alpha_pass=self.alpha_pass
            ).interval
            below, above = self._distance(interval.low), self._distance(interval.high)
            ends.append((below, above > 0) if self.rule.worse_is_more else (-above, below < 0))
        return ends

    def _distance(self, end: float) -> float:
        """Return how far an end of the interval is below the margin."""
        if not self.rule.relative:
            return self.limit - end
        return log(self.limit / end) if 0 < end < inf else (-inf if end > 0 else inf)

    def _made_up(self, number: int) -> tuple[list[float], list[float]]:
        """Return the values of both sides: a window of the past, smoothed, and each side's own noise."""
        random, course = Random(number), _smoothed(self.past)  # noqa: S311 - no secret
        # Of a past that is too short, the last minutes come again in reverse order.
        while len(course) < len(self.minutes):
            course += course[::-1]
        start = (len(course) - len(self.minutes)) * (number % self._trials) // (self._trials - 1)
        noise = _noise_of_a_request(self.past, self.past_requests)
        sides: tuple[list[float], list[float]] = ([], [])
        least = 0.1 if min(self.past) >= 0 else -inf
        for level, requests in zip(course[start:], self.minutes, strict=False):
            for side, count in zip(sides, requests, strict=True):
                value = level + random.choice(noise) / sqrt(count)
                side.append(max(value, least * level) if level > 0 else value)
        return sides


def _smoothed(values: list[float]) -> list[float]:
    """Return the mean of each value and its two neighbours on each side."""
    return [fmean(values[max(at - 2, 0) : at + 3]) for at in range(len(values))]


def _noise_of_a_request(values: list[float], requests: list[float]) -> list[float]:
    """
    Return draws of the noise of one request, from the successive differences of means of many.

    White noise makes the correlation of one difference with the next -1/2. Where production itself moves
    slowly it is nearer to 0, so the noise has that part of the variance, and a standard error more.
    """
    steps = [*pairwise(zip(values, requests, strict=True))]
    noise = [(later - value) / sqrt(1 / count + 1 / more) for (value, count), (later, more) in steps]
    squares = sum(one * one for one in noise)
    if squares == 0:
        return [0.0]
    correlation = sum(one * other for one, other in pairwise(noise)) / squares
    part = min(max(-2 * correlation, 0.0) + sqrt(2 / len(noise)), 1.0)
    return [sign * sqrt(part) * one for one in noise for sign in (1, -1)]


# Counts.


@dataclass(frozen=True, slots=True, kw_only=True)
class _CountPower(_Power):
    """Power of a rule for counts."""

    def answer(self) -> RulePower:
        chance = self._pass_chance()
        last = self.looks[-1]
        margin = self.rule.allowed or _NO_MARGIN
        quantile = NormalDist().inv_cdf(1 - FOUND_CHANCE)
        tried = [self.rule.allowed + extra * margin for extra in _EXTRA]
        index = bisect_left(tried, True, key=lambda harm: self._fails(last, harm, quantile))
        if index == len(tried):
            return RulePower(rule=self.rule, pass_chance=chance)
        minutes = range(self.looks[0], last)
        by_minute = self.looks[0] + bisect_left(
            minutes, True, key=lambda look: self._fails(look, tried[index], quantile)
        )
        return RulePower(rule=self.rule, pass_chance=chance, found=tried[index], by_minute=by_minute)

    @property
    def because(self) -> str:
        return f"{self.rate * 100:.3g} for 100 requests in the past"

    @property
    def rate(self) -> float:
        """Events per request in the past."""
        as_rate = self.rule.stat != "Sum"
        rows = zip(self.past, self.past_requests, strict=True)
        return sum(value * served if as_rate else value for value, served in rows) / sum(self.past_requests)

    def _fails(self, look: int, harm: float, quantile: float) -> bool:
        return self._ask(look, harm, quantile)[0]

    def _pass_chance(self) -> float:
        """Return the chance that the quantile of a good candidate's events is ever one that passes."""
        highest = self._highest_by_minute()
        random, crossed = Random(0), 0  # noqa: S311 - no secret
        for _ in range(_COURSES):
            sums = accumulate(random.gauss(0, 1) for _ in range(self.looks[-1]))
            course = islice(enumerate(sums, 1), self.looks[0] - 1, None)
            crossed += any(
                total < reach * sqrt(minute) for (minute, total), reach in zip(course, highest, strict=True)
            )
        return crossed / _COURSES

    def _highest_by_minute(self) -> list[float]:
        """Return the highest quantile that passes, for each minute from the first look on."""
        at_looks = [self._highest_that_passes(look) for look in self.looks]
        by_minute: list[float] = []
        for (begin, here), (end, there) in pairwise(zip(self.looks, at_looks, strict=True)):
            slope = (there - here) / (end - begin) if isfinite(here) and isfinite(there) else 0.0
            by_minute += [here + slope * after for after in range(end - begin)]
        return [*by_minute, at_looks[-1]]

    def _highest_that_passes(self, look: int) -> float:
        """Return the highest quantile, in standard deviations, of a good candidate's events that passes."""
        if self._ask(look, 0.0, _FARTHEST)[1]:
            return inf
        if not self._ask(look, 0.0, -_FARTHEST)[1]:
            return -inf
        low, high = -_FARTHEST, _FARTHEST
        for _ in range(_QUANTILE_STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._ask(look, 0.0, middle)[1] else (low, middle)
        return low

    def _ask(self, look: int, harm: float, quantile: float) -> tuple[bool, bool]:
        """
        Return whether a candidate fails, and whether it passes, by its events in the first *look* minutes.

        :param harm: how much worse it is.
        :param quantile: how many events, in standard deviations of the difference of the rates.
        """
        minutes = self.minutes[:look]
        control_requests, candidate_requests = (sum(side) for side in zip(*minutes, strict=True))
        rate = self.rate
        worse = harm if self.rule.worse_is_more else -harm
        bad = max(rate * (1 + worse) if self.rule.relative else rate + worse, 0.0)
        expected, other = bad * candidate_requests, rate * control_requests
        # Production's events vary too: their part of the variance is given to the candidate.
        part = (candidate_requests / control_requests) ** 2 * other
        ratio = sqrt(1 + part / expected) if expected > 0 else 1.0
        events = _count_at(expected, quantile * ratio)
        by_request = self.rule.stat != "Sum"
        result = judge_counts(
            self.rule,
            self.pairs(
                [rate * (1 if by_request else n) for n, _ in minutes],
                [events / candidate_requests * (1 if by_request else m) for _, m in minutes],
            ),
            alpha_fail=self.alpha_fail,
            alpha_pass=self.alpha_pass,
        )
        end = result.interval.high if self.rule.worse_is_more else result.interval.low
        return result.fails, (end < self.limit if self.rule.worse_is_more else end > self.limit)


def _count_at(expected: float, quantile: float) -> float:
    """Return a quantile of Poisson's distribution, given in standard deviations, as a whole number."""
    root = sqrt(expected + 0.375) + quantile / 2
    return float(max(round(root * root - 0.375), 0)) if root > 0 and expected > 0 else 0.0
