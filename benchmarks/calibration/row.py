"""What a row of the calibration is: one kind of series, with an unharmed candidate and harmed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from airflow_guardrails.domain.judge.rules import MetricRule
from calibration.series import Trial, steady

Trials = dict[MetricRule, Trial]
Maker = Callable[[Random, int], Trials]


@dataclass(frozen=True, slots=True)
class Row:
    """
    One kind of series.

    :param unharmed: a candidate exactly at the margin of its rule: neither Fail nor Pass is right.
    :param harmed: name -> a candidate that is worse than the margin, at least from some minute on.
    :param minutes: duration of a trial.
    :param share: the candidate's requests for each of production's; ``None``: the share that it had so far.
    :param paired: whether the candidate gets copies of production's requests.
    :param passes: whether the unharmed candidate is better than the margin, or was at first, so that Pass is
        right.
    :param known: whether the judge gets the history of production.
    :param warm_up: minutes after the candidate's first request that are not judged.
    :param runs: number of runs where more would show the same: the series hardly depend on chance.
    :param limit: why alpha is exceeded in this row; ``None`` if it has to be kept.
    """

    name: str
    unharmed: Maker
    harmed: dict[str, Maker] = field(default_factory=dict)
    minutes: int = 60
    share: float | None = 1.0
    paired: bool = True
    passes: bool = False
    known: bool = True
    warm_up: int = 0
    runs: int | None = None
    limit: str | None = None


def only(rule: MetricRule, make: Callable[[Random, int], Trial]) -> Maker:
    """Return a maker of trials with one rule."""
    return lambda random, count: {rule: make(random, count)}


COPIES = steady(100)


def live(row: Row, share: float) -> Row:
    """Return the row for divided requests, of which the candidate gets *share*, 0 to 1."""
    return replace(row, share=share / (1 - share), paired=False)


def stepped(row: Row) -> Row:
    """Return the row for divided requests, of which the candidate gets more and more."""
    return replace(row, share=None, paired=False)


def unknown(row: Row) -> Row:
    """Return the row without a history of production."""
    return replace(row, known=False)
