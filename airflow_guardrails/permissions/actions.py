"""
The permissions that the tasks of this package use: action, resource, why, and what happens without.

``docs/permissions.md`` has the same tables; a test compares them. Those of what a task creates, of versions
and of the clean-up are in ``deployment_actions.py``. Which task needs which of them is in ``update_needs.py``
and, for tasks that update nothing, in ``cli/needs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Kind(Enum):
    """What an action is allowed on, in words."""

    ENDPOINT = "the endpoint"
    CONFIG = "endpoint configurations"
    MODEL = "models"
    SHADOW_TEST = "the shadow test"
    ALARM = "alarms"
    BUCKET = "the bucket"
    OBJECTS = "objects below the prefix"
    # What iam:PassRole is allowed on; its statement has a condition.
    ROLE = "*role_arn*"
    READ_ROLE = "the role"
    PACKAGE = "model packages"
    # IAM has no resource for these actions.
    ALL = "`*`"


_SAGEMAKER = "arn:{partition}:sagemaker:{region}:{account}"
_ROLE = "arn:{partition}:iam::{account}:role/{name}"
# For names that are no ARNs already.
ARN_FORMS = {
    Kind.ENDPOINT: f"{_SAGEMAKER}:endpoint/{{name}}",
    Kind.CONFIG: f"{_SAGEMAKER}:endpoint-config/{{name}}",
    Kind.MODEL: f"{_SAGEMAKER}:model/{{name}}",
    Kind.SHADOW_TEST: f"{_SAGEMAKER}:inference-experiment/{{name}}",
    Kind.ALARM: "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}",
    Kind.BUCKET: "arn:{partition}:s3:::{name}",
    Kind.OBJECTS: "arn:{partition}:s3:::{name}",
    Kind.ROLE: _ROLE,
    Kind.READ_ROLE: _ROLE,
    Kind.PACKAGE: f"{_SAGEMAKER}:model-package/{{name}}",
    Kind.ALL: "*",
}


@dataclass(frozen=True, slots=True)
class Permission:
    """
    An action of IAM that a task uses.

    :param why: what for, as the rest of "needed for ...".
    :param without: what happens without it; None: the task fails with ``AccessDenied``.
    """

    action: str
    kind: Kind
    why: str
    without: str | None = None

    def optional(self, without: str) -> Permission:
        """Return the permission as one that a task can do without."""
        return replace(self, without=without)


# Endpoints and their updates.
READ_ENDPOINT = Permission("sagemaker:DescribeEndpoint", Kind.ENDPOINT, "the state of the endpoint")
READ_CONFIG = Permission(
    "sagemaker:DescribeEndpointConfig", Kind.CONFIG, "the configuration in service, and the new one"
)
UPDATE = Permission("sagemaker:UpdateEndpoint", Kind.ENDPOINT, "the update")
UPDATE_TO = Permission("sagemaker:UpdateEndpoint", Kind.CONFIG, "the update, to this configuration")
# Composite alarms are shown only to whom may describe all alarms (API reference, DescribeAlarms).
READ_ALARMS = Permission(
    "cloudwatch:DescribeAlarms",
    Kind.ALL,
    "the check of the alarms, of the guards and of the abort switch, before the update",
)
CREATE_GUARDS = Permission("cloudwatch:PutMetricAlarm", Kind.ALARM, "`guards`: their alarms")
CREATE_SWITCH = Permission(
    "cloudwatch:PutMetricAlarm", Kind.ALARM, "the abort switch; not needed with `abort_switch=False`"
)
SET_SWITCH = Permission(
    "cloudwatch:PutMetricData",
    Kind.ALL,
    "setting the abort switch (namespace `AirflowGuardrails`); not needed with `abort_switch=False`",
)
READ_METRICS = Permission("cloudwatch:GetMetricData", Kind.ALL, "`analysis`: the metrics of both fleets")
PUBLISH = Permission(
    "cloudwatch:PutMetricData",
    Kind.ALL,
    "`verdict_namespace` of an analysis, or of the judge",
    "verdicts are not published, and a warning says so",
)
READ_HISTORY = Permission(
    "cloudwatch:DescribeAlarmHistory",
    Kind.ALARM,
    "the name of the alarm that went off",
    "the report of a rollback may have no cause",
)
READ_MODELS = Permission(
    "sagemaker:DescribeModel",
    Kind.MODEL,
    "finding containers of AWS Marketplace",
    "no container is treated as one",
)
WRITE_INTENT = Permission(
    "sagemaker:AddTags",
    Kind.CONFIG,
    "the intent, a tag of the new configuration, with its version and later its outcome",
    "only the task state store of Airflow 3.3 keeps the intent",
)
READ_INTENT = Permission(
    "sagemaker:ListTags",
    Kind.CONFIG,
    "the intent of an earlier try",
    "only the task state store of Airflow 3.3 keeps the intent",
)
COUNT_REQUESTS = Permission(
    "cloudwatch:GetMetricStatistics",
    Kind.ALL,
    "a retry that finds a changed endpoint: the requests that its update has answered",
    "such a retry fails with `LaunchUnknown`",
)
DELETE_SWITCHES = Permission(
    "cloudwatch:DeleteAlarms",
    Kind.ALARM,
    "deleting the abort switches and guards of earlier rollouts",
    "they stay, and a warning says so",
)
LIST_ENDPOINTS = Permission(
    "sagemaker:ListEndpoints",
    Kind.ALL,
    "many deferred waits: one list instead of a call for each",
    "each wait makes its own calls",
)
UPDATES = (
    READ_ENDPOINT,
    READ_CONFIG,
    UPDATE,
    UPDATE_TO,
    READ_ALARMS,
    CREATE_GUARDS,
    CREATE_SWITCH,
    SET_SWITCH,
    READ_METRICS,
    PUBLISH,
    READ_HISTORY,
    READ_MODELS,
    WRITE_INTENT,
    READ_INTENT,
    COUNT_REQUESTS,
    DELETE_SWITCHES,
    LIST_ENDPOINTS,
)

# The check of the permissions of an update before the training.
_NOT_CHECKED = "permissions to change AWS are not checked, and the plan says so"
IDENTIFY = Permission("sts:GetCallerIdentity", Kind.ALL, "which role the task has", _NOT_CHECKED)
SIMULATE = Permission(
    "iam:SimulatePrincipalPolicy",
    Kind.READ_ROLE,
    "whether the role may make the changes of the update",
    _NOT_CHECKED,
)
FIND_PATH = Permission("iam:GetRole", Kind.READ_ROLE, "the path of the role, if it has one", _NOT_CHECKED)
PREFLIGHT = (IDENTIFY, SIMULATE, FIND_PATH)

# Shadow tests and shadow variants.
CREATE_TEST = Permission("sagemaker:CreateInferenceExperiment", Kind.SHADOW_TEST, "creating a shadow test")
READ_TEST = Permission(
    "sagemaker:DescribeInferenceExperiment", Kind.SHADOW_TEST, "the state of the shadow test"
)
PASS_ROLE = Permission("iam:PassRole", Kind.ROLE, "the role with which SageMaker runs the shadow test")
TAG_TEST = Permission("sagemaker:AddTags", Kind.SHADOW_TEST, "`tags` of a shadow test")
STOP_TEST = Permission("sagemaker:StopInferenceExperiment", Kind.SHADOW_TEST, "stopping a shadow test")
READ_SHADOW_MODELS = Permission(
    "sagemaker:DescribeModel",
    Kind.MODEL,
    "refusing models that cannot be a shadow",
    "a warning says so, and SageMaker decides",
)
LIST_TESTS = Permission(
    "sagemaker:ListInferenceExperiments",
    Kind.ALL,
    "many deferred waits for shadow tests: one list instead of a call for each",
    "each wait makes its own calls",
)
CREATE_CONFIG = Permission(
    "sagemaker:CreateEndpointConfig", Kind.CONFIG, "the configuration with, or without, the shadow variant"
)
DELETE_CONFIG = Permission(
    "sagemaker:DeleteEndpointConfig",
    Kind.CONFIG,
    "`delete_config`: deleting the configuration with the shadow",
    "it stays, and a warning says so",
)
READ_TEST_METRICS = Permission(
    "cloudwatch:GetMetricData", Kind.ALL, "the judge: the metrics of both variants"
)
COUNT_TEST_REQUESTS = Permission(
    "cloudwatch:GetMetricStatistics", Kind.ALL, "`min_requests`: the requests of both variants"
)
LIST_CAPTURES = Permission("s3:ListBucket", Kind.BUCKET, "comparing predictions")
READ_CAPTURES = Permission("s3:GetObject", Kind.OBJECTS, "comparing predictions")
SHADOW_TESTS = (
    CREATE_TEST,
    READ_TEST,
    PASS_ROLE,
    TAG_TEST,
    STOP_TEST,
    READ_SHADOW_MODELS,
    LIST_TESTS,
    CREATE_CONFIG,
    DELETE_CONFIG,
    READ_TEST_METRICS,
    COUNT_TEST_REQUESTS,
    LIST_CAPTURES,
    READ_CAPTURES,
)


def as_markdown(permissions: tuple[Permission, ...]) -> str:
    """Return the table of *permissions* in the documentation."""
    rows = [
        f"| `{one.action}` | {one.kind.value} | {one.why} | {one.without or 'fails'} |" for one in permissions
    ]
    return "\n".join(
        ["| action | on | needed for | without it, the task |", "| --- | --- | --- | --- |", *rows]
    )
