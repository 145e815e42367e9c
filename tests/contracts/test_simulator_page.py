"""docs/simulator.md names what there is."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from airflow_guardrails.simulator.__main__ import _parser
from airflow_guardrails.simulator.client import SimulatorClient
from airflow_guardrails.simulator.engine.knobs import Knobs
from tests.support.pages import page

TEXT = page("simulator")


def shown(value: object) -> str:
    return f"`{value:g}`" if isinstance(value, float) else f"`{value!r}`"


def test_the_table_names_every_knob_with_its_default_its_choices_and_its_meaning():
    rows = [line for line in TEXT.partition("## Knobs")[2].splitlines() if line.startswith("| `")]

    assert rows == [
        f"| `{knob.name}` | {shown(knob.default)} "
        f"| {', '.join(shown(choice) for choice in knob.metadata['choices'] if choice != knob.default)} "
        f"| {knob.metadata['meaning']} |"
        for knob in fields(Knobs)
    ]


def test_the_program_in_it_runs(simulator):
    program = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
    url, token = '"http://127.0.0.1:5055"', '"the token it printed"'
    assert url in program
    assert token in program

    exec(program.replace(url, repr(simulator.url)).replace(token, repr(simulator.token)), {})


@pytest.mark.parametrize(
    "option", [o for a in _parser()._actions for o in a.option_strings if o.startswith("--")]
)
def test_every_option_is_in_it(option):
    assert option == "--help" or f"| `{option}` |" in TEXT


def test_every_method_of_the_client_is_in_it():
    table = TEXT.partition("## Control")[2].partition("## Knobs")[0]
    methods = {name for name in vars(SimulatorClient) if not name.startswith("_")} - {"post"}

    assert {name for name in methods if name not in table} == set()


def test_every_link_within_it_leads_somewhere():
    headings = {
        line.lstrip("# ").lower().replace(" ", "-") for line in TEXT.splitlines() if line.startswith("#")
    }

    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
