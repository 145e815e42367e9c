"""Every trigger can be stored as JSON and created again from it; a triggerer gets nothing else."""

from __future__ import annotations

import json
from importlib import import_module

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_guardrails.provider_info import get_provider_info
from airflow_guardrails.triggers.model_package import SageMakerModelPackageTrigger
from airflow_guardrails.triggers.rollout import SageMakerRolloutTrigger
from airflow_guardrails.triggers.shadow_test import SageMakerShadowTestTrigger

NEEDED = {
    SageMakerRolloutTrigger: {"endpoint_name": "churn", "endpoint_config_name": "churn-v2"},
    SageMakerShadowTestTrigger: {"name": "trial"},
    SageMakerModelPackageTrigger: {"name": "churn"},
}


def all_triggers() -> set[type[BaseTrigger]]:
    names = [name for entry in get_provider_info()["triggers"] for name in entry["python-modules"]]
    return {
        found
        for name in names
        for found in vars(import_module(name)).values()
        if isinstance(found, type) and issubclass(found, BaseTrigger) and found.__module__ == name
    }


def test_no_trigger_is_left_out():
    assert set(NEEDED) == all_triggers()


@pytest.mark.parametrize("kind", NEEDED, ids=lambda kind: kind.__name__)
def test_a_trigger_is_created_again_as_it_was_from_its_path_and_its_json(kind):
    path, arguments = kind(**NEEDED[kind]).serialize()
    module, _, name = path.rpartition(".")

    again = getattr(import_module(module), name)(**json.loads(json.dumps(arguments, allow_nan=False)))

    assert type(again) is kind
    assert again.serialize() == (path, arguments)
