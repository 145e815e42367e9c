from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.names import guarded_name


def context(**changes):
    identity = {"dag_id": "deploy", "run_id": "run", "task_id": "make", "map_index": -1, "try_number": 1}
    return {"ti": SimpleNamespace(**{**identity, **changes})}


def test_every_try_of_a_task_gets_the_same_name():
    assert guarded_name("churn", context(), {"a": 1}) == guarded_name(
        "churn", context(try_number=2), {"a": 1}
    )


@pytest.mark.parametrize("change", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 0}])
def test_another_task_instance_gets_another_name(change):
    assert guarded_name("churn", context(), "same") != guarded_name("churn", context(**change), "same")


@pytest.mark.parametrize(("one", "other"), [({"a": 1}, {"a": 2}), ("a", b"a"), ("a", ["a"]), (None, "null")])
def test_other_content_gets_another_name(one, other):
    assert guarded_name("churn", context(), one) != guarded_name("churn", context(), other)


def test_the_order_of_keys_is_no_content():
    assert guarded_name("c", context(), {"a": 1, "b": 2}) == guarded_name("c", context(), {"b": 2, "a": 1})


@pytest.mark.parametrize("prefix", ["churn", "c" * 63, "a" * 49 + "-b" * 10])
def test_the_name_is_one_that_sagemaker_takes(prefix):
    name = guarded_name(prefix, context(), "content")

    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
    assert len(name) <= 63


@pytest.mark.parametrize("prefix", ["", "-churn", "churn-", "churn_v2", "ch urn"])
def test_a_prefix_that_sagemaker_would_refuse_is_named(prefix):
    with pytest.raises(InvalidArgument, match="prefix must be letters and digits"):
        guarded_name(prefix, context(), "content")
