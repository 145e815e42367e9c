"""
Whether the new fleet's share of the requests falls within a step of an update.

Which share a fleet gets is undocumented, so it is learnt from the first minutes of each step. If it falls
later, while the instances of both fleets stay the same, the new fleet may drop requests before they are
counted, or the load balancer may avoid it because it is slow. A share that rises is no finding.

A test compares the ratio of requests, new to old, before and after a split. The logarithm of its change is
compared with the tolerance, in standard errors. The standard error allows for chance (at best, requests are
divided by coins), for variation from minute to minute (load balancers are no coins), and for autocorrelation
(clients keep their connections). The last two are learnt from the minutes, starting from cautious
assumptions. Each split at each minute has its part of alpha (Bonferroni's inequality), so the test may be
repeated at every look.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from math import exp, log, sqrt
from statistics import NormalDist

from airflow_guardrails.domain.judge import Label, Reason, Series
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Stage, Variant

# A relative fall of the ratio of requests up to this is never a finding.
TOLERANCE = 1 / 3

# Minutes on each side of a split.
_MIN_MINUTES = 5

# What is assumed until the minutes show it, with the weight of so many minutes: the share varies by 20 % of
# itself, and the correlation of neighbouring minutes is 0.6.
_ASSUMED_VARIATION, _ASSUMED_CORRELATION, _ASSUMED_MINUTES = 0.2, 0.6, 10
_MAX_CORRELATION = 0.9

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSizes:
    """
    The instances of a variant in both fleets.

    :param new: instances of the new fleet with traffic; 0 if it is serverless.
    :param desired: size of the whole new fleet; 0 if it is serverless.
    :param old: instances of the old fleet.
    """

    variant: str
    new: int
    desired: int
    old: int

    @property
    def share(self) -> float | None:
        """The new fleet's share of the instances with traffic, 0 to 1; None if instances are not shown."""
        return self.new / (self.new + self.old) if self.new and self.old else None

    @property
    def full(self) -> bool:
        """Whether the new fleet has all of the traffic."""
        return self.new >= self.desired > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    A bake in which neither fleet changes its size, so the share of the requests should not change either.

    :param start: when it began, or when a look first showed it.
    :param end: when a look last showed it.
    """

    start: datetime
    end: datetime
    fleets: tuple[FleetSizes, ...]

    def sizes_of(self, variant: str) -> FleetSizes | None:
        """Return the instances of *variant*; None if the looks did not show it."""
        return next((sizes for sizes in self.fleets if sizes.variant == variant), None)


def steps_after(steps: tuple[Step, ...], look: Endpoint) -> tuple[Step, ...]:
    """Return the steps that the looks have shown, with *look* as the last one."""
    mark = look.current_stage
    if mark is None or mark.stage is not Stage.BAKING or look.pending is None:
        return steps
    step = Step(
        start=mark.since or look.seen_at,
        end=look.seen_at,
        fleets=tuple(_sizes(variant, look.variants) for variant in look.pending.variants),
    )
    last = steps[-1] if steps else None
    # A stage may come without its StartTime.
    if last is None or (mark.since is not None and last.end < mark.since):
        return (*steps, step)
    if last.fleets == step.fleets:
        return (*steps[:-1], replace(last, end=step.end))
    # A fleet was scaled between the last look and this one.
    return (*steps, replace(step, start=look.seen_at))


def _sizes(variant: Variant, old: Sequence[Variant]) -> FleetSizes:
    before = next((one.instances for one in old if one.name == variant.name), 0)
    return FleetSizes(
        variant=variant.name, new=variant.instances, desired=variant.desired_instances, old=before
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareFall:
    """
    A fall of the new fleet's share of the requests.

    :param at: the first minute after it.
    :param before: share of the requests before it, 0 to 1.
    :param after: share of the requests since.
    :param measured: relative change of the ratio of requests, new to old; -0.5: it halved.
    :param highest: the highest change that is not excluded, below minus :data:`TOLERANCE`.
    """

    at: datetime
    before: float
    after: float
    measured: float
    highest: float


def find_fall(requests: Series, step: Step, *, warm_up: timedelta, alpha: float) -> ShareFall | None:
    """
    Return the first fall of the new fleet's share within *step* that chance does not explain.

    :param requests: of the old fleet (control) and of the new one (candidate). A minute that only the old
        fleet has is one without requests to the new fleet.
    :param warm_up: time from the start of the step that is left out.
    :param alpha: probability, 0 to 1, that a fall is found although there is none beyond the tolerance.
    """
    rows = rows_of(requests, step, warm_up=warm_up)
    for part in itertools.count(1):
        change = _first_change(rows, alpha=alpha / (part * (part + 1)))
        if change is None or change.fall is not None:
            return change.fall if change else None
        # It rose, for example at a step that no look has shown. From there on, that is the share.
        rows = rows[change.split :]
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepShares:
    """
    The requests to both fleets of a variant, and the steps of the update.

    :param requests: of the old fleet (control) and of the new one (candidate).
    :param warm_up: time from the start of each step that is left out.
    """

    variant: str
    requests: Series
    steps: Sequence[Step]
    warm_up: timedelta

    def findings(self, *, alpha: float) -> tuple[Reason, ...]:
        """
        Return a reason for the first fall of the share in any step, which rules out a Pass; else nothing.

        :param alpha: probability, 0 to 1, that there is ever a finding although the share does not fall.
        """
        for number, (step, sizes) in enumerate(self._compared, start=1):
            part = alpha / (number * (number + 1))
            if fall := find_fall(self.requests, step, warm_up=self.warm_up, alpha=part):
                return (_reason(fall, sizes),)
        return ()

    def in_words(self) -> str | None:
        """Return "24% of the requests with 25% of the instances", of the last step; None without minutes."""
        for step, sizes in reversed(self._compared):
            if rows := rows_of(self.requests, step, warm_up=self.warm_up):
                instances = "" if sizes.share is None else f" with {sizes.share:.0%} of the instances"
                return f"{share_of(rows):.0%} of the requests{instances}"
        return None

    @property
    def _compared(self) -> list[tuple[Step, FleetSizes]]:
        """The steps in which both fleets have traffic."""
        sized = [(step, sizes) for step in self.steps if (sizes := step.sizes_of(self.variant))]
        return [(step, sizes) for step, sizes in sized if not sizes.full]


def is_share_finding(reason: Reason) -> bool:
    """Whether *reason* says that the new fleet's share of the requests fell."""
    return reason.stat == _SHARE


_SHARE = "Share of requests"


def _reason(fall: ShareFall, sizes: FleetSizes) -> Reason:
    stayed = f"its instances stayed at {sizes.new} of {sizes.desired}" if sizes.desired else "the step lasted"
    return Reason(
        metric="Invocations",
        stat=_SHARE,
        label=Label.INCONCLUSIVE,
        measured=fall.measured,
        low=None,
        high=fall.highest,
        limit=-TOLERANCE,
        text=f"the new fleet's share of the requests fell from {fall.before:.0%} to {fall.after:.0%} at "
        f"{fall.at.astimezone(timezone.utc):%H:%M} UTC, while {stayed}: it may drop requests before they are "
        f"counted",
        missing="the cause; more minutes do not take this back",
    )


def rows_of(requests: Series, step: Step, *, warm_up: timedelta) -> list[MinuteRequests]:
    """Return the minutes of *step* after its *warm_up* in which the old fleet had requests."""
    return [
        MinuteRequests(moment, requests.candidate.get(moment, 0.0), old)
        for moment, old in sorted(requests.control.items())
        if old > 0 and step.start + warm_up <= moment and moment + _MINUTE <= step.end
    ]


@dataclass(frozen=True, slots=True)
class MinuteRequests:
    """The requests to both fleets in one minute; those to the old one are above 0."""

    moment: datetime
    new: float
    old: float


def share_of(rows: Sequence[MinuteRequests]) -> float:
    """Return the new fleet's share of the requests in *rows*, 0 to 1."""
    new, old = sum(row.new for row in rows), sum(row.old for row in rows)
    return new / (new + old)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of the share, and its size in standard errors; *fall* is None if it rose."""

    split: int
    errors: float
    fall: ShareFall | None = None


# Minutes after a split. Few of them show a large fall soon, many a small one.
_WINDOWS = (5, 10, 20, 40)


def _first_change(rows: Sequence[MinuteRequests], *, alpha: float) -> _Change | None:
    for length in range(2 * _MIN_MINUTES, len(rows) + 1):
        # The parts of alpha add up to a tenth of it, however long the step is. The rest is a reserve: the
        # variation is learnt from few minutes, and is not normal.
        bound = -NormalDist().inv_cdf(alpha / (length * (length + 1) * len(_WINDOWS)))
        for split in (length - window for window in _WINDOWS):
            if split >= _MIN_MINUTES and _change(rows[:length], split, bound):
                return _clearest_change(rows[:length], bound)
    return None


def _clearest_change(rows: Sequence[MinuteRequests], bound: float) -> _Change | None:
    """Return the change at the split that shows it best, which is mostly when it was."""
    splits = range(_MIN_MINUTES, len(rows) - _MIN_MINUTES + 1)
    changes = filter(None, (_change(rows, split, bound) for split in splits))
    return max(changes, key=lambda change: change.errors, default=None)


def _change(rows: Sequence[MinuteRequests], split: int, bound: float) -> _Change | None:
    """Compare the minutes before and after *split*; *bound* is a number of standard errors."""
    before, after = _Part.of(rows[:split]), _Part.of(rows[split:])
    if not before.new:
        return None
    measured = log((after.new + 1) / after.old) - log((before.new + 1) / before.old)
    error = _standard_error(before, after)
    margin, errors = bound * error, abs(measured) / error
    if measured - margin > -log(1 - TOLERANCE):
        return _Change(split, errors)
    if measured + margin >= log(1 - TOLERANCE):
        return None
    fall = ShareFall(
        at=rows[split].moment,
        before=share_of(rows[:split]),
        after=share_of(rows[split:]),
        measured=exp(measured) - 1,
        highest=exp(measured + margin) - 1,
    )
    return _Change(split, errors, fall)


def _standard_error(before: _Part, after: _Part) -> float:
    """Return the standard error of the logarithm of the change of the ratio."""
    variance, correlation = _learnt(before, after)
    inflation = (1 + correlation) / (1 - correlation)
    variation = variance * inflation * (1 / before.effective_minutes + 1 / after.effective_minutes)
    # The variance of the logarithm of a count is about 1 / count. With a count far below its expectation that
    # is too much, with the expectation too little. The geometric mean of both is close.
    expected = before.new / before.old * after.old
    chance = (
        1 / (before.new + 1) + 1 / before.old + 1 / after.old + 1 / sqrt((after.new + 1) * (expected + 1))
    )
    return sqrt(variation + chance)


@dataclass(frozen=True, slots=True)
class _Part:
    """
    The minutes on one side of a split.

    :param effective_minutes: number of minutes; fewer if most of the requests came in some of them.
    :param residuals: for each minute, the relative distance of its ratio from the ratio of the part, and the
        variance that chance alone explains. Empty if the new fleet had no request.
    """

    new: float
    old: float
    effective_minutes: float
    residuals: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, rows: Sequence[MinuteRequests]) -> _Part:
        new, old = sum(row.new for row in rows), sum(row.old for row in rows)
        ratio = new / old
        return cls(
            new=new,
            old=old,
            effective_minutes=old**2 / sum(row.old**2 for row in rows),
            residuals=tuple(
                (row.new / (ratio * row.old) - 1, (1 + ratio) / (ratio * row.old)) for row in rows if ratio
            ),
        )


def _learnt(*parts: _Part) -> tuple[float, float]:
    """Return the variance of a minute's ratio beyond chance, relative, and its autocorrelation."""
    count = sum(len(part.residuals) for part in parts)
    # Each part has used up one of its residuals for its ratio.
    spread = sum(off**2 - chance for part in parts for off, chance in part.residuals) * count / (count - 2)
    lagged = sum(one[0] * other[0] for part in parts for one, other in itertools.pairwise(part.residuals))
    assumed = _ASSUMED_MINUTES * _ASSUMED_VARIATION**2
    learnt = assumed + max(0.0, spread)
    correlation = (assumed * _ASSUMED_CORRELATION + max(0.0, lagged)) / learnt
    return learnt / (_ASSUMED_MINUTES + count), min(correlation, _MAX_CORRELATION)
