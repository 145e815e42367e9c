"""The way back: a guarded update to what last served well."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_guardrails.exceptions import (
    AccessDenied,
    EndpointBusy,
    EndpointConfigNotFound,
    EndpointNotFound,
    InvalidArgument,
    NoRollbackTarget,
    VersionRolledBack,
)
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from tests.support.simulated import deny

MONDAY = datetime(2026, 3, 2, tzinfo=timezone.utc)


@pytest.fixture
def three(runs):
    """Three configurations deployed one after the other, ``third`` in service."""
    for name in ("first", "second", "third"):
        runs.deploy(runs.config(name))
    return runs


def test_it_goes_back_to_what_last_served_well(three):
    report = three.roll_back()

    assert (report["outcome"], report["guarded"]) == ("Succeeded", True)
    assert three.serves == "second"
    assert three.history.find("third").reverted_at == three.history.find("second").at


@pytest.mark.proof
def test_a_second_rollback_goes_back_further_and_not_to_what_was_reverted(three):
    three.roll_back()
    three.roll_back()

    assert three.serves == "first"
    assert three.roll_back()["endpoint_config_name"] == "churn-v1"
    with pytest.raises(NoRollbackTarget):
        three.roll_back()


@pytest.mark.proof
def test_what_was_reverted_is_deployed_again_only_by_redeploy(three):
    three.roll_back()
    three.config("twin", model="third")

    for name in ("third", "twin"):
        with pytest.raises(VersionRolledBack, match=r"by a rollback to what was before, at 2026-03-02T"):
            three.deploy(name)
    assert three.deploy("third", redeploy=True)["outcome"] == "Succeeded"
    assert three.history.find("third").reverted_at is None


@pytest.mark.proof
def test_another_version_comes_before_the_same_one_on_other_instances(three):
    three.deploy(three.config("larger", model="third"))

    three.roll_back()

    assert three.serves == "second"


def test_a_named_configuration_is_gone_back_to_even_if_nothing_is_recorded(runs):
    runs.put_by_hand("churn-v2")

    report = runs.roll_back(to="churn-v1")

    assert (report["outcome"], runs.serves) == ("Succeeded", "churn-v1")
    assert runs.history.find("churn-v2").reverted_at is not None


def test_nothing_is_to_be_done_if_the_named_configuration_serves(three):
    calls = three.churn.calls("UpdateEndpoint")

    report = three.roll_back(to="third")

    assert report["outcome"] == "Succeeded"
    assert three.churn.calls("UpdateEndpoint") == calls
    assert three.history.find("third").reverted_at is None


def test_from_what_was_put_there_by_hand_it_goes_back_to_what_was_deployed_last_and_says_so(three):
    three.put_by_hand(three.config("by-hand"))

    report = three.roll_back()

    assert three.serves == "third"
    (warning,) = [text for text in report["warnings"] if "by-hand" in text]
    assert warning == "by-hand was put in service by something else: this package deployed third last"


def test_the_version_that_somebody_put_there_by_hand_is_refused_under_another_name_too(three):
    three.put_by_hand(three.config("mistake"))
    three.roll_back()

    with pytest.raises(VersionRolledBack, match="the same version"):
        three.deploy(three.config("again", model="mistake"))


@pytest.mark.proof
def test_a_configuration_that_was_deleted_is_passed_over(three):
    three.churn.sagemaker.delete_endpoint_config(EndpointConfigName="second")

    three.roll_back()

    assert three.serves == "first"


def test_a_configuration_whose_model_was_deleted_is_passed_over(three):
    three.churn.sagemaker.delete_model(ModelName="second")

    three.roll_back()

    assert three.serves == "first"


def test_without_a_record_what_serves_tells_what_it_was_derived_from(runs):
    runs.put_by_hand(runs.config("derived", base="churn-v1"))

    report = runs.roll_back()

    assert runs.serves == "churn-v1"
    assert any("churn-v1 is what derived was derived from" in warning for warning in report["warnings"])


def test_with_nothing_to_go_back_to_it_lists_what_is_known(runs):
    runs.deploy_badly(runs.config("bad"))
    updates = runs.churn.calls("UpdateEndpoint")

    with pytest.raises(NoRollbackTarget) as caught:
        runs.roll_back()

    assert "Nothing to roll back to: churn serves churn-v1" in str(caught.value)
    assert "bad: RolledBack at 2026-03-02T10:" in str(caught.value)
    assert "to=" in str(caught.value)
    assert runs.churn.calls("UpdateEndpoint") == updates


def test_a_named_configuration_that_does_not_exist_is_an_error(three):
    with pytest.raises(EndpointConfigNotFound):
        three.roll_back(to="nothing")


def test_an_endpoint_that_does_not_exist_is_an_error(three):
    with pytest.raises(EndpointNotFound):
        three.roll_back(endpoint_name="nothing")


def test_an_update_in_flight_is_ended_first(three):
    three.config("fourth")
    three.deploy("fourth", wait_for_completion=False)

    with pytest.raises(EndpointBusy):
        three.roll_back()
    report = three.roll_back(if_busy="wait")

    # Nobody has waited for the update to ``fourth``, so it has no record.
    assert report["previous_endpoint_config_name"] == "fourth"
    assert three.serves == "third"


@pytest.mark.proof
def test_a_retry_after_the_rollback_reports_it_and_goes_back_no_further(three):
    context = three.context(task_id="back")
    three.roll_back(context=context)

    report = three.roll_back(context=context)

    assert (report["outcome"], report["adopted"], three.serves) == ("Succeeded", "own", "second")


@pytest.mark.proof
def test_what_it_went_back_from_is_reverted_by_the_task_that_concludes_it_too(three):
    context = three.context(task_id="back")
    with pytest.raises(TaskDeferred):
        three.roll_back(context=context, deferrable=True)
    three.churn.advance(minutes=60)
    conclude = SageMakerConcludeRolloutOperator(
        task_id="conclude", update_task_id="back", endpoint_name="churn", endpoint_config_name="second"
    )
    conclude.sleep = three.churn.simulator.simulation.clock.advance
    run = context["ti"].run_id

    class Concluding(type(context["ti"])):
        def get_task_states(self, **_):
            return {run: {"back": "failed"}}

        def xcom_pull(self, **_):
            return None

    conclude.execute({"ti": Concluding(run_id=run, task_id="conclude"), "outlet_events": {}})

    assert three.history.find("third").reverted_at is not None


def test_it_keeps_the_date_of_the_run_that_had_deployed_it(runs):
    runs.deploy(runs.config("first"), context=runs.context(date=MONDAY))
    runs.deploy(runs.config("second"), context=runs.context(date=MONDAY.replace(day=3)))

    runs.roll_back(context=runs.context(date=MONDAY.replace(day=9), task_id="back"))

    assert runs.history.find("first").logical_date == MONDAY
    assert runs.deploy(runs.config("third"), context=runs.context(date=MONDAY.replace(day=3)))


def test_without_permission_to_read_the_history_the_error_names_it(three):
    deny(three.churn.simulator.client, "ListTags")

    with pytest.raises(AccessDenied, match="sagemaker:ListTags"):
        three.roll_back()
    assert three.roll_back(to="first")["outcome"] == "Succeeded"


def test_without_permission_to_write_tags_it_rolls_back_and_says_what_is_missing(three):
    deny(three.churn.simulator.client, "AddTags")

    report = three.roll_back()

    assert three.serves == "second"
    assert any("The rollback is not noted in a tag" in warning for warning in report["warnings"])


def test_what_to_deploy_is_not_an_argument():
    with pytest.raises(InvalidArgument, match="endpoint_config_name must be left out"):
        SageMakerRollbackOperator(task_id="back", endpoint_name="churn", endpoint_config_name="churn-v1")
