"""Ask IAM what the policies of a role allow, and read its answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_guardrails.aws.reading import Response, items_of, sections_of, text_of

# The answers that decide. A decision without a value that a condition asks for decides nothing.
_DECISIONS = {"allowed": True, "explicitDeny": False, "implicitDeny": False}


def simulate_request(
    principal: str, action: str, resources: Iterable[str], context: Mapping[str, str]
) -> dict[str, Any]:
    """Return the arguments of SimulatePrincipalPolicy for one action; IAM may refuse to mix actions."""
    entries = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in context.items()
    ]
    request = {"PolicySourceArn": principal, "ActionNames": [action], "ResourceArns": list(resources)}
    return {**request, "ContextEntries": entries} if entries else request


def parse_decisions(pages: Iterable[Response]) -> dict[str, bool | None]:
    """Return resource -> whether the action is allowed on it; None if IAM does not decide that."""
    results = [result for page in pages for result in sections_of(page, "EvaluationResults")]
    return dict(decision for result in results for decision in _decisions(result))


def _decisions(result: Response) -> Iterator[tuple[str, bool | None]]:
    parts = sections_of(result, "ResourceSpecificResults")
    for part in parts or (result,):
        allowed = _DECISIONS.get(text_of(part, "EvalResourceDecision" if parts else "EvalDecision") or "")
        unknown = any(items_of(one, "MissingContextValues") for one in (part, result))
        yield text_of(part, "EvalResourceName") or "*", None if unknown and not allowed else allowed
