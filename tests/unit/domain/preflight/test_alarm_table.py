"""
What preflight finds for alarms as people write them, under each strategy.

Each shape is an alarm as DescribeAlarms shows it. Beside it stands every finding that it must have, and under
which strategies; any other finding about alarms is a mistake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_guardrails.aws.alarms import parse_alarms
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling
from tests.support.preflight import NEW, OLD, SWITCH, asked, config, context, endpoint, live, minutes

# All fleets have four instances: a step is a quarter of the requests.
STRATEGIES = {
    "all at once": AllAtOnce(termination_wait=minutes(10)),
    "short canary": Canary(percent=25, bake=minutes(5)),
    "long canary": Canary(percent=25, bake=minutes(60), termination_wait=minutes(10)),
    "linear": Linear(percent=25, bake=minutes(10)),
    "rolling": Rolling(batch_percent=25, bake=minutes(10)),
    "no bake": AllAtOnce(),
}
ALWAYS = frozenset(STRATEGIES)
# A part of the requests goes to the new fleet first.
IN_STEPS = frozenset({"short canary", "long canary", "linear", "rolling"})
BAKES = ALWAYS - {"no bake"}
AT_MOST_10_MINUTES = BAKES - {"long canary"}
AT_MOST_5_MINUTES = frozenset({"short canary"})

REQUESTS, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
ERRORS = "Invocation5XXErrors"


def dimensions(**changes: str | None) -> list[dict[str, str]]:
    """Return endpoint and variant, with changes; None leaves a dimension out."""
    pairs = {"EndpointName": "churn", "VariantName": "AllTraffic", **changes}
    return [{"Name": name, "Value": value} for name, value in pairs.items() if value is not None]


def described(**fields: Any) -> dict[str, Any]:
    return {
        "AlarmName": "errors",
        "StateValue": "OK",
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0.05,
        "TreatMissingData": "notBreaching",
        **fields,
    }


def plain(metric: str = ERRORS, stat: str = "Average", **fields: Any) -> dict[str, Any]:
    kind = (
        "Statistic"
        if stat in {"Average", "Sum", "Minimum", "Maximum", "SampleCount"}
        else "ExtendedStatistic"
    )
    fields = {"Namespace": REQUESTS, "Dimensions": dimensions(), "Period": 60, **fields}
    return described(MetricName=metric, **{kind: stat}, **fields)


def stat(
    name: str = "m1", metric: str = ERRORS, stat: str = "Sum", *, returned: bool = False, **fields: Any
) -> dict[str, Any]:
    metric_fields = {
        "Namespace": fields.pop("Namespace", REQUESTS),
        "MetricName": metric,
        "Dimensions": fields.pop("Dimensions", dimensions()),
    }
    spec = {"Metric": metric_fields, "Period": fields.pop("Period", 60), "Stat": stat}
    return {"Id": name, "MetricStat": spec, "ReturnData": returned, **fields}


def expression(text: str, name: str = "e1", *, returned: bool = True, **fields: Any) -> dict[str, Any]:
    return {"Id": name, "Expression": text, "ReturnData": returned, **fields}


def math(*queries: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return described(Metrics=list(queries), **fields)


def band(*, comparison: str = "GreaterThanUpperThreshold", **metric: Any) -> dict[str, Any]:
    fields = described(
        Metrics=[
            stat("m1", "ModelLatency", "Average", returned=True, **metric),
            expression("ANOMALY_DETECTION_BAND(m1, 2)", "ad1"),
        ],
        ThresholdMetricId="ad1",
        ComparisonOperator=comparison,
        EvaluationPeriods=2,
    )
    del fields["Threshold"]
    return fields


def composite(rule: str) -> dict[str, Any]:
    return {"AlarmName": "errors", "StateValue": "OK", "AlarmRule": rule}


def on_new(**more: str) -> list[dict[str, str]]:
    return dimensions(EndpointConfigName=NEW, **more)


NO_DATA: dict[str, Any] = {"StateValue": "INSUFFICIENT_DATA"}


@dataclass(frozen=True)
class Shape:
    what: str
    alarm: dict[str, Any]
    # finding, without "alarm_" -> strategies
    found: dict[str, frozenset[str]] = field(default_factory=dict)


SOUND = [
    Shape("error rate of both fleets", plain()),
    Shape("error rate of the new fleet", plain(Dimensions=on_new())),
    Shape("error rate of the new fleet without data yet", plain(Dimensions=on_new(), **NO_DATA)),
    Shape("number of errors", plain(stat="Sum", Threshold=5.0)),
    Shape("errors of the model", plain("InvocationModelErrors", Threshold=0.01)),
    Shape("errors within a stream", plain("MidStreamErrors", "Sum", Threshold=0.0)),
    Shape("maximum of an error metric", plain(stat="Maximum", Threshold=0.0)),
    Shape("latency p90 in microseconds", plain("ModelLatency", "p90", Threshold=250_000.0)),
    Shape("latency average", plain("ModelLatency", Threshold=250_000.0, Unit="Microseconds")),
    Shape("trimmed mean of latency", plain("ModelLatency", "tm99", Threshold=250_000.0)),
    Shape("CPU of all instances", plain("CPUUtilization", Namespace=INSTANCES, Threshold=350.0)),
    Shape("memory at 90 %", plain("MemoryUtilization", Namespace=INSTANCES, Threshold=90.0)),
    Shape(
        "too few requests, missing is breaching",
        plain(
            "Invocations",
            "Sum",
            Threshold=1.0,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
        ),
    ),
    Shape(
        "too few requests, but some",
        plain("Invocations", "Sum", Threshold=100.0, ComparisonOperator="LessThanThreshold"),
    ),
    Shape(
        "an inference component", plain(Dimensions=[{"Name": "InferenceComponentName", "Value": "churn-a"}])
    ),
    Shape(
        "copies of an inference component",
        plain(
            "ConcurrentRequestsPerCopy",
            "Maximum",
            Threshold=8.0,
            Dimensions=[{"Name": "InferenceComponentName", "Value": "churn-a"}],
        ),
    ),
    Shape("a multi-model endpoint's loading", plain("ModelLoadingWaitTime", Threshold=5e6)),
    Shape(
        "a container of a multi-container endpoint",
        plain("ContainerLatency", Threshold=5e5, Dimensions=dimensions(ContainerName="tokenizer")),
    ),
    Shape("an instance pool", plain(Dimensions=dimensions(InstanceType="ml.m5.large"))),
    Shape(
        "backlog of an asynchronous endpoint",
        plain("ApproximateBacklogSize", Threshold=100.0, Dimensions=dimensions(VariantName=None)),
    ),
    Shape(
        "a load balancer",
        plain(
            "HTTPCode_Target_5XX_Count",
            "Sum",
            Namespace="AWS/ApplicationELB",
            Dimensions=[{"Name": "LoadBalancer", "Value": "app/churn/1"}],
        ),
    ),
    Shape("one's own metric", plain("Conversions", Namespace="Shop", Dimensions=[])),
    Shape(
        "one's own metric with the same dimensions",
        plain(
            "5XXError",
            Namespace="Shop",
            Dimensions=dimensions(EndpointName="shop", Color="green"),
            Unit="Count",
        ),
    ),
    Shape(
        "an undocumented metric that has had a value",
        plain("NewMetric", StateReasonData=json.dumps({"recentDatapoints": [0.0]})),
    ),
    Shape(
        "an undocumented dimension set that has had a value",
        plain(
            Dimensions=dimensions(VariantName=None), StateReasonData=json.dumps({"recentDatapoints": [0.01]})
        ),
    ),
    Shape("the CDK's metric with a label", math(stat(stat="Average", returned=True, Label="5xx rate"))),
    Shape(
        "the CDK's metric with its own account",
        math(stat(stat="Average", returned=True, AccountId="123456789012")),
    ),
    Shape(
        "a label on the new fleet without data yet",
        math(stat(stat="Average", returned=True, Dimensions=on_new()), **NO_DATA),
    ),
    Shape("high resolution, one datapoint", plain(Period=10)),
]

SLOW_OR_HIDDEN = [
    Shape("one period of five minutes", plain(Period=300), {"too_slow": AT_MOST_5_MINUTES}),
    Shape(
        "three of five datapoints",
        plain(EvaluationPeriods=5, DatapointsToAlarm=3),
        {
            "too_slow": AT_MOST_5_MINUTES,
        },
    ),
    Shape(
        "the developer guide's alarm",
        plain(Period=600, EvaluationPeriods=2),
        {
            "too_slow": AT_MOST_10_MINUTES,
        },
    ),
    Shape("two hours", plain(Period=3600, EvaluationPeriods=2), {"too_slow": BAKES}),
    Shape(
        "a label, five minutes",
        math(stat(stat="Average", returned=True, Period=300)),
        {
            "too_slow": AT_MOST_5_MINUTES,
        },
    ),
    Shape("an error rate of 30 %", plain(Threshold=0.3), {"diluted": IN_STEPS}),
    Shape("an error rate of 30 %, of the new fleet", plain(Threshold=0.3, Dimensions=on_new())),
    Shape(
        "a label, error rate of 30 %",
        math(stat(stat="Average", returned=True), Threshold=0.3),
        {
            "diluted": IN_STEPS,
        },
    ),
    Shape("the median of latency", plain("ModelLatency", "p50", Threshold=1e5), {"diluted": IN_STEPS}),
    Shape(
        "the median of the new fleet's latency",
        plain("ModelLatency", "p50", Threshold=1e5, Dimensions=on_new()),
    ),
    Shape("the minimum of latency", plain("ModelLatency", "Minimum", Threshold=1e5), {"diluted": IN_STEPS}),
    Shape("the median of errors", plain(stat="p50", Threshold=0.5), {"diluted": IN_STEPS}),
    Shape(
        "p99 that ignores few requests",
        plain("ModelLatency", "p99", Threshold=1e5, EvaluateLowSampleCountPercentile="ignore"),
        {"low_samples": ALWAYS},
    ),
]

IMPOSSIBLE = [
    Shape("5XXError in AWS/SageMaker", plain("5XXError", "Sum", Threshold=1.0), {"unpublished": ALWAYS}),
    Shape("InvocationErrors", plain("InvocationErrors", "Sum", Threshold=0.0), {"unpublished": ALWAYS}),
    Shape(
        "the name of a scaling policy's metric",
        plain("SageMakerVariantInvocationsPerInstance", "Sum"),
        {
            "unpublished": ALWAYS,
        },
    ),
    Shape("CPU among the requests", plain("CPUUtilization", Threshold=80.0), {"elsewhere": ALWAYS}),
    Shape("errors among the instances", plain(Namespace=INSTANCES), {"elsewhere": ALWAYS}),
    Shape("a namespace in another case", plain(Namespace="AWS/Sagemaker"), {"unpublished": ALWAYS}),
    Shape(
        "a namespace without its first slash",
        plain("CPUUtilization", Namespace="aws/sagemaker/Endpoints"),
        {
            "unpublished": ALWAYS,
        },
    ),
    Shape("no variant", plain(Dimensions=dimensions(VariantName=None)), {"elsewhere": ALWAYS}),
    Shape("no dimensions", plain(Dimensions=[]), {"elsewhere": ALWAYS}),
    Shape(
        "the configuration alone",
        plain(
            Dimensions=on_new(EndpointName=None, VariantName=None)  # type: ignore[arg-type]
        ),
        {"elsewhere": ALWAYS},
    ),
    Shape(
        "a dimension that AWS does not document",
        plain(Dimensions=dimensions(Stage="prod")),
        {
            "unpublished": ALWAYS,
        },
    ),
    Shape(
        "one model of a multi-model endpoint",
        plain(Dimensions=dimensions(ModelName="a")),
        {
            "unpublished": ALWAYS,
        },
    ),
    Shape(
        "CPU of the new configuration",
        plain("CPUUtilization", Namespace=INSTANCES, Dimensions=on_new()),
        {
            "unpublished": ALWAYS,
        },
    ),
    Shape(
        "latency in milliseconds",
        plain("ModelLatency", Threshold=250.0, Unit="Milliseconds"),
        {
            "unpublished": ALWAYS,
        },
    ),
    Shape("another endpoint", plain(Dimensions=dimensions(EndpointName="fraud")), {"elsewhere": ALWAYS}),
    Shape("another variant", plain(Dimensions=dimensions(VariantName="Main")), {"elsewhere": ALWAYS}),
    Shape(
        "a configuration of long ago",
        plain(Dimensions=dimensions(EndpointConfigName="churn-v0")),
        {
            "elsewhere": ALWAYS,
        },
    ),
    Shape(
        "another account",
        math(stat(stat="Average", returned=True, AccountId="999999999999")),
        {
            "elsewhere": ALWAYS,
        },
    ),
    Shape(
        "another account's own metric",
        math(stat("m1", "Conversions", "Average", returned=True, AccountId="999999999999", Namespace="Shop")),
    ),
    Shape(
        "the old configuration only",
        plain(Dimensions=dimensions(EndpointConfigName=OLD)),
        {
            "old_fleet": ALWAYS,
        },
    ),
    Shape("one instance", plain(Dimensions=dimensions(InstanceId="i-0123")), {"old_fleet": ALWAYS}),
    Shape("an error rate above 1", plain(Threshold=1.0), {"unreachable": ALWAYS}),
    Shape("an error rate in percent", plain(Threshold=5.0), {"unreachable": ALWAYS}),
    Shape(
        "a label, error rate above 1",
        math(stat(stat="Average", returned=True), Threshold=1.0),
        {
            "unreachable": ALWAYS,
        },
    ),
    Shape("p99 of errors above 1", plain(stat="p99", Threshold=1.0), {"unreachable": ALWAYS}),
    Shape(
        "memory above 100 %",
        plain("MemoryUtilization", Namespace=INSTANCES, Threshold=100.0),
        {
            "unreachable": ALWAYS,
        },
    ),
    Shape(
        "errors below 0",
        plain(Threshold=0.0, ComparisonOperator="LessThanThreshold"),
        {
            "unreachable": ALWAYS,
        },
    ),
    Shape(
        "the new fleet, missing is breaching",
        plain(Dimensions=on_new(), TreatMissingData="breaching"),
        {
            "always": ALWAYS,
        },
    ),
    Shape(
        "no requests, missing is no breach",
        plain("Invocations", "Sum", Threshold=1.0, ComparisonOperator="LessThanThreshold"),
        {"missing_data": ALWAYS},
    ),
    Shape(
        "three of three datapoints of ten seconds",
        plain(Period=10, EvaluationPeriods=3),
        {
            "missing_data": ALWAYS,
        },
    ),
]

RATE = expression("100 * (FILL(m1, 0) / m2)")
INVOCATIONS = stat("m2", "Invocations", "Sum")
EXPRESSIONS = [
    Shape("error rate by metric math", math(RATE, stat(), INVOCATIONS, Threshold=5.0), {"unchecked": ALWAYS}),
    Shape(
        "math over math",
        math(
            expression("IF(m2 > 100, e2, 0)"),
            expression("m1 / m2", "e2", returned=False),
            stat(),
            INVOCATIONS,
        ),
        {"unchecked": ALWAYS},
    ),
    Shape(
        "math on the new fleet, without data yet",
        math(
            RATE, stat(Dimensions=on_new()), stat("m2", "Invocations", "Sum", Dimensions=on_new()), **NO_DATA
        ),
        {"unchecked": ALWAYS},
    ),
    Shape(
        "math on both fleets, without data",
        math(RATE, stat(), INVOCATIONS, **NO_DATA),
        {
            "unchecked": ALWAYS,
            "without_data": ALWAYS,
        },
    ),
    Shape(
        "new fleet against old fleet",
        math(
            expression("m1 - m2"),
            stat(stat="Average", Dimensions=on_new()),
            stat("m2", stat="Average", Dimensions=dimensions(EndpointConfigName=OLD)),
        ),
        {"unchecked": ALWAYS},
    ),
    Shape(
        "math on the old configuration",
        math(
            RATE,
            stat(Dimensions=dimensions(EndpointConfigName=OLD)),
            stat("m2", "Invocations", "Sum", Dimensions=dimensions(EndpointConfigName=OLD)),
        ),
        {"unchecked": ALWAYS, "old_fleet": ALWAYS},
    ),
    Shape(
        "math on another endpoint",
        math(
            RATE,
            stat(Dimensions=dimensions(EndpointName="fraud")),
            stat("m2", "Invocations", "Sum", Dimensions=dimensions(EndpointName="fraud")),
        ),
        {"unchecked": ALWAYS, "elsewhere": ALWAYS},
    ),
    Shape(
        "this endpoint against another",
        math(
            expression("m1 - m2"),
            stat(stat="Average"),
            stat("m2", stat="Average", Dimensions=dimensions(EndpointName="champion")),
        ),
        {"unchecked": ALWAYS},
    ),
    Shape(
        "math with a metric that does not exist",
        math(RATE, stat("m1", "5XXError"), INVOCATIONS),
        {
            "unchecked": ALWAYS,
            "unpublished": ALWAYS,
        },
    ),
    Shape(
        "math with a metric in the wrong namespace",
        math(RATE, stat(), stat("m2", "CPUUtilization")),
        {"unchecked": ALWAYS, "unpublished": ALWAYS},
    ),
    Shape(
        "an undocumented metric of the endpoint",
        plain("BrandNew", Dimensions=dimensions(VariantName=None)),
        {"unpublished": ALWAYS},
    ),
    Shape(
        "math on one's own metrics",
        math(
            expression("m1 / m2"),
            stat("m1", "Bought", Namespace="Shop"),
            stat("m2", "Seen", Namespace="Shop"),
        ),
        {"unchecked": ALWAYS},
    ),
    Shape(
        "math of five minutes",
        math(RATE, stat(Period=300), stat("m2", "Invocations", "Sum", Period=300)),
        {"unchecked": ALWAYS, "too_slow": AT_MOST_5_MINUTES},
    ),
    Shape(
        "all metrics at once",
        math(expression("SUM(METRICS())"), stat(), INVOCATIONS),
        {
            "unchecked": ALWAYS,
        },
    ),
    Shape("anomaly band on latency", band(), {"unchecked": ALWAYS}),
    Shape(
        "anomaly band on both sides",
        band(comparison="LessThanLowerOrGreaterThanUpperThreshold"),
        {
            "unchecked": ALWAYS,
        },
    ),
    Shape("anomaly band without a past", band(Dimensions=on_new()), {"unchecked": ALWAYS, "too_slow": BAKES}),
    Shape(
        "anomaly band on another endpoint",
        band(Dimensions=dimensions(EndpointName="fraud")),
        {
            "unchecked": ALWAYS,
            "elsewhere": ALWAYS,
        },
    ),
    Shape(
        "Metrics Insights",
        math(
            expression(
                'SELECT MAX(ModelLatency) FROM SCHEMA("AWS/SageMaker", EndpointName, VariantName)', Period=60
            )
        ),
        {"unchecked": ALWAYS},
    ),
    Shape(
        "Metrics Insights on the new fleet",
        math(
            expression(f"SELECT SUM(X) FROM \"AWS/SageMaker\" WHERE EndpointConfigName = '{NEW}'", Period=60),
            **NO_DATA,
        ),
        {"unchecked": ALWAYS},
    ),
    Shape(
        "PromQL",
        described(EvaluationCriteria={"PromQLCriteria": {"Query": "up == 0"}}),
        {
            "unchecked": ALWAYS,
        },
    ),
    Shape("a form that nobody knows yet", described(Future={"Kind": "x"}), {"unchecked": ALWAYS}),
    Shape("composite", composite('ALARM("rate") OR ALARM(latency)'), {"composite": ALWAYS}),
]

SHAPES = [*SOUND, *SLOW_OR_HIDDEN, *IMPOSSIBLE, *EXPRESSIONS]


def update_guarded_by(described: dict[str, Any], strategy: Any, **changes: Any) -> Any:
    kind = "CompositeAlarms" if "AlarmRule" in described else "MetricAlarms"
    return context(
        endpoint=endpoint(live(instances=4)),
        serving=config(OLD, asked(instances=4)),
        target=config(NEW, asked(instances=4)),
        guardrails=Guardrails(strategy=strategy, alarms=("errors", SWITCH)),
        alarms=parse_alarms({kind: [described]}),
        allow_unguarded=not strategy.total_bake,
        **changes,
    )


def of_alarms(given: Any) -> list[str]:
    codes = [finding.code.value for finding in preflight(given)]
    return sorted(code.removeprefix("alarm_") for code in codes if code.startswith("alarm_"))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.what)
def test_each_alarm_has_the_right_findings_or_none(shape, strategy):
    expected = sorted(code for code, strategies in shape.found.items() if strategy in strategies)

    assert of_alarms(update_guarded_by(shape.alarm, STRATEGIES[strategy])) == expected


def test_the_table_has_each_shape_once():
    assert len({shape.what for shape in SHAPES}) == len(SHAPES) >= 40


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.what)
def test_only_a_form_that_nobody_knows_is_not_described(shape):
    (alarm,) = update_guarded_by(shape.alarm, STRATEGIES["linear"]).alarms

    assert (alarm.watches is None) == (shape.what == "a form that nobody knows yet")


@pytest.mark.parametrize(
    ("requests_per_hour", "setting", "new_only", "found"),
    [
        # p99 needs 1,000 requests in the evaluated minute, of which a quarter goes to the new fleet.
        (60_000, "ignore", False, None),
        (60_000, "ignore", True, "warning"),
        (240_000, "ignore", True, None),
        (59_000, "ignore", False, "warning"),
        (59_000, "evaluate", False, "note"),
        (240_000, "evaluate", True, None),
    ],
)
def test_a_percentile_needs_enough_requests_in_the_canarys_share(requests_per_hour, setting, new_only, found):
    seen = on_new() if new_only else dimensions()
    latency = plain(
        "ModelLatency", "p99", Threshold=1e5, Dimensions=seen, EvaluateLowSampleCountPercentile=setting
    )
    given = update_guarded_by(
        latency, STRATEGIES["long canary"], traffic={"AllTraffic": float(requests_per_hour)}
    )

    severities = [
        finding.severity.value for finding in preflight(given) if finding.code == "alarm_low_samples"
    ]
    assert severities == ([found] if found else [])


def test_the_findings_say_what_is_wrong_and_what_to_do():
    shapes = {shape.what: shape.alarm for shape in SHAPES}

    def text_of(what: str) -> str:
        (found,) = (
            f for f in preflight(update_guarded_by(shapes[what], STRATEGIES["linear"])) if "alarm" in f.code
        )
        return str(found)

    assert (
        "AWS documents no metric 5XXError in AWS/SageMaker; use a metric that exists: Invocation5XXErrors"
        in (text_of("5XXError in AWS/SageMaker"))
    )
    assert "it has no VariantName, and SageMaker publishes Invocation5XXErrors only with" in text_of(
        "no variant"
    )
    assert "CPUUtilization in /aws/sagemaker/Endpoints, not in AWS/SageMaker" in text_of(
        "CPU among the requests"
    )
    assert "cannot see the new fleet: it watches only churn-v1" in text_of("the old configuration only")
    assert "of account 999999999999, not 123456789012" in text_of("another account")
    assert "name the metric alarms that it consists of: rate, latency" in text_of("composite")
