"""Every operator and sensor with the arguments that it needs, and what refuses an odd one."""

from __future__ import annotations

from datetime import timedelta

from airflow_guardrails.operators._launch.target_arguments import WHAT_TO_DEPLOY
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.predictions import (
    SageMakerComparePredictionsOperator,
    SageMakerMergePredictionsOperator,
    SageMakerPlanPredictionsOperator,
)
from airflow_guardrails.operators.preflight import SageMakerPreflightOperator
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.sensors.model_package import SageMakerModelPackageSensor
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.strategies import Canary

ROLE = "arn:aws:iam::123456789012:role/sagemaker"


CANARY = Canary(percent=25, bake=timedelta(minutes=10))


UPDATE = {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"}


TRIAL = {"name": "trial"}


# Arguments that each task must have.
TASKS = {
    SageMakerGuardedUpdateOperator: {**UPDATE, "strategy": CANARY},
    SageMakerAbortRolloutOperator: UPDATE,
    SageMakerPreflightOperator: {
        "update": SageMakerGuardedUpdateOperator(task_id="update", **UPDATE, strategy=CANARY)
    },
    SageMakerRollbackOperator: {"endpoint_name": "churn"},
    SageMakerCleanUpOperator: {"endpoint_name": "churn"},
    SageMakerConcludeRolloutOperator: {**UPDATE, "update_task_id": "update"},
    SageMakerRolloutSensor: UPDATE,
    SageMakerModelPackageSensor: {"model_package_group_name": "churn"},
    SageMakerAddShadowVariantOperator: {"endpoint_name": "churn", "shadow_model_name": "candidate"},
    SageMakerRemoveShadowVariantOperator: {"endpoint_name": "churn"},
    SageMakerCreateShadowTestOperator: {
        **TRIAL,
        "endpoint_name": "churn",
        "role_arn": ROLE,
        "shadow_model_name": "candidate",
    },
    SageMakerStopShadowTestOperator: TRIAL,
    SageMakerShadowTestSensor: TRIAL,
    SageMakerJudgeShadowTestOperator: TRIAL,
    SageMakerApproveRolloutOperator: UPDATE,
    SageMakerPlanPredictionsOperator: TRIAL,
    SageMakerComparePredictionsOperator: {**TRIAL, "hour": "2026-03-02T10:00:00+00:00"},
    SageMakerMergePredictionsOperator: {"comparisons": []},
}


# Further arguments that a task must have with an argument; None: without the one that it has.
WITH = {
    **{name: {"endpoint_config_name": None} for name in ("model_name", "model_package_arn", "config")},
    **{
        name: {"endpoint_config_name": None, "model_name": "churn-2"}
        for name in ("instance_type", "instance_count", "variant_name", "overrides")
    },
    "role_arn": {
        "endpoint_config_name": None,
        "model_package_arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/2",
    },
}


# Whether these arguments are given is known when the DAG file is parsed: one of them must be, or none may be.
EITHER = {
    SageMakerGuardedUpdateOperator: set(WHAT_TO_DEPLOY),
    SageMakerModelPackageSensor: {"model_package_arn", "model_package_group_name"},
}
NONE = {SageMakerRollbackOperator: {*WHAT_TO_DEPLOY, *WITH}}


class Reached(BaseException):
    """The task has checked all there is, and makes its first call."""


class Tripwire:
    """Stands where the hook is, so that nothing of it can be used unseen."""

    def __getattr__(self, name):
        raise Reached(name)


def built(kind, **changes):
    others = {}
    if kind is SageMakerGuardedUpdateOperator:
        for name in changes:
            others |= WITH.get(name, {})
    if kind is SageMakerModelPackageSensor and "model_package_arn" in changes:
        others["model_package_group_name"] = None
    task = kind(task_id="task", **{**TASKS[kind], **others, **changes})
    task.__dict__["hook"] = Tripwire()
    return task


def refused(kind, name, value, context):
    """Return the error that refuses *value*; None if the task goes on to its first call."""
    try:
        task = built(kind, **{name: value})
    except Exception as error:  # noqa: BLE001 - which one it is is what is tested
        absent = value is None and name in EITHER.get(kind, ())
        importable = absent or name not in kind.template_fields or name in NONE.get(kind, ())
        assert importable, f"the DAG file does not import with {name}={value!r}"
        return error
    try:
        task.execute(context)
    except Reached:
        return None
    except Exception as error:  # noqa: BLE001 - which one it is is what is tested
        assert name in kind.template_fields, f"{name}={value!r} could be refused at parse time"
        return error
    raise AssertionError(f"{name}={value!r}: the task did nothing")
