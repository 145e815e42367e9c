"""A version that was rolled back, or a run older than what serves, is refused before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.aws.tags import OUTCOME, parse_intent
from airflow_guardrails.domain.versions.record import RecordedOutcome, parse_record, record_text
from airflow_guardrails.exceptions import EndpointRolledBack, NewerRunDeployed, VersionRolledBack
from tests.support.simulated import deny, new_client
from tests.support.versions import ENDPOINT

MONDAY = datetime(2026, 3, 2, tzinfo=timezone.utc)
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture
def bucket(runs):
    s3 = new_client(runs.churn.simulator.url, "s3")
    s3.create_bucket(Bucket="models")
    return lambda key, body: s3.put_object(Bucket="models", Key=key, Body=body)


def test_every_outcome_is_recorded_at_the_endpoint_the_configuration_and_its_models(runs):
    runs.config("good")
    runs.deploy("good", context=runs.context(date=MONDAY))
    runs.deploy_badly(runs.config("bad"))

    good, bad = runs.history.find("good"), runs.history.find("bad")
    assert (good.outcome, good.logical_date, good.run) == (RecordedOutcome.SUCCEEDED, MONDAY, "deploy/run-1")
    assert (bad.outcome, bad.cause) == (RecordedOutcome.ROLLED_BACK, "alarm")
    assert good.version != bad.version
    assert runs.history.find("churn-v1").outcome is RecordedOutcome.SERVED
    for kind in ("endpoint-config", "model"):
        assert parse_record(runs.tags(kind, "bad")[OUTCOME]) == bad
    intents = [parse_intent(text) for text in runs.tags("endpoint-config", "good").values()]
    assert [intent.logical_date for intent in intents if intent] == [MONDAY]


def test_a_version_that_was_rolled_back_is_refused_under_a_new_configuration_name(runs):
    runs.deploy_badly(runs.config("bad"))
    runs.config("other", model="bad")

    with pytest.raises(VersionRolledBack) as caught:
        runs.deploy("other")

    text = str(caught.value)
    assert "Version was rolled back: bad on churn, RolledBack at 2026-03-02T10:" in text
    assert "cause alarm, by run deploy/run-1" in text
    assert "redeploy=True" in text
    assert runs.serves == "churn-v1"
    assert not [tag for tag in runs.tags("endpoint-config", "other") if "intent" in tag]


def test_the_same_artefact_is_refused_under_another_key_and_a_new_model_name(runs, bucket):
    bucket("monday/model.tar.gz", b"weights")
    bucket("tuesday/model.tar.gz", b"weights")
    bucket("wednesday/model.tar.gz", b"others")
    for day in ("monday", "tuesday", "wednesday"):
        runs.config(day, model=runs.model(day, ModelDataUrl=f"s3://models/{day}/model.tar.gz"))
    runs.deploy_badly("monday")

    with pytest.raises(VersionRolledBack, match="tuesday is the same version"):
        runs.deploy("tuesday")
    # It is launched; what is no archive fails in its container.
    assert runs.deploy("wednesday", on_rollback="return")["outcome"] == "RolledBack"


@pytest.fixture
def package(runs):
    """Register a version with this artefact, and return the name of a model of it."""
    runs.churn.sagemaker.create_model_package_group(ModelPackageGroupName="churn")

    def register(name, url, **environment):
        container = {"Image": "sklearn:1", "ModelDataUrl": url, "Environment": environment}
        registered = runs.churn.sagemaker.create_model_package(
            ModelPackageGroupName="churn",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )
        return runs.config(name, model=runs.model(name, ModelPackageName=registered["ModelPackageArn"]))

    return register


@pytest.mark.proof
def test_the_same_artefact_is_refused_when_it_is_registered_again(runs, bucket, package):
    for day in ("monday", "tuesday"):
        bucket(f"{day}/model.tar.gz", b"weights")
        package(day, f"s3://models/{day}/model.tar.gz", THREADS="1")
    package("wednesday", "s3://models/tuesday/model.tar.gz", THREADS="2")
    runs.deploy_badly("monday")

    with pytest.raises(VersionRolledBack, match="tuesday is the same version"):
        runs.deploy("tuesday")
    assert runs.deploy("wednesday", on_rollback="return")["outcome"] == "RolledBack"


def test_a_package_that_may_not_be_read_counts_by_its_arn(runs, bucket, package):
    bucket("model.tar.gz", b"weights")
    for day in ("monday", "tuesday"):
        package(day, "s3://models/model.tar.gz")
    deny(runs.churn.simulator.client, "DescribeModelPackage")
    runs.deploy_badly("monday")

    assert runs.deploy("tuesday", on_rollback="return")["outcome"] == "RolledBack"
    with pytest.raises(VersionRolledBack):
        runs.deploy("monday", context=runs.context())


def test_an_artefact_that_cannot_be_read_counts_by_its_url(runs):
    runs.config("bad", model=runs.model("bad", ModelDataUrl="s3://others/model.tar.gz"))
    runs.config("again", model=runs.model("again", ModelDataUrl="s3://others/model.tar.gz"))
    runs.deploy_badly("bad")

    assert runs.history.find("bad").by_url
    with pytest.raises(VersionRolledBack):
        runs.deploy("again")


def test_redeploy_deploys_it_all_the_same_and_its_success_counts_from_then_on(runs):
    runs.deploy_badly(runs.config("bad"))
    runs.config("again", model="bad")

    assert runs.deploy("again", redeploy=True)["outcome"] == "Succeeded"
    runs.deploy(runs.config("next"))
    runs.config("third", model="bad")
    assert runs.deploy("third")["outcome"] == "Succeeded"


def test_relaunch_starts_an_own_update_again_that_was_rolled_back(runs):
    context = runs.context()
    runs.deploy_badly(runs.config("bad"), context=context)

    with pytest.raises(EndpointRolledBack):
        runs.deploy("bad", context=context)
    assert runs.deploy("bad", context=context, relaunch=True)["outcome"] == "Succeeded"


def test_a_rollback_of_other_instances_says_nothing_about_the_version_that_serves(runs):
    runs.deploy(runs.config("good"))
    runs.deploy_badly(runs.config("larger", model="good"))

    assert runs.deploy(runs.config("largest", model="good"))["outcome"] == "Succeeded"
    with pytest.raises(VersionRolledBack):
        runs.deploy("larger")


def test_a_run_older_than_what_has_deployed_is_refused(runs):
    runs.deploy(runs.config("tuesday"), context=runs.context(date=TUESDAY))
    runs.config("monday")

    with pytest.raises(NewerRunDeployed) as caught:
        runs.deploy("monday", context=runs.context(date=MONDAY))

    assert "Newer run has deployed to churn: tuesday, logical date 2026-03-03" in str(caught.value)
    assert "by run deploy/run-1" in str(caught.value)
    assert runs.serves == "tuesday"
    assert runs.deploy("monday", context=runs.context(date=MONDAY), refuse_older=False)


def test_a_run_without_a_logical_date_and_a_retry_of_the_same_date_are_not_refused(runs):
    runs.deploy(runs.config("tuesday"), context=runs.context(date=TUESDAY))

    assert runs.deploy(runs.config("manual"), context=runs.context())["outcome"] == "Succeeded"
    assert runs.deploy(runs.config("twin"), context=runs.context(date=TUESDAY))["outcome"] == "Succeeded"


def test_a_newer_run_that_was_rolled_back_refuses_nothing(runs):
    runs.deploy_badly(runs.config("tuesday"), context=runs.context(date=TUESDAY))

    assert runs.deploy(runs.config("monday"), context=runs.context(date=MONDAY))["outcome"] == "Succeeded"


def test_a_retry_of_an_update_that_succeeded_is_not_refused_by_its_own_record(runs):
    context = runs.context(date=MONDAY)
    runs.deploy(runs.config("good"), context=context)
    before = runs.history

    report = runs.deploy("good", context=context)

    assert (report["outcome"], report["adopted"]) == ("Succeeded", "own")
    assert runs.history == before


def test_without_permission_for_tags_nothing_is_refused_and_the_report_says_so(runs):
    deny(runs.churn.simulator.client, "ListTags", "AddTags")

    report = runs.deploy(runs.config("good"))

    assert report["outcome"] == "Succeeded"
    assert any("Nothing was refused" in warning for warning in report["warnings"])
    assert any("The outcome was not recorded" in warning for warning in report["warnings"])


def test_at_most_twenty_records_are_kept_and_what_a_rollback_needs_is_among_them(runs):
    runs.deploy(runs.config("good"))
    template = runs.history.find("good")
    for number in range(24):
        bad = replace(
            template,
            config=f"bad-{number}",
            outcome=RecordedOutcome.ROLLED_BACK,
            at=template.at + timedelta(minutes=number),
        )
        tag = {"Key": bad.tag_key, "Value": record_text(bad)}
        runs.catalogue.tags.add({"ResourceArn": ENDPOINT, "Tags": [tag]})
    runs.churn.advance(minutes=60)

    runs.deploy(runs.config("next"))

    assert len(runs.history.records) == 20
    assert runs.history.find("good") == template
    assert runs.history.find("bad-0") is None


def test_an_outcome_is_recorded_in_the_place_of_the_oldest_one_if_the_tags_are_full(runs):
    runs.deploy(runs.config("good"))
    for number in (1, 2):
        runs.deploy_badly(runs.config(f"bad-{number}"))
    room = 50 - len(runs.catalogue.tags.of(ENDPOINT))
    theirs = [{"Key": f"theirs-{number}", "Value": "x"} for number in range(room)]
    runs.catalogue.tags.add({"ResourceArn": ENDPOINT, "Tags": theirs})

    runs.deploy_badly(runs.config("bad-3"))

    assert runs.history.find("bad-1") is None
    with pytest.raises(VersionRolledBack):
        runs.deploy("bad-3")
    assert runs.history.find("good").good


def test_a_first_deployment_has_a_version_too(runs):
    runs.world.sagemaker.vanish("churn")
    runs.config("first")

    runs.deploy("first", if_missing="create")

    assert runs.history.find("first").version is not None
