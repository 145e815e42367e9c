"""docs/guarded-updates.md has a row for every public module."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from airflow_guardrails.provider_info import get_provider_info
from tests.support.pages import page, section

OTHERS = ("strategies", "guards", "rules", "names", "exceptions", "task_groups", "assets", "notifications")


def public_modules() -> list[str]:
    info = get_provider_info()
    kinds = ("operators", "sensors", "hooks", "triggers")
    registered = [name for kind in kinds for entry in info[kind] for name in entry["python-modules"]]
    links = dict.fromkeys(link.rpartition(".")[0] for link in info["extra-links"])
    return [*registered, *links, *(f"airflow_guardrails.{name}" for name in OTHERS)]


def named_modules() -> list[str]:
    """The modules in the first column; in a row, ``.shadow_test`` is beside the module before it."""
    found = []
    for row in re.findall(
        r"^\| (`airflow_guardrails\..*?) \|", section(page("guarded-updates"), "Modules"), re.MULTILINE
    ):
        package = ""
        for name in re.findall(r"`([\w.]+)`", row):
            found.append(f"{package}{name}" if name.startswith(".") else name)
            package = found[-1].rpartition(".")[0]
    return found


@pytest.mark.parametrize("module", public_modules())
def test_every_public_module_has_a_row(module):
    assert module in named_modules()


def test_every_row_is_of_a_public_module_that_can_be_imported():
    named = named_modules()

    assert sorted(named) == sorted(public_modules())
    for name in named:
        import_module(name)
