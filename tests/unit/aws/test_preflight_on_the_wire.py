"""What is found before an update, from described endpoints, is what the simulator refuses, and no more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.aws.alarms import describe_alarms_request, parse_alarms
from airflow_guardrails.aws.endpoint import parse_endpoint, update_endpoint_request
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.domain.deployment.guardrails import NOTHING_RETAINED, Guardrails, RetainedProperties
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code
from airflow_guardrails.strategies import AllAtOnce, Canary, Linear, Rolling

BAKE = timedelta(minutes=10)
LIVE = 4


@pytest.fixture
def seen(churn):
    """Say what is known of an update to *target*."""

    def look(strategy, target, retained):
        def config(name):
            return parse_endpoint_config(churn.sagemaker.describe_endpoint_config(EndpointConfigName=name))

        found = churn.cloudwatch.describe_alarms(**describe_alarms_request(["errors"]))
        return PreflightContext(
            endpoint=parse_endpoint(churn.describe()),
            serving=config("churn-v1"),
            target=config(target),
            guardrails=Guardrails(strategy=strategy, alarms=("errors",)),
            alarms=parse_alarms(found),
            retained=retained,
        )

    return look


@pytest.fixture
def refused(churn):
    """Ask for the update, and say whether the simulator refuses it."""

    def ask(known):
        request = update_endpoint_request(
            endpoint_name="churn",
            endpoint_config_name=known.target.name,
            guardrails=known.guardrails,
            retained=known.retained,
        )
        try:
            churn.sagemaker.update_endpoint(**request)
        except ClientError as error:
            return error.response["Error"]["Code"] == "ValidationException"
        return False

    return ask


@pytest.mark.parametrize(
    ("strategy", "asked", "retained", "code"),
    [
        (Canary(instances=2, bake=BAKE), LIVE, NOTHING_RETAINED, None),
        (Canary(instances=2, bake=BAKE), 3, NOTHING_RETAINED, Code.STEP_TOO_LARGE),
        # Four instances live, and three asked for: what is retained counts, and what is excluded does not.
        (Canary(instances=2, bake=BAKE), 3, RetainedProperties(), None),
        (
            Canary(instances=2, bake=BAKE),
            3,
            RetainedProperties(excluded=("DesiredInstanceCount",)),
            Code.STEP_TOO_LARGE,
        ),
        (Canary(instances=3, bake=BAKE), 6, RetainedProperties(), Code.STEP_TOO_LARGE),
        (Canary(percent=50, bake=BAKE), 1, NOTHING_RETAINED, Code.FLEET_TOO_SMALL),
        (Canary(percent=50, bake=BAKE), 2, NOTHING_RETAINED, None),
        (Linear(instances=1, bake=BAKE), 10, NOTHING_RETAINED, None),
        (Linear(instances=1, bake=BAKE), 11, NOTHING_RETAINED, Code.STEP_TOO_SMALL),
        (Rolling(batch_instances=1, bake=BAKE), 20, NOTHING_RETAINED, None),
        (Rolling(batch_instances=1, bake=BAKE), 21, NOTHING_RETAINED, Code.STEP_TOO_SMALL),
        (Rolling(batch_instances=2, bake=BAKE), 3, NOTHING_RETAINED, Code.STEP_TOO_LARGE),
        (AllAtOnce(termination_wait=BAKE), 1, NOTHING_RETAINED, None),
    ],
    ids=str,
)
def test_an_update_that_is_refused_is_found_and_one_that_is_accepted_is_not(
    churn, seen, refused, strategy, asked, retained, code
):
    known = seen(strategy, churn.config("asked", instances=asked), retained)

    stops = [finding.code for finding in preflight(known) if finding.stops]

    assert stops == ([code] if code else [])
    assert refused(known) == bool(stops)


def test_a_sound_update_of_a_described_endpoint_has_nothing_to_say_but_how_many_instances_it_takes(seen):
    known = seen(Canary(percent=50, bake=BAKE), "churn-v2", RetainedProperties())

    assert [finding.code for finding in preflight(known)] == [Code.EXTRA_INSTANCES]


def test_weights_and_counts_that_were_changed_live_are_findings(churn, seen):
    wish = {"VariantName": "AllTraffic", "DesiredInstanceCount": 3, "DesiredWeight": 0.5}
    churn.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn", DesiredWeightsAndCapacities=[wish]
    )
    churn.advance(minutes=10)

    known = seen(Rolling(batch_instances=1, bake=BAKE), "churn-v2", RetainedProperties())

    assert [finding.code for finding in preflight(known)] == [Code.COUNT_RETAINED, Code.WEIGHT_RETAINED]


@pytest.mark.parametrize(
    ("statistic", "threshold", "found"),
    [("Average", 0.2, []), ("Average", 1.0, [Code.ALARM_UNREACHABLE]), ("Sum", 1.0, [])],
)
def test_an_alarm_is_judged_as_cloudwatch_describes_it(churn, seen, statistic, threshold, found):
    churn.cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": "churn"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        Statistic=statistic,
        Period=60,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanThreshold",
    )

    known = seen(Rolling(batch_instances=2, bake=BAKE), "churn-v2", RetainedProperties())

    assert [finding.code for finding in preflight(known) if finding.stops] == found
