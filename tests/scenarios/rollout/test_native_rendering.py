"""A DAG that renders its templates to objects of Python makes numbers of names that have only digits."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from airflow.sdk import DAG

from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.strategies import AllAtOnce


@pytest.fixture
def rendered(guarded_update):
    """Build an update of ``churn`` whose templates are rendered in Airflow's way."""

    def build(values, **templates):
        dag = DAG(
            "native",
            start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
            schedule=None,
            render_template_as_native_obj=True,
        )
        strategy = AllAtOnce(termination_wait=timedelta(minutes=2))
        operator = guarded_update(strategy=strategy, dag=dag, **templates)
        operator.render_template_fields(values, dag.get_template_env())
        return operator

    return build


def test_a_name_that_became_a_number_is_refused_before_any_call_and_the_error_says_why(
    churn, rendered, context
):
    churn.config("20261130")
    operator = rendered({"ds_nodash": "20261130"}, endpoint_config_name="{{ ds_nodash }}")
    assert operator.endpoint_config_name == 20261130
    before = dict(churn.simulator.simulation.calls)

    with pytest.raises(
        InvalidArgument,
        match=r"endpoint_config_name must be text \(got 20261130\): native rendering .* a letter in front",
    ):
        operator.execute(context)

    assert dict(churn.simulator.simulation.calls) == before


def test_with_a_letter_in_front_it_stays_a_name(churn, rendered, context):
    churn.config("v20261130")

    report = rendered({"ds_nodash": "20261130"}, endpoint_config_name="v{{ ds_nodash }}").execute(context)

    assert (report["outcome"], report["endpoint_config_name"]) == ("Succeeded", "v20261130")


@pytest.mark.parametrize("name", ["1e5", "-7", "True"], ids=["float", "negative", "bool"])
def test_other_values_of_python_are_refused_too(churn, rendered, context, name):
    operator = rendered({"name": name}, endpoint_config_name="{{ name }}")
    assert not isinstance(operator.endpoint_config_name, str)

    with pytest.raises(InvalidArgument, match=r"endpoint_config_name must be .* \(got "):
        operator.execute(context)

    assert churn.calls("UpdateEndpoint") == 0
