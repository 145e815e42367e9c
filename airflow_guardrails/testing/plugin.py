"""
The pytest plugin: three fixtures, and nothing that happens unless a test asks for one of them.

pytest imports this module in every run, so it imports neither Airflow nor the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow_guardrails.simulator.server import RunningSimulator
    from airflow_guardrails.testing.world import RolloutWorld


@pytest.fixture
def sagemaker_simulator() -> Iterator[RunningSimulator]:
    """
    A simulated AWS of this test's own; its clock stands until something waits or ``.client`` advances it.

    ``.url`` is its address for any AWS client, ``.client`` its control:
    :class:`airflow_guardrails.simulator.client.SimulatorClient`.
    """
    from airflow_guardrails.testing.simulator import start_simulator  # noqa: PLC0415 - see above

    with start_simulator() as running:
        yield running


@pytest.fixture
def airflow_aws_connection(
    sagemaker_simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """
    The Airflow connection ``aws_default`` leads to the simulator.

    The fixture is a function that does the same for another connection id, and returns the id.
    """
    from airflow_guardrails.testing.simulator import connection_variable  # noqa: PLC0415 - see above

    def connect(conn_id: str) -> str:
        monkeypatch.setenv(*connection_variable(conn_id, sagemaker_simulator.url))
        return conn_id

    connect("aws_default")
    return connect


@pytest.fixture(scope="session")
def _guardrails_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from airflow_guardrails.testing.database import own_database  # noqa: PLC0415 - see above

    with own_database(tmp_path_factory.mktemp("airflow-guardrails")):
        yield


@pytest.fixture
def rollout_world(
    sagemaker_simulator: RunningSimulator,
    airflow_aws_connection: Callable[[str], str],  # noqa: ARG001 - the tasks use it
    _guardrails_database: None,
) -> Iterator[RolloutWorld]:
    """
    Endpoints, models and alarms in the simulator, and a way to run a DAG against them.

    While the fixture is there, the tasks of this package wait in simulated time.
    """
    from airflow_guardrails.testing.time import waits_in_simulated_time  # noqa: PLC0415 - see above
    from airflow_guardrails.testing.world import RolloutWorld  # noqa: PLC0415

    with waits_in_simulated_time(sagemaker_simulator.simulation.clock):
        yield RolloutWorld(sagemaker_simulator)
