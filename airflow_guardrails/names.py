"""Names for resources that a task creates: equal in every try of the task, and different in other tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.arguments import LONGEST_NAME, SAGEMAKER_NAME
from airflow_guardrails.exceptions import InvalidArgument

# Hex digits of SHA-256, which are 48 bits.
_DIGITS = 12
# Characters of a prefix that fit before the hyphen and the digits.
LONGEST_PREFIX = LONGEST_NAME - _DIGITS - 1


def guarded_name(prefix: str, context: Mapping[str, Any], content: Any) -> str:
    """
    Return a name for a SageMaker resource, from the task instance that creates it and its content.

    The same task instance with the same content gets the same name in every try, so a retry finds the
    resource of the first try. Other content, another run or another mapped instance gets another name.

    :param prefix: beginning of the name: letters, digits, and hyphens between them. It is cut so that the
        name has at most 63 characters.
    :param context: Airflow's context of the running task.
    :param content: content of the resource: text, bytes, or a value that JSON can represent.
    :raises InvalidArgument: if a SageMaker name cannot begin with *prefix*.
    """
    if not SAGEMAKER_NAME.fullmatch(prefix):
        raise InvalidArgument(
            f"prefix must be letters and digits, with hyphens only between them (got {prefix!r})"
        )
    digest = hashlib.sha256(_identity(context) + b"\x00" + _as_bytes(content)).hexdigest()[:_DIGITS]
    return f"{prefix[:LONGEST_PREFIX].rstrip('-')}-{digest}"


def _identity(context: Mapping[str, Any]) -> bytes:
    task_instance = context["ti"]
    # They are joined by a null byte, which no ID contains, so different parts never give the same text.
    parts = (task_instance.dag_id, task_instance.run_id, task_instance.task_id, str(task_instance.map_index))
    return "\x00".join(parts).encode()


def _as_bytes(content: Any) -> bytes:
    # The first word keeps bytes apart from a JSON value with the same bytes.
    if isinstance(content, bytes):
        return b"bytes " + content
    return b"json " + json.dumps(content, sort_keys=True, default=str).encode()
