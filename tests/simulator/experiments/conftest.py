"""An endpoint ``churn`` with one variant, ``live``; an experiment ``trial`` whose shadow is ``candidate``."""

from __future__ import annotations

import pytest

from tests.support.experiment_helper import ExperimentHelper


@pytest.fixture
def no_endpoint(simulator, aws) -> ExperimentHelper:
    """Two models and a configuration, but no endpoint."""
    return ExperimentHelper(simulator, aws)


@pytest.fixture
def experiment(no_endpoint) -> ExperimentHelper:
    """The endpoint is InService."""
    no_endpoint.endpoint()
    return no_endpoint
