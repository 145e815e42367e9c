"""What Airflow finds of this package, and what it makes of the DAGs that use it."""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta, timezone
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from json import loads
from pathlib import Path

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    BaseHook,
    BaseNotifier,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
)
from airflow.providers_manager import ProvidersManager
from airflow.triggers.base import BaseTrigger

import airflow_guardrails
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.strategies import Canary
from tests.support.older_airflow import stored as stored_dag

PACKAGE = "airflow-guardrails"
KINDS = {
    "operators": BaseOperator,
    "sensors": BaseSensorOperator,
    "hooks": BaseHook,
    "triggers": BaseTrigger,
}
STRATEGY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": "{{ params.percent }}"},
            "WaitIntervalInSeconds": "{{ params.bake }}",
        },
    },
}


@pytest.fixture(scope="module")
def registered():
    """What Airflow has found of this package by itself."""
    return ProvidersManager().providers[PACKAGE]


def classes(info, kind):
    """The classes of *kind* that the provider's own modules define."""
    for entry in info[kind]:
        for name in entry["python-modules"]:
            module = import_module(name)
            for found in vars(module).values():
                if inspect.isclass(found) and found.__module__ == name and issubclass(found, KINDS[kind]):
                    yield found


# Registration.


def test_airflow_finds_the_provider_in_the_version_installed(registered):
    assert registered.version == airflow_guardrails.__version__


def test_the_provider_is_found_through_its_entry_point(registered):
    (point,) = [
        point for point in entry_points(group="apache_airflow_provider") if point.dist.name == PACKAGE
    ]

    # Airflow adds what it has worked out itself.
    assert registered.data == {**registered.data, **point.load()()}


def test_what_the_provider_says_of_itself_fits_airflows_schema(registered):
    schema = loads(files("airflow").joinpath("provider_info.schema.json").read_text())

    jsonschema.validate(registered.data, schema)


@pytest.mark.parametrize("kind", KINDS)
def test_every_module_the_provider_names_has_something_of_its_kind(registered, kind):
    for entry in registered.data[kind]:
        assert entry["integration-name"] in {
            integration["integration-name"] for integration in registered.data["integrations"]
        }
        for name in entry["python-modules"]:
            assert any(found.__module__ == name for found in classes(registered.data, kind)), name


@pytest.mark.parametrize("kind", KINDS)
def test_no_module_of_a_kind_is_forgotten(registered, kind):
    folder = Path(airflow_guardrails.__file__).parent / kind
    there = {
        found
        for path in folder.glob("[a-z]*.py")
        for found in vars(import_module(f"airflow_guardrails.{kind}.{path.stem}")).values()
        if inspect.isclass(found)
        and found.__module__ == f"airflow_guardrails.{kind}.{path.stem}"
        and issubclass(found, KINDS[kind])
    }

    assert set(classes(registered.data, kind)) == there


def test_airflow_lists_the_links_and_triggers():
    manager = ProvidersManager()

    links = [name for name in manager.extra_links_class_names if name.startswith("airflow_guardrails.")]
    assert sorted(link.rpartition(".")[2] for link in links) == [
        "CloudWatchAlarmLink",
        "RolloutPageLink",
        "SageMakerEndpointLink",
    ]
    for name in links:
        module, _, link = name.rpartition(".")
        assert issubclass(getattr(import_module(module), link), BaseOperatorLink)
    assert "airflow_guardrails.triggers.rollout" in {
        trigger.trigger_class_name for trigger in manager.trigger if trigger.package_name == PACKAGE
    }


def test_airflow_lists_the_notifier():
    (name,) = [name for name in ProvidersManager().notification if name.startswith("airflow_guardrails.")]
    module, _, notifier = name.rpartition(".")

    assert issubclass(getattr(import_module(module), notifier), BaseNotifier)


# DAGs.


@pytest.fixture
def dag():
    with DAG("retrain", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), schedule=None) as dag:
        SageMakerGuardedUpdateOperator(
            task_id="update",
            endpoint_name="{{ params.endpoint }}",
            endpoint_config_name="churn-{{ ds_nodash }}",
            strategy=STRATEGY,
            alarms=["errors", "{{ params.alarm }}"],
        )
        SageMakerGuardedUpdateOperator.partial(
            task_id="update_each",
            strategy=Canary(percent=25, bake=timedelta(minutes=10)),
            alarms=["errors"],
        ).expand_kwargs(
            [
                {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"},
                {"endpoint_name": "fraud", "endpoint_config_name": "fraud-v2"},
            ]
        )
        SageMakerApproveRolloutOperator(
            task_id="approve", endpoint_name="churn", endpoint_config_name="churn-v2", strategy=STRATEGY
        )
        SageMakerApproveRolloutOperator.partial(
            task_id="approve_each", endpoint_config_name="churn-v2", assigned_users=[{"id": "1", "name": "J"}]
        ).expand(endpoint_name=["churn", "fraud"])
        SageMakerRolloutSensor(
            task_id="wait", endpoint_name="churn", endpoint_config_name="churn-v2", deferrable=True
        )
    return dag


@pytest.fixture
def stored(dag):
    """The DAG as the scheduler and the API server have it."""
    return stored_dag(dag)


def test_the_links_of_a_task_survive_serialization(stored):
    assert list(stored.get_task("update").operator_extra_link_dict) == [
        "Rollout",
        "SageMaker endpoint",
        "CloudWatch alarm errors",
        "CloudWatch alarm 2",
    ]
    keys = [link.xcom_key for link in stored.get_task("update").operator_extra_links]
    assert len(set(keys)) == 4


@pytest.mark.parametrize("task_id", ["update_each", "wait", "approve", "approve_each"])
def test_a_mapped_task_a_sensor_and_an_approval_have_the_link_to_the_endpoint(stored, task_id):
    assert "SageMaker endpoint" in stored.get_task(task_id).operator_extra_link_dict


def test_the_templates_of_a_task_survive_serialization(stored):
    update = stored.get_task("update")

    assert {"strategy", "alarms", "endpoint_name", "endpoint_config_name"} <= set(update.template_fields)
    assert update.strategy == STRATEGY
    assert list(update.alarms) == ["errors", "{{ params.alarm }}"]


def test_a_mapped_task_is_stored_with_its_arguments(stored):
    task = stored.get_task("update_each")

    assert task.is_mapped
    assert "canary: 25 %" in str(task.partial_kwargs["strategy"])


def test_templates_are_rendered_inside_the_strategy_and_the_alarms(dag):
    update = dag.get_task("update")

    update.render_template_fields(
        {
            "params": {"endpoint": "churn", "percent": 25, "bake": 600, "alarm": "latency"},
            "ds_nodash": "20260302",
        }
    )

    routing = update.strategy["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["CanarySize"]["Value"] == "25"
    assert routing["WaitIntervalInSeconds"] == "600"
    assert update.alarms == ["errors", "latency"]
    assert (update.endpoint_name, update.endpoint_config_name) == ("churn", "churn-20260302")


def test_a_rendered_strategy_is_understood(dag):
    update = dag.get_task("update")
    update.render_template_fields(
        {
            "params": {"endpoint": "churn", "percent": 25, "bake": 600, "alarm": "latency"},
            "ds_nodash": "20260302",
        }
    )

    switch = AbortSwitch.of("churn", owner="0" * 20, target="churn-20260302")
    assert update._guardrails(switch).strategy == Canary(percent=25, bake=timedelta(minutes=10))


def test_a_strategy_that_is_a_value_is_left_as_it_is_by_rendering(dag):
    strategy = Canary(percent=25, bake=timedelta(minutes=10))
    update = SageMakerGuardedUpdateOperator(
        task_id="update", endpoint_name="churn", endpoint_config_name="churn-v2", strategy=strategy
    )

    update.render_template_fields({})

    assert update.strategy == strategy
