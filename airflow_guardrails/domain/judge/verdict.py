"""The verdict of a judge: a label, and a reason for each metric."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from math import inf, isfinite
from typing import Any

from airflow_guardrails.domain.judge.evidence import Pairs, SlowRequests
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.interval import Interval
from airflow_guardrails.domain.judge.text import (
    Unit,
    difference_in_words,
    interval_in_words,
    minutes_in_words,
    traffic_in_words,
    unit_of,
    wait_in_words,
)
from airflow_guardrails.domain.text import error_in_words


class Label(str, Enum):
    """Result of a judgement. Inconclusive: the data does not show on which side of the limit the truth is."""

    PASS = "Pass"  # noqa: S105 - no password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """
    The result for one metric.

    :param measured: the candidate's difference from production, as a fraction of production's (0.1 is +10 %)
        or in the metric's unit, whichever the margin uses; since the harm began, if that is found. ``None``
        without data.
    :param low: low end of the confidence interval of the whole trial; ``None`` or infinite if nothing is
        known on that side.
    :param high: high end of the confidence interval, likewise.
    :param limit: the margin with its sign: negative if a decrease is worse.
    :param text: metric, measured value, limit and interval in one sentence.
    :param missing: what a decision still needs, and about how long that takes at this traffic.
    :param ignored: whether it does not count: data is missing, and the rule has ``on_missing="ignore"``.
    :param variant: name of the variant, if several are judged; then *text* has it too.
    :param unit: unit of the four numbers: 0.1 is 10 % if ``RELATIVE``, 10 percentage points if ``RATE``.
    """

    metric: str
    stat: str
    label: Label
    measured: float | None
    low: float | None
    high: float | None
    limit: float | None
    text: str
    missing: str | None = None
    ignored: bool = False
    variant: str | None = None
    unit: Unit = Unit.RELATIVE

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON for the report; a number that is not finite is null."""
        return {
            "metric": self.metric,
            "stat": self.stat,
            "label": self.label.value,
            "measured": finite(self.measured),
            "low": finite(self.low),
            "high": finite(self.high),
            "limit": finite(self.limit),
            "unit": self.unit.value,
            "text": self.text,
            "missing": self.missing,
            "ignored": self.ignored,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """The requests that were compared, to the candidate (*new*) and to production (*old*)."""

    new: float
    old: float

    def as_dict(self) -> dict[str, float]:
        """Return it as JSON for the report."""
        return {"new": self.new, "old": self.old}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    The label of a trial, and the reasons for it in the order of the rules.

    :param requests: the requests that were compared; ``None`` if unknown.
    """

    label: Label
    reasons: tuple[Reason, ...]
    requests: Requests | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON for the report."""
        return {
            "label": self.label.value,
            "reasons": [reason.as_dict() for reason in self.reasons],
            "requests": self.requests.as_dict() if self.requests else None,
        }

    def describe(self) -> str:
        """Return one line: the label, and the texts of the reasons that decided it."""
        if not self.reasons:
            return f"{self.label.value}: nothing was judged"
        deciding = [
            reason.text for reason in self.reasons if reason.label is self.label and not reason.ignored
        ]
        return f"{self.label.value}: {'; '.join(deciding) or 'no rule that counts had enough data'}"


def combine(reasons: Iterable[Reason], *, requests: Requests | None = None) -> Verdict:
    """
    Combine *reasons*: Fail if any of them fails, Pass if all pass, else Inconclusive.

    Ignored reasons do not count. Without any reason that counts, the verdict is Inconclusive.

    :param requests: the requests that were compared.
    """
    given = tuple(reasons)
    labels = {reason.label for reason in given if not reason.ignored}
    if Label.FAIL in labels:
        label = Label.FAIL
    else:
        label = Label.PASS if labels == {Label.PASS} else Label.INCONCLUSIVE
    return Verdict(label=label, reasons=given, requests=requests)


def verdict_of_error(what: str, error: Exception) -> Verdict:
    """
    Return the verdict for a judgement that raised *error*: Inconclusive, with the error as its reason.

    :param what: what was judged, in the plural: "metrics".
    """
    reason = Reason(
        metric=what,
        stat="",
        label=Label.INCONCLUSIVE,
        measured=None,
        low=None,
        high=None,
        limit=None,
        text=f"{what} could not be judged ({error_in_words(error)})",
        missing="data that can be judged",
    )
    return Verdict(label=Label.INCONCLUSIVE, reasons=(reason,))


def finite(value: float | None) -> float | None:
    """Return *value* for JSON: None for infinity and NaN, which JSON does not have."""
    return value if value is not None and isfinite(value) else None


# A trial that would have to be so many times longer is not worth waiting for.
_MAX_TIMES_LONGER = 100.0

_ROUNDING = 1e-9


def measured_reason(
    rule: MetricRule,
    pairs: Pairs,
    interval: Interval,
    *,
    minutes_run: int,
    harm_since: tuple[int, float] | None = None,
) -> Reason:
    """
    Compare *interval* with the margin of *rule*: Fail if wholly beyond, Pass if wholly within.

    :param minutes_run: duration of the trial in minutes.
    :param harm_since: if harm is proven apart from the interval: index of the pair with which it began, and
        the difference from there on.
    """
    limit = rule.allowed if rule.worse_is_more else -rule.allowed
    label = Label.FAIL if harm_since else _label_of(interval, limit, worse_is_more=rule.worse_is_more)
    unit = unit_of(rule)
    sign = _SIGNS[label, rule.worse_is_more]
    begin, measured = harm_since or (0, interval.measured)
    since, whole = "", interval_in_words(interval.low, interval.high, unit)
    if begin:
        # The interval of the whole trial says little about harm that began during it.
        since = f" in the last {minutes_in_words(len(pairs) - begin)}"
        whole = f"whole trial {difference_in_words(interval.measured, unit)}"
    text = (
        f"{rule.metric} {rule.shown_stat}: {difference_in_words(measured, unit)} {sign} limit "
        f"{difference_in_words(limit, unit)}{since} ({whole}, {len(pairs)} minutes)"
    )
    return Reason(
        metric=rule.metric,
        stat=rule.shown_stat,
        label=label,
        measured=measured,
        low=interval.low,
        high=interval.high,
        limit=limit,
        text=text,
        missing=_missing(rule, pairs, interval, limit, minutes_run) if label is Label.INCONCLUSIVE else None,
        unit=unit,
    )


def slow_reason(
    rule: MetricRule,
    slow: SlowRequests,
    pairs: Pairs,
    interval: Interval,
    *,
    fails: bool,
    onset: int,
    minutes_run: int,
) -> Reason:
    """
    Compare the shares of slow requests of both sides: the candidate's may not be larger.

    :param interval: of the candidate's share divided by production's.
    :param fails: whether harm is proven.
    :param onset: index of the pair with which it most likely began, from 0.
    :param minutes_run: duration of the trial in minutes.
    """
    label = Label.FAIL if fails else _label_of(interval, 1.0, worse_is_more=True)
    since = onset if fails else 0
    candidate, control = (
        sum(counts[since:]) / sum(requests[since:])
        for counts, requests in (
            (pairs.candidate, pairs.candidate_requests),
            (pairs.control, pairs.control_requests),
        )
    )
    begun = f" in the last {minutes_in_words(len(pairs) - since)}" if since else ""
    return Reason(
        metric=rule.metric,
        stat=rule.stat,
        label=label,
        measured=interval.measured - 1,
        low=interval.low - 1,
        high=interval.high - 1,
        limit=0.0,
        text=f"{rule.metric} {rule.stat}: {candidate:.2%} of the requests above {slow.candidate_limit:,.6g}"
        f"{begun} {_SIGNS[label, True]} production's {control:.2%} above {slow.control_limit:,.6g} "
        f"(the ratio's {interval_in_words(interval.low - 1, interval.high - 1, Unit.RELATIVE)}, "
        f"{len(pairs)} minutes)",
        missing=_missing(replace(rule, stat="Sum", margin="0%"), pairs, interval, 1.0, minutes_run)
        if label is Label.INCONCLUSIVE
        else None,
    )


def both_within(rule: MetricRule, increase: Reason, decrease: Reason) -> Reason:
    """Return one Pass for two: the metric neither increases nor decreases by more than the margin."""
    assert increase.measured is not None
    assert decrease.low is not None
    assert increase.high is not None
    unit = unit_of(rule)
    measured, limit = (difference_in_words(value, unit) for value in (increase.measured, rule.allowed))
    interval = interval_in_words(decrease.low, increase.high, unit)
    return replace(
        increase,
        low=decrease.low,
        text=f"{rule.metric} {rule.shown_stat}: {measured} within the limit of {limit} in both directions "
        f"({interval})",
    )


def _label_of(interval: Interval, limit: float, *, worse_is_more: bool) -> Label:
    # An interval that only touches the limit is neither beyond nor within.
    rounding = _ROUNDING * max(1.0, abs(limit))
    above, below = interval.low > limit + rounding, interval.high < limit - rounding
    if not above and not below:
        return Label.INCONCLUSIVE
    return Label.FAIL if above is worse_is_more else Label.PASS


def share_reason(
    name: str, hits: int, trials: int, interval: Interval, *, limit: float, min_trials: int
) -> Reason:
    """
    Compare the share of *hits* among *trials* with its *limit*, 0 to 1.

    With fewer than *min_trials* trials the label is Inconclusive.
    """
    label = _label_of(interval, limit, worse_is_more=True)
    missing = None
    if trials < min_trials:
        label = Label.INCONCLUSIVE
    if label is Label.INCONCLUSIVE:
        missing = _more_pairs(interval, trials, limit, min_trials)
    # Without trials the interval is 0 to 1 and there is no share to show.
    measured = f"{hits:,} of {trials:,} ({interval.measured:.2%})" if trials else "none"
    return Reason(
        metric=name,
        stat="Share",
        label=label,
        measured=interval.measured if trials else None,
        low=interval.low,
        high=interval.high,
        limit=limit,
        text=f"{name}: {measured} {_SIGNS[label, True]} limit {limit:.2%} "
        f"(interval {interval.low:.2%} to {interval.high:.2%})",
        missing=missing,
    )


# (label, whether more is worse) -> how the measured value relates to the limit.
_SIGNS = {
    (Label.FAIL, True): ">",
    (Label.PASS, True): "<",
    (Label.FAIL, False): "<",
    (Label.PASS, False): ">",
    (Label.INCONCLUSIVE, True): "not distinguishable from",
    (Label.INCONCLUSIVE, False): "not distinguishable from",
}


def _missing(rule: MetricRule, pairs: Pairs, interval: Interval, limit: float, minutes_run: int) -> str:
    if interval.low == -inf and interval.high == inf and not rule.counted:
        return _more_minutes(interval, pairs, minutes_run)
    requests = pairs.least_requests
    times = _times_longer(interval, limit, power=1 if _is_without_events(rule, pairs) else 2)
    if times is None:
        measured = difference_in_words(interval.measured, unit_of(rule))
        longest = minutes_in_words(minutes_run * (_MAX_TIMES_LONGER - 1))
        traffic = traffic_in_words(requests, minutes_run)
        return f"a margin further from the measured {measured}: {traffic} this one takes more than {longest}"
    wait = wait_in_words(requests, minutes_run, minutes_run * (times - 1))
    return f"a longer trial: {wait} more, if the difference does not change"


def _is_without_events(rule: MetricRule, pairs: Pairs) -> bool:
    return rule.counted and not any(pairs.control) and not any(pairs.candidate)


def _more_minutes(interval: Interval, pairs: Pairs, minutes_run: int) -> str:
    if not interval.minutes_needed:
        return "less autocorrelated minutes"
    missing = interval.minutes_needed - len(pairs)
    wait = wait_in_words(pairs.least_requests, minutes_run, missing * minutes_run / len(pairs))
    return f"{interval.minutes_needed} minutes with data for an interval: {wait} more"


def _times_longer(interval: Interval, limit: float, *, power: int = 2) -> float | None:
    """
    Return how many times as much data would exclude *limit*; ``None`` if no trial is that long.

    :param power: the data that an interval of half the width needs, as a power of two. The width shrinks with
        the square root of the data (2), or with the data itself (1) as long as no event is seen.
    """
    gap = abs(interval.measured - limit)
    end = interval.low if interval.measured > limit else interval.high
    # An end that is not known yet gives no hint: try twice as long.
    if not isfinite(end) or not isfinite(gap):
        return 2.0
    times = (abs(interval.measured - end) / gap) ** power if gap > 0 else inf
    return max(times, 1.1) if times <= _MAX_TIMES_LONGER else None


def _more_pairs(interval: Interval, trials: int, limit: float, min_trials: int) -> str:
    needed = max(min_trials, 1)
    if trials >= min_trials:
        times = _times_longer(interval, limit)
        if times is None:
            return f"a limit further from the measured {interval.measured:.2%}"

        needed = round(trials * times)
    return f"about {needed - trials:,} more pairs"
