"""
The last line of a task's log: what the error says, without our traceback.

Airflow logs a traceback of several frames below the error of every failed task. For an outcome, such as a
rollback, nobody needs it, and it hides the line that says what happened.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

from airflow_guardrails.exceptions import GuardrailsError, UnexpectedAnswer

# What the task runner of Airflow 3.1 to 3.3 logs with the error that ended a task.
_TASK_FAILED = "Task failed with exception"
# Only the place in the code explains these.
_NEEDS_TRACEBACK = (UnexpectedAnswer,)


def end_log_with_error_text() -> None:
    """
    Let the log of a task that fails with an error of this package end with the text of that error.

    All other errors keep their traceback, and so do those of this package that suggest a bug. The error
    itself stays as it is, for retries, callbacks and listeners.

    Airflow has no documented way for this. If it does not work any more, the normal traceback is logged.
    """
    try:
        import structlog  # noqa: PLC0415 - only a running task has use for it

        # The list in use, not a copy. Loggers that exist already hold the same one.
        processors: Any = structlog.get_config()["processors"]
        if _replace_traceback not in processors:
            processors.insert(0, _replace_traceback)
    except Exception:  # noqa: BLE001, S110 - whatever has changed in structlog, the task must run
        pass


def _replace_traceback(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the traceback of an error of this package by its text; a processor of structlog."""
    try:
        error = _error_of(event.get("exc_info"))
        if event.get("event") != _TASK_FAILED or not isinstance(error, GuardrailsError):
            return event
        text = str(error).strip()
        if not text or isinstance(error, _NEEDS_TRACEBACK):
            return event
        without = {key: value for key, value in event.items() if key != "exc_info"}
        return {**without, "event": text, "error": type(error).__name__}
    except Exception:  # noqa: BLE001 - an error here would cost the log its last line
        return event


def _error_of(exc_info: object) -> object:
    """Return the error in *exc_info*, which may be True, an error, or what ``sys.exc_info()`` returns."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1]
    return sys.exc_info()[1] if exc_info else None
