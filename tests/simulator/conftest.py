"""The simulator with a clock that tests advance, and boto3 clients that check the shape of responses."""

from __future__ import annotations

from functools import partial

import pytest

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation
from tests.support.checked_answers import check_answer
from tests.support.simulated import START, new_client


@pytest.fixture(autouse=True)
def _shared_models(shared_models):
    """Every test here builds clients."""


@pytest.fixture
def simulator():
    """A simulator in this process; its clock stands at 2026-03-02 10:00 UTC until ``.client`` advances it."""
    with serve(Simulation(clock=Clock(start=START))) as running:
        yield running


@pytest.fixture
def aws(simulator, aws_at):
    """
    ``aws("sagemaker")`` is a boto3 client that never retries and checks answers against their shape.

    ``checked=False`` turns the check off, where moto's responses do not match their shape.
    """
    return partial(aws_at, simulator.url)


@pytest.fixture
def aws_at():
    """Like ``aws``, for a simulator at any URL."""

    def client(url: str, service: str, *, region: str = "us-east-1", checked: bool = True):
        made = new_client(url, service, region=region, connect_timeout=5, read_timeout=60)
        if checked:
            made.meta.events.register("after-call", check_answer)
        return made

    return client
