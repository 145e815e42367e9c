"""Rules that a DAG author wrote as dicts."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.exceptions import InvalidArgument


def built(kind: Any, rule: Any) -> Any:
    """:raises InvalidArgument: if *rule* is neither of that *kind* nor a dict of its arguments."""
    if isinstance(rule, kind):
        return rule
    try:
        return kind(**rule)
    except (TypeError, GuardrailsValueError) as error:
        raise InvalidArgument(f"{kind.__name__} cannot be built from {rule!r}: {error}") from error
