"""The domain needs nothing but Python: a DAG that is parsed and a test that runs pay for no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_guardrails.domain as package

ROOT = Path(package.__path__[0]).parents[1]
DOMAIN = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "airflow_guardrails" / "domain").rglob("*.py")
}
MODULES = [*sorted(DOMAIN), "airflow_guardrails.strategies", "airflow_guardrails.rules"]

IMPORT_THEM_ALL = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert set(sys.argv[1:]) <= set(sys.modules)
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


@pytest.fixture(scope="module")
def imported():
    """Top-level packages that a fresh interpreter has loaded once it has imported the whole domain."""
    command = [sys.executable, "-c", IMPORT_THEM_ALL, *MODULES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["airflow", "botocore", "boto3", "pendulum"])
def test_the_domain_imports_neither_airflow_nor_botocore(imported, package):
    assert "airflow_guardrails" in imported
    assert package not in imported


def test_the_domain_imports_the_standard_library_only(imported):
    assert imported - sys.stdlib_module_names == {"airflow_guardrails"}


def test_the_modules_looked_at_are_all_there_are():
    rooms = {
        "domain.rollout.state",
        "domain.judge",
        "domain.judge.statistics.harm",
        "domain.predictions.joining",
    }
    assert {f"airflow_guardrails.{room}" for room in rooms} <= DOMAIN
