"""
Answers of AWS with any one member missing, empty, of another type or an unknown word.

What decides nothing ends nothing: a parser returns a value that a watch can go on with, or says what it
cannot read where that decides.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_guardrails.aws.alarms import parse_alarm_history, parse_alarms
from airflow_guardrails.aws.endpoint import parse_endpoint, parse_endpoint_list
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config, parse_model
from airflow_guardrails.aws.errors import Unanswered, UnexpectedAnswer
from airflow_guardrails.aws.experiment import parse_experiment, parse_experiment_list
from airflow_guardrails.aws.metrics import (
    metric_data_requests,
    parse_metric_data,
    parse_requests,
    variant_requests_request,
)
from airflow_guardrails.aws.tags import parse_intent, parse_tags
from airflow_guardrails.domain.canary.evidence import requests_query
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.rollout.report import rollout_report
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.shadow.evidence import queries_of
from airflow_guardrails.domain.shadow.report import shadow_test_report
from airflow_guardrails.domain.shadow.state import ShadowTestState, Until
from airflow_guardrails.domain.snapshots.alarms import AlarmState, summarize_states, tripped_between
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentStatus
from airflow_guardrails.rules import DEFAULT_RULES
from airflow_guardrails.strategies import Canary
from tests.support.churn import model_request
from tests.support.lab import Lab
from tests.support.simulated import START

GONE = object()
NAIVE = datetime(2026, 3, 2, 9, 59, tzinfo=timezone.utc).replace(tzinfo=None)
ODD = [
    GONE,
    None,
    "",
    "Hibernating",
    0,
    -7,
    5.5,
    float("nan"),
    10**30,
    True,
    [],
    [None],
    ["odd"],
    [{}],
    [[]],
    {},
    {"Odd": 1},
    b"odd",
    NAIVE,
]
HOUR = timedelta(hours=1)
Path = tuple[Any, ...]


def paths(answer: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the place of each member of *answer*, at any depth."""
    members = answer.items() if isinstance(answer, dict) else enumerate(answer)
    for key, member in members:
        yield (*at, key)
        if isinstance(member, dict | list):
            yield from paths(member, (*at, key))


def changed(answer: dict[str, Any], path: Path, odd: Any) -> dict[str, Any]:
    answer = copy.deepcopy(answer)
    *above, key = path
    holder: Any = answer
    for step in above:
        holder = holder[step]
    if odd is GONE:
        del holder[key]
    else:
        holder[key] = odd
    return answer


def odd_answers(answer: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in paths(answer):
        for odd in ODD:
            yield ".".join(map(str, path)), changed(answer, path, odd)


def refused_at(answer: dict[str, Any], use: Any) -> set[str]:
    """Use the answer with every odd member in turn; return the members that are said not to be readable."""
    return {path for path, odd in odd_answers(answer) if is_refused(path, odd, use)}


def is_refused(path: str, odd: dict[str, Any], use: Any) -> bool:
    try:
        use(odd)
    except (UnexpectedAnswer, Unanswered):
        return True
    except Exception as error:
        raise AssertionError(f"{path}: {type(error).__name__}: {error}") from error
    return False


@pytest.fixture
def updating(churn):
    """The canary of the update to ``churn-v2`` bakes under its alarm."""
    traffic = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 600,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
    }
    churn.sagemaker.update_endpoint(
        EndpointName="churn",
        EndpointConfigName="churn-v2",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": traffic,
                "TerminationWaitInSeconds": 300,
                "MaximumExecutionTimeoutInSeconds": 7200,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
        },
    )
    churn.advance(minutes=8)
    assert parse_endpoint(churn.describe()).current_stage is not None
    return churn


def watched(answer: dict[str, Any]) -> None:
    look = parse_endpoint(answer)
    assert isinstance(look, Endpoint)
    assert look.seen_at.utcoffset() is not None
    guardrails = Guardrails(strategy=Canary(percent=25, bake=timedelta(minutes=10)), alarms=("errors",))
    rollout = Rollout(
        endpoint_name="churn",
        target="churn-v2",
        previous="churn-v1",
        guardrails=guardrails,
        launched_at=START,
        max_wait=HOUR,
    )
    watch = RolloutState(rollout=rollout).after(look)
    rollout_report(watch.after(look))


def test_an_endpoint_on_its_way_is_watched_on_whatever_decides_nothing(updating):
    answer = updating.describe()
    answer["FailureReason"] = "Too slow"

    assert refused_at(answer, watched) == {"EndpointName", "EndpointStatus"}


@pytest.mark.parametrize("status", EndpointStatus)
@pytest.mark.proof
def test_an_endpoint_in_any_status_is_watched_on_whatever_decides_nothing(updating, status):
    answer = {**updating.describe(), "EndpointStatus": status.value}
    decides = {"EndpointName", "EndpointStatus"}
    if status is EndpointStatus.IN_SERVICE:
        decides |= {"PendingDeploymentSummary", "PendingDeploymentSummary.EndpointConfigName"}

    assert refused_at(answer, watched) == decides


@pytest.mark.parametrize("said", [GONE, None, "", "Hibernating", 5, [], {"a": 1}])
def test_a_status_that_decides_nothing_known_is_named(updating, said):
    with pytest.raises(UnexpectedAnswer) as caught:
        parse_endpoint(changed(updating.describe(), ("EndpointStatus",), said))

    assert "EndpointStatus" in str(caught.value)
    assert "endpoint churn" in str(caught.value)
    assert ("nothing" if said in (GONE, None) else repr(said)) in str(caught.value)


def test_a_time_without_a_zone_is_taken_for_utc(updating):
    answer = updating.describe()
    answer["LastModifiedTime"] = answer["PendingDeploymentSummary"]["StartTime"] = NAIVE

    look = parse_endpoint(answer)

    assert look.last_modified_at == look.pending.started_at == NAIVE.replace(tzinfo=timezone.utc)


def test_an_odd_line_of_a_list_loses_no_other(churn):
    churn.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="churn-v1")
    answer = churn.sagemaker.list_endpoints()
    assert len(answer["Endpoints"]) == 2

    for path, odd in odd_answers(answer):
        listed = {each.name for each in parse_endpoint_list(odd)}
        lines = {at for at in (0, 1) if f"Endpoints.{at}" not in path and path != "Endpoints"}
        assert {answer["Endpoints"][at]["EndpointName"] for at in lines} <= listed, path


def test_odd_alarms_are_refused_only_where_their_state_is_unknown(churn):
    churn.alarm("slow", state="ALARM")
    rule = "ALARM(errors) OR ALARM(slow)"
    churn.cloudwatch.put_composite_alarm(AlarmName="any", AlarmRule=rule)
    answer = churn.cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert len(answer["MetricAlarms"]) == 2
    assert len(answer["CompositeAlarms"]) == 1

    def use(odd):
        alarms = parse_alarms(odd)
        summarize_states(alarms)
        tripped_between((), alarms, start=START, end=START + HOUR)

    refused = refused_at(answer, use)

    kinds = {"MetricAlarms", "MetricAlarms.0", "MetricAlarms.1", "CompositeAlarms", "CompositeAlarms.0"}
    assert refused == {f"{kind}.StateValue" for kind in kinds if kind[-1].isdigit()}


def test_an_odd_entry_of_the_alarms_history_loses_no_other(churn):
    churn.trip("errors")
    churn.advance(minutes=1)
    churn.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="Calm")
    answer = churn.cloudwatch.describe_alarm_history(HistoryItemType="StateUpdate")
    assert len(answer["AlarmHistoryItems"]) >= 3

    for path, odd in odd_answers(answer):
        found = parse_alarm_history(odd.get("AlarmHistoryItems"))
        tripped_between(found, (), start=START, end=START + HOUR)
        at_top = path == "AlarmHistoryItems" or not path.startswith("AlarmHistoryItems")
        least = 0 if path == "AlarmHistoryItems" else len(answer["AlarmHistoryItems"]) - (not at_top)
        assert len(found) >= least, path
        assert all(isinstance(entry.state, AlarmState) for entry in found)


def test_odd_series_are_read_as_far_as_times_and_values_belong_together(churn):
    churn.simulator.client.replay("churn", ["1,2,3"], per_minute=600)
    churn.advance(minutes=10)
    queries = (requests_query("churn", "AllTraffic"), requests_query("churn", "AllTraffic", "churn-v1"))
    span = {"start": START, "end": churn.now(), "period": 60}
    ((some, request),) = metric_data_requests(queries, **span)
    answer = churn.cloudwatch.get_metric_data(**request)
    assert all(result["Values"] for result in answer["MetricDataResults"])

    def use(odd):
        for points in parse_metric_data([odd], some).values():
            assert all(
                at.utcoffset() is not None and value >= 0 for at, value in points.items() if value != -7
            )

    lists = {f"MetricDataResults.{at}.{key}" for at in (0, 1) for key in ("Timestamps", "Values")}
    refused = refused_at(answer, use)
    assert lists <= refused
    # A list in which one is missing is refused, too; one that holds something odd is not.
    assert {path.rpartition(".")[0] for path in refused - lists} <= lists


def test_odd_counts_of_requests_are_read_as_far_as_there_are_datapoints(churn):
    churn.simulator.client.replay("churn", ["1,2,3"], per_minute=600)
    churn.advance(minutes=10)
    request = variant_requests_request(
        endpoint_name="churn", variant_name="AllTraffic", start=START, end=churn.now()
    )
    answer = churn.cloudwatch.get_metric_statistics(**request)
    assert parse_requests(answer) > 0

    assert refused_at(answer, parse_requests) == {"Datapoints"}


@pytest.fixture
def trial(churn):
    """A shadow test that runs and keeps what it sees."""
    lab = Lab(simulator=churn.simulator, sagemaker=churn.sagemaker, cloudwatch=churn.cloudwatch)
    lab.sagemaker.create_model(**model_request("churn-candidate"))
    storage = {
        "Destination": "s3://captures/trial",
        "KmsKey": "alias/captures",
        "ContentType": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
    }
    lab.run(start=timedelta(minutes=1), end=timedelta(days=1), DataStorageConfig=storage, KmsKey="alias/x")
    return lab


def followed(answer):
    look = parse_experiment(answer)
    assert isinstance(look, Experiment)
    assert look.seen_at.utcoffset() is not None
    watch = ShadowTestState(name="trial", until=Until.COMPLETED, min_requests=10).after(look)
    shadow_test_report(watch.after(look))
    queries_of(look, DEFAULT_RULES)


@pytest.mark.parametrize("status", ExperimentStatus)
@pytest.mark.proof
def test_a_shadow_test_is_watched_on_whatever_decides_nothing(trial, status):
    answer = {**trial.look(), "Status": status.value, "StatusReason": "Enough"}
    answer["CompletionTime"] = answer["LastModifiedTime"]
    shadows = "ShadowModeConfig.ShadowModelVariants"

    assert refused_at(answer, followed) == {
        "Name",
        "Status",
        "EndpointMetadata",
        "EndpointMetadata.EndpointName",
        "ShadowModeConfig",
        "ShadowModeConfig.SourceModelVariantName",
        shadows,
        f"{shadows}.0",
        f"{shadows}.0.ShadowModelVariantName",
        f"{shadows}.0.SamplingPercentage",
    }


def test_an_odd_line_of_a_list_of_shadow_tests_ends_nothing(trial):
    for path, odd in odd_answers(trial.sagemaker.list_inference_experiments()):
        listed = parse_experiment_list(odd)
        lost = path in {"InferenceExperiments", "InferenceExperiments.0"} or path.endswith(
            (".Name", ".Status")
        )
        assert [each.status for each in listed] == [ExperimentStatus.RUNNING] or lost, path


def test_odd_tags_lose_no_other_tag(churn):
    arn = churn.sagemaker.describe_endpoint_config(EndpointConfigName="churn-v2")["EndpointConfigArn"]
    tags = [{"Key": key, "Value": "x"} for key in ("a", "b", "c")]
    churn.sagemaker.add_tags(ResourceArn=arn, Tags=tags)
    answer = churn.sagemaker.list_tags(ResourceArn=arn)

    for path, odd in odd_answers(answer):
        found = parse_tags(odd)
        parse_intent(found)
        others = [tag for at, tag in enumerate(tags) if f"Tags.{at}" not in path and path != "Tags"]
        assert [tag for tag in others if tag not in found] == [], path


def test_an_odd_configuration_or_model_is_read_or_refused(churn):
    config = churn.sagemaker.describe_endpoint_config(EndpointConfigName="churn-v2")
    model = churn.sagemaker.describe_model(ModelName="churn")
    name = "ProductionVariants.0.VariantName"

    assert refused_at(config, parse_endpoint_config) >= {"EndpointConfigName", "EndpointConfigArn", name}
    assert refused_at(model, lambda odd: parse_model(odd, account_id="1")) == {"ModelName"}
