"""The endpoint ``churn`` that most tests update, requests that create what it needs, and its abort switch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.support.fakes import TaskInstance
from tests.support.simulated import new_client


@dataclass
class Churn:
    """
    Endpoint ``churn``, serving ``churn-v1`` on four instances, and what it takes to update it.

    AWS's calls go over HTTP; time and counts of calls are asked of the simulation itself, which is quicker.
    """

    simulator: Any
    sagemaker: Any
    cloudwatch: Any

    def begin(self) -> None:
        """Make what every test begins with: not by requests, which takes half of the time."""
        world = self.simulator.simulation.world("us-east-1")
        catalogue = world.sagemaker.catalogue
        catalogue.create_model(model_request("churn"))
        for name in ("churn-v1", "churn-v2"):
            catalogue.create_endpoint_config(_config(name))
        world.alarms.put_metric_alarm(alarm_request("errors", Dimensions=_DIMENSIONS))
        world.alarms.set_state("errors", state="OK", reason="Set by the test")
        world.sagemaker.create_endpoint({"EndpointName": "churn", "EndpointConfigName": "churn-v1"})
        self.advance(minutes=10)

    def config(self, name: str, *, model: str = "churn", instances: int = 4) -> str:
        self.sagemaker.create_endpoint_config(**_config(name, model=model, instances=instances))
        return name

    def alarm(self, name: str, *, state: str = "OK") -> str:
        self.cloudwatch.put_metric_alarm(**alarm_request(name, Dimensions=_DIMENSIONS))
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="Set by the test")
        return name

    def trip(self, name: str, reason: str = "Threshold Crossed: 1 datapoint was greater than 0.05") -> None:
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=reason)

    def advance(self, **time: float) -> None:
        self.simulator.simulation.clock.advance(timedelta(**time).total_seconds())

    def now(self) -> datetime:
        now: datetime = self.simulator.simulation.clock.now()
        return now

    def describe(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName="churn")
        return answer

    def scale(self, instances: int, *, weight: float | None = None) -> None:
        """Ask for so many instances of the variant, and for a weight if one is given."""
        wanted = {"VariantName": "AllTraffic", "DesiredInstanceCount": instances}
        self.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="churn",
            DesiredWeightsAndCapacities=[{**wanted, **({} if weight is None else {"DesiredWeight": weight})}],
        )

    def config_names(self) -> list[str]:
        """The names of all endpoint configurations, sorted."""
        listed = self.sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]
        return sorted(found["EndpointConfigName"] for found in listed)

    def calls(self, operation: str) -> int:
        count: int = self.simulator.simulation.calls[operation]
        return count


def _config(name: str, *, model: str = "churn", instances: int = 4) -> dict[str, Any]:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": instances,
    }
    return {"EndpointConfigName": name, "ProductionVariants": [variant]}


_DIMENSIONS = [
    {"Name": "EndpointName", "Value": "churn"},
    {"Name": "VariantName", "Value": "AllTraffic"},
]


def model_request(name: str) -> dict[str, Any]:
    return {
        "ModelName": name,
        "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1"},
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/sagemaker",
    }


def alarm_request(name: str, **more: Any) -> dict[str, Any]:
    """
    An alarm on errors, for ``PutMetricAlarm``.

    Without dimensions it is on a metric that nobody publishes: nothing but a test sets its state.
    """
    return {
        "AlarmName": name,
        "Namespace": "AWS/SageMaker" if "Dimensions" in more else "Shop",
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.05,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
        **more,
    }


def new_churn(simulator: Any) -> Churn:
    """Let the endpoint ``churn`` be in service."""
    url = simulator.url
    churn = Churn(
        simulator=simulator,
        sagemaker=new_client(url, "sagemaker"),
        cloudwatch=new_client(url, "cloudwatch"),
    )
    churn.begin()
    assert churn.describe()["EndpointStatus"] == "InService"
    return churn


def switch_of(endpoint_name: str = "churn", target: str = "churn-v2", task_instance: Any = TaskInstance):
    """Return the abort switch of the update that *task_instance* launches."""
    from airflow_guardrails.domain.rollout.launch import owner_of  # noqa: PLC0415
    from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch  # noqa: PLC0415

    owner = owner_of(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index,
        endpoint_name=endpoint_name,
    )
    return AbortSwitch.of(endpoint_name, owner=owner, target=target)


def switch_state_after(churn: Churn, *, seconds: float = 30) -> str:
    """State of the alarm of the abort switch, so many seconds later."""
    churn.advance(seconds=seconds)
    state: str = churn.simulator.client.alarm_state(switch_of().alarm_name)
    return state
