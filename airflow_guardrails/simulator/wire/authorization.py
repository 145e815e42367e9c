"""
What a call must be allowed to do: its actions of IAM, and their resources.

From the Service Authorization Reference. Where that is not clear, the stricter reading: UpdateEndpoint is
checked on the endpoint and on its new configuration, and a call that asks for composite alarms on ``*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_guardrails.simulator.engine.access import Authorization

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/[^/]+/([^/]+)/")

# Parameter -> type in the ARN. An operation may have several of them.
_SAGEMAKER = {
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
}
_EXPERIMENT = re.compile(r"\w+InferenceExperiment")
_PACKAGE = re.compile(r"(Describe|Update|Delete)ModelPackage")
_ROLES = ("ExecutionRoleArn", "RoleArn")
_OF_ONE_ALARM = re.compile(r"Put(Metric|Composite)Alarm|SetAlarmState|DescribeAlarmHistory")
_OF_ALARMS = frozenset({"DeleteAlarms", "DescribeAlarms", "DisableAlarmActions", "EnableAlarmActions"})
_S3_OBJECT = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_S3_BUCKET = {"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}


def caller_of(authorization: str) -> tuple[str | None, str | None]:
    """Return access key and service in the header Authorization of a signed request."""
    found = _CREDENTIAL.search(authorization)
    return (found[1], found[2]) if found else (None, None)


def sagemaker_authorizations(
    operation: str, request: Mapping[str, Any], *, prefix: str
) -> Iterator[Authorization]:
    """
    Yield what a call of SageMaker needs.

    :param prefix: the beginning of the ARNs, up to the colon after the account.
    """
    resources = [
        f"{prefix}{kind}/{request[name]}"
        for name, kind in _SAGEMAKER.items()
        if request.get(name) and not operation.startswith("List")
    ]
    if operation.startswith("Create"):
        # What is created; the other names are only in its content, except for a new endpoint.
        made = operation.removeprefix("Create")
        resources = [one for one in resources if made == "Endpoint" or _creates(made, one, prefix)]
    if _EXPERIMENT.fullmatch(operation) and request.get("Name"):
        resources = [f"{prefix}inference-experiment/{request['Name']}"]
    if _PACKAGE.fullmatch(operation):
        # DescribeModelPackage takes the ARN as the name.
        resources = [request.get("ModelPackageArn") or request.get("ModelPackageName") or "*"]
    if request.get("ResourceArn"):
        resources = [request["ResourceArn"]]
    for resource in resources or ["*"]:
        yield Authorization(f"sagemaker:{operation}", resource)
    if operation.startswith("Create"):
        if request.get("Tags"):
            yield Authorization("sagemaker:AddTags", resources[0] if resources else "*")
        for role in filter(None, map(request.get, _ROLES)):
            yield Authorization("iam:PassRole", role, {"iam:PassedToService": "sagemaker.amazonaws.com"})


def cloudwatch_authorizations(
    operation: str, request: Mapping[str, Any], *, prefix: str
) -> Iterator[Authorization]:
    """Yield what a call of CloudWatch needs; *prefix* as for SageMaker."""
    action = f"cloudwatch:{operation}"
    names: list[str] = []
    shows_composite = "CompositeAlarm" in (request.get("AlarmTypes") or ())
    if _OF_ONE_ALARM.fullmatch(operation):
        names = [request.get("AlarmName") or "*"]
    elif operation in _OF_ALARMS and not shows_composite:
        names = list(request.get("AlarmNames") or ["*"])
    for name in names:
        yield Authorization(action, f"{prefix}alarm:{name}")
    if not names:
        namespace = request.get("Namespace") if operation == "PutMetricData" else None
        context = {"cloudwatch:namespace": namespace} if namespace else {}
        yield Authorization(action, request.get("ResourceARN") or "*", context)


def s3_authorizations(method: str, path: str, host: str) -> Iterator[Authorization]:
    """Yield what a request to S3 needs; nothing for what is not about a bucket or an object."""
    virtual, _, rest = host.partition(".localhost")
    whole = f"{virtual}{path}" if rest or host.endswith(".localhost") else path.lstrip("/")
    bucket, _, key = whole.partition("/")
    action = (_S3_OBJECT if key else _S3_BUCKET).get(method)
    if bucket and action:
        yield Authorization(f"s3:{action}", f"arn:aws:s3:::{bucket}{'/' if key else ''}{key}")


def iam_authorizations(
    operation: str, request: Mapping[str, list[str]], *, account: str
) -> Iterator[Authorization]:
    """Yield what a call of IAM needs; GetRole and SimulatePrincipalPolicy are limited. A role has no path."""
    if operation == "GetRole":
        for name in request["RoleName"]:
            yield Authorization("iam:GetRole", f"arn:aws:iam::{account}:role/{name}")
    if operation == "SimulatePrincipalPolicy":
        for principal in request["PolicySourceArn"]:
            yield Authorization("iam:SimulatePrincipalPolicy", principal)


def _creates(made: str, resource: str, prefix: str) -> bool:
    kind = resource.removeprefix(prefix).partition("/")[0]
    return kind.replace("-", "") == made.lower()
