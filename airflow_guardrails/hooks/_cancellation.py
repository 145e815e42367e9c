"""
Stop an update or a shadow test when somebody marks its task failed, and in no other case.

Airflow also kills a task that is cleared, whose worker is evicted, or whose triggerer has lost its triggers.
Only the task's state tells them apart: ``failed`` is a request to stop. ``docs/killing.md`` has the rule.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import UnexpectedAnswer, is_conflict, is_passing, text_for_people
from airflow_guardrails.domain.rollout.state import Rollout
from airflow_guardrails.domain.rollout.stopping import when_an_abort_acts
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.abort_switch import THROWN, AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentLook, Phase

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file can do without.
    from airflow_guardrails.hooks._effects import RolloutCalls, ShadowCalls
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# A killed worker has about 5 s before SIGKILL, so it checks often.
SLICE_SECONDS = 0.5

# A slice of sleep that took this long shows that the worker was frozen. Airflow itself may have marked its
# task failed then, and kills such a worker at the next heartbeat, within the seconds below.
_FROZEN_SECONDS = 10.0
_DOUBT_SECONDS = 120.0

# The XCom that says which try of a task waits, and whether it waits in the triggerer.
TRY_KEY = "rollout_try"

FAILED = "failed"
LEFT_ALONE = "%s: nothing is stopped"


def try_mark(try_number: int, *, deferred: bool) -> dict[str, Any]:
    """Return the value of XCom ``rollout_try``."""
    return {"try_number": try_number, "deferred": deferred}


def is_deferred_try(mark: Any, try_number: int) -> bool:
    """
    Return whether XCom ``rollout_try`` says that this try is deferred and has not been resumed since.

    Airflow deletes a task's XComs when its next try starts. A resumed try marks itself before it does
    anything else, so a task that is ``failed`` and still deferred here did not fail by itself.
    """
    return isinstance(mark, Mapping) and mark.get("try_number") == try_number and mark.get("deferred") is True


class KillableSleep:
    """
    A sleep for tasks in a worker that checks twice a second whether Airflow kills the task.

    Airflow calls ``on_kill`` in a signal handler, at any point of the task's code, where no call to AWS is
    safe. So ``on_kill`` only sets *killed*, and this class acts on it between two slices of sleep.
    """

    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, log: Any) -> None:
        self.killed = False
        self._log = log
        self._doubted_until = 0.0
        self._stop: Callable[[], None] | None = None
        self._task_instance: Any = None
        self._decided = False

    def set_stop(self, stop: Callable[[], None], *, task_instance: Any) -> None:
        """Call *stop* if the task is marked failed, from now on; at once if that has happened already."""
        self._stop = stop
        self._task_instance = task_instance
        self.stop_if_marked_failed()

    def sleep(self, seconds: float, sleep: Callable[[float], object]) -> None:
        """Sleep so many seconds with *sleep*, in slices, and check after each slice."""
        while seconds > 0:
            began = self.monotonic()
            sleep(min(SLICE_SECONDS, seconds))
            seconds -= SLICE_SECONDS
            if (now := self.monotonic()) - began > _FROZEN_SECONDS:
                self._doubted_until = now + _DOUBT_SECONDS
            self.stop_if_marked_failed()

    def stop_if_marked_failed(self) -> None:
        """Call *stop*, once, if the task was killed because somebody marked it failed."""
        if not self.killed or self._decided or self._stop is None:
            return
        self._decided = True
        if self._is_marked_failed():
            try:
                self._stop()
            except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
                # A temporary error: try again after the next slice.
                self._decided = not is_passing(error)
                self._log.warning(NOT_STOPPED, error)

    def _is_marked_failed(self) -> bool:
        if self.monotonic() < self._doubted_until:
            # Airflow itself sets a task without retries to ``failed`` then; nobody has marked it.
            self._log.info(LEFT_ALONE, "Killed after the worker was frozen: Airflow may have given it up")
            return False
        try:
            state = self._state()
        except Exception as error:  # noqa: BLE001 - without the state there is no proof
            self._log.info(LEFT_ALONE, f"Killed, and the task's state is unknown ({type(error).__name__})")
            return False
        if state != FAILED:
            self._log.info(LEFT_ALONE, f"Killed, and Airflow says this task is {state}")
        return state == FAILED

    def _state(self) -> str | None:
        task_instance = self._task_instance
        if task_instance is None:
            return None
        states = task_instance.get_task_states(**task_states_query(task_instance))
        return single_state(states, task_instance.run_id)


def abort_rollout(hook: GuardrailsHook, rollout: Rollout, log: Any) -> None:
    """Throw the abort switch, if that rolls back this rollout and no other update."""
    look = hook.describe_endpoint(rollout.endpoint_name)
    if switch := _switch_to_throw(look, rollout, log):
        hook.set_abort_switch(switch, THROWN)
        log.warning(_THROWN, when_an_abort_acts(look, rollout.guardrails))


async def abort_rollout_async(
    rollout: Rollout, calls: RolloutCalls, log: Any, *, still_requested: Callable[[], Awaitable[bool]]
) -> datetime | None:
    """
    Do the same as :func:`abort_rollout`, on an event loop; return when the switch was thrown, or None.

    :param still_requested: called right before the switch is thrown; False: leave the rollout alone.
    """
    look = await calls.describe_endpoint(rollout.endpoint_name)
    switch = _switch_to_throw(look, rollout, log)
    if switch and await still_requested():
        await calls.set_abort_switch(switch, THROWN)
        log.warning(_THROWN, when_an_abort_acts(look, rollout.guardrails))
        return look.seen_at
    return None


def stop_test(hook: GuardrailsHook, name: str, log: Any) -> None:
    """Stop the shadow test, unless it has ended; production stays as it is."""
    if look := _running_test(hook.describe_inference_experiment(name), log):
        # Cancelled and not Completed, so that the judge refuses the data of a test that was cut short.
        with _log_whether_it_stops(look, log):
            hook.stop_inference_experiment(look, Action.KEEP_PRODUCTION, state="Cancelled", reason=_REASON)


async def stop_test_async(
    name: str, calls: ShadowCalls, log: Any, *, still_requested: Callable[[], Awaitable[bool]]
) -> None:
    """
    Do the same as :func:`stop_test`, on an event loop.

    :param still_requested: called right before the test is stopped; False: leave the test alone.
    """
    look = _running_test(await calls.describe_inference_experiment(name), log)
    if look and await still_requested():
        with _log_whether_it_stops(look, log):
            await calls.stop_inference_experiment(
                look, Action.KEEP_PRODUCTION, state="Cancelled", reason=_REASON
            )


NOT_STOPPED = "Task was marked failed, but what it started could not be stopped: %s"
_REASON = "The Airflow task that created this test was marked failed"
_STOPPING = "Task was marked failed: stopping shadow test %s; production stays as it is"
_CANNOT_STOP = (
    "Task was marked failed, but shadow test %s is %s and cannot be stopped now: stop it by hand (%s)"
)
_THROWN = "Task was marked failed: abort switch thrown; %s"


def _switch_to_throw(look: EndpointLook, rollout: Rollout, log: Any) -> AbortSwitch | None:
    refusal = rollout.why_not_abort(look)
    if refusal is not None:
        log.warning("Task was marked failed, but the rollout is not aborted: %s", refusal)
        return None
    return rollout.switch


def _running_test(look: ExperimentLook, log: Any) -> Experiment | None:
    if isinstance(look, Experiment) and not (look.phase.over or look.phase is Phase.STOPPING):
        return look
    log.info("Task was marked failed: its shadow test has ended already, or is stopping")
    return None


@contextmanager
def _log_whether_it_stops(look: Experiment, log: Any) -> Iterator[None]:
    """Log the result of the stop. A test that is being created, started or updated cannot be stopped."""
    try:
        yield
    except ClientError as error:
        if not is_conflict(error):
            raise
        log.warning(_CANNOT_STOP, look.name, look.status.value, text_for_people(error))
    else:
        log.warning(_STOPPING, look.name)


def task_states_query(task_instance: Any) -> dict[str, Any]:
    """Return the arguments of Airflow's ``get_task_states`` for this task instance only."""
    # Airflow gives -1 to a task that is not mapped. The query has None for that.
    mapped = task_instance.map_index is not None and task_instance.map_index >= 0
    return {
        "dag_id": task_instance.dag_id,
        "run_ids": [task_instance.run_id],
        "task_ids": [task_instance.task_id],
        "map_index": task_instance.map_index if mapped else None,
    }


def single_state(states: Any, run_id: str) -> str | None:
    """Return the state in Airflow's answer to :func:`task_states_query`; None if it has not exactly one."""
    found = set((states or {}).get(run_id, {}).values())
    return str(found.pop()) if len(found) == 1 else None
