"""What Airflow's OpenLineage provider gets of an update, by its own extractor."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor

from airflow_guardrails.exceptions import EndpointNotFound, EndpointRolledBack
from airflow_guardrails.strategies import Canary
from tests.support.churn import model_request
from tests.support.simulated import deny

CANARY = Canary(percent=25, bake=timedelta(minutes=10), termination_wait=timedelta(minutes=5))
OF_SAGEMAKER = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture
def update(churn, guarded_update):
    return lambda **changes: guarded_update(strategy=CANARY, **changes)


@pytest.fixture
def extract():
    """Return what the provider extracts after a task has succeeded, or failed."""

    def call(task, *, failed=False):
        extractor = DefaultExtractor(task)
        task_instance = SimpleNamespace(task=task)
        return (extractor.extract_on_failure if failed else extractor.extract_on_complete)(task_instance)

    return call


def names(datasets):
    return [(dataset.namespace, dataset.name) for dataset in datasets]


def with_container(churn, **container):
    """Create the configuration ``churn-v3`` with a model of that container."""
    request = model_request("candidate")
    churn.sagemaker.create_model(
        **{**request, "PrimaryContainer": {**request["PrimaryContainer"], **container}}
    )
    return churn.config("churn-v3", model="candidate")


@pytest.mark.parametrize(
    "container",
    [
        {"ModelDataUrl": "s3://models/churn/v3/model.tar.gz"},
        {
            "ModelDataSource": {
                "S3DataSource": {
                    "S3Uri": "s3://models/churn/v3/model.tar.gz",
                    "S3DataType": "S3Object",
                    "CompressionType": "Gzip",
                }
            }
        },
    ],
)
def test_the_artefact_goes_in_and_the_endpoint_comes_out(churn, update, context, extract, container):
    # The simulator has no such artefact, so the update would be rolled back in the end.
    task = update(endpoint_config_name=with_container(churn, **container), wait_for_completion=False)
    task.execute(context)

    lineage = extract(task)

    assert names(lineage.inputs) == [("s3://models", "churn/v3/model.tar.gz")]
    assert names(lineage.outputs) == [(OF_SAGEMAKER, "endpoint/churn")]


def test_a_model_without_an_artefact_goes_in_by_its_name(update, context, extract):
    task = update()
    report = task.execute(context)

    lineage = extract(task)

    assert names(lineage.inputs) == [(OF_SAGEMAKER, "model/churn")]
    facet = lineage.run_facets["airflow_guardrails_rollout"]
    assert (facet.outcome, facet.summary) == ("Succeeded", report["summary"])


def test_after_a_rollback_the_facet_says_so(churn, update, context, extract):
    churn.simulator.client.script_ending(
        "churn", status="InService", after_seconds=300, endpoint_config_name="churn-v1"
    )
    task = update()
    with pytest.raises(EndpointRolledBack):
        task.execute(context)

    lineage = extract(task, failed=True)

    assert lineage.run_facets["airflow_guardrails_rollout"].outcome == "RolledBack"
    assert names(lineage.outputs) == [(OF_SAGEMAKER, "endpoint/churn")]


def test_an_update_that_nobody_waits_for_has_no_outcome_yet(update, context, extract):
    task = update(wait_for_completion=False)
    task.execute(context)

    lineage = extract(task)

    assert lineage.run_facets["airflow_guardrails_rollout"].outcome is None
    assert lineage.inputs
    assert lineage.outputs


def test_a_task_that_has_updated_nothing_has_no_lineage(update, context, extract):
    task = update(endpoint_name="other")
    with pytest.raises(EndpointNotFound):
        task.execute(context)

    lineage = extract(task, failed=True)

    assert (lineage.inputs, lineage.outputs, lineage.run_facets) == ([], [], {})


def test_what_aws_does_not_return_is_left_out(simulator, update, context, extract):
    task = update()
    task.execute(context)
    deny(simulator.client, "DescribeModel")

    lineage = extract(task)

    assert (lineage.inputs, lineage.outputs) == ([], [])
    assert lineage.run_facets["airflow_guardrails_rollout"].outcome == "Succeeded"
