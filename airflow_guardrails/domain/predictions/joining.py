"""
Which requests belong together: by inference id, then by event id, then by input and time.

Here is the join of a few records in memory: those at the ends of an hour. An hour of records is joined by
``airflow_guardrails.captured``, by the same rules, which its tests compare with this module.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain as chained
from typing import Any, NamedTuple, TypeAlias

from airflow_guardrails.domain.predictions.records import JoinKey, Record, Side, SidedRecord, total_order

_CellOf: TypeAlias = "Callable[[int], int]"
_Groups: TypeAlias = "dict[Any, dict[Side, list[Record]]]"

_PAIR = 2


class Link(NamedTuple):
    """
    A record in a chain of equal inputs.

    :param has_id: whether it has an inference id that no other request has.
    :param place: decides the order of records of one side and time.
    """

    at: int
    side: Side
    has_id: bool
    place: Any
    record: Any


def pair_nearest(chain: Sequence[Link], *, within: int) -> tuple[list[tuple[Any, Any]], list[Link]]:
    """
    Pair records of the same input by the nearest time; return the pairs and the records that are left.

    Two records that both have an inference id are of different requests, or they would be joined already. So
    shadow records without an id are paired first, with any record of production. Then the others are paired
    with production's remaining records without an id. Of equal distances, the earlier one is used.

    :param within: largest difference of the times of a pair, in microseconds.
    """
    if len(chain) == _PAIR:
        return _pair_two(chain, within=within)
    ordered = sorted(chain, key=_order)
    with_id = [link for link in ordered if _is_shadow_with_id(link)]
    pairs, left = _pair_all([link for link in ordered if not _is_shadow_with_id(link)], within=within)
    # This is the usual case: all clients send an id, or none does.
    if not with_id:
        return pairs, left
    candidates = [link for link in left if link.side is Side.PRODUCTION and not link.has_id]
    others = [link for link in left if link.side is Side.SHADOW or link.has_id]
    more, rest = _pair_all(sorted([*candidates, *with_id], key=_order), within=within)
    return pairs + more, others + rest


def _pair_two(chain: Sequence[Link], *, within: int) -> tuple[list[tuple[Any, Any]], list[Link]]:
    by_side = {link.side: link for link in chain}
    if len(by_side) == _PAIR:
        production, shadow = by_side[Side.PRODUCTION], by_side[Side.SHADOW]
        # Two different inference ids are two different requests.
        if abs(production.at - shadow.at) <= within and not (production.has_id and shadow.has_id):
            return [(production.record, shadow.record)], []
    return [], list(chain)


def _pair_all(line: Sequence[Link], *, within: int) -> tuple[list[tuple[Any, Any]], list[Link]]:
    """
    Pair the two nearest records of different sides, remove them, and repeat; O(n log n).

    The nearest two are always neighbours in time: a record between them would be nearer to one of them. So
    only neighbours are compared.
    """
    after = list(range(1, len(line) + 1))
    before = list(range(-1, len(line) - 1))
    unpaired = [True] * len(line)
    pairs = []

    def candidate(left: int, right: int) -> Iterator[tuple[int, int, int]]:
        if left >= 0 and right < len(line) and line[left].side is not line[right].side:
            gap = line[right].at - line[left].at
            if gap <= within:
                yield gap, left, right

    heap = [each for left in range(len(line) - 1) for each in candidate(left, left + 1)]
    heapq.heapify(heap)
    while heap:
        _, left, right = heapq.heappop(heap)
        if not (unpaired[left] and unpaired[right]):
            continue
        unpaired[left] = unpaired[right] = False
        by_side = {link.side: link.record for link in (line[left], line[right])}
        pairs.append((by_side[Side.PRODUCTION], by_side[Side.SHADOW]))
        # What was left and right of the pair are neighbours now.
        outer_left, outer_right = before[left], after[right]
        if outer_left >= 0:
            after[outer_left] = outer_right
        if outer_right < len(line):
            before[outer_right] = outer_left
        for each in candidate(outer_left, outer_right):
            heapq.heappush(heap, each)
    return pairs, [link for link, is_left in zip(line, unpaired, strict=True) if is_left]


def _is_shadow_with_id(link: Link) -> bool:
    return link.side is Side.SHADOW and link.has_id


def _order(link: Link) -> tuple[Any, ...]:
    return link.at, link.side.value, link.place


@dataclass(slots=True)
class Joined:
    """
    What a join has found.

    :param pairs: key of the join, production's record, and shadow's.
    :param unmatched: records without a pair.
    :param duplicates: records of each side that repeat another one.
    :param reused: records of each side whose inference id other requests have, too.
    """

    pairs: list[tuple[JoinKey, Record, Record]] = field(default_factory=list)
    unmatched: list[SidedRecord] = field(default_factory=list)
    duplicates: Counter[Side] = field(default_factory=Counter)
    reused: Counter[Side] = field(default_factory=Counter)


def join(records: Iterable[SidedRecord], *, within: int, cell: _CellOf) -> Joined:
    """
    Join *records*; those of different cells are not joined.

    Records of one side with the same inference id are the same event if they have the same event id, or
    without one, the same time and input. The earliest of them is joined, the others are duplicates. If there
    are several events, the inference id is not that of one request, but of a session, for example. Then it
    does not decide; it only keeps apart what is joined by input.

    :param within: largest difference of the times of a pair that is joined by its input, in microseconds.
    :param cell: returns the cell of a time, for example its hour.
    """
    joined = Joined()
    rest: list[tuple[Side, Record, str]] = []  # side, record, and the reused inference id
    with_id, without_id = _groups(records, lambda record: record.inference_id, cell)
    for group in with_id.values():
        events = {side: _first_events(joined, side, group[side]) for side in Side}
        if max(map(len, events.values())) > 1:
            for side, each in events.items():
                joined.reused[side] += len(each)
                rest += [(side, record, record.inference_id) for record in each]
        else:
            rest += [(side, record, "") for side, record in _paired(joined, JoinKey.INFERENCE_ID, events)]
    rest += [(side, record, "") for side, record in without_id]
    reused = {id(record): reused_id for _, record, reused_id in rest}

    by_event, without_event = _groups(
        ((side, record) for side, record, _ in rest), lambda record: record.event_id, cell
    )
    left = without_event
    for group in by_event.values():
        events = {side: _first(joined, side, group[side]) for side in Side}
        left += _paired(joined, JoinKey.EVENT_ID, events)

    chains: dict[Any, list[Link]] = {}
    for side, record in left:
        if not record.input_digest:
            joined.unmatched.append((side, record))
            continue
        reused_id = reused[id(record)]
        has_id = bool(record.inference_id) and not reused_id
        link = Link(record.at, side, has_id, total_order(record), record)
        chains.setdefault((cell(record.at), record.input_digest, reused_id), []).append(link)
    for chain in chains.values():
        pairs, links = pair_nearest(chain, within=within)
        joined.pairs += [(JoinKey.INPUT, production, shadow) for production, shadow in pairs]
        joined.unmatched += [(link.side, link.record) for link in links]
    return joined


def _groups(
    records: Iterable[SidedRecord], key: Callable[[Record], str], cell: _CellOf
) -> tuple[_Groups, list[SidedRecord]]:
    """Group by cell and key; the second item has the records without a key."""
    groups: _Groups = {}
    others: list[SidedRecord] = []
    for side, record in records:
        if key(record):
            group = groups.setdefault((cell(record.at), key(record)), {each: [] for each in Side})
            group[side].append(record)
        else:
            others.append((side, record))
    return groups, others


def _first_events(joined: Joined, side: Side, records: list[Record]) -> list[Record]:
    events: dict[Any, list[Record]] = {}
    for record in records:
        events.setdefault(record.event_id or (record.at, record.input_digest), []).append(record)
    return list(chained.from_iterable(_first(joined, side, each) for each in events.values()))


def _first(joined: Joined, side: Side, records: list[Record]) -> list[Record]:
    """Return the earliest of *records*, and count the others as duplicates."""
    joined.duplicates[side] += max(0, len(records) - 1)
    return [min(records, key=total_order)] if records else []


def _paired(joined: Joined, key: JoinKey, events: dict[Side, list[Record]]) -> list[SidedRecord]:
    """Add the pair, or return the record that has none."""
    production, shadow = events[Side.PRODUCTION], events[Side.SHADOW]
    if production and shadow:
        joined.pairs.append((key, production[0], shadow[0]))
        return []
    return [(side, record) for side, each in events.items() for record in each]
