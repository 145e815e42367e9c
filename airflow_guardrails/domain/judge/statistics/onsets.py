"""
Harm that begins during a trial: bets are started at every minute, and their wealth is added up.

The minutes before the harm lose a bet on it, and the minutes after have to win that back first. A bet that
starts with the harm does not. Each minute j starts the same bets anew with the part w_j of the stake. The
parts sum to 1, so the sum of all wealth is an e-process if each bet is one in the same filtration: over all
looks it reaches 1 / alpha with a probability of at most alpha. The idea is that of Shin, Ramdas and Rinaldo,
"E-detectors: a nonparametric framework for sequential change detection", New England Journal of Statistics in
Data Science 2, 2023; there the parts are not bounded by 1, here the probability of a false alarm must not
grow with time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import exp, inf, log

# Part of the stake on harm from the first minute on.
WHOLE_TRIAL_WEIGHT = 0.5

# Half of the other parts fall on the first so many minutes. The duration of a trial is not known in advance,
# so they decrease with time, as slowly as 1 / j^2.
_MEDIAN_ONSET = 60

# Each onset of so many newest minutes is kept, and of older ones one in each of so many groups for each
# doubling of the age.
_SINGLE_ONSETS, _GROUPS = 30, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """
    How much speaks for harm beyond a margin.

    :param log_e: logarithm of the e-value: if there is no such harm, it ever reaches log(1 / alpha) with a
        probability of at most alpha.
    :param onset: the minute of the trial, from 0, in which the harm most likely began.
    """

    log_e: float
    onset: int

    def fails(self, alpha: float) -> bool:
        """Whether the harm is proven; *alpha* is the probability, 0 to 1, of a false Fail."""
        return self.log_e >= -log(alpha)


NO_HARM = Harm(log_e=0.0, onset=0)


def onset_weight(minute: int) -> float:
    """Return the part of the stake on harm that begins in *minute*; the parts of all minutes sum to 1."""
    if minute == 0:
        return WHOLE_TRIAL_WEIGHT
    # This is a difference of successive values of 1 / (j + 59), so the sum telescopes.
    before, after = minute + _MEDIAN_ONSET - 1, minute + _MEDIAN_ONSET
    return (1 - WHOLE_TRIAL_WEIGHT) * _MEDIAN_ONSET / (before * after)


def groups_of_onsets(onsets: Sequence[int], minutes: int) -> list[list[int]]:
    """
    Divide *onsets* into groups of which one each is kept after so many *minutes*; return their positions.

    The older an onset is, the less it matters by how many minutes it is missed. So the length of a group is
    about a twelfth of its age: of 2 days, 90 onsets are kept. The first, which is 0, and each of the newest
    are a group of their own.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for position, onset in enumerate(onsets):
        length = _group_length(minutes - onset) if onset else minutes
        groups.setdefault((length, onset // length), []).append(position)
    return list(groups.values())


def _group_length(age: int) -> int:
    # A power of two, so that groups become larger by being joined.
    return 1 << (age // _GROUPS).bit_length() - 1 if age >= _SINGLE_ONSETS else 1


@lru_cache(maxsize=32)
def log_onset_weights(first: int, last: int) -> tuple[float, ...]:
    """Return the logs of the weights of harm from minutes *first* to before *last*, and from later ones."""
    # That of the others is the sum of all weights to come: they telescope.
    rest = (1 - WHOLE_TRIAL_WEIGHT) * _MEDIAN_ONSET / (last + _MEDIAN_ONSET - 1)
    return tuple(log(weight) for weight in (*map(onset_weight, range(first, last)), rest))


def harm_over_onsets(bets: Sequence[tuple[float, Sequence[float]]]) -> Harm:
    """
    Return the evidence of all *bets* over all minutes in which the harm may have begun.

    :param bets: weight of each bet, above 0, and the logarithm of what it multiplies its wealth by in each
        minute, ``-inf`` if it loses everything. The weights sum to at most 1.
    """
    count = len(bets[0][1]) if bets else 0
    if not count:
        return NO_HARM
    *stakes, left = log_onset_weights(0, count)
    # From the last minute back to the first: the log wealth of a bet that starts in that minute.
    wealth = [
        [log(weight) + stake + gained for stake, gained in zip(stakes, _sums_from_end(factors), strict=True)]
        for weight, factors in bets
    ]
    largest = list(map(max, *wealth)) if len(wealth) > 1 else wealth[0]
    # The sum over all bets is at most so many times the largest, so only these can have the largest sum.
    least = max(largest) - log(len(wealth))
    likely = [minute for minute, most in enumerate(largest) if most >= least] or [0]
    return Harm(
        # What is staked on later minutes is still there.
        log_e=log_sum([*map(log_sum, wealth), left]),
        onset=max(likely, key=lambda minute: log_sum([one[minute] for one in wealth])),
    )


def _sums_from_end(values: Sequence[float]) -> list[float]:
    return list(accumulate(reversed(values)))[::-1]


def log_sum(logs: Sequence[float]) -> float:
    """Return the log of the sum of the numbers whose logs are *logs*; ``-inf`` if there is none."""
    largest = max(logs, default=-inf)
    if largest == -inf:
        return -inf
    return largest + log(sum(exp(one - largest) for one in logs))
