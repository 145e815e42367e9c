"""Names for resources that a task creates, the same in every try of it and in no other task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_guardrails.domain.arguments import LONGEST_NAME, SAGEMAKER_NAME
from airflow_guardrails.exceptions import InvalidArgument

_DIGITS = 12


def guarded_name(prefix: str, context: Mapping[str, Any], content: Any) -> str:
    """
    Name a SageMaker resource after the task instance that makes it and what it holds.

    The same task instance with the same content gets the same name in every try, so a retry finds what the
    first try made. Other content, another run or another mapped instance gets another name.

    :param prefix: how the name begins, letters, digits and single hyphens between; cut to fit 63 characters.
    :param context: Airflow's context of the running task.
    :param content: what the resource holds: text, bytes, or what JSON can write down.
    :raises InvalidArgument: if *prefix* cannot begin a SageMaker name.
    """
    if not SAGEMAKER_NAME.fullmatch(prefix):
        raise InvalidArgument(
            f"prefix must be letters and digits, with hyphens only between them (got {prefix!r})"
        )
    digest = hashlib.sha256(_identity(context) + b"\x00" + _written(content)).hexdigest()[:_DIGITS]
    return f"{prefix[: LONGEST_NAME - _DIGITS - 1].rstrip('-')}-{digest}"


def _identity(context: Mapping[str, Any]) -> bytes:
    task_instance = context["ti"]
    parts = (task_instance.dag_id, task_instance.run_id, task_instance.task_id, str(task_instance.map_index))
    return "\x00".join(parts).encode()


def _written(content: Any) -> bytes:
    if isinstance(content, bytes):
        return b"bytes " + content
    return b"json " + json.dumps(content, sort_keys=True, default=str).encode()
