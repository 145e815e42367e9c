"""The example of docs/testing.md, run by pytest as a user runs it; and what the plugin leaves alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Each starts a pytest of its own.
pytestmark = pytest.mark.proof

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
PACKAGE = Path(__file__).parents[2]
PLUGIN = "airflow_guardrails.testing.plugin"


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in *folder* with the plugin, as its entry point loads it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    # The plugin of this source tree, whichever is installed.
    env = {**kept, "PYTHONPATH": f"{PACKAGE}:{folder}", "HOME": str(folder)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture
def project(tmp_path):
    """The example project of the page."""
    dag, tests = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for name, text in {"dags/deploy_churn.py": dag, "tests/test_deploy_churn.py": tests}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_example_of_the_page_passes(project):
    ran = run_pytest(project, "-q")

    assert "4 passed" in ran.stdout, ran.stdout[-6000:]
    # Airflow writes into the home of the user only if the test itself has imported it before.
    assert not (project / "airflow" / "airflow.db").exists()


def test_a_run_without_the_fixtures_imports_nothing_and_changes_nothing(tmp_path):
    (tmp_path / "test_other.py").write_text(
        "import os, sys\n"
        "def test_nothing_is_loaded():\n"
        "    heavy = {'airflow', 'boto3', 'botocore', 'moto', 'flask'}\n"
        "    assert heavy.isdisjoint(sys.modules)\n"
        "    assert not [name for name in os.environ if name.startswith('AIRFLOW')]\n"
    )

    ran = run_pytest(tmp_path, "-q")

    assert "1 passed" in ran.stdout, ran.stdout


def test_the_fixtures_say_what_they_are(tmp_path):
    ran = run_pytest(tmp_path, "--fixtures", "-q")

    for name in ("sagemaker_simulator", "airflow_aws_connection", "rollout_world"):
        assert re.search(rf"^{name} -- .*\n    \S", ran.stdout, re.MULTILINE), name


def test_a_missing_simulator_is_an_error_that_says_how_to_install_it(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\nsys.modules['moto'] = None\ndef test_it(sagemaker_simulator): pass\n"
    )

    ran = run_pytest(tmp_path, "-q")

    assert "1 error" in ran.stdout
    assert "MissingExtra: The fixtures of airflow-guardrails need the simulator" in ran.stdout
    assert "pip install 'airflow-guardrails[simulator]'" in ran.stdout
