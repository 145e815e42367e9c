"""The tests of the page's reads, on PostgreSQL instead of SQLite."""

from __future__ import annotations

import pytest
from airflow.models import import_all_models
from airflow.models.base import Base
from sqlalchemy import create_engine

from tests.support.airflow_rows import AirflowRows
from tests.unit.plugins.test_reads import *  # noqa: F403 - the tests themselves

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def database(postgresql) -> AirflowRows:
    import_all_models()
    engine = create_engine(postgresql)
    Base.metadata.create_all(engine)
    return AirflowRows(engine)


@pytest.fixture
def rows(database) -> AirflowRows:
    database.clear()
    return database
