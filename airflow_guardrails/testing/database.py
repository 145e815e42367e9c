"""Airflow's metadata database, in a folder of the test run; that of the user is not touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

_VARIABLES = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///{folder}/airflow.db",
    # dag.test() reads all DAGs of this folder.
    "AIRFLOW__CORE__DAGS_FOLDER": "{folder}/dags",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
}


@contextmanager
def own_database(folder: Path) -> Iterator[None]:
    """Let Airflow use a new SQLite database in *folder* until the ``with`` block ends."""
    (folder / "dags").mkdir()
    own = {name: text.format(folder=folder) for name, text in _VARIABLES.items()}
    if "AIRFLOW_HOME" not in os.environ:
        # Airflow writes its configuration there, if it was not imported before.
        own["AIRFLOW_HOME"] = str(folder)
    with mock.patch.dict(os.environ, own):
        _connect()
        _create_tables()
        yield
    _connect()


def _connect() -> None:
    """Connect Airflow to the database that its configuration has now."""
    from airflow import settings  # noqa: PLC0415 - not before the environment is set

    orm: Any = settings  # Airflow has no types for these
    orm.dispose_orm()
    orm.configure_vars()
    orm.configure_orm()


def _create_tables() -> None:
    from airflow.utils.db import initdb  # noqa: PLC0415 - as above

    initdb()
