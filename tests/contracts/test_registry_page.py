"""The code on docs/registry.md runs: from the registration of a version to what is written back to it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerModelOperator
from airflow.sdk import DAG

from airflow_guardrails.domain.versions.record import RecordedOutcome
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.strategies import Canary
from airflow_guardrails.task_groups import guarded_deployment
from tests.support.hosting_helper import artefact, constant
from tests.support.pages import page, section
from tests.support.simulated import new_client
from tests.support.worker import Worker

TEXT = page("registry")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
GROUP = "guarded_deployment."


@pytest.fixture
def worker(monkeypatch):
    return Worker(monkeypatch)


@pytest.fixture
def release(churn, worker, simulated_sleep):
    """The tasks of the page's DAG, which wait in simulated time."""
    names: dict = {}
    exec(EXAMPLES[0].replace("\nrelease()\n", "\nfound = release()\n"), names)
    found = names["found"]
    # What the version names must exist, and load.
    url = found.get_task("register").model_url.replace("{{ run_id }}", "run")
    bucket, _, key = url.removeprefix("s3://").partition("/")
    s3 = new_client(churn.simulator.url, "s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=artefact(constant(1.0)))
    for task in found.tasks:
        task.deferrable = False
        task.sleep = simulated_sleep
        task.monotonic = lambda: churn.now().timestamp()
    worker.dag = found
    return found


def run_all(worker, release, *names):
    return [worker.run(release.get_task(name)) for name in names]


def metadata(churn, arn):
    return churn.sagemaker.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]


def test_a_version_is_registered_approved_deployed_and_told_the_outcome(churn, worker, release):
    assert run_all(worker, release, "register") == ["success"]
    arn = worker.xcoms["register", "return_value"]
    churn.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    states = run_all(
        worker, release, "approved", f"{GROUP}guarded_update", f"{GROUP}conclude", f"{GROUP}clean_up"
    )

    assert states == ["success"] * 4
    found = metadata(churn, arn)
    named = re.findall(r"^\| `([\w-]+)` \|", section(TEXT, "What is written back"), re.MULTILINE)
    assert list(found) == named
    assert found["airflow-guardrails-outcome"] == "Succeeded"
    assert found["airflow-guardrails-endpoint"] == "churn"


def test_the_first_run_creates_the_endpoint(churn, worker, release):
    for name in ("guarded_update", "conclude", "clean_up"):
        release.get_task(GROUP + name).endpoint_name = "new"
    run_all(worker, release, "register")
    arn = worker.xcoms["register", "return_value"]
    churn.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    states = run_all(worker, release, "approved", *(GROUP + name for name in ("guarded_update", "conclude")))

    assert states == ["success"] * 3
    assert churn.sagemaker.describe_endpoint(EndpointName="new")["EndpointStatus"] == "InService"
    assert metadata(churn, arn)["airflow-guardrails-endpoint"] == "new"


def test_a_version_that_nobody_has_approved_is_not_deployed(churn, worker, release):
    run_all(worker, release, "register")
    arn = worker.xcoms["register", "return_value"]
    churn.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")

    assert run_all(worker, release, "approved") == ["failed"]
    assert "Rejected" in str(worker.error)


def test_a_shadow_test_gets_the_model_of_the_version():
    names = {
        "SageMakerModelOperator": SageMakerModelOperator,
        "guarded_deployment": guarded_deployment,
        "Canary": Canary,
        "ErrorRate": ErrorRate,
        "timedelta": timedelta,
        "VERSION": "churn-2",
    }
    with DAG("page", start_date=datetime(2026, 3, 2, tzinfo=timezone.utc), schedule=None) as dag:
        exec(EXAMPLES[1], names)

    assert dag.get_task("create_model").downstream_task_ids == {f"{GROUP}shadow_test"}
    assert dag.get_task(f"{GROUP}shadow_test").shadow_model_name == "churn-2"


def test_every_outcome_that_is_written_is_on_the_page():
    for outcome in set(RecordedOutcome) - {RecordedOutcome.SERVED}:
        assert f"`{outcome.value}`" in section(TEXT, "What is written back")
