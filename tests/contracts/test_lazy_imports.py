"""A DAG file does not pay for boto3: it takes half a second, and Airflow parses DAG files again and again."""

from __future__ import annotations

import json
import subprocess
import sys

from airflow_guardrails.provider_info import get_provider_info

PROGRAM = """
import importlib, json, sys
import airflow.sdk
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
OTHERS = ("task_groups", "strategies", "guards", "rules", "names", "exceptions", "assets", "notifications")


def test_what_a_dag_file_imports_does_not_import_boto3():
    info = get_provider_info()
    modules = [
        name for kind in ("operators", "sensors") for entry in info[kind] for name in entry["python-modules"]
    ]
    modules += [f"airflow_guardrails.{name}" for name in OTHERS]
    command = [sys.executable, "-c", PROGRAM, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert "airflow_guardrails" in imported
    assert not imported & {"boto3", "aiobotocore", "moto"}
