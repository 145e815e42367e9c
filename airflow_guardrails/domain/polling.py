"""
When to describe a resource and when to list, so that many waits of one connection share calls.

One page of a list shows the status of up to 100 endpoints or shadow tests, but not their stages. So a list
shows which of them must be described. Both ways are compared by their number of calls at each poll.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.domain.snapshots.endpoint import IN_FLIGHT, EndpointStatus, ListedEndpoint
from airflow_guardrails.domain.snapshots.experiment import PHASE_BY_STATUS, ExperimentStatus, ListedExperiment

# Default of the longest time between two calls of Describe for one resource, in seconds.
MAX_DESCRIBE_GAP = 300.0

Status = EndpointStatus | ExperimentStatus
ListedStatus = ListedEndpoint | ListedExperiment


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMap:
    """
    Which list (filtered by status) shows a change of a resource.

    :param in_flight: statuses that change without a request: the resource leaves their list when they change.
    :param under_way: status of the list in which a resource of any other status appears when it changes.
    """

    in_flight: frozenset[Status]
    under_way: Status

    def list_for(self, expected: Status | None) -> Status:
        """Return the status of the list that shows a change of a resource in status *expected*."""
        return self.under_way if expected is None or expected not in self.in_flight else expected


ENDPOINT_LISTS = ListMap(in_flight=frozenset(IN_FLIGHT), under_way=EndpointStatus.UPDATING)

# A shadow test that is over does not change any more, so it needs no list.
EXPERIMENT_LISTS = ListMap(
    in_flight=frozenset(status for status, phase in PHASE_BY_STATUS.items() if not phase.over),
    under_way=ExperimentStatus.RUNNING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLook:
    """
    One wait's next look; all times are seconds of one clock.

    :param due: when to describe the resource, or to read the list that shows no change.
    :param every: interval of the wait in seconds; the list may be read that much earlier, for other waits.
    :param describe_by: when to describe the resource, whatever lists show.
    :param listed_in: status of the list that may replace the call of Describe; ``None``: no list does.
    :param expected: status that means no change; ``None``: always describe when due.
    :param modified_at: LastModifiedTime at the last look; a later one is a change.
    """

    name: str
    due: float
    every: float
    describe_by: float
    listed_in: Status | None
    expected: Status | None = None
    modified_at: datetime | None = None

    @property
    def wake_at(self) -> float:
        """When this look needs a poll."""
        return min(self.due, self.describe_by)

    def must_be_described(self, now: float) -> bool:
        """Whether no list may replace the call of Describe now."""
        return now >= self.describe_by or (self.expected is None and now >= self.due)

    def shows_change(self, listed: Mapping[str, ListedStatus]) -> bool:
        """Whether the list of status *listed_in* (name -> entry) shows a change."""
        found = listed.get(self.name)
        # The list of another status: the resource appears in it when it begins to change.
        if self.expected is not self.listed_in:
            return found is not None
        # It has left the list of its status, so its status is another one now.
        if found is None:
            return True
        return bool(self.modified_at and found.last_modified_at and found.last_modified_at > self.modified_at)


@dataclass(frozen=True, slots=True)
class PollPlan:
    """
    The calls of one poll.

    :param describe: names to describe at once.
    :param spread: names to describe evenly over *within* seconds.
    :param within: seconds for *spread*.
    :param lists: statuses of the lists to read.
    """

    describe: frozenset[str] = frozenset()
    spread: frozenset[str] = frozenset()
    within: float = 0.0
    lists: frozenset[Status] = frozenset()


def plan_poll(
    looks: Collection[PendingLook], *, pages: Mapping[Status, int], may_list: bool, now: float
) -> PollPlan:
    """
    Return the cheapest plan for all looks that are due, counted in calls.

    A list is read only if it has fewer pages than the looks it replaces. These include the looks of the next
    interval, because they would be due before the list is read again.

    :param pages: number of pages of each list when it was last read; 1 if it never was.
    :param may_list: whether IAM allows the list call.
    :param now: seconds of the same clock as the looks.
    """
    must = frozenset(look.name for look in looks if look.must_be_described(now))
    others = [look for look in looks if look.expected is not None and look.name not in must]
    due = [look for look in others if now >= look.due]
    if not due:
        return PollPlan(describe=must)
    # The next poll is due after the shortest interval, so the spread calls must be done by then.
    interval = min(look.every for look in due)
    near = [look for look in others if look.due <= now + interval]
    lists = frozenset(
        status
        for status in {look.listed_in for look in due if look.listed_in is not None}
        if may_list and pages.get(status, 1) < len({look.name for look in near if look.listed_in is status})
    )
    unlisted = frozenset(look.name for look in due if look.listed_in not in lists)
    return PollPlan(describe=must, spread=unlisted, within=interval, lists=lists)


def next_wake_at(looks: Iterable[PendingLook]) -> float:
    """Return when the next poll is due; infinity without looks."""
    return min((look.wake_at for look in looks), default=math.inf)
