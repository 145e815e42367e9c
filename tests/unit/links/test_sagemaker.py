"""Links into the AWS console, made of what the task left as XCom."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from airflow.providers.common.compat.sdk import XCom
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetXCom, XComResult

from airflow_guardrails.links.sagemaker import (
    LINK_DATA_KEY,
    CloudWatchAlarmLink,
    SageMakerEndpointLink,
    console_link_data,
)
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.strategies import AllAtOnce

TASK = SimpleNamespace(dag_id="retrain", run_id="manual", task_id="update", map_index=-1)
ODD_NAMES = ["errors 5xx", "p90 > 2 s", "a/b", "50%", "#1?", "na&me=x", "Fehler über 2 s", 'quo"te']


class Supervisor:
    """Answers the task's questions for XComs, as the process above it does."""

    def __init__(self):
        self.xcoms = {}

    def send(self, question):
        assert isinstance(question, GetXCom)
        assert (question.dag_id, question.run_id, question.task_id) == ("retrain", "manual", "update")
        return XComResult(key=question.key, value=self.xcoms.get(question.key))


@pytest.fixture
def supervisor(monkeypatch):
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


@pytest.fixture
def known(supervisor):
    """Leave behind what the task knows, as it does when it has reached AWS."""

    def push(**changes):
        facts = {
            "region_name": "us-east-1",
            "partition": "aws",
            "endpoint_name": "churn",
            "alarms": ["errors"],
        }
        supervisor.xcoms[LINK_DATA_KEY] = XCom.serialize_value(console_link_data(**{**facts, **changes}))

    return push


def url(link):
    return link.get_link(None, ti_key=TASK)


@pytest.mark.parametrize(
    ("partition", "region", "console"),
    [
        ("aws", "eu-central-1", "https://console.aws.amazon.com"),
        ("aws-us-gov", "us-gov-west-1", "https://console.amazonaws-us-gov.com"),
        ("aws-cn", "cn-north-1", "https://console.amazonaws.cn"),
    ],
)
def test_each_partition_has_its_own_console(known, partition, region, console):
    known(partition=partition, region_name=region)

    assert url(SageMakerEndpointLink()) == f"{console}/sagemaker/home?region={region}#/endpoints/churn"
    assert url(CloudWatchAlarmLink(1)) == f"{console}/cloudwatch/home?region={region}#alarmsV2:alarm/errors"


def test_a_partition_without_a_known_console_has_no_links(known):
    known(partition="aws-iso", region_name="us-iso-east-1")

    assert url(SageMakerEndpointLink()) == ""
    assert url(CloudWatchAlarmLink(1)) == ""


@pytest.mark.parametrize("link", [SageMakerEndpointLink(), CloudWatchAlarmLink(1)])
def test_nothing_is_shown_before_the_task_has_reached_aws(supervisor, link):
    assert url(link) == ""


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_of_an_alarm_arrives_whole_and_breaks_nothing(known, name):
    known(alarms=[name])

    parts = urlsplit(url(CloudWatchAlarmLink(1)))

    assert (parts.path, parts.query) == ("/cloudwatch/home", "region=us-east-1")
    place, shown = parts.fragment.rsplit("/", 1)
    assert (place, unquote(shown)) == ("alarmsV2:alarm", name)
    assert not set(shown) & set(' "#?&/<>')


def test_each_alarm_has_a_link_in_the_order_the_update_names_them(known):
    known(alarms=["errors", "latency"])

    assert url(CloudWatchAlarmLink(1)).endswith("/errors")
    assert url(CloudWatchAlarmLink(2)).endswith("/latency")
    assert url(CloudWatchAlarmLink(3)) == ""


def test_the_keys_of_a_tasks_links_differ():
    links = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=AllAtOnce(termination_wait=timedelta(minutes=1)),
        alarms=["errors", "latency", "errors-green"],
    ).operator_extra_links

    assert len({link.xcom_key for link in links}) == len(links) == 5
    assert len({link.name for link in links}) == 5


def test_links_of_one_task_do_not_leak_into_another():
    def update(task_id, alarms):
        return SageMakerGuardedUpdateOperator(
            task_id=task_id,
            endpoint_name="churn",
            endpoint_config_name="churn-v2",
            strategy=AllAtOnce(termination_wait=timedelta(minutes=1)),
            alarms=alarms,
        )

    first, second = update("first", ["errors"]), update("second", [])

    assert [link.name for link in first.operator_extra_links] == [
        "Rollout",
        "SageMaker endpoint",
        "CloudWatch alarm errors",
    ]
    assert [link.name for link in second.operator_extra_links] == ["Rollout", "SageMaker endpoint"]


@pytest.mark.parametrize("alarms", ["{{ params.alarms }}", None], ids=["a template", "none"])
def test_alarms_known_only_when_the_task_runs_have_no_links(alarms):
    operator = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=AllAtOnce(termination_wait=timedelta(minutes=1)),
        alarms=alarms,
    )

    assert [link.name for link in operator.operator_extra_links] == ["Rollout", "SageMaker endpoint"]


def test_the_name_of_an_alarm_that_is_a_template_is_a_number_until_it_is_known(known):
    (*_, link) = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=AllAtOnce(termination_wait=timedelta(minutes=1)),
        alarms=["errors-{{ ds }}"],
    ).operator_extra_links
    known(alarms=["errors-2026-03-02"])

    assert link.name == "CloudWatch alarm 1"
    assert url(link).endswith("/errors-2026-03-02")


NAMES_LATENCY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 60,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "latency"}]},
}


@pytest.mark.parametrize("parsed_as", ["errors", "err{{ ors }}"], ids=["plain", "templated"])
@pytest.mark.parametrize("adopted", [False, True], ids=["launched", "adopted"])
def test_a_link_opens_the_alarm_on_its_label_whatever_other_alarms_guard_the_update(
    churn, context, supervisor, simulated_sleep, parsed_as, adopted
):
    churn.alarm("latency")
    operator = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="churn-v2",
        strategy=NAMES_LATENCY,
        alarms=[parsed_as],
        wait_for_completion=False,
    )
    operator.sleep = simulated_sleep
    operator.render_template_fields({"ors": "ors"})
    if adopted:
        churn.sagemaker.update_endpoint(
            EndpointName="churn", EndpointConfigName="churn-v2", DeploymentConfig=NAMES_LATENCY
        )

    operator.execute(context)

    facts = context["ti"].xcoms[LINK_DATA_KEY]
    assert "latency" in facts["alarms"]
    supervisor.xcoms[LINK_DATA_KEY] = XCom.serialize_value(facts)
    assert url(operator.operator_extra_links[2]).endswith("/errors")


def test_a_sensor_has_the_link_to_its_endpoint():
    sensor = SageMakerRolloutSensor(task_id="wait", endpoint_name="churn", endpoint_config_name="churn-v2")

    assert [link.name for link in sensor.operator_extra_links] == ["Rollout", "SageMaker endpoint"]
