"""``python -m airflow_guardrails policy`` prints what the tasks of a DAG need, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_guardrails.cli.main import main
from airflow_guardrails.cli.needs import known_kinds, needs_of
from airflow_guardrails.guards import ErrorRate
from airflow_guardrails.names import guarded_name
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.permissions.actions import PREFLIGHT, SHADOW_TESTS, UPDATES
from airflow_guardrails.permissions.deployment_actions import CLEAN_UP, CREATIONS, VERSIONS
from airflow_guardrails.permissions.task_arguments import Pattern, TaskArguments, made_name
from tests.support.every_task import TASKS
from tests.support.fakes import TaskInstance

TABLES = (*UPDATES, *PREFLIGHT, *CREATIONS, *VERSIONS, *SHADOW_TESTS, *CLEAN_UP)
EXAMPLES = Path(__file__).parents[2] / "example_dags"

HEAD = """
from datetime import timedelta
from airflow.sdk import dag, task
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.strategies import Canary

CANARY = Canary(percent=25, bake=timedelta(minutes=10))

@task
def later():
    return ["x"]

@dag(schedule=None, params={"endpoint": "churn"})
def deploy():
    print("this file prints")
"""


@pytest.fixture
def dag_file(tmp_path):
    def write(*lines: str) -> str:
        file = tmp_path / "deploy.py"
        file.write_text(HEAD + "\n".join(f"    {line}" for line in lines) + "\n\ndeploy()\n")
        return str(file)

    return write


@pytest.fixture
def printed(capfd):
    """Run a command, and return what it prints as JSON."""

    def run(*arguments: str):
        assert main(arguments) == 0
        return json.loads(capfd.readouterr().out)

    return run


def resources(policy, action: str) -> set[str]:
    """The last parts of the ARNs on which *policy* allows *action*."""
    found = [one for one in policy["Statement"] if action in one["Action"]]
    return {arn.rpartition(":")[2] for one in found for arn in one["Resource"]}


UPDATE = (
    "SageMakerGuardedUpdateOperator("
    "task_id='update', endpoint_name={}, endpoint_config_name={}, strategy=CANARY{})"
)


def test_plain_names_are_the_only_resources(dag_file, printed):
    file = dag_file(UPDATE.format("'churn'", "'churn-v2'", ", alarms=['errors']"))

    policy = printed("policy", file, "--account", "111122223333", "--region", "eu-west-1")

    arn = "arn:aws:sagemaker:eu-west-1:111122223333"
    updates = [one["Resource"] for one in policy["Statement"] if "sagemaker:UpdateEndpoint" in one["Action"]]
    assert updates == [[f"{arn}:endpoint-config/churn-v2"], [f"{arn}:endpoint/churn"]]
    assert resources(policy, "cloudwatch:DescribeAlarmHistory") >= {"errors"}
    assert resources(policy, "cloudwatch:GetMetricData") == set()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("'{{ params.endpoint }}-v2'", "churn-v2"),
        ("\"{{ params['endpoint'] }}-{{ ds_nodash }}\"", "churn-*"),
        ("'{{ params.other }}-v2'", "*-v2"),
        ("'a-{% if x %}b{% else %}c{% endif %}-d'", "a-*-d"),
        ("later()", "*"),
    ],
)
def test_what_is_known_only_at_run_time_is_a_wildcard(dag_file, printed, name, pattern):
    policy = printed("policy", dag_file(UPDATE.format("'churn'", name, "")))

    assert f"endpoint-config/{pattern}" in resources(policy, "sagemaker:UpdateEndpoint")
    assert resources(policy, "sagemaker:AddTags") == {
        f"endpoint-config/{pattern}",
        "endpoint/churn",
        "model/*",
    }


def test_names_are_allowed_as_given_and_in_lower_case(dag_file, printed):
    policy = printed("policy", dag_file(UPDATE.format("'Churn'", "'v2'", "")))

    assert resources(policy, "sagemaker:DescribeEndpoint") == {"endpoint/Churn", "endpoint/churn"}


def test_a_mapped_task_needs_every_value(dag_file, printed):
    file = dag_file(
        "SageMakerGuardedUpdateOperator.partial(task_id='update', strategy=CANARY, abort_switch=False)"
        ".expand_kwargs([{'endpoint_name': 'a', 'endpoint_config_name': 'a2'},"
        " {'endpoint_name': 'b', 'endpoint_config_name': 'b2'}])",
        "SageMakerRolloutSensor.partial(task_id='wait', endpoint_config_name='c2')"
        ".expand(endpoint_name=later())",
    )

    update, wait = (printed("policy", file, "--task-id", name) for name in ("update", "wait"))

    assert resources(update, "sagemaker:UpdateEndpoint") == {
        "endpoint/a",
        "endpoint/b",
        "endpoint-config/a2",
        "endpoint-config/b2",
    }
    assert resources(update, "cloudwatch:PutMetricAlarm") == set()
    assert resources(wait, "sagemaker:DescribeEndpoint") == {"endpoint/*"}


def test_what_one_task_needs_is_not_optional_because_another_can_do_without(dag_file, printed):
    file = dag_file(
        UPDATE.format("'churn'", "'v2'", ""),
        "SageMakerAbortRolloutOperator(task_id='abort', endpoint_name='churn')",
    )
    config = "sagemaker:DescribeEndpointConfig"

    def optional(*more: str) -> list[bool]:
        statements = printed("policy", file, *more)["Statement"]
        return [one["Sid"].startswith("Optional") for one in statements if config in one["Action"]]

    assert optional("--task-id", "abort") == [True]
    assert optional() == [False]


def test_a_condition_limits_the_namespaces(dag_file, printed):
    analysis = ", analysis={'verdict_namespace': 'Shop'}"
    policy = printed("policy", dag_file(UPDATE.format("'churn'", "'v2'", analysis)))

    conditions = {
        one["Sid"].startswith("Optional"): one["Condition"]
        for one in policy["Statement"]
        if "cloudwatch:PutMetricData" in one["Action"]
    }
    assert conditions == {
        False: {"StringEquals": {"cloudwatch:namespace": "AirflowGuardrails"}},
        True: {"StringEquals": {"cloudwatch:namespace": "Shop"}},
    }


def test_each_connection_has_a_policy_of_its_own(dag_file, printed):
    file = dag_file(
        UPDATE.format("'churn'", "'v2'", ", aws_conn_id='shop', region_name='cn-north-1'"),
        "SageMakerRolloutSensor(task_id='wait', endpoint_name='churn', endpoint_config_name='v2')",
    )

    policies = printed("policy", file)

    assert set(policies) == {"aws_default", "shop"}
    assert printed("policy", file, "--aws-conn-id", "shop") == policies["shop"]
    assert "sagemaker:UpdateEndpoint" not in json.dumps(policies["aws_default"])
    assert "arn:aws-cn:sagemaker:cn-north-1:" in json.dumps(policies["shop"])


def test_the_statements_are_valid_for_iam(printed):
    policy = printed("policy", str(EXAMPLES / "shadow_test_and_deploy.py"), "--account", "111122223333")

    sids = [one["Sid"] for one in policy["Statement"]]
    assert policy["Version"] == "2012-10-17"
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)
    assert all(one["Action"] == sorted(set(one["Action"])) for one in policy["Statement"])
    assert all(one["Effect"] == "Allow" and one["Resource"] for one in policy["Statement"])


def test_the_captures_of_a_shadow_test_are_those_of_the_task_that_creates_it(printed):
    policy = printed("policy", str(EXAMPLES / "shadow_test_and_deploy.py"))

    assert resources(policy, "s3:ListBucket") == {"tumour-models"}
    needed = {**policy, "Statement": [one for one in policy["Statement"] if "Optional" not in one["Sid"]]}
    assert resources(needed, "s3:GetObject") == {"tumour-models/captures/*"}
    assert resources(policy, "sagemaker:StopInferenceExperiment") == {"inference-experiment/tumours-*"}
    assert resources(policy, "iam:PassRole") == {"role/SageMakerExecution"}


def test_the_table_says_why_for_which_task_and_what_happens_without(capfd):
    assert main(["policy", str(EXAMPLES / "retrain_and_deploy.py"), "--format", "table"]) == 0

    said, notes = capfd.readouterr()
    assert re.match(r"Connection aws_default: [1-9]\d* needed, [1-9]\d* optional actions\n\nNeeded\n", said)
    assert re.search(
        r"\n  sagemaker:ListTags\n(?:    .*\n)*?    for the intent of an earlier try: conclude", said
    )
    assert "without it: such a retry fails with LaunchUnknown" in said
    assert (
        "endpoint_name='{{ params.endpoint_name }}': params.endpoint_name has its default 'tumours'" in said
    )
    assert "Not in the policy: what the tasks create_model, evaluate, train" in notes


@pytest.mark.parametrize(
    ("lines", "more", "said"),
    [
        (["raise RuntimeError('no model today')"], (), "RuntimeError: no model today"),
        (
            [UPDATE.format("'churn'", "'v2'", "")],
            ("--task-id", "x"),
            "--task-id must be one of update (got 'x')",
        ),
        (
            [UPDATE.format("'churn'", "'v2'", "")],
            ("--dag-id", "x"),
            "--dag-id must be one of deploy (got 'x')",
        ),
        (["later()"], (), "no task of airflow-guardrails"),
    ],
)
def test_what_cannot_be_done_is_said_with_status_2(dag_file, capfd, lines, more, said):
    assert main(["policy", dag_file(*lines), *more]) == 2

    out, err = capfd.readouterr()
    assert not out
    assert said in err


def test_a_missing_file_is_named(capfd):
    assert main(["policy", "missing.py"]) == 2
    assert "DAG_FILE must be a file (got 'missing.py')" in capfd.readouterr().err


@pytest.mark.proof
def test_the_command_runs_as_a_process_without_a_database(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "airflow_guardrails", "policy", str(EXAMPLES / "retrain_and_deploy.py")],
        capture_output=True,
        text=True,
        check=True,
        env={"AIRFLOW_HOME": str(tmp_path), "PATH": "", "PYTHONPATH": str(EXAMPLES.parent)},
    )

    assert json.loads(done.stdout)["Version"] == "2012-10-17"
    assert not list(tmp_path.glob("*.db"))


def test_every_operator_and_sensor_has_an_entry():
    assert set(TASKS) <= known_kinds()


def test_an_unknown_operator_of_this_package_is_an_error(dag_file, capfd, monkeypatch):
    monkeypatch.setattr("airflow_guardrails.cli.needs._REGISTRY", {})

    assert main(["policy", dag_file(UPDATE.format("'churn'", "'v2'", ""))]) == 2
    assert "the permissions of SageMakerGuardedUpdateOperator are not known" in capfd.readouterr().err


@pytest.mark.parametrize("prefix", ["churn", "churn-", "a" * 49 + "-b", "b" * 63])
def test_the_pattern_of_a_made_name_matches_the_name(prefix):
    pattern = made_name(Pattern(prefix)).text
    name = guarded_name(prefix.rstrip("-"), {"ti": TaskInstance()}, "content")

    assert name.startswith(pattern.removesuffix("*"))
    assert len(pattern) > len(prefix[:49])


def test_a_name_with_characters_of_iam_is_escaped():
    task = SageMakerGuardedUpdateOperator(
        task_id="update",
        endpoint_name="churn",
        endpoint_config_name="v2",
        strategy={},
        alarms=["100 $ * ?", "{{ ds }}*"],
    )
    (names,) = TaskArguments(task).values("alarms")

    found = TaskArguments(task).patterns_of("alarms", names)

    assert [one.text for one in found] == ["100 ${$} ${*} ${?}", "*${*}"]


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.__name__)
def test_the_needs_of_each_task_are_in_the_tables(kind):
    needs = needs_of(TaskArguments(kind(task_id="task", **TASKS[kind])))

    known = {(one.action, one.kind, one.why) for one in TABLES}
    assert {(one.permission.action, one.permission.kind, one.permission.why) for one in needs} <= known


PACKAGE = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/2"
MODEL = {"ModelName": "churn", "ExecutionRoleArn": "serving"}
CONFIG = {
    "Model": MODEL,
    "EndpointConfig": {"EndpointConfigName": "churn", "ProductionVariants": []},
    "Endpoint": {"EndpointName": "churn", "EndpointConfigName": "churn"},
}


def guarded(**arguments):
    return SageMakerGuardedUpdateOperator(
        task_id="task",
        endpoint_name="churn",
        strategy=TASKS[SageMakerGuardedUpdateOperator]["strategy"],
        **arguments,
    )


def test_each_row_of_the_tables_is_needed_by_a_task():
    more = {"tags": {"a": "b"}, "delete_config": True, "min_requests": 1, "verdict_namespace": "Shop"}
    more |= {"analysis": {"verdict_namespace": "Shop"}, "deferrable": True, "guards": [ErrorRate(above=0.01)]}
    tasks = [guarded(model_package_arn=PACKAGE, if_missing="create"), guarded(config=CONFIG)]
    for kind, arguments in TASKS.items():
        task = kind(task_id="task", **arguments)
        accepted = {name: value for name, value in more.items() if hasattr(task, name)}
        tasks.append(kind(task_id="task", **arguments, **accepted))
    needs = [need.permission for task in tasks for need in needs_of(TaskArguments(task))]

    assert {(one.action, one.why) for one in TABLES} == {(one.action, one.why) for one in needs}
