"""The DAG on docs/plan.md is checked, and the page lists the fields of the plan."""

from __future__ import annotations

import re

from airflow_guardrails.operators.preflight import SageMakerPreflightOperator
from tests.support.pages import first_column, page, section

TEXT = page("plan")


def test_the_task_on_the_page_returns_the_fields_in_its_table(churn, context):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict = {}
    exec(code.replace('schedule="@daily"):', 'schedule="@daily") as dag:'), names)
    preflight = names["dag"].get_task("preflight")
    assert isinstance(preflight, SageMakerPreflightOperator)
    assert preflight.downstream_task_ids == {"train"}

    plan = preflight.execute(context)

    assert list(plan) == first_column(section(TEXT, "Fail before the training"))
    assert plan["unknown"] == ["model_name"]
    assert [finding["severity"] for finding in plan["findings"]] == ["note"]
