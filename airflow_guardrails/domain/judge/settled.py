"""
Settled minutes: sums of earlier minutes of a trial, which no later minute changes.

From two hours on, the judge computes anew only with the newest minutes, 40 to 69 of them, and has sums of all
before. So a look costs about the same after 2 hours and after 2 days.

The sums depend on the values of the trial alone, and are made in the same steps, of 30 minutes, by every
look. They are kept in memory under a digest of those values. If they are not there (the triggerer was
restarted, or CloudWatch has corrected an earlier minute), they are computed again. So a verdict is the same
to the last digit whether they were kept or not.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

from airflow_guardrails.domain.judge.evidence import Pairs
from airflow_guardrails.domain.judge.formula import Formula, MergedMinutes, clipped
from airflow_guardrails.domain.judge.statistics.harm import Sums
from airflow_guardrails.domain.judge.statistics.noise import Structure

# From so many minutes on, earlier ones are settled: until then, the variation of all minutes is needed.
SETTLED_FROM = 120

# Minutes that are never settled, and minutes that are settled at once.
_NEWEST, _BLOCK = 40, 30

# The noise of minutes that are settled is that of them and so many later ones. The others may still change.
_AHEAD = 30

# Sums of so many rules are kept, of 25 to 45 kB each.
_MOST_KEPT = 2000


class PlainSums(NamedTuple):
    """Sums of the weights of pairs, and of the weighted values of both sides in units of some scale."""

    weight: float
    control: float
    candidate: float

    @classmethod
    def of(cls, pairs: Pairs, first: int, last: int, *, scale: float) -> PlainSums:
        """Return those of the pairs from *first* to before *last*."""
        unit, weights = scale or 1.0, pairs.weights(first, last)
        control, candidate = (
            sum(weight * (value / unit) for weight, value in zip(weights, side[first:last], strict=True))
            for side in (pairs.control, pairs.candidate)
        )
        return cls(sum(weights), control, candidate)

    def plus(self, other: PlainSums) -> PlainSums:
        """Return the sums of both."""
        return PlainSums(*(one + more for one, more in zip(self, other, strict=True)))

    def minus(self, other: PlainSums) -> PlainSums:
        """Return what is left without *other*."""
        return PlainSums(*(one - less for one, less in zip(self, other, strict=True)))

    def times(self, factor: float) -> PlainSums:
        """Return the sums if the values are *factor* times as large."""
        return PlainSums(self.weight, factor * self.control, factor * self.candidate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """
    The sums of settled minutes.

    :param scale: the largest of their values, which are in this unit.
    :param newest: the newest difference, before outliers were moved.
    :param control: sum of production's means.
    :param sums: sums of the differences.
    :param plain: plain sums of the pairs.
    :param before: plain sums of the pairs before each kept onset, three items each.
    """

    scale: float
    newest: float
    control: float
    sums: Sums
    plain: PlainSums
    before: array[float]

    def in_units_of(self, scale: float, formula: Formula) -> Settled:
        """Return the sums of the same values in units of *scale*."""
        if scale == self.scale:
            return self
        factor = self.scale / scale
        # A percentage has no unit.
        raised = 1.0 if formula.in_percent else factor
        return Settled(
            scale=scale,
            newest=raised * self.newest,
            control=factor * self.control,
            sums=self.sums if formula.in_percent else self.sums.times(factor),
            plain=self.plain.times(factor),
            before=array("d", [value * (factor if at % 3 else 1) for at, value in enumerate(self.before)]),
        )

    def plain_since(self, onset: int) -> PlainSums:
        """Return the plain sums of the settled pairs from a kept *onset* on."""
        first = 3 * self.sums.onsets.index(onset)
        return self.plain.minus(PlainSums(*self.before[first : first + 3]))


def settled_of(formula: Formula, minutes: MergedMinutes, structures: Sequence[Structure]) -> Settled | None:
    """
    Return the sums of all minutes but the newest; ``None`` if there are too few minutes.

    :param structures: those of the noise that may be asked for.
    """
    counts = _counts(len(minutes))
    keys = list(_keys(formula, minutes, structures, counts))
    found, settled = next(
        ((at, kept) for at, key in reversed([*enumerate(keys)]) if (kept := _KEPT.get(key))), (-1, None)
    )
    for count in counts[found + 1 :]:
        settled = _settle(formula, minutes, structures, count, settled)
    if settled and found < len(keys) - 1:
        _KEPT.put(keys[-1], settled, instead_of=keys[found] if found >= 0 else None)
    return settled


def _counts(minutes: int) -> range:
    """Return after how many minutes some were settled."""
    if minutes < SETTLED_FROM:
        return range(0)
    return range(SETTLED_FROM - _NEWEST, minutes - _NEWEST + 1, _BLOCK)


def _settle(
    formula: Formula,
    minutes: MergedMinutes,
    structures: Sequence[Structure],
    count: int,
    earlier: Settled | None,
) -> Settled:
    """Return the sums of *count* minutes."""
    first, ahead = earlier.sums.count if earlier else 0, count + _AHEAD
    scale = max(formula.least_scale, minutes.largest(first, ahead), earlier.scale if earlier else 0.0)
    earlier = earlier and earlier.in_units_of(scale, formula)
    control, candidate = minutes.means(first, ahead, scale)
    differences = formula.differences(control, candidate, scale)
    values = clipped(differences, before=earlier.newest if earlier else None)[: count - first]
    sums = Sums.of(structures, values, earlier.sums if earlier else None)
    plain, before = (earlier.plain, earlier.before[:]) if earlier else (PlainSums(0.0, 0.0, 0.0), array("d"))
    for minute in range(first, count):
        before.extend(plain)
        plain = plain.plus(PlainSums.of(minutes.pairs, *minutes.bounds[minute : minute + 2], scale=scale))
    onsets = (*(earlier.sums.onsets if earlier else ()), *range(first, count))
    kept = set(sums.onsets)
    return Settled(
        scale=scale,
        newest=differences[count - first - 1],
        control=(earlier.control if earlier else 0.0) + sum(control[: count - first]),
        sums=sums,
        plain=plain,
        before=array("d", [value for at, value in enumerate(before) if onsets[at // 3] in kept]),
    )


def _keys(
    formula: Formula, minutes: MergedMinutes, structures: Sequence[Structure], counts: Sequence[int]
) -> Iterator[bytes]:
    """Yield for each of *counts* a digest of everything that its sums are computed from."""
    pairs, is_merged = minutes.pairs, not isinstance(minutes.bounds, range)
    digest = blake2b(repr((formula, is_merged, structures)).encode(), digest_size=16)
    sides = (
        pairs.control,
        pairs.candidate,
        pairs.control_requests,
        pairs.candidate_requests,
        pairs.control_denominators,
        pairs.candidate_denominators,
    )
    begin = 0
    for count in counts:
        end = minutes.bounds[count + _AHEAD]
        digest.update(end.to_bytes(8, "big"))
        for side in sides:
            digest.update(array("d", side[begin:end]).tobytes())
        begin = end
        yield digest.digest()


class _Kept:
    """The sums that were used last, by key."""

    def __init__(self) -> None:
        self._settled: OrderedDict[bytes, Settled] = OrderedDict()
        # Several trials may be judged at once, in threads of the triggerer.
        self._lock = Lock()

    def get(self, key: bytes) -> Settled | None:
        with self._lock:
            if found := self._settled.get(key):
                self._settled.move_to_end(key)
            return found

    def put(self, key: bytes, settled: Settled, *, instead_of: bytes | None) -> None:
        with self._lock:
            if instead_of:
                self._settled.pop(instead_of, None)
            self._settled[key] = settled
            while len(self._settled) > _MOST_KEPT:
                self._settled.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._settled.clear()


_KEPT = _Kept()


def forget() -> None:
    """Forget all kept sums, as a restart does."""
    _KEPT.clear()
