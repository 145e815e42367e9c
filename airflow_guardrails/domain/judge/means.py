"""Evidence from values: how much worse the candidate is, in the whole trial or since some minute."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, log

from airflow_guardrails.domain.judge.differences import Differences, differences_of
from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.result import Result
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.harm import (
    AUTOREGRESSIVE,
    MIN_MINUTES,
    SLOW,
    STEP_WEIGHT,
    STRUCTURES,
    UNDER_NOISE,
    Minutes,
    is_without_slow_waves,
    minutes_needed,
)
from airflow_guardrails.domain.judge.statistics.interval import Interval
from airflow_guardrails.domain.judge.statistics.noise import Structure
from airflow_guardrails.domain.judge.statistics.onsets import WHOLE_TRIAL_WEIGHT

# Below this variation of the differences, what is left is hardly noise of single minutes.
_HARDLY_NOISE = 0.5

# From so many minutes on, a slow wave can be told from harm, and from so many also one under noise. Before
# that, allowing for them would only make a decision later.
_SLOW_FROM, _SLOW_UNDER_NOISE_FROM = 30, 90

# The allowance of a Fail, see _allowance(): least, most, the minutes of e, and until when it does not fall.
_LEAST_ALLOWANCE, _MOST_ALLOWANCE, _ALLOWANCE_MINUTES, _ALLOWANCE_FALLS = 0.7, 1.6, 8, 60

# Below this variation of the differences, the sides visibly vary together.
_TOGETHER = 0.8

# A Pass also asks whether the mean of the last minutes is within the margin.
_LAST_MINUTES = 15


def judge_means(rule: MetricRule, pairs: Pairs, *, alpha_fail: float, alpha_pass: float) -> Result:
    """
    Compare the candidate's values with production's, minute by minute.

    The interval is that of the mean in the whole trial; harm is looked for from every minute on. The plain
    means must agree: a mean within the margin since the onset never fails, and a mean beyond it, in the whole
    trial or in the last 15 minutes, never passes.

    :param alpha_fail: probability, 0 to 1, of a false Fail.
    :param alpha_pass: probability, 0 to 1, of a false Pass.
    """
    differences = differences_of(rule, pairs)
    measured = differences.measured_since(0)
    if len(differences) < MIN_MINUTES:
        # Minutes may be merged, so a minute of the test may need several.
        minutes_each = len(pairs) / max(len(differences), 1)
        needed = ceil(minutes_needed(min(alpha_fail, alpha_pass)) * minutes_each)
        interval = Interval(measured=measured, low=-inf, high=inf, minutes_needed=needed)
        return Result(interval=interval, fails=False, onset=0, measured_since_onset=measured)
    minutes = Minutes(differences.values, differences.earlier)
    structures = _structures(differences, pairs.history)
    threshold = -log(alpha_fail) - _allowance(differences, structures)
    # The sum over all onsets has this part of a step from the first minute on, so the interval adds no Fail.
    whole = threshold - log(WHOLE_TRIAL_WEIGHT * STEP_WEIGHT)
    worst = minutes.end(structures, whole, low=True)
    best = minutes.end(structures, -log(alpha_pass), low=False)
    # The mean of few skewed requests is mostly lower than that of many. The plain means have no such bias.
    best += max(0.0, differences.mean_at(measured) - minutes.mean)
    harm = minutes.harm(structures)
    since = differences.measured_since(harm.onset)
    return Result(
        interval=_interval(
            rule,
            measured,
            fails_from=differences.value_at(worst),
            passes_to=differences.value_at(best),
            recent=differences.measured_in_last(_LAST_MINUTES),
        ),
        fails=harm.log_e >= threshold and (since > differences.limit) is rule.worse_is_more,
        onset=differences.first_pair(harm.onset),
        measured_since_onset=since,
    )


def _interval(
    rule: MetricRule, measured: float, *, fails_from: float, passes_to: float, recent: float
) -> Interval:
    if rule.worse_is_more:
        low, high = min(fails_from, measured), max(passes_to, measured, recent)
    else:
        low, high = min(passes_to, measured, recent), max(fails_from, measured)
    return Interval(measured=measured, low=low, high=high)


def _structures(differences: Differences, history: Sequence[float]) -> tuple[Structure, ...]:
    """Return the structures of noise that may explain the minutes without harm."""
    if is_without_slow_waves(history):
        return AUTOREGRESSIVE
    minutes = len(differences)
    slow = SLOW if minutes >= _SLOW_FROM else ()
    if minutes >= _SLOW_UNDER_NOISE_FROM:
        return STRUCTURES
    # Noise of single minutes comes from each side's own requests. If the sides share most of what varies,
    # there is little of it.
    return *AUTOREGRESSIVE, *slow, *(UNDER_NOISE if differences.variation >= _HARDLY_NOISE else ())


def _allowance(differences: Differences, structures: Sequence[Structure]) -> float:
    """
    Return what is subtracted from the log of the threshold of a Fail.

    The smallest e-value of a grid is smaller than that of the true structure, so a Fail would come later than
    alpha allows. The allowance gives a part of that back. It is calibrated, not proven: by ``make calibrate``
    for up to an hour of sides that vary together; formally, the bound is e^1.6 alpha there. It falls to 0 in
    the second hour. It is 0 if the sides vary independently, unless a history shows no slow waves.
    """
    minutes = len(differences)
    if differences.variation >= _TOGETHER and structures is not AUTOREGRESSIVE:
        return 0.0
    least = max(_LEAST_ALLOWANCE, log(minutes / _ALLOWANCE_MINUTES))
    return min(_MOST_ALLOWANCE, least) * min(1.0, max(0.0, 2 - minutes / _ALLOWANCE_FALLS))
