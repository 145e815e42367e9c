"""Answers to calls of moto's services that moto would answer wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from airflow_guardrails.simulator.wire.authorization import (
    caller_of,
    iam_authorizations,
    s3_authorizations,
)
from airflow_guardrails.simulator.wire.cloudformation import refused_resources
from airflow_guardrails.simulator.wire.failures import not_implemented
from airflow_guardrails.simulator.wire.identity import caller_identity, simulated_policy
from airflow_guardrails.simulator.world import ACCOUNT_ID

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from airflow_guardrails.simulator.engine.access import Access


def answer_instead_of_moto(
    access: Access, environ: WSGIEnvironment, operation: str, body: bytes
) -> Response | None:
    """
    Return the answer to a call of S3, IAM, STS or CloudFormation that moto must not answer, or None.

    Those are calls that the caller's policies deny, questions about the caller, and templates with resources
    of the simulator.
    """
    access_key, service = caller_of(environ.get("HTTP_AUTHORIZATION", ""))
    if service == "s3":
        return _denied_by_s3(access, environ, access_key=access_key)
    if (service, operation) == ("sts", "GetCallerIdentity"):
        return _xml(200, caller_identity(access, account=ACCOUNT_ID))
    if service == "cloudformation":
        text = refused_resources(operation, parse_qs(body.decode()), account=ACCOUNT_ID)
        return not_implemented(environ, text) if text else None
    if service == "iam":
        return _answer_of_iam(access, operation, parse_qs(body.decode()), access_key=access_key)
    return None


def _denied_by_s3(access: Access, environ: WSGIEnvironment, *, access_key: str | None) -> Response | None:
    if not access.is_limited:
        return None
    host = environ.get("HTTP_HOST", "").partition(":")[0]
    wanted = s3_authorizations(environ["REQUEST_METHOD"], environ["PATH_INFO"], host)
    text = access.refusal(wanted, access_key=access_key)
    return _xml(403, _denial(text)) if text else None


def _answer_of_iam(
    access: Access, operation: str, request: Mapping[str, list[str]], *, access_key: str | None
) -> Response | None:
    if access.is_limited:
        wanted = iam_authorizations(operation, request, account=ACCOUNT_ID)
        if text := access.refusal(wanted, access_key=access_key):
            return _xml(403, f"<ErrorResponse>{_denial(text)}</ErrorResponse>")
    if operation == "SimulatePrincipalPolicy":
        return _xml(*simulated_policy(access, request, access_key=access_key, account=ACCOUNT_ID))
    return None


def _denial(text: str) -> str:
    return f"<Error><Code>AccessDenied</Code><Message>{escape(text)}</Message></Error>"


def _xml(status: int, text: str) -> Response:
    return Response(text, status=status, content_type="application/xml")
