"""The reference pages explain every argument of what a DAG uses."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load_reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = load_reference()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    REFERENCE.write(folder)
    return {path.stem: path.read_text() for path in folder.glob("*.md")}


def explained(page: str, name: str) -> set[str]:
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    return {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}


@pytest.mark.parametrize("page", ["operators", "sensors", "values", "groups"])
def test_every_argument_of_a_constructor_is_in_the_table(pages, page):
    _, _, modules = REFERENCE._PAGES[page]
    info = REFERENCE.get_provider_info()
    paths = modules or [path for kind in info[page] for path in kind["python-modules"]]
    missing = {}
    for item in {each for path in paths for each in REFERENCE._public(path)}:
        if inspect.isclass(item) and "__init__" not in vars(item):
            continue
        own = inspect.signature(item.__init__ if inspect.isclass(item) else item).parameters.values()
        variable = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
        names = {each.name for each in own if each.name != "self" and each.kind not in variable}
        if left := names - explained(pages[page], item.__name__):
            missing[item.__name__] = sorted(left)

    assert missing == {}


def test_a_strategy_has_its_types_defaults_and_choices(pages):
    (row,) = [
        line
        for line in pages["values"].partition("## Linear")[2].partition("## Rolling")[0].splitlines()
        if line.startswith("| `if_too_small`")
    ]

    assert row.startswith(
        '| `if_too_small` | `"fail"` \\| `"all_at_once"` | `\'fail\'` | What happens on a fleet'
    )


def test_errors_say_whether_airflow_retries_them(pages):
    assert "| `EndpointRolledBack` | no |" in pages["errors"]
    assert "| `EndpointBusy` | yes |" in pages["errors"]


def test_the_pages_in_the_repository_are_up_to_date(pages):
    """``make docs`` writes them."""
    assert {path.stem: path.read_text() for path in (DOCS / "reference").glob("*.md")} == pages
