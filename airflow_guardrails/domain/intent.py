"""
What a task means to do, written down in AWS before it does it.

A worker may die between any two calls. The intent is what a retry finds: that this very task meant to launch,
what was served then, and when the endpoint had last changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from airflow_guardrails.domain.endpoint import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """
    That *owner* was about to update an endpoint.

    :param owner: hash of the task instance, from :func:`owner_of`.
    :param previous: name of the configuration served then.
    :param modified_at: when the endpoint had last changed then, on AWS's clock.
    :param written_at: when this was written, on AWS's clock.
    :param launched_at: when SageMaker accepted the update, on AWS's clock; ``None`` while nobody knows
        whether it was asked for.
    """

    owner: str
    previous: str | None
    modified_at: datetime | None
    written_at: datetime
    launched_at: datetime | None = None

    def changed_since(self, look: Endpoint) -> bool:
        """Whether the endpoint has changed since; scaling changes it too, so it alone proves no launch."""
        return bool(look.last_modified_at and self.modified_at and look.last_modified_at > self.modified_at)


def owner_of(*, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """
    Name a task instance over all of its tries: a retry and a cleared task own what the first try launched.
    """
    identity = "\x00".join((dag_id, run_id, task_id, str(map_index)))
    return hashlib.sha256(identity.encode()).hexdigest()[:20]
