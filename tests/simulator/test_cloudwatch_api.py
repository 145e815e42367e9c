"""CloudWatch through boto3 and aiobotocore: metrics and alarms."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import boto3
import pytest
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import ClientError

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
CHURN = [{"Name": "EndpointName", "Value": "churn"}]
ALARM = {
    "AlarmName": "errors",
    "Namespace": "Churn",
    "MetricName": "Errors",
    "Dimensions": CHURN,
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 2.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


@pytest.fixture
def cloudwatch(aws):
    return aws("cloudwatch")


@pytest.fixture
def publish(cloudwatch):
    def publish(*values, name="Errors", **datum):
        datum = {"MetricName": name, "Dimensions": CHURN, **datum}
        if values:
            datum["Values"] = list(values)
        cloudwatch.put_metric_data(Namespace="Churn", MetricData=[datum])

    return publish


@pytest.fixture
def advance(simulator):
    return simulator.client.clock.advance


def stat(name="Errors", statistic="Sum", *, query_id="q", period=60, **more):
    metric = {"Namespace": "Churn", "MetricName": name, "Dimensions": CHURN}
    return {
        "Id": query_id,
        "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic, **more},
    }


@pytest.fixture
def query(cloudwatch):
    def query(*queries, minutes=60, **more):
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=list(queries),
            StartTime=START,
            EndTime=START + timedelta(minutes=minutes),
            **more,
        )
        assert [result["StatusCode"] for result in answer["MetricDataResults"]] == ["Complete"] * len(
            answer["MetricDataResults"]
        )
        return {result["Id"]: result["Values"] for result in answer["MetricDataResults"]}

    return query


def error_of(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_metrics_per_variant_and_per_fleet_and_none_for_a_fleet_without_requests(simulator, cloudwatch):
    variant = {"EndpointName": "churn", "VariantName": "AllTraffic"}
    record = simulator.simulation.world("us-east-1").metrics.record
    for dimensions in (variant, {**variant, "EndpointConfigName": "v1"}):
        record("AWS/SageMaker", "ModelLatency", dimensions, [1500.0, 2500.0], at=START, unit="Microseconds")

    def datapoints(**dimensions):
        return cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="ModelLatency",
            Dimensions=[{"Name": k, "Value": v} for k, v in {**variant, **dimensions}.items()],
            StartTime=START,
            EndTime=START + timedelta(minutes=5),
            Period=60,
            Statistics=["Average", "SampleCount"],
        )["Datapoints"]

    expected = [{"Timestamp": START, "Average": 2000.0, "SampleCount": 2.0, "Unit": "Microseconds"}]
    assert datapoints() == expected
    assert datapoints(EndpointConfigName="v1") == expected
    assert datapoints(EndpointConfigName="v2") == []


def test_percentiles_of_latencies(publish, query, cloudwatch):
    publish(*[float(v) for v in range(1, 101)], name="Latency", Unit="Microseconds")

    assert query(
        stat("Latency", "p50", query_id="p50"),
        stat("Latency", "p90", query_id="p90"),
        stat("Latency", "p99.9", query_id="p999"),
    ) == {"p50": [50.0], "p90": [90.0], "p999": [100.0]}
    [point] = cloudwatch.get_metric_statistics(
        Namespace="Churn",
        MetricName="Latency",
        Dimensions=CHURN,
        StartTime=START,
        EndTime=START + timedelta(minutes=1),
        Period=60,
        ExtendedStatistics=["p50", "p99"],
    )["Datapoints"]
    assert point["ExtendedStatistics"] == {"p50": 50.0, "p99": 99.0}


def test_the_average_of_zeros_and_ones_is_an_error_rate(publish, query):
    publish(0.0, 1.0, Counts=[19.0, 1.0])

    values = query(stat(statistic="Average"), stat(statistic="SampleCount", query_id="n"))
    assert values == {"q": [0.05], "n": [20.0]}


def test_values_counts_and_statistic_sets_add_up(publish, query):
    publish(Value=1.0)
    publish(2.0, 4.0)
    publish(10.0, Counts=[3.0])
    publish(StatisticValues={"SampleCount": 2, "Sum": 100, "Minimum": 0.5, "Maximum": 99.5})

    names = ("SampleCount", "Sum", "Minimum", "Maximum")
    values = query(*(stat(statistic=name, query_id=name.lower()) for name in names))
    assert values == {"samplecount": [8.0], "sum": [137.0], "minimum": [0.5], "maximum": [99.5]}


def test_high_resolution_metrics_have_ten_second_periods(publish, query, advance):
    publish(1.0, StorageResolution=1)
    advance(seconds=10)
    publish(2.0, StorageResolution=1)

    assert query(stat(period=10), ScanBy="TimestampAscending") == {"q": [1.0, 2.0]}


def test_data_ahead_of_the_clock_is_kept_and_counts_when_its_time_has_come(
    publish, query, cloudwatch, advance
):
    cloudwatch.put_metric_alarm(**ALARM)
    publish(5.0, Timestamp=START + timedelta(hours=2))
    advance(minutes=119)

    assert query(stat(), minutes=240) == {"q": []}
    assert cloudwatch.list_metrics()["Metrics"] == []
    [alarm] = cloudwatch.describe_alarms()["MetricAlarms"]
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"

    advance(minutes=2)
    assert query(stat(), minutes=240) == {"q": [5.0]}
    [alarm] = cloudwatch.describe_alarms()["MetricAlarms"]
    assert alarm["StateValue"] == "ALARM"
    assert "[5.0 (02/03/26 12:00:00)]" in alarm["StateReason"]


def test_data_comes_newest_first_unless_asked_otherwise(publish, query, advance):
    for value in (1.0, 2.0, 3.0):
        publish(value)
        advance(minutes=1)

    assert query(stat()) == {"q": [3.0, 2.0, 1.0]}
    assert query(stat(), ScanBy="TimestampAscending") == {"q": [1.0, 2.0, 3.0]}


def test_get_metric_data_pages_over_all_its_queries(publish, cloudwatch, advance):
    for value in range(5):
        publish(float(value))
        publish(float(value) + 10, name="Requests")
        advance(minutes=1)
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[stat(), stat("Requests", query_id="r")],
        StartTime=START,
        EndTime=START + timedelta(minutes=5),
        ScanBy="TimestampAscending",
        MaxDatapoints=3,
    )
    seen = {"q": [], "r": []}
    statuses = []
    for page in pages:
        assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= 3
        for result in page["MetricDataResults"]:
            seen[result["Id"]] += zip(result["Timestamps"], result["Values"], strict=True)
        statuses.append([result["StatusCode"] for result in page["MetricDataResults"]])

    times = [START + timedelta(minutes=m) for m in range(5)]
    assert seen["q"] == list(zip(times, [0.0, 1.0, 2.0, 3.0, 4.0], strict=True))
    assert seen["r"] == list(zip(times, [10.0, 11.0, 12.0, 13.0, 14.0], strict=True))
    assert statuses[0] == ["PartialData", "PartialData"]
    assert statuses[-1] == ["Complete", "Complete"]


def test_arithmetic_over_queries(publish, query, advance):
    publish(1.0)
    publish(20.0, name="Requests")
    advance(minutes=1)
    publish(3.0)
    publish(0.0, name="Requests")
    advance(minutes=1)
    publish(3.0)

    rate = {"Id": "rate", "Expression": "100 * q / (r + 0)"}
    hidden = [{**stat(), "ReturnData": False}, {**stat("Requests", query_id="r"), "ReturnData": False}]
    assert query(rate, *hidden) == {"rate": [5.0]}


def test_an_array_is_a_result_for_each_metric_labelled_as_in_a_graph(publish, cloudwatch):
    publish(1.0)
    publish(20.0, name="Requests")
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[
            {**stat(), "ReturnData": False},
            {**stat("Requests", query_id="r"), "Label": "all", "ReturnData": False},
            {"Id": "e", "Expression": "FILL(METRICS(), 0)", "Label": "Filled:"},
            {"Id": "sum", "Expression": "SUM(METRICS())"},
        ],
        StartTime=START,
        EndTime=START + timedelta(minutes=2),
        ScanBy="TimestampAscending",
    )
    assert [(row["Id"], row["Label"], row["Values"]) for row in answer["MetricDataResults"]] == [
        ("e", "Filled: Errors", [1.0, 0.0]),
        ("e", "Filled: all", [20.0, 0.0]),
        ("sum", "sum", [21.0]),
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "SEARCH('Errors', 'Sum')",
        "SUM(q)",
        "q ** 2",
        "q / nobody",
        "1 + 1",
        "q.real",
        "q if q else q",
        "q +",
        "'q'",
    ],
)
def test_other_metric_math_is_refused(query, cloudwatch, expression):
    code, message = error_of(
        cloudwatch.get_metric_data,
        MetricDataQueries=[stat(), {"Id": "e", "Expression": expression}],
        StartTime=START,
        EndTime=START + timedelta(minutes=1),
    )
    assert code == "ValidationError"
    assert message.startswith("Error in expression 'e': ")


@pytest.mark.parametrize(
    ("queries", "changes", "message"),
    [
        ([stat(statistic="TM90")], {}, "TM90"),
        ([stat(statistic="p101")], {}, "p101"),
        ([stat(period=45)], {}, "Period must be"),
        ([stat(query_id="Upper")], {}, "Upper"),
        ([stat(), stat()], {}, "not unique"),
        ([{"Id": "q"}], {}, "exactly one of MetricStat and Expression"),
        ([stat()], {"EndTime": START}, "StartTime must be less than"),
        ([stat()], {"MaxDatapoints": 100_801}, "100800"),
    ],
)
def test_what_get_metric_data_refuses(cloudwatch, queries, changes, message):
    span = {"StartTime": START, "EndTime": START + timedelta(minutes=5)}
    code, text = error_of(cloudwatch.get_metric_data, MetricDataQueries=queries, **{**span, **changes})
    assert code == "ValidationError"
    assert message in text


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Statistics": ["Sum"], "ExtendedStatistics": ["p90"]}, "InvalidParameterCombination", "either"),
        ({}, "InvalidParameterCombination", "either"),
        ({"ExtendedStatistics": ["TM90"]}, "InvalidParameterValue", "TM90"),
        ({"Statistics": ["Mean"]}, "InvalidParameterValue", "Mean"),
        ({"Statistics": ["Sum"], "Period": 7}, "InvalidParameterValue", "Period"),
        ({"Statistics": ["Sum"], "Period": 1}, "InvalidParameterCombination", "3,600 datapoints"),
        ({"Statistics": ["Sum"], "EndTime": START}, "InvalidParameterValue", "StartTime"),
    ],
)
def test_what_get_metric_statistics_refuses(cloudwatch, changes, code, message):
    request = {
        "Namespace": "Churn",
        "MetricName": "Errors",
        "StartTime": START,
        "EndTime": START + timedelta(hours=1),
        "Period": 60,
    }
    refused = error_of(cloudwatch.get_metric_statistics, **{**request, **changes})
    assert refused[0] == code
    assert message in refused[1]


def test_datapoints_of_get_metric_statistics_come_in_no_order_of_time(publish, cloudwatch, advance):
    for value in range(20):
        publish(float(value))
        advance(minutes=1)
    points = cloudwatch.get_metric_statistics(
        Namespace="Churn",
        MetricName="Errors",
        Dimensions=CHURN,
        StartTime=START,
        EndTime=START + timedelta(minutes=20),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    times = [point["Timestamp"] for point in points]

    assert times != sorted(times)
    assert {point["Timestamp"]: point["Sum"] for point in points} == {
        START + timedelta(minutes=value): float(value) for value in range(20)
    }


def test_a_request_large_enough_to_be_compressed(cloudwatch, query):
    sent = []
    cloudwatch.meta.events.register("before-send", lambda request, **_: sent.append(request.headers))
    data = [{"MetricName": "Errors", "Dimensions": CHURN, "Value": 1.0}] * 1000
    cloudwatch.put_metric_data(Namespace="Churn", MetricData=data)

    assert sent[0]["Content-Encoding"] == b"gzip"
    assert query(stat()) == {"q": [1000.0]}
    assert "1000" in error_of(cloudwatch.put_metric_data, Namespace="Churn", MetricData=[*data, data[0]])[1]


@pytest.mark.parametrize(
    ("datum", "code", "message"),
    [
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination", "Value and Values"),
        ({}, "MissingParameter", "must be specified"),
        ({"Values": [1.0, 2.0], "Counts": [1.0]}, "InvalidParameterValue", "same size"),
        ({"Values": [1.0], "Counts": [0.0]}, "InvalidParameterValue", "greater than 0"),
        ({"Values": [1.0] * 151}, "InvalidParameterValue", "150"),
        ({"Value": float("nan")}, "InvalidParameterValue", "nan"),
        ({"Value": float("inf")}, "InvalidParameterValue", "inf"),
        ({"Value": 1.0, "StorageResolution": 30}, "InvalidParameterValue", "StorageResolution"),
        ({"Value": 1.0, "Timestamp": START - timedelta(days=15)}, "InvalidParameterValue", "two weeks"),
        ({"Value": 1.0, "Timestamp": START + timedelta(hours=3)}, "InvalidParameterValue", "two hours"),
    ],
)
def test_what_put_metric_data_refuses_leaves_nothing_behind(cloudwatch, datum, code, message):
    data = [{"MetricName": "Good", "Value": 1.0}, {"MetricName": "Bad", **datum}]
    refused = error_of(cloudwatch.put_metric_data, Namespace="Churn", MetricData=data)

    assert refused[0] == code
    assert message in refused[1]
    assert cloudwatch.list_metrics()["Metrics"] == []


def test_customers_cannot_publish_into_namespaces_of_aws(cloudwatch):
    code, message = error_of(
        cloudwatch.put_metric_data, Namespace="AWS/SageMaker", MetricData=[{"MetricName": "M", "Value": 1.0}]
    )
    assert (code, "AWS/SageMaker" in message) == ("InvalidParameterValue", True)


def test_list_metrics_filters_and_pages(simulator, cloudwatch, publish):
    record = simulator.simulation.world("us-east-1").metrics.record
    for number in range(502):
        record("Churn", "Many", {"N": f"{number:03d}"}, [1.0], at=START)
    publish(1.0)

    pages = list(cloudwatch.get_paginator("list_metrics").paginate(Namespace="Churn", MetricName="Many"))
    assert [len(page["Metrics"]) for page in pages] == [500, 2]
    errors = [{"Namespace": "Churn", "MetricName": "Errors", "Dimensions": CHURN}]
    assert cloudwatch.list_metrics(Dimensions=[{"Name": "EndpointName"}])["Metrics"] == errors
    assert cloudwatch.list_metrics(Dimensions=[{"Name": "EndpointName", "Value": "other"}])["Metrics"] == []


def test_recently_active_metrics_had_data_within_three_hours(cloudwatch, publish, advance):
    publish(1.0)
    advance(hours=4)
    publish(1.0, name="Requests")

    recent = cloudwatch.list_metrics(RecentlyActive="PT3H")["Metrics"]
    assert [metric["MetricName"] for metric in recent] == ["Requests"]
    assert len(cloudwatch.list_metrics()["Metrics"]) == 2


def test_the_metric_delay_is_a_knob_of_the_simulation(simulator, cloudwatch, publish, query, advance):
    simulator.simulation.knobs.update(metric_delay_seconds=120.0)
    publish(1.0)
    advance(seconds=119)
    assert query(stat()) == {"q": []}
    advance(seconds=1)
    assert query(stat()) == {"q": [1.0]}


def test_regions_are_worlds_of_their_own(aws, publish):
    publish(1.0)
    aws("cloudwatch").put_metric_alarm(**ALARM)

    other = aws("cloudwatch", region="eu-west-1")
    assert other.list_metrics()["Metrics"] == []
    assert other.describe_alarms()["MetricAlarms"] == []


def test_an_alarm_is_described_as_it_was_given_and_starts_with_insufficient_data(cloudwatch):
    cloudwatch.put_metric_alarm(**ALARM, DatapointsToAlarm=1, TreatMissingData="notBreaching")

    [alarm] = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
    assert alarm == {
        **ALARM,
        "DatapointsToAlarm": 1,
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": True,
        "AlarmActions": [],
        "OKActions": [],
        "InsufficientDataActions": [],
        "AlarmArn": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors",
        "AlarmConfigurationUpdatedTimestamp": START,
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": START,
        "StateTransitionedTimestamp": START,
    }


def test_an_alarms_arn_is_of_its_region(aws):
    cloudwatch = aws("cloudwatch", region="eu-west-1")
    cloudwatch.put_metric_alarm(**ALARM)
    [alarm] = cloudwatch.describe_alarms()["MetricAlarms"]
    assert alarm["AlarmArn"] == "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors"


def test_an_alarm_goes_off_and_its_history_gives_the_reason(cloudwatch, publish, advance):
    cloudwatch.put_metric_alarm(**ALARM, DatapointsToAlarm=1)
    publish(0.0)
    advance(minutes=1)
    publish(3.0)
    advance(minutes=1)

    [alarm] = cloudwatch.describe_alarms()["MetricAlarms"]
    assert alarm["StateValue"] == "ALARM"
    assert alarm["StateTransitionedTimestamp"] == START + timedelta(minutes=2)
    assert json.loads(alarm["StateReasonData"])["recentDatapoints"] == [3.0]
    history = cloudwatch.describe_alarm_history(AlarmName="errors", HistoryItemType="StateUpdate")
    newest, oldest = history["AlarmHistoryItems"]
    assert newest["HistorySummary"] == "Alarm updated from OK to ALARM"
    assert oldest["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to OK"
    assert (newest["AlarmName"], newest["AlarmType"]) == ("errors", "MetricAlarm")
    assert newest["Timestamp"] == START + timedelta(minutes=2)
    data = json.loads(newest["HistoryData"])
    assert data["version"] == "1.0"
    assert data["oldState"]["stateValue"] == "OK"
    assert data["newState"]["stateValue"] == "ALARM"
    assert data["newState"]["stateReasonData"]["threshold"] == 2.0
    assert data["newState"]["stateReason"] == alarm["StateReason"]
    assert alarm["StateReason"] == (
        "Threshold Crossed: 1 out of the last 1 datapoints [3.0 (02/03/26 10:01:00)] was greater than the "
        "threshold (2.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )


def test_history_filters_orders_and_pages(cloudwatch, publish, advance):
    cloudwatch.put_metric_alarm(**ALARM)
    for value in (3.0, 0.0, 3.0, 0.0):
        publish(value)
        advance(minutes=1)
    cloudwatch.delete_alarms(AlarmNames=["errors"])

    def summaries(**request):
        pages = cloudwatch.get_paginator("describe_alarm_history").paginate(AlarmName="errors", **request)
        return [item["HistorySummary"] for page in pages for item in page["AlarmHistoryItems"]]

    everything = summaries(ScanBy="TimestampAscending", MaxRecords=2)
    assert everything == [
        'Alarm "errors" created',
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Alarm updated from ALARM to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to OK",
        'Alarm "errors" deleted',
    ]
    assert summaries() == everything[::-1]
    assert summaries(HistoryItemType="ConfigurationUpdate") == [everything[-1], everything[0]]
    span = {"StartDate": START + timedelta(minutes=2), "EndDate": START + timedelta(minutes=3)}
    assert summaries(ScanBy="TimestampAscending", **span) == everything[2:4]


def test_set_alarm_state_is_undone_by_the_next_evaluation(cloudwatch, publish, advance):
    cloudwatch.put_metric_alarm(**ALARM)
    publish(0.0)
    advance(seconds=61)
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a drill")

    [alarm] = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert (alarm["StateReason"], alarm["StateUpdatedTimestamp"]) == (
        "a drill",
        START + timedelta(seconds=61),
    )
    advance(seconds=59)
    assert cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"] == []


def test_set_alarm_state_of_a_composite_alarm_sticks(cloudwatch, publish, advance):
    cloudwatch.put_metric_alarm(**ALARM)
    publish(0.0)
    advance(minutes=1)
    cloudwatch.put_composite_alarm(AlarmName="any", AlarmRule='ALARM("errors")')
    cloudwatch.set_alarm_state(AlarmName="any", StateValue="ALARM", StateReason="a drill")
    advance(minutes=1)

    [alarm] = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert alarm["StateValue"] == "ALARM"


def test_describe_alarms_hides_composite_alarms_unless_asked(cloudwatch):
    cloudwatch.put_metric_alarm(**ALARM)
    cloudwatch.put_composite_alarm(AlarmName="any", AlarmRule="ALARM(errors)")

    def names(**request):
        answer = cloudwatch.describe_alarms(**request)
        return [alarm["AlarmName"] for alarm in answer["MetricAlarms"] + answer["CompositeAlarms"]]

    assert names() == ["errors"]
    assert names(AlarmNames=["any"]) == []
    assert names(AlarmNames=["any", "errors"], AlarmTypes=["CompositeAlarm", "MetricAlarm"]) == [
        "errors",
        "any",
    ]


def test_describe_alarms_filters_and_pages(cloudwatch):
    for number in range(105):
        cloudwatch.put_metric_alarm(**{**ALARM, "AlarmName": f"a-{number:03d}"})
    cloudwatch.put_metric_alarm(**{**ALARM, "AlarmName": "b", "AlarmActions": ["arn:aws:sns:us-east-1:1:t"]})

    pages = list(cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix="a-"))
    assert [len(page["MetricAlarms"]) for page in pages] == [100, 5]
    [alarm] = cloudwatch.describe_alarms(ActionPrefix="arn:aws:sns:")["MetricAlarms"]
    assert alarm["AlarmName"] == "b"
    assert error_of(cloudwatch.describe_alarms, NextToken="nonsense")[0] == "InvalidNextToken"
    names = [f"a-{number:03d}" for number in range(101)]
    assert "100" in error_of(cloudwatch.describe_alarms, AlarmNames=names)[1]
    assert len(cloudwatch.describe_alarms(AlarmNames=names[:100])["MetricAlarms"]) == 100


def test_describe_alarms_for_metric_finds_those_on_exactly_this_metric(cloudwatch):
    cloudwatch.put_metric_alarm(**ALARM)
    cloudwatch.put_metric_alarm(**{**ALARM, "AlarmName": "other", "Dimensions": []})

    found = cloudwatch.describe_alarms_for_metric(Namespace="Churn", MetricName="Errors", Dimensions=CHURN)
    assert [alarm["AlarmName"] for alarm in found["MetricAlarms"]] == ["errors"]


def test_calls_on_an_alarm_that_does_not_exist(cloudwatch):
    state = {"AlarmName": "ghost", "StateValue": "OK", "StateReason": "-"}
    assert error_of(cloudwatch.set_alarm_state, **state)[0] == "ResourceNotFound"
    assert error_of(cloudwatch.delete_alarms, AlarmNames=["ghost"])[0] == "ResourceNotFound"
    assert cloudwatch.describe_alarms(AlarmNames=["ghost"])["MetricAlarms"] == []
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:ghost"
    assert error_of(cloudwatch.list_tags_for_resource, ResourceARN=arn)[0] == "ResourceNotFoundException"


def test_several_alarms_are_deleted_at_once_and_a_wrong_name_does_not_save_the_others(cloudwatch):
    names = [f"a-{number:03d}" for number in range(60)]
    for name in (*names, "stays"):
        cloudwatch.put_metric_alarm(**{**ALARM, "AlarmName": name})

    cloudwatch.delete_alarms(AlarmNames=names[:50])
    code, message = error_of(cloudwatch.delete_alarms, AlarmNames=["ghost", *names[50:]])

    assert (code, message) == ("ResourceNotFound", "Alarm ghost does not exist")
    assert [alarm["AlarmName"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]] == ["stays"]


def test_a_hundred_alarms_at_most_are_deleted_at_once(cloudwatch):
    cloudwatch.put_metric_alarm(**ALARM)

    code, message = error_of(cloudwatch.delete_alarms, AlarmNames=["errors"] + ["ghost"] * 100)

    assert code == "ValidationError"
    assert "'alarmNames' failed to satisfy constraint: Member must have length less than or equal" in message
    assert cloudwatch.describe_alarms()["MetricAlarms"]


def test_alarms_are_found_by_prefix_page_by_page_and_no_other_is(cloudwatch):
    for name in ("guard-a", "guard-b", "guard-c", "guar", "other-guard-d"):
        cloudwatch.put_metric_alarm(**{**ALARM, "AlarmName": name})
    paging = {"AlarmNamePrefix": "guard-", "PaginationConfig": {"PageSize": 2}}

    pages = list(cloudwatch.get_paginator("describe_alarms").paginate(**paging))

    assert [[alarm["AlarmName"] for alarm in page["MetricAlarms"]] for page in pages] == [
        ["guard-a", "guard-b"],
        ["guard-c"],
    ]


def test_a_configuration_has_a_time_that_only_putting_the_alarm_moves(cloudwatch, publish, advance):
    def configured():
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
        return alarm["AlarmConfigurationUpdatedTimestamp"]

    advance(minutes=1)
    cloudwatch.put_metric_alarm(**ALARM)
    assert configured() == START + timedelta(minutes=1)

    publish(3)
    advance(minutes=2)
    cloudwatch.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="a drill")
    assert configured() == START + timedelta(minutes=1)

    cloudwatch.put_metric_alarm(**ALARM)
    assert configured() == START + timedelta(minutes=3)


def test_a_bad_alarm_is_refused_with_a_validation_error(cloudwatch):
    code, message = error_of(cloudwatch.put_metric_alarm, **{**ALARM, "Period": 45})
    assert code == "ValidationError"
    assert message.startswith(
        "1 validation error detected: Value '45' at 'period' failed to satisfy constraint"
    )
    bad = {"AlarmName": "errors", "StateValue": "FINE", "StateReason": "-"}
    assert error_of(cloudwatch.set_alarm_state, **bad)[0] == "ValidationError"


def test_actions_are_switched_and_states_do_not_care(cloudwatch, publish, advance):
    cloudwatch.put_metric_alarm(**ALARM)
    cloudwatch.disable_alarm_actions(AlarmNames=["errors"])
    publish(3.0)
    advance(minutes=1)
    [alarm] = cloudwatch.describe_alarms()["MetricAlarms"]
    assert (alarm["ActionsEnabled"], alarm["StateValue"]) == (False, "ALARM")
    cloudwatch.enable_alarm_actions(AlarmNames=["errors"])
    assert cloudwatch.describe_alarms()["MetricAlarms"][0]["ActionsEnabled"] is True


def test_tags_of_alarms(cloudwatch):
    cloudwatch.put_metric_alarm(**ALARM, Tags=[{"Key": "team", "Value": "ml"}])
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "stage", "Value": "prod"}])
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["team"])

    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "stage", "Value": "prod"}]


def test_an_abort_switch_trips_within_ten_seconds_and_stays_until_it_is_reset(cloudwatch, publish, advance):
    switch = {"Statistic": "Maximum", "Period": 10, "Threshold": 1.0, "TreatMissingData": "ignore"}
    switch["ComparisonOperator"] = "GreaterThanOrEqualToThreshold"
    cloudwatch.put_metric_alarm(**{**ALARM, **switch})

    def state():
        return cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"]

    publish(0.0, StorageResolution=1)
    advance(seconds=10)
    assert state() == "OK"
    publish(1.0, StorageResolution=1)
    advance(seconds=10)
    assert state() == "ALARM"
    advance(hours=1)
    assert state() == "ALARM"
    publish(0.0, StorageResolution=1)
    advance(seconds=10)
    assert state() == "OK"


def test_dashboards_are_motos(cloudwatch):
    cloudwatch.put_dashboard(DashboardName="d", DashboardBody='{"widgets": []}')
    assert [d["DashboardName"] for d in cloudwatch.list_dashboards()["DashboardEntries"]] == ["d"]


# botocore prefers JSON, older ones know only query; moto cannot read the third protocol of the service, CBOR.
@pytest.mark.parametrize("protocol", ["query", "json"])
def test_both_protocols_that_boto3_speaks(simulator, protocol, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    session = boto3.session.Session(region_name="us-east-1")
    loader = session._session.get_component("data_loader")
    model = loader.load_service_model("cloudwatch", "service-2")
    monkeypatch.setitem(model["metadata"], "protocols", [protocol])
    monkeypatch.setitem(model["metadata"], "protocol", protocol)
    client = session.client(
        "cloudwatch", endpoint_url=simulator.url, config=Config(retries={"total_max_attempts": 1})
    )
    assert client.meta.service_model.resolved_protocol == protocol

    datum = {"MetricName": "Errors", "Dimensions": CHURN, "Values": [1.0, 3.0], "Counts": [1.0, 2.0]}
    client.put_metric_data(Namespace="Churn", MetricData=[{**datum, "Timestamp": START}])
    client.put_metric_alarm(**ALARM)
    answer = client.get_metric_data(
        MetricDataQueries=[stat(), stat(statistic="p50", query_id="p")],
        StartTime=START,
        EndTime=START + timedelta(minutes=1),
    )
    assert [result["Values"] for result in answer["MetricDataResults"]] == [[7.0], [3.0]]
    assert answer["MetricDataResults"][0]["Timestamps"] == [START]
    simulator.client.clock.advance(seconds=60)
    assert client.describe_alarms()["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert error_of(client.put_metric_alarm, **{**ALARM, "Period": 45})[0] == "ValidationError"


async def test_aiobotocore_speaks_to_it_too(simulator):
    async with get_session().create_client(
        "cloudwatch",
        region_name="us-east-1",
        endpoint_url=simulator.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    ) as client:
        await client.put_metric_data(
            Namespace="Churn", MetricData=[{"MetricName": "Errors", "Dimensions": CHURN, "Value": 3.0}]
        )
        await client.put_metric_alarm(**ALARM)
        simulator.client.clock.advance(seconds=60)
        [alarm] = (await client.describe_alarms(AlarmNames=["errors"]))["MetricAlarms"]
        history = await client.describe_alarm_history(AlarmName="errors", HistoryItemType="StateUpdate")

    assert alarm["StateValue"] == "ALARM"
    assert (
        history["AlarmHistoryItems"][0]["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to ALARM"
    )
