"""
What a task intends to do, written down before it does it.

A worker may die between any two calls. The intent is what a retry finds: that this very task instance was
about to update this endpoint, what was served then, whether SageMaker has accepted the update, and when it
began.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.domain.endpoint import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """
    That its owner was about to update an endpoint. All times are on AWS's clock.

    :param previous: name of the configuration served then.
    :param modified_at: when the endpoint had last changed then.
    :param written_at: when this was written; UpdateEndpoint was called after it.
    :param accepted_at: when SageMaker accepted the update; ``None`` while nobody knows whether it was called.
    :param started_at: the update's own StartTime, which identifies it; ``None`` while it was not seen.
    :param withdrawn: whether the update was refused, or never asked for.
    """

    previous: str | None
    modified_at: datetime | None
    written_at: datetime
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    withdrawn: bool = False

    def changed_since(self, look: Endpoint) -> bool:
        """Whether the endpoint has changed since; scaling changes it too, so it alone proves no launch."""
        return bool(look.last_modified_at and self.modified_at and look.last_modified_at > self.modified_at)


def latest_intent(found: Iterable[Intent | None]) -> Intent | None:
    """
    Return what several places know together of one owner's intent; None if there is none, or it was
    withdrawn.

    One place may have missed what another was told, so of the same intent the most that any knows counts.
    """
    known = [intent for intent in found if intent is not None]
    if not known:
        return None
    written_at = max(intent.written_at for intent in known)
    same = [intent for intent in known if intent.written_at == written_at]
    if any(intent.withdrawn for intent in same):
        return None
    return Intent(
        previous=same[0].previous,
        modified_at=same[0].modified_at,
        written_at=written_at,
        accepted_at=next((intent.accepted_at for intent in same if intent.accepted_at), None),
        started_at=next((intent.started_at for intent in same if intent.started_at), None),
    )


def owner_of(*, dag_id: str, run_id: str, task_id: str, map_index: int, endpoint_name: str) -> str:
    """
    Identify the task instance that updates an endpoint, over all of its tries.

    A retry and a cleared task own what the first try launched; another task, another mapped instance and
    another endpoint do not.
    """
    identity = "\x00".join((dag_id, run_id, task_id, str(map_index), endpoint_name))
    return hashlib.sha256(identity.encode()).hexdigest()[:20]
