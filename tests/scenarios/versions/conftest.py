"""The endpoint ``churn`` and runs that change it, in simulated time."""

from __future__ import annotations

import pytest

from tests.support.versions import Runs


@pytest.fixture
def runs(churn):
    return Runs(churn)
