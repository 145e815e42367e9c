"""What becomes of the two variants when a shadow test is stopped, and whether that has come true."""

from __future__ import annotations

from enum import Enum


class Action(str, Enum):
    """
    How a shadow test is stopped.

    ``KEEP_PRODUCTION`` leaves the endpoint as it was before the test. ``PROMOTE`` puts the shadow in
    production's place, unguarded and under the shadow's name. ``KEEP_BOTH`` leaves both variants there.
    """

    KEEP_PRODUCTION = "keep_production"
    PROMOTE = "promote"
    KEEP_BOTH = "keep_both"

    @property
    def of_production(self) -> str:
        """``ModelVariantAction`` of the API."""
        return "Remove" if self is Action.PROMOTE else "Retain"

    @property
    def of_shadow(self) -> str:
        """``ModelVariantAction`` of the API."""
        return {"keep_production": "Remove", "promote": "Promote", "keep_both": "Retain"}[self.value]
