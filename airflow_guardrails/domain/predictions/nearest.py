"""Requests without a common id: those with equal inputs, the nearest in time first, each at most once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from airflow_guardrails.domain.predictions.records import Record, Side, total_order

Sided: TypeAlias = "tuple[Side, Record]"

_PAIR = 2


def pair_nearest(chain: Sequence[Sided], *, within: int) -> tuple[list[tuple[Record, Record]], list[Sided]]:
    """
    Pair production's records with shadow's, all of one input, and say which are left.

    Records that both have an inference id are of different requests, for they were not joined by it. So
    shadow records without one are paired first, with any of production's; then the others, with what is left
    of production's without one. Of equal distances, the earlier counts first.
    """
    if len(chain) == _PAIR:
        return _pair_two(chain, within=within)
    chain = sorted(chain, key=_order)
    named = [each for each in chain if _is_shadow_with_id(each)]
    pairs, left = _pair_all([each for each in chain if not _is_shadow_with_id(each)], within=within)
    if not named:
        return pairs, left
    open_to_them = [each for each in left if each[0] is Side.PRODUCTION and not each[1][1]]
    others = [each for each in left if each[0] is Side.SHADOW or each[1][1]]
    more, rest = _pair_all(sorted([*open_to_them, *named], key=_order), within=within)
    return pairs + more, others + rest


def _pair_two(chain: Sequence[Sided], *, within: int) -> tuple[list[tuple[Record, Record]], list[Sided]]:
    by_side = dict(chain)
    if len(by_side) == _PAIR:
        production, shadow = by_side[Side.PRODUCTION], by_side[Side.SHADOW]
        if abs(production[0] - shadow[0]) <= within and not (production[1] and shadow[1]):
            return [(production, shadow)], []
    return [], list(chain)


def _pair_all(line: Sequence[Sided], *, within: int) -> tuple[list[tuple[Record, Record]], list[Sided]]:
    """
    Pair the nearest, take them out, and so on.

    On a line, the nearest two of different sides have nothing between them: whatever is between would be
    nearer to one of them. So only neighbours are looked at, in n log n.
    """
    after = list(range(1, len(line) + 1))
    before = list(range(-1, len(line) - 1))
    alive = [True] * len(line)
    pairs = []

    def candidate(left: int, right: int) -> Iterator[tuple[int, int, int]]:
        if left >= 0 and right < len(line) and line[left][0] is not line[right][0]:
            gap = line[right][1][0] - line[left][1][0]
            if gap <= within:
                yield gap, left, right

    heap = [each for left in range(len(line) - 1) for each in candidate(left, left + 1)]
    heapq.heapify(heap)
    while heap:
        _, left, right = heapq.heappop(heap)
        if not (alive[left] and alive[right]):
            continue
        alive[left] = alive[right] = False
        found = dict((line[left], line[right]))
        pairs.append((found[Side.PRODUCTION], found[Side.SHADOW]))
        outer_left, outer_right = before[left], after[right]
        if outer_left >= 0:
            after[outer_left] = outer_right
        if outer_right < len(line):
            before[outer_right] = outer_left
        for each in candidate(outer_left, outer_right):
            heapq.heappush(heap, each)
    return pairs, [each for each, is_left in zip(line, alive, strict=True) if is_left]


def _is_shadow_with_id(sided: Sided) -> bool:
    return sided[0] is Side.SHADOW and bool(sided[1][1])


def _order(sided: Sided) -> tuple[object, ...]:
    side, record = sided
    return record[0], side.value, total_order(record)
