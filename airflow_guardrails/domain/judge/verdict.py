"""What a judge answers: a label, and for each thing that it looked at a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf, isfinite
from typing import Any

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.means import Interval
from airflow_guardrails.domain.judge.text import (
    difference_in_words,
    interval_in_words,
    minutes_in_words,
    unit_of,
)
from airflow_guardrails.domain.text import error_in_words


class Label(str, Enum):
    """Inconclusive: the data do not say whether the candidate is worse by more than it may be."""

    PASS = "Pass"  # noqa: S105 - no password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """
    What one metric says of the candidate.

    :param measured: how far the candidate is from production: a fraction of production's, or in the metric's
        unit, as its margin is given; ``None`` without data.
    :param low: low end of the interval around it; ``None``: nothing is known on that side.
    :param high: high end of it.
    :param limit: where it becomes too much, with its sign.
    :param text: all that in a sentence.
    :param missing: what a decision would take, and when that can be expected at this traffic.
    :param ignored: whether it counts for nothing: its data are missing and its rule says that this may be.
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

    def as_dict(self) -> dict[str, Any]:
        """For the report: JSON, so that an end that is not known is null."""
        return {
            "metric": self.metric,
            "stat": self.stat,
            "label": self.label.value,
            "measured": _known(self.measured),
            "low": _known(self.low),
            "high": _known(self.high),
            "limit": _known(self.limit),
            "text": self.text,
            "missing": self.missing,
            "ignored": self.ignored,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer of a judge."""

    label: Label
    reasons: tuple[Reason, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {"label": self.label.value, "reasons": [reason.as_dict() for reason in self.reasons]}

    def describe(self) -> str:
        """Say it in one line: the label, and the reasons that made it."""
        if not self.reasons:
            return f"{self.label.value}: nothing was judged"
        deciding = [
            reason.text for reason in self.reasons if reason.label is self.label and not reason.ignored
        ]
        return f"{self.label.value}: {'; '.join(deciding) or 'nothing that counts had enough data'}"


def combine(reasons: Iterable[Reason]) -> Verdict:
    """
    Make one verdict of *reasons*: Fail by any, Pass by all, else Inconclusive.

    Without a reason that counts nothing is known: Inconclusive.
    """
    given = tuple(reasons)
    labels = {reason.label for reason in given if not reason.ignored}
    if Label.FAIL in labels:
        return Verdict(label=Label.FAIL, reasons=given)
    return Verdict(label=Label.PASS if labels == {Label.PASS} else Label.INCONCLUSIVE, reasons=given)


def unjudged(what: str, error: Exception) -> Verdict:
    """Make the verdict of a judge that has raised *error*: nothing is known, and why."""
    reason = Reason(
        metric=what,
        stat="",
        label=Label.INCONCLUSIVE,
        measured=None,
        low=None,
        high=None,
        limit=None,
        text=f"{what} could not be judged ({error_in_words(error)})",
        missing="a judge that can read these data",
    )
    return Verdict(label=Label.INCONCLUSIVE, reasons=(reason,))


def _known(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


# What lies so near to its limit will not be told from it in any trial.
_NEVER = 100.0

_ROUNDING = 1e-9


def measured_reason(rule: MetricRule, pairs: Pairs, interval: Interval, *, ran: int) -> Reason:
    """
    Compare *interval* with the margin of *rule*: wholly beyond, wholly within, or neither.

    :param ran: minutes that the trial ran.
    """
    limit = rule.allowed if rule.worse_is_more else -rule.allowed
    label = label_of(interval, limit, worse_is_more=rule.worse_is_more)
    unit = unit_of(rule)
    sign = _SIGNS[label, rule.worse_is_more]
    text = (
        f"{rule.metric} {rule.stat}: {difference_in_words(interval.measured, unit)} {sign} limit "
        f"{difference_in_words(limit, unit)} ({interval_in_words(interval.low, interval.high, unit)}, "
        f"{len(pairs)} minutes)"
    )
    return Reason(
        metric=rule.metric,
        stat=rule.stat,
        label=label,
        measured=interval.measured,
        low=interval.low,
        high=interval.high,
        limit=limit,
        text=text,
        missing=_missing(rule, pairs, interval, limit, ran) if label is Label.INCONCLUSIVE else None,
    )


def label_of(interval: Interval, limit: float, *, worse_is_more: bool) -> Label:
    rounding = _ROUNDING * max(1.0, abs(limit))
    above, below = interval.low > limit + rounding, interval.high < limit - rounding
    if not above and not below:
        return Label.INCONCLUSIVE
    return Label.FAIL if above is worse_is_more else Label.PASS


def share_reason(
    name: str, hits: int, trials: int, interval: Interval, *, limit: float, min_trials: int
) -> Reason:
    """Compare the share of *hits* with its *limit*; before *min_trials* nothing is decided."""
    label = label_of(interval, limit, worse_is_more=True)
    missing = None
    if trials < min_trials:
        label = Label.INCONCLUSIVE
    if label is Label.INCONCLUSIVE:
        missing = _more_pairs(interval, trials, limit, min_trials)
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


# Label and whether more is worse.
_SIGNS = {
    (Label.FAIL, True): ">",
    (Label.PASS, True): "<",
    (Label.FAIL, False): "<",
    (Label.PASS, False): ">",
    (Label.INCONCLUSIVE, True): "not told from",
    (Label.INCONCLUSIVE, False): "not told from",
}


def _missing(rule: MetricRule, pairs: Pairs, interval: Interval, limit: float, ran: int) -> str:
    if interval.low == -inf and interval.high == inf and not rule.counted:
        return _more_minutes(interval, pairs, ran)
    times = _times_longer(interval, limit)
    if times is None:
        near = difference_in_words(interval.measured, unit_of(rule))
        return f"a larger margin, or a difference less near to it than {near}"
    return (
        f"about {minutes_in_words(ran * (times - 1))} more at this traffic, if the difference stays as it is"
    )


def _more_minutes(interval: Interval, pairs: Pairs, ran: int) -> str:
    if not interval.needed:
        return "minutes that resemble each other less"
    wait = (interval.needed - len(pairs)) * ran / len(pairs)
    return f"{interval.needed} minutes of its kind to have an interval: about {minutes_in_words(wait)} more"


def _times_longer(interval: Interval, limit: float) -> float | None:
    """Say how many times as much data would tell the measured from *limit*: widths shrink by the root."""
    gap = abs(interval.measured - limit)
    end = interval.low if interval.measured > limit else interval.high
    if not isfinite(end) or not isfinite(gap):
        return 2.0
    times = (abs(interval.measured - end) / gap) ** 2 if gap > 0 else inf
    return max(times, 1.1) if times <= _NEVER else None


def _more_pairs(interval: Interval, trials: int, limit: float, min_trials: int) -> str:
    needed = max(min_trials, 1)
    if trials >= min_trials:
        times = _times_longer(interval, limit)
        if times is None:
            return f"a limit less near to {interval.measured:.2%}"
        needed = round(trials * times)
    return f"about {needed - trials:,} more pairs"
