"""
What a cancelled trigger still does: ask Airflow why it was cancelled, and stop what its task has started.

The triggerer cancels a trigger whose task was marked failed, but also one whose task was cleared, marked
success, timed out or handed to another triggerer. It cancels the trigger again about every second, until the
trigger has ended. Airflow 3.3 calls ``on_kill`` only after that, and cancels it within a second, too; older
versions do not call it. So all of this is done while the cancelled ``run()`` is still running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from airflow_guardrails.hooks._cancellation import (
    FAILED,
    TRY_KEY,
    is_deferred_try,
    single_state,
    task_states_query,
)
from airflow_guardrails.triggers._bounds import without_cancelling

# Seconds. A triggerer that has just started takes up to 6 s for its first response.
LONGEST_RESPONSE = 20.0

# The event loop keeps only weak references to its tasks.
_RUNNING: set[asyncio.Task[None]] = set()


class _NoResponse(Exception):
    """Airflow did not respond; the text says why."""


async def finish(work: Coroutine[Any, Any, None]) -> None:
    """
    Wait until *work* has ended, however often the caller is cancelled meanwhile.

    A triggerer that shuts down cancels all tasks of its loop; then *work* ends too, if it has started.
    """
    task = asyncio.ensure_future(work)
    _RUNNING.add(task)
    task.add_done_callback(_RUNNING.discard)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)


async def stop_refusal(task_instance: Any) -> str | None:
    """
    Return why nothing may be stopped; None if somebody marked this try failed while it was deferred.

    The state alone is no proof: it is also ``failed`` if the task was cleared and its new try has failed.
    """
    try:
        state = await _state(task_instance)
        if state != FAILED:
            return f"Airflow says this task is {state}"
        mark = await _try_mark(task_instance)
    except _NoResponse as error:
        return f"no response from Airflow about this task ({error})"
    if not is_deferred_try(mark, task_instance.try_number):
        return (
            f"this task is {FAILED}, but XCom {TRY_KEY} must say that try {task_instance.try_number} is "
            f"deferred (got {mark!r})"
        )
    return None


async def _state(task_instance: Any) -> str | None:
    from airflow.sdk.execution_time.comms import GetTaskStates  # noqa: PLC0415 - only in a triggerer

    response = await _send(GetTaskStates(**task_states_query(task_instance)))
    return single_state(getattr(response, "task_states", {}), task_instance.run_id)


async def _try_mark(task_instance: Any) -> Any:
    from airflow.sdk.execution_time.comms import GetXCom  # noqa: PLC0415 - only in a triggerer

    request = GetXCom(
        key=TRY_KEY,
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index,
    )
    response = await _send(request)
    value = getattr(response, "value", None)
    # Airflow's own backend returns the dict. A custom one returns what it has stored, such as a path.
    return value if value is None or isinstance(value, Mapping) else await _deserialized(response)


async def _deserialized(response: Any) -> Any:
    """Read an XCom that a custom XCom backend has stored."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415 - only in a triggerer

    # In a thread, because a custom backend may do blocking reads.
    reading = asyncio.to_thread(XCom.deserialize_value, response)
    try:
        return await without_cancelling(reading, within=LONGEST_RESPONSE)
    except Exception as error:
        raise _NoResponse(f"XCom {TRY_KEY}: {type(error).__name__}: {error}") from error


async def _send(request: Any) -> Any:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - only in a triggerer

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    # When a triggerer of Airflow 3.2 or newer shuts down, its supervisor's responses are no longer read.
    reader = getattr(comms, "_reader_task", None)
    if comms is None or (reader is not None and reader.done()):
        raise _NoResponse("the triggerer is shutting down")
    try:
        return await without_cancelling(comms.asend(request), within=LONGEST_RESPONSE)
    except asyncio.TimeoutError:
        raise _NoResponse(f"no response within {LONGEST_RESPONSE:g} s") from None
    except Exception as error:
        raise _NoResponse(f"{type(error).__name__}: {error}") from error
