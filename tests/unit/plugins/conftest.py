"""Airflow's database, in memory."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from tests.support.airflow_rows import AirflowRows


@pytest.fixture
def rows() -> AirflowRows:
    import airflow.models.taskmap  # noqa: F401, PLC0415
    from airflow.models import import_all_models  # noqa: PLC0415
    from airflow.models.base import Base  # noqa: PLC0415

    import_all_models()
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    return AirflowRows(engine)
