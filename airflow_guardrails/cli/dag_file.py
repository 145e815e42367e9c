"""Load a DAG file as Airflow does, without a database."""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from airflow_guardrails.cli.errors import CommandError
from airflow_guardrails.cli.output import stdout_to_stderr


def load_dags(path: str) -> dict[str, Any]:
    """
    Return DAG id -> DAG of the file *path*.

    What the file prints goes to standard error, so that standard output has only the result of the command.

    :raises CommandError: if there is no such file, it cannot be imported, or it has no DAG.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise CommandError(f"DAG_FILE must be a file (got {path!r})")
    with stdout_to_stderr():
        # It reads Airflow's configuration, which may print warnings.
        from airflow.configuration import conf  # noqa: PLC0415

        dag_bag = _dag_bag_class()
        _extend_path(file, Path(conf.get("core", "dags_folder")))
        # Until Airflow 3.1, it also loads Airflow's own examples, if they are not turned off.
        has_examples = "include_examples" in signature(dag_bag).parameters
        more = {"include_examples": False} if has_examples else {}
        bag = dag_bag(str(file), safe_mode=False, load_op_links=False, **more)
    if bag.import_errors:
        texts = "\n\n".join(str(text).rstrip() for text in bag.import_errors.values())
        raise CommandError(f"{path} cannot be imported:\n\n{texts}")
    if not bag.dags:
        raise CommandError(f"{path} has no DAG")
    return dict(sorted(bag.dags.items()))


def tasks_of(dags: dict[str, Any], *, dag_id: str | None, task_id: str | None) -> list[Any]:
    """
    Return the tasks, mapped ones too, of the DAG *dag_id* or of all, sorted by DAG and task.

    :raises CommandError: if there is no such DAG or task.
    """
    if dag_id is not None and dag_id not in dags:
        raise CommandError(f"--dag-id must be one of {', '.join(dags)} (got {dag_id!r})")
    chosen = [dag for name, dag in dags.items() if dag_id in {None, name}]
    tasks = [task for dag in chosen for _, task in sorted(dag.task_dict.items())]
    if task_id is None:
        return tasks
    found = [task for task in tasks if task.task_id == task_id]
    if not found:
        known = ", ".join(sorted({task.task_id for task in tasks}))
        raise CommandError(f"--task-id must be one of {known} (got {task_id!r})")
    return found


def _dag_bag_class() -> Any:
    try:
        return import_module("airflow.dag_processing.dagbag").DagBag
    except ModuleNotFoundError:  # Airflow 3.1
        return import_module("airflow.models.dagbag").DagBag


def _extend_path(file: Path, dags_folder: Path) -> None:
    # Airflow does so with its folder of DAGs. A file elsewhere imports its neighbours.
    folder = dags_folder.resolve()
    root = str(folder if folder in file.parents else file.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
