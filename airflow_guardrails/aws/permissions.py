"""Which action AWS did not allow, and on what."""

from __future__ import annotations

import re

from botocore.exceptions import ClientError

from airflow_guardrails.aws.errors import is_access_denied, text_of

# "User: arn:... is not authorized to perform: sagemaker:UpdateEndpoint on resource: arn:... because ..."
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:\w+)")
_RESOURCE = re.compile(r"on (?:the )?resource:? \"?([^\s\"]+)")

# Actions whose name is not that of the operation, or whose service is not SageMaker.
_ACTIONS = {
    "AssumeRole": "sts:AssumeRole",
    "DeleteAlarms": "cloudwatch:DeleteAlarms",
    "DescribeAlarmHistory": "cloudwatch:DescribeAlarmHistory",
    "DescribeAlarms": "cloudwatch:DescribeAlarms",
    "GetCallerIdentity": "sts:GetCallerIdentity",
    "GetMetricData": "cloudwatch:GetMetricData",
    "GetMetricStatistics": "cloudwatch:GetMetricStatistics",
    "GetObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "PutMetricAlarm": "cloudwatch:PutMetricAlarm",
    "PutMetricData": "cloudwatch:PutMetricData",
}


def denied_action(error: BaseException) -> str | None:
    """Return the IAM action that AWS did not allow, for example ``sagemaker:UpdateEndpoint``, or None."""
    if not isinstance(error, ClientError) or not is_access_denied(error):
        return None
    # A call may need more than its own action: iam:PassRole, or sagemaker:AddTags.
    if found := _ACTION.search(text_of(error)):
        return found[1]
    return _ACTIONS.get(error.operation_name, f"sagemaker:{error.operation_name}")


def denied_resource(error: ClientError) -> str | None:
    """Return the ARN that the action was not allowed on, where AWS says it."""
    found = _RESOURCE.search(text_of(error))
    return found[1] if found else None


def denial(error: BaseException) -> dict[str, str]:
    """Return what a trigger's event says of a denied call besides its text: ``denied``, the action."""
    action = denied_action(error)
    return {"denied": action} if action else {}
