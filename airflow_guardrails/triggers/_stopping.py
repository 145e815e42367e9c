"""
What a cancelled trigger may still do: ask Airflow why it was cancelled, and stop what its task has begun.

The triggerer cancels a trigger whose task was marked failed, but also one whose task was cleared, marked
success, timed out or handed to another triggerer. Until the trigger has ended, it cancels it again about
every second. Airflow 3.3 calls ``on_kill`` only after that, and cancels it within a second, too; older ones
do not call it. So all of this is done while the cancelled ``run()`` is still running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from airflow_guardrails.hooks._cancellation import FAILED, TRY_KEY, is_deferred_try, only_state, states_query
from airflow_guardrails.triggers._bounds import without_cancelling

# A triggerer that has just started takes up to 6 s for its first answer. Seconds.
LONGEST_ANSWER = 20.0

# The loop itself keeps only weak references to its tasks.
_UNDER_WAY: set[asyncio.Task[None]] = set()


class NoAnswer(Exception):
    """Airflow did not say what it was asked; the text says why."""


async def finish(work: Coroutine[Any, Any, None]) -> None:
    """
    Wait until *work* has ended, however often the caller is cancelled meanwhile.

    A triggerer that shuts down cancels all tasks of its loop; then *work* ends too, if it had begun before.
    """
    task = asyncio.ensure_future(work)
    _UNDER_WAY.add(task)
    task.add_done_callback(_UNDER_WAY.discard)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)


async def why_not_stop(task_instance: Any) -> str | None:
    """
    Say why nothing is to be stopped; None if somebody marked this very try failed while it was deferred.

    The state alone is no proof: it is ``failed`` also where the task was cleared, and its new try has failed.
    """
    try:
        state = await _state(task_instance)
        if state != FAILED:
            return f"Airflow says this task is {state}"
        mark = await _mark(task_instance)
    except NoAnswer as error:
        return f"Airflow does not say what became of this task ({error})"
    if not is_deferred_try(mark, task_instance.try_number):
        return (
            f"this task is {FAILED}, but XCom {TRY_KEY} must say that try {task_instance.try_number} is "
            f"deferred (got {mark!r})"
        )
    return None


async def _state(task_instance: Any) -> str | None:
    from airflow.sdk.execution_time.comms import GetTaskStates  # noqa: PLC0415 - only in a triggerer

    answer = await _ask(GetTaskStates(**states_query(task_instance)))
    return only_state(getattr(answer, "task_states", {}), task_instance.run_id)


async def _mark(task_instance: Any) -> Any:
    from airflow.sdk.execution_time.comms import GetXCom  # noqa: PLC0415 - only in a triggerer

    question = GetXCom(
        key=TRY_KEY,
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index,
    )
    answer = await _ask(question)
    value = getattr(answer, "value", None)
    return value if value is None or isinstance(value, Mapping) else await _kept_elsewhere(answer)


async def _kept_elsewhere(answer: Any) -> Any:
    """Read an XCom that a backend of the user's own has stored in its own way."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415 - only in a triggerer

    reading = asyncio.to_thread(XCom.deserialize_value, answer)
    try:
        return await without_cancelling(reading, within=LONGEST_ANSWER)
    except Exception as error:
        raise NoAnswer(f"XCom {TRY_KEY}: {type(error).__name__}: {error}") from error


async def _ask(question: Any) -> Any:
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - only in a triggerer

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    # Once a triggerer of Airflow 3.2 or newer shuts down, nobody reads its supervisor's answers any more.
    reader = getattr(comms, "_reader_task", None)
    if comms is None or (reader is not None and reader.done()):
        raise NoAnswer("the triggerer is shutting down")
    try:
        return await without_cancelling(comms.asend(question), within=LONGEST_ANSWER)
    except asyncio.TimeoutError:
        raise NoAnswer(f"no answer within {LONGEST_ANSWER:g} s") from None
    except Exception as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error
