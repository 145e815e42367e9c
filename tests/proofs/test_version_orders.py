"""
Random orders on one endpoint: deployments, rollbacks, clean-ups, changes by hand, crashes and retries.

They are played by the real operators, against the simulator's own objects in this process. ``ORDERS`` and
``SEED`` in the environment say how many are played, and which; the story of one that fails is printed.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from tests.proofs.orders.play import Order
from tests.proofs.schedules.process import wrong_clocks

pytestmark = pytest.mark.proof

ORDERS = int(os.environ.get("ORDERS", "1000"))
SEED = int(os.environ.get("SEED", "2026"))
# Shared between the processes that run the tests.
PARTS = 10
# So many have all that may happen in each part.
ENOUGH = 300


@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_needed_is_never_deleted_and_no_report_lies(part):
    told: Counter[str] = Counter()
    for number in range(part, ORDERS, PARTS):
        order = Order(f"{SEED}-{number}")
        try:
            with wrong_clocks():
                order.play(moves=random.Random(number).randint(4, 12))
        except BaseException:
            print(f"Order {number} of SEED={SEED}:", *order.story, sep="\n")  # noqa: T201
            raise
        told.update(order.told)
    print(f"{ORDERS // PARTS} orders: {dict(told)}")  # noqa: T201
    if ORDERS >= ENOUGH:
        assert told["Succeeded"] > told["RolledBack"] > 0
        assert told["killed"] > 0
