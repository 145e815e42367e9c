"""
Random schedules: tasks, crashes, retries, faults, alarms, aborts and other people, in simulated time.

A schedule is drawn (``model``), then played (``play``) against the simulator's own objects in this process,
so that thousands can be played. What must hold is in ``invariants``, what nothing can know in ``excuses``.
What happens is written down as a story; the one of a schedule that fails is printed.

``SCHEDULES`` and ``SEED`` in the environment say how many are played, and which.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.proofs.schedules.model import Schedule, schedules
from tests.proofs.schedules.play import play

pytestmark = pytest.mark.proof

SCHEDULES = int(os.environ.get("SCHEDULES", "100"))
SEED = int(os.environ.get("SEED", "2026"))
_TOLD: Counter[str] = Counter()


@seed(SEED)
@settings(
    max_examples=SCHEDULES,
    database=None,
    deadline=None,
    print_blob=False,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(schedule=schedules())
def random_schedules(schedule: Schedule) -> None:
    played = play(schedule)
    _TOLD["schedules"] += 1
    for actor in played.actors:
        _TOLD.update(f"{actor.run.kind} {report['outcome']}" for _, report in actor.reports)
    _TOLD["throws"] += sum(throw.value >= 1 for throw in played.account.throws)


def test_whatever_happens_reports_are_true_and_nothing_foreign_is_touched():
    began = time.monotonic()
    random_schedules()
    print(f"{SCHEDULES} schedules in {time.monotonic() - began:.0f} s, seed {SEED}: {dict(_TOLD)}")  # noqa: T201
