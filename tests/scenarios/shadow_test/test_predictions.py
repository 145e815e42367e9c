"""Answers that a shadow test has kept are found in S3, compared hour by hour, and judged."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest

from airflow_guardrails.captured import database
from airflow_guardrails.exceptions import (
    CandidateRejected,
    CandidateUndecided,
    InvalidArgument,
    MissingExtra,
    NotEnoughDisk,
    ShadowTestNotFound,
)
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.predictions import (
    SageMakerComparePredictionsOperator,
    SageMakerMergePredictionsOperator,
    SageMakerPlanPredictionsOperator,
)
from airflow_guardrails.rules import PredictionRule
from tests.support.lab import PRODUCTION, SHADOW

BUCKET = "captures"
STORAGE = {"Destination": f"s3://{BUCKET}/kept", "ContentType": {"CsvContentTypes": ["text/csv"]}}
TEN = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)


@pytest.fixture
def bucket(lab):
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=lab.simulator.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    s3.create_bucket(Bucket=BUCKET)
    return s3


@pytest.fixture
def trial(lab, bucket):
    """The test ``trial``, running from 10:10 on, that keeps what it hears in ``s3://captures/kept``."""
    lab.run(DataStorageConfig=STORAGE)
    return lab


def record(number: int, label: str, at: datetime) -> str:
    def side(mode: str, data: str) -> dict[str, str]:
        return {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": "CSV"}

    content = {
        "captureData": {
            "endpointInput": side("INPUT", f"{number},1"),
            "endpointOutput": side("OUTPUT", label),
        },
        "eventMetadata": {
            "eventId": f"{number}-{label}",
            "inferenceId": f"request-{number}",
            "inferenceTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "eventVersion": "0",
    }
    return json.dumps(content)


def put(s3: Any, variant: str, labels: list[str], *, hour: datetime = TEN, level: str = "", first: int = 0):
    """Put an object with a record for each label, a second apart."""
    lines = [
        record(first + number, label, hour + timedelta(seconds=number)) for number, label in enumerate(labels)
    ]
    key = f"kept/{level}churn/{variant}/{hour:%Y/%m/%d/%H}/00-00-{first}.jsonl"
    s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())


def plan():
    return SageMakerPlanPredictionsOperator(task_id="plan", name="trial")


def compare(hour: datetime = TEN, **more: Any):
    operator = SageMakerComparePredictionsOperator(
        task_id="compare", name="trial", hour=hour.isoformat(), **more
    )
    return operator.execute({})


def merge(context: Any, *comparisons: Any):
    return SageMakerMergePredictionsOperator(task_id="merge", comparisons=list(comparisons)).execute(context)


def test_every_hour_that_the_test_has_touched_is_planned(trial):
    trial.advance(hours=2)
    trial.stop()
    trial.advance(hours=5)

    hours = plan().execute({})

    assert hours[0] == "2026-03-02T10:00:00+00:00"
    assert len(hours) == 3


@pytest.mark.parametrize("level", ["", "trial/"], ids=["without a level", "with the experiment's name"])
def test_answers_are_found_wherever_sagemaker_puts_them(trial, bucket, level):
    put(bucket, PRODUCTION, ["0"] * 50, level=level)
    put(bucket, SHADOW, ["0"] * 45 + ["1"] * 5, level=level)

    comparison = compare()

    assert comparison["counts"]["pairs"] == 50
    assert sum(n for name, n in comparison["counts"].items() if name.startswith("disagreements.")) == 5


def test_another_endpoints_answers_are_not_ours(trial, bucket):
    put(bucket, PRODUCTION, ["0"] * 5)
    put(bucket, SHADOW, ["0"] * 5)
    bucket.put_object(Bucket=BUCKET, Key="kept/churn2/AllTraffic/2026/03/02/10/x.jsonl", Body=b"{}")
    bucket.put_object(Bucket=BUCKET, Key="kept/churn/AllTraffic/2026/03/02/10/notes.txt", Body=b"{}")

    assert compare()["counts"]["production.records"] == 5


@pytest.mark.proof
def test_what_mapped_tasks_have_compared_merges_to_what_one_task_would_have(trial, bucket, context):
    for number in range(3):
        hour = TEN + timedelta(hours=number)
        put(bucket, PRODUCTION, ["0"] * 40, hour=hour, first=100 * number)
        put(bucket, SHADOW, ["0"] * 36 + ["1"] * 4, hour=hour, first=100 * number)
    hours = [TEN + timedelta(hours=number) for number in range(3)]

    merged = merge(context, *(compare(hour) for hour in hours))

    assert merged["counts"]["pairs"] == 120
    assert merged == merge(context, *(compare(hour) for hour in reversed(hours)))


def test_a_summary_for_people_is_left_as_xcom_without_payloads(trial, bucket, context, task_instance):
    put(bucket, PRODUCTION, ["0"] * 50)
    put(bucket, SHADOW, ["0"] * 45 + ["1"] * 5)

    merge(context, compare(predictions=PredictionRule(label=0)))

    summary = task_instance.xcoms["predictions"]
    assert (summary["pairs"], summary["disagreements"]) == (50, 5)
    assert summary["joined_by"]["inference_id"] == 50
    assert len(summary["examples"]) == 5
    assert ",1" not in json.dumps(summary["examples"])


def test_a_rule_may_be_a_dict_and_nonsense_is_refused(trial, bucket):
    put(bucket, PRODUCTION, ["0.50"] * 5)
    put(bucket, SHADOW, ["0.51"] * 5)

    tolerant = compare(predictions={"score": 0, "absolute_tolerance": 0.05})
    assert not [name for name in tolerant["counts"] if name.startswith("disagreements.")]
    with pytest.raises(InvalidArgument, match="max_disagreement"):
        compare(predictions={"max_disagreement": 1.5})


@pytest.mark.parametrize("hour", ["2026-03-02T10:30:00+00:00", "2026-03-02T10:00:00", "ten"])
def test_an_hour_is_the_beginning_of_one(trial, hour):
    with pytest.raises(InvalidArgument, match="hour must be the beginning"):
        SageMakerComparePredictionsOperator(task_id="compare", name="trial", hour=hour).execute({})


def test_nothing_to_merge_is_an_error(context):
    with pytest.raises(InvalidArgument, match="at least one hour"):
        merge(context)


def test_a_test_that_keeps_nothing_cannot_be_compared(lab):
    lab.run()

    with pytest.raises(InvalidArgument, match="data_storage_uri"):
        plan().execute({})


def test_a_name_that_no_test_has_is_an_error(lab):
    with pytest.raises(ShadowTestNotFound):
        plan().execute({})


# Together with the judge, on what the simulator itself captures.


@pytest.fixture
def captured(lab, bucket):
    """An hour of traffic, kept."""
    control = lab.simulator.client
    control.profile("*", latency_ms=20, latency_jitter_ms=10)
    control.replay("churn", [f"{number},2" for number in range(50)], per_minute=60, inference_ids=True)
    lab.run(DataStorageConfig=STORAGE)
    lab.advance(hours=1)
    return lab


def judge(**more: Any):
    return SageMakerJudgeShadowTestOperator(task_id="judge", name="trial", **more)


def test_models_that_answer_alike_pass(captured, context):
    report = judge(predictions=PredictionRule()).execute(context)

    (reason,) = [reason for reason in report["reasons"] if reason["metric"] == "predictions"]
    assert reason["label"] == "Pass"
    assert report["label"] == "Pass"
    assert report["predictions"]["pairs"] > 3000


def test_answers_are_reported_and_not_judged_without_a_rule(captured, context):
    report = judge().execute(context)

    assert "predictions" not in {reason["metric"] for reason in report["reasons"]}
    assert report["predictions"]["pairs"] > 3000


def test_answers_are_not_read_without_a_rule_for_them(captured, context):
    assert judge(compare_predictions=False).execute(context)["predictions"] is None


def test_a_merged_comparison_is_judged_as_it_is(captured, bucket, context, task_instance):
    far = TEN + timedelta(hours=30)
    put(bucket, PRODUCTION, ["0"] * 400, hour=far)
    put(bucket, SHADOW, ["0"] * 300 + ["1"] * 100, hour=far)

    with pytest.raises(CandidateRejected, match="predictions"):
        judge(predictions=PredictionRule(), comparison=merge(context, compare(far))).execute(context)


def test_few_pairs_of_many_records_are_no_proof(bucket, captured, context):
    rule = {"max_disagreement": 0.05, "within": timedelta(milliseconds=1)}
    far = TEN + timedelta(hours=30)
    put(bucket, PRODUCTION, ["0"] * 2000, hour=far)
    put(bucket, SHADOW, ["0"] * 2000, hour=far, first=1500)
    comparison = merge(context, compare(far, predictions=rule))

    with pytest.raises(CandidateUndecided, match="may not be representative"):
        judge(predictions=rule, comparison=comparison).execute(context)


def test_a_comparison_by_another_rule_is_refused(bucket, captured, context):
    put(bucket, PRODUCTION, ["0"] * 200)
    put(bucket, SHADOW, ["0"] * 200)
    comparison = merge(context, compare(predictions={"label": 0}))

    judge(predictions={"label": 0, "max_disagreement": 0.1}, comparison=comparison).execute(context)
    with pytest.raises(InvalidArgument, match="made by another rule"):
        judge(predictions={"score": 0}, comparison=comparison).execute(context)


def test_an_hour_is_compared_in_parts(trial, bucket, context):
    put(bucket, PRODUCTION, ["0"] * 90)
    put(bucket, SHADOW, ["0"] * 80 + ["1"] * 10)
    parts = [compare(part=f"{number}/3") for number in (1, 2, 3)]

    merged, whole = merge(context, *parts), merge(context, compare())

    assert [part["counts"].get("pairs", 0) < 90 for part in parts] == [True] * 3
    assert {**merged, "parts": None} == {**whole, "parts": None}
    with pytest.raises(InvalidArgument, match="merge each part once"):
        merge(context, *parts, parts[1])


def test_hours_without_captured_data_are_merged(trial, bucket, context):
    assert merge(context, compare(), compare(TEN + timedelta(hours=1)))["counts"] == {}


@pytest.mark.parametrize("part", ["9/8", "0/1", "half"])
def test_a_part_is_one_of_so_many(trial, part):
    with pytest.raises(InvalidArgument, match='part must be like "2/8"'):
        compare(part=part)


def test_compressed_files_are_read(trial, bucket):
    key = f"kept/churn/{PRODUCTION}/2026/03/02/10/packed.jsonl"
    bucket.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(record(1, "0", TEN).encode()))
    assert compare()["counts"]["production.records"] == 1


def test_too_little_disk_space_is_said_before_anything_is_read(trial, bucket, monkeypatch):
    put(bucket, PRODUCTION, ["0"] * 50)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10))
    with pytest.raises(NotEnoughDisk, match=r"need 0 MiB .* \(got 0 MiB\): set TMPDIR"):
        compare()


@pytest.fixture
def without_duckdb(monkeypatch):
    monkeypatch.setattr(database, "find_spec", lambda _: None)


def test_what_needs_duckdb_says_so_when_the_dag_is_parsed(without_duckdb):
    with pytest.raises(MissingExtra, match=r"pip install 'airflow-guardrails\[predictions\]'"):
        SageMakerComparePredictionsOperator(task_id="compare", name="trial", hour="{{ ts }}")
    with pytest.raises(MissingExtra, match="with predictions, but without comparison, needs DuckDB"):
        judge(predictions=PredictionRule())


def test_what_needs_no_duckdb_does_without(captured, context, capsys, without_duckdb):
    SageMakerMergePredictionsOperator(task_id="merge", comparisons=[])
    judge(predictions=PredictionRule(), comparison={"from": "merge"})
    report = judge().execute(context)

    assert report["label"] == "Pass"
    assert report["predictions"] is None
    assert "needs DuckDB, which is not installed" in capsys.readouterr().out


def test_answers_that_no_rule_reads_are_no_pass(captured, context):
    with pytest.raises(CandidateUndecided, match="answers look like number"):
        judge(predictions=PredictionRule(label="predictions[*].label")).execute(context)
