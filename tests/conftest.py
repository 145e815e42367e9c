"""
What holds for every test, and an endpoint in the simulator for those that need one.

Fixtures import what is heavy themselves, so that tests of the domain load neither Airflow nor boto3.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from tests.support.churn import new_churn
from tests.support.fakes import TaskInstance
from tests.support.simulated import new_simulator

# A slow machine is no bug, and one commit gives one answer; --hypothesis-profile=default looks further.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

# Airflow 3.1 would read its examples with ours.
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")

# Where threads outnumber cores, those that wait by spinning take a hundred times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if "AIRFLOW_HOME" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    # Airflow writes there as soon as it is imported; a test must not touch that of the user, nor
    # of another process that runs tests.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def shared_models():
    """
    Let all sessions of botocore share the service models they have read, and the methods made of them.

    Reading one takes a tenth of a second, and SageMaker has four hundred methods.
    """
    from botocore import session  # noqa: PLC0415
    from botocore.client import ClientCreator  # noqa: PLC0415

    make_methods, made = ClientCreator._create_methods, {}

    def kept(creator, service_model):
        key = (type(creator), service_model.service_name)
        if key not in made:
            made[key] = make_methods(creator, service_model)
        return dict(made[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", functools.cache(session.create_loader))
        patch.setattr(ClientCreator, "_create_methods", kept)
        yield


@pytest.fixture
def simulator(monkeypatch, shared_models):
    """A simulator with a manual clock, which Airflow's connection aws_default leads to."""
    with new_simulator(monkeypatch) as running:
        yield running


@pytest.fixture
def churn(simulator):
    return new_churn(simulator)


@pytest.fixture
def task_instance():
    return TaskInstance()


@pytest.fixture
def context(task_instance):
    return {"ti": task_instance}


@pytest.fixture
def simulated_sleep(simulator):
    """Sleeping that takes simulated time only."""

    return simulator.simulation.clock.advance
