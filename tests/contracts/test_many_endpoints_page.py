"""The DAG of docs/many-endpoints.md can be parsed, and maps what it says."""

from __future__ import annotations

import re

from tests.support.pages import page


def test_the_update_is_mapped_over_both_endpoints():
    code = re.findall(r"```python\n(.*?)```", page("many-endpoints"), re.DOTALL)[0]
    names: dict = {}

    exec(code.replace("):\n    SageMaker", ") as dag:\n    SageMaker"), names)

    (task,) = names["dag"].tasks
    assert task.is_mapped
    assert [each["endpoint_name"] for each in task.expand_input.value] == ["churn-de", "churn-fr"]
