"""
What to describe and which lists to read, so that many waits together cost little.

A list shows a hundred endpoints, or shadow tests, in one call, and little of each: it only tells whose look
is worth a call of its own. What it costs to read is known from the time before, so both ways are priced each
round.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.domain.snapshots.endpoint import IN_FLIGHT, EndpointStatus, Listed
from airflow_guardrails.domain.snapshots.experiment import PHASE_BY_STATUS, ExperimentStatus, ListedExperiment

# Seconds that lists may spare what is waited for its look, unless somebody says otherwise.
MAX_DESCRIBE_GAP = 300.0

Status = EndpointStatus | ExperimentStatus
ListedStatus = Listed | ListedExperiment


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMap:
    """
    Which list tells of a thing in which status.

    :param in_flight: statuses that the thing leaves by itself: it is in their list until it does.
    :param under_way: where a thing in any other status shows first once something happens to it.
    """

    in_flight: frozenset[Status]
    under_way: Status

    def telling_of(self, expected: Status | None) -> Status:
        return self.under_way if expected is None or expected not in self.in_flight else expected


LISTS_OF_ENDPOINTS = ListMap(in_flight=frozenset(IN_FLIGHT), under_way=EndpointStatus.UPDATING)

# One that is over stays so, and nothing waits for it any more.
LISTS_OF_EXPERIMENTS = ListMap(
    in_flight=frozenset(status for status, phase in PHASE_BY_STATUS.items() if not phase.over),
    under_way=ExperimentStatus.RUNNING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLook:
    """
    A look that somebody waits for; all times are seconds of one clock.

    :param due: when to look, or to see in a list that there is nothing to look at.
    :param every: beat of the wait; a list may be read that much earlier, together with others.
    :param describe_by: when to look whatever lists show.
    :param expected: status that is no news; ``None``: look when due, whatever lists show.
    :param listed_in: whose list may spare the look.
    :param modified_at: LastModifiedTime at the last look; a later one is news.
    """

    name: str
    due: float
    every: float
    describe_by: float
    listed_in: Status
    expected: Status | None = None
    modified_at: datetime | None = None

    @property
    def acts_at(self) -> float:
        return min(self.due, self.describe_by)

    def must_be_described(self, now: float) -> bool:
        return now >= self.describe_by or (self.expected is None and now >= self.due)

    def is_news(self, listed: Mapping[str, ListedStatus]) -> bool:
        """Whether the list of those *listed_in* tells of a change."""
        found = listed.get(self.name)
        if self.expected is not self.listed_in:
            return found is not None
        if found is None:
            return True
        return bool(self.modified_at and found.last_modified_at and found.last_modified_at > self.modified_at)


@dataclass(frozen=True, slots=True)
class PollPlan:
    """
    What to do now.

    :param describe: names of what to describe at once.
    :param spread: names of what to describe too, evenly over *within* seconds.
    :param lists: statuses whose lists to read.
    """

    describe: frozenset[str] = frozenset()
    spread: frozenset[str] = frozenset()
    within: float = 0.0
    lists: frozenset[Status] = frozenset()


def plan_poll(
    vigils: Collection[PendingLook], *, pages: Mapping[Status, int], may_list: bool, now: float
) -> PollPlan:
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
        return PollPlan(describe=must)
    beat = min(vigil.every for vigil in due)
    near = [vigil for vigil in others if vigil.due <= now + beat]
    lists = frozenset(
        status
        for status in {vigil.listed_in for vigil in due}
        if may_list and pages.get(status, 1) < len({v.name for v in near if v.listed_in is status})
    )
    alone = frozenset(vigil.name for vigil in due if vigil.listed_in not in lists)
    return PollPlan(describe=must, spread=alone, within=beat, lists=lists)


def next_at(vigils: Iterable[PendingLook]) -> float:
    """When the next round is; infinity if nobody waits."""
    return min((vigil.acts_at for vigil in vigils), default=math.inf)
