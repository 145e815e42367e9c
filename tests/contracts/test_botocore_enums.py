"""Each word of AWS that this package knows is one of botocore's, and each of botocore's has one row."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.rollout.state import OUTCOME_BY_STATUS
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.alarms import AlarmState
from airflow_guardrails.domain.snapshots.endpoint import IN_FLIGHT, EndpointStatus, Stage
from airflow_guardrails.domain.snapshots.experiment import PHASE_BY_STATUS, ExperimentStatus
from tests.support.service_models import service_model


@pytest.fixture(scope="module")
def sagemaker():
    return service_model("sagemaker")


@pytest.fixture(scope="module")
def cloudwatch():
    return service_model("cloudwatch")


def test_every_status_of_an_endpoint_has_exactly_one_row(sagemaker):
    rows = [*IN_FLIGHT, *OUTCOME_BY_STATUS, EndpointStatus.IN_SERVICE]

    assert sorted(status.value for status in rows) == sorted(sagemaker.shape_for("EndpointStatus").enum)


def test_every_status_of_a_variant_is_a_stage(sagemaker):
    assert {stage.value for stage in Stage} == set(sagemaker.shape_for("VariantStatus").enum)


def test_every_status_of_an_experiment_has_exactly_one_row(sagemaker):
    known = sagemaker.shape_for("InferenceExperimentStatus").enum
    assert sorted(status.value for status in PHASE_BY_STATUS) == sorted(known)
    assert {status.value for status in ExperimentStatus} == set(known)


def test_the_states_a_stop_can_ask_for_are_those_that_are_over(sagemaker):
    over = {status.value for status, phase in PHASE_BY_STATUS.items() if phase.over}
    assert set(sagemaker.shape_for("InferenceExperimentStopDesiredState").enum) == over


def test_every_action_is_one_that_botocore_knows(sagemaker):
    known = set(sagemaker.shape_for("ModelVariantAction").enum)
    assert {action.of_production for action in Action} | {action.of_shadow for action in Action} <= known


def test_every_state_of_an_alarm_is_known(cloudwatch):
    assert {state.value for state in AlarmState} == set(cloudwatch.shape_for("StateValue").enum)
