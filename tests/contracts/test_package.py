"""What the package says of itself: its version, its changelog, and the addresses that Airflow shows."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import airflow_guardrails

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_the_newest_version_of_the_changelog_is_that_of_the_package_and_has_a_date():
    newest = re.search(r"^## (\d\S*) - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)

    assert newest
    assert newest[1] == airflow_guardrails.__version__


def test_the_newest_version_says_first_what_existing_dags_do_differently():
    newest = CHANGELOG.partition(f"## {airflow_guardrails.__version__}")[2].partition("\n## ")[0]

    assert re.findall(r"^### (.*)$", newest, re.MULTILINE)[:2] == ["Behaviour", "Added"]


def test_airflow_finds_the_address_of_the_documentation():
    """Airflow shows the project URL whose label is Documentation."""
    labels = [url.partition(",")[0] for url in metadata("airflow-guardrails").get_all("Project-URL") or []]

    assert labels == ["Documentation", "Repository", "Changelog", "Issues"]


def test_the_demo_in_the_wheel_has_the_example_dags():
    folder = Path(airflow_guardrails.__file__).parent / "demo" / "dags"

    assert sorted(path.name for path in folder.glob("*.py")) == sorted(
        path.name for path in (ROOT / "example_dags").glob("*.py")
    )
