"""The log in the README is what the code writes."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.strategies import Canary

TEXT = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_first_line_of_the_log_describes_the_update_as_the_code_does():
    (line,) = [line for line in TEXT.splitlines() if line.startswith("Updating endpoint churn")]
    description = line.partition(" - ")[2]
    alarms = tuple(description.partition("alarms: ")[2].split(", "))
    canary = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))

    assert description == Guardrails(strategy=canary, alarms=alarms).describe()


def test_the_dag_can_be_parsed_and_deploys_what_was_registered():
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {}

    exec(code, names)

    group = "guarded_deployment."
    dag = names["register"].dag
    assert dag.get_task("register").downstream_task_ids == {f"{group}guarded_update"}
    assert {task.task_id for task in dag.tasks} == {
        "register",
        f"{group}guarded_update",
        f"{group}conclude",
        f"{group}clean_up",
    }
