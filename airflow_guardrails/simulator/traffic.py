"""Requests to endpoints."""

from __future__ import annotations

import random
from typing import Any


class Traffic:
    def __init__(self, world: Any, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
