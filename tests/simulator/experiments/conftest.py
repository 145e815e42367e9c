"""An endpoint ``churn`` with one variant, ``live``; an experiment ``trial`` whose shadow is ``candidate``."""

from __future__ import annotations

import pytest

from tests.support.experiment_lab import Lab


@pytest.fixture
def empty_lab(simulator, aws) -> Lab:
    """Two models and a configuration, and no endpoint."""
    return Lab(simulator, aws)


@pytest.fixture
def lab(empty_lab) -> Lab:
    """The endpoint is InService."""
    empty_lab.endpoint()
    return empty_lab
