"""docs/guards.md: its code runs, and its tables have every argument."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from airflow_guardrails import guards
from airflow_guardrails.domain.deployment.guard_dicts import as_guard
from airflow_guardrails.exceptions import EndpointRolledBack
from tests.support.pages import first_column, page

TEXT = page("guards")
NEEDED = "\n".join(re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


@pytest.fixture
def written():
    found: dict = {}
    exec(NEEDED, found)
    return found


def test_the_update_of_the_page_rolls_back_a_model_as_the_page_says(churn, written, context, simulated_sleep):
    churn.simulator.client.profile("churn-v2", latency_ms=20, error_rate=0.5)
    churn.simulator.client.replay("churn", ["1,2"], per_minute=60)
    churn.advance(minutes=5)
    operator = written["update"]
    operator.sleep = simulated_sleep

    with pytest.raises(EndpointRolledBack) as caught:
        operator.execute(context)

    (said,) = re.findall(r"^ROLLED BACK: .*$", TEXT, re.MULTILINE)
    number = r"[\d.]+ %"
    assert re.sub(number, "x %", said, count=1) == re.sub(
        number, "x %", caught.value.report["summary"], count=1
    )


def test_every_guard_of_the_page_is_one(written):
    rendered = [{**each} for each in written["written"]]
    rendered[0]["above"] = "0.01"

    assert [str(as_guard(each)) for each in (*written["more"], *rendered)] == [
        "orders / requests of the new fleet < 0.2, 3 x 1 min",
        "5xx errors of the new fleet > 1 %, 1 min",
        "p99 latency of the new fleet > 250 ms, 1 min",
    ]


@pytest.mark.parametrize("name", ["ErrorRate", "Latency", "Alarm"])
def test_every_argument_has_its_row(name):
    _, _, after = TEXT.partition(f"\n`{name}`: ")
    table = after.partition("\n\n")[2].partition("\n\n")[0]

    assert set(first_column(table)) == {field.name for field in fields(getattr(guards, name))}
