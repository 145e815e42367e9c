"""The examples in docs/deploying-a-model.md deploy what the page says."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG

from airflow_guardrails.operators._launch.target_arguments import WHAT_TO_DEPLOY
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import AllAtOnce
from tests.support.churn import model_request
from tests.support.pages import first_column, page

TEXT = page("deploying-a-model")
EXAMPLES = re.findall(r"```python\n((\w+) = .*?)```", TEXT, re.DOTALL)


def test_the_table_has_every_argument_that_says_what_to_deploy():
    assert first_column(TEXT) == list(WHAT_TO_DEPLOY)


@pytest.mark.parametrize(("code", "name"), EXAMPLES, ids=[name for _, name in EXAMPLES])
def test_the_examples_deploy(churn, simulated_sleep, context, code, name):
    churn.sagemaker.create_model(**model_request("churn-2026-03-02"))
    known = {
        "SageMakerGuardedUpdateOperator": SageMakerGuardedUpdateOperator,
        "AllAtOnce": AllAtOnce,
        "timedelta": timedelta,
    }
    with DAG("page", start_date=datetime(2026, 3, 2, tzinfo=timezone.utc), schedule=None):
        exec(code, known)
    operator = known[name]
    if operator.model_package_arn is not None:
        operator.render_template_fields({**context, "params": {"model_package_arn": approved(churn)}})
    operator.sleep = simulated_sleep

    report = operator.execute(context)

    assert report["outcome"] == "Succeeded"
    assert report["guarded"] is (name != "first")


def approved(churn):
    churn.sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    return churn.sagemaker.create_model_package(
        ModelPackageGroupName="churn",
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [model_request("churn")["PrimaryContainer"]],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
