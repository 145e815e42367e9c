"""Who the caller is, and what its policies allow: what STS and IAM answer, as moto does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from moto.iam.models import iam_backends

from airflow_guardrails.simulator.engine.access import Authorization

if TYPE_CHECKING:
    from airflow_guardrails.simulator.engine.access import Access

_ROLE = re.compile(r"assumed-role/([^/]+)/")


def caller_identity(access: Access, *, account: str) -> str:
    """Return the response of GetCallerIdentity."""
    fields = {"Arn": access.caller, "UserId": "AROAEXAMPLE:task", "Account": account}
    return _response("GetCallerIdentity", "https://sts.amazonaws.com/doc/2011-06-15/", fields)


def simulated_policy(
    access: Access, request: Mapping[str, list[str]], *, access_key: str | None, account: str
) -> tuple[int, str]:
    """
    Return status and response of SimulatePrincipalPolicy: what the policies of the caller allow.

    The caller's role has a path if it was created in IAM with one.
    """
    principal = request["PolicySourceArn"][0]
    if principal != _principal_of(access.caller, account=account):
        text = f"The role with name {principal.rpartition('/')[2]} cannot be found."
        error = f"<Error><Code>NoSuchEntity</Code><Message>{escape(text)}</Message></Error>"
        return 404, f"<ErrorResponse>{error}</ErrorResponse>"
    context = {
        key: request[f"{name.removesuffix('ContextKeyName')}ContextKeyValues.member.1"][0]
        for name, (key, *_) in request.items()
        if name.endswith(".ContextKeyName")
    }
    results = []
    for action in _members(request, "ActionNames"):
        for resource in _members(request, "ResourceArns") or ["*"]:
            word, missing = access.decision(Authorization(action, resource, context), access_key=access_key)
            results.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": word,
                    "MissingContextValues": list(missing),
                }
            )
    fields = {"EvaluationResults": results, "IsTruncated": "false"}
    return 200, _response("SimulatePrincipalPolicy", "https://iam.amazonaws.com/doc/2010-05-08/", fields)


def _principal_of(caller: str, *, account: str) -> str:
    """Return the ARN of the role, with its path, or of the user."""
    found = _ROLE.search(caller)
    if found is None:
        return caller
    roles = {role.name: role.arn for role in iam_backends[account]["aws"].get_roles()}
    return str(roles.get(found[1], f"arn:aws:iam::{account}:role/{found[1]}"))


def _members(request: Mapping[str, list[str]], name: str) -> list[str]:
    return [values[0] for key, values in request.items() if key.startswith(f"{name}.member.")]


def _response(operation: str, namespace: str, fields: Mapping[str, object]) -> str:
    response = ET.Element(f"{operation}Response", xmlns=namespace)
    _fill(ET.SubElement(response, f"{operation}Result"), fields)
    return ET.tostring(response, encoding="unicode")


def _fill(element: ET.Element, value: object) -> None:
    if isinstance(value, Mapping):
        for name, part in value.items():
            _fill(ET.SubElement(element, name), part)
    elif isinstance(value, list):
        for part in value:
            _fill(ET.SubElement(element, "member"), part)
    else:
        element.text = str(value)
