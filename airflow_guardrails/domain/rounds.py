"""
Which endpoints to describe and which lists to read, so that many waits together cost little.

A list shows a hundred endpoints in one call, and no configuration: it only tells whose look is worth a call
of its own. What it costs to read is known from the time before, so both ways are priced each round.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.domain.endpoint import IN_FLIGHT, EndpointStatus, Listed

# Seconds that lists may spare an endpoint its look, unless somebody says otherwise.
MAX_DESCRIBE_GAP = 300.0

# An endpoint at rest that is to be updated shows here first.
UNDER_WAY = EndpointStatus.UPDATING


@dataclass(frozen=True, slots=True, kw_only=True)
class Vigil:
    """
    A look that somebody waits for; all times are seconds of one clock.

    :param due: when to look, or to see in a list that there is nothing to look at.
    :param every: beat of the wait; a list may be read that much earlier, together with others.
    :param describe_by: when to look whatever lists show.
    :param expected: status that is no news; ``None``: look when due, whatever lists show.
    :param modified_at: the endpoint's LastModifiedTime at the last look; a later one is news.
    """

    name: str
    due: float
    every: float
    describe_by: float
    expected: EndpointStatus | None = None
    modified_at: datetime | None = None

    @property
    def listed_in(self) -> EndpointStatus:
        """The list that may spare the look."""
        return self.expected if self.expected in IN_FLIGHT else UNDER_WAY

    @property
    def acts_at(self) -> float:
        return min(self.due, self.describe_by)

    def must_be_described(self, now: float) -> bool:
        return now >= self.describe_by or (self.expected is None and now >= self.due)

    def is_news(self, listed: Mapping[str, Listed]) -> bool:
        """Whether the list :attr:`listed_in` tells of a change."""
        found = listed.get(self.name)
        if self.expected not in IN_FLIGHT:
            return found is not None
        if found is None:
            return True
        return bool(self.modified_at and found.last_modified_at and found.last_modified_at > self.modified_at)


@dataclass(frozen=True, slots=True)
class Round:
    """
    What to do now.

    :param describe: names of endpoints to describe at once.
    :param spread: names of endpoints to describe too, evenly over *within* seconds.
    :param lists: statuses whose lists to read.
    """

    describe: frozenset[str] = frozenset()
    spread: frozenset[str] = frozenset()
    within: float = 0.0
    lists: frozenset[EndpointStatus] = frozenset()


def plan_round(
    vigils: Collection[Vigil], *, pages: Mapping[EndpointStatus, int], may_list: bool, now: float
) -> Round:
    """
    Choose the cheaper way to see to all that is due, counted in calls.

    A list is worth its pages only where it spares more looks than that, those of the next beat included: they
    would be due before it is read again.

    :param pages: how many pages each list had when it was last read.
    """
    must = frozenset(vigil.name for vigil in vigils if vigil.must_be_described(now))
    others = [vigil for vigil in vigils if vigil.expected is not None and vigil.name not in must]
    due = [vigil for vigil in others if now >= vigil.due]
    if not due:
        return Round(describe=must)
    beat = min(vigil.every for vigil in due)
    near = [vigil for vigil in others if vigil.due <= now + beat]
    lists = frozenset(
        status
        for status in {vigil.listed_in for vigil in due}
        if may_list and pages.get(status, 1) < len({v.name for v in near if v.listed_in is status})
    )
    alone = frozenset(vigil.name for vigil in due if vigil.listed_in not in lists)
    return Round(describe=must, spread=alone, within=beat, lists=lists)


def next_at(vigils: Iterable[Vigil]) -> float:
    """When the next round is; infinity if nobody waits."""
    return min((vigil.acts_at for vigil in vigils), default=math.inf)
