"""
Stop what a task has begun once somebody marks the task failed, and in no other case.

Airflow also kills a task that is cleared, whose worker is evicted, or whose triggerer has lost its triggers.
Only its state tells these apart: ``failed`` is a request to stop. ``docs/killing.md`` has the whole rule.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import UnexpectedAnswer, is_conflict, is_passing, text_for_people
from airflow_guardrails.domain.rollout.messages import when_an_abort_acts
from airflow_guardrails.domain.rollout.state import Rollout
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.abort_switch import THROWN, AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentLook, Phase

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks._effects import RolloutCalls, ShadowCalls
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# A killed worker has about 5 s before SIGKILL, so it looks often whether it is killed.
SLICE_SECONDS = 0.5

# A slice that takes so long shows that the worker stood still, and Airflow may have given it up by then. It
# kills such a worker at its next heartbeat, well within the seconds of doubt.
STALL_SECONDS = 10.0
DOUBT_SECONDS = 120.0

# The XCom that says which try of a task waits, and whether in the triggerer.
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
    The kill of a task in a worker: noticed between two slices of its sleep, and acted on there.

    ``on_kill`` runs inside a signal handler, wherever the task happens to be, so it sets *asked* and nothing
    else.
    """

    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, log: Any) -> None:
        self.asked = False
        self._log = log
        self._doubted_until = 0.0
        self._stop: Callable[[], None] | None = None
        self._task_instance: Any = None
        self._decided = False

    def stops_by(self, stop: Callable[[], None], *, task_instance: Any) -> None:
        """From now on, *stop* is called if the task is marked failed; at once if that has happened."""
        self._stop = stop
        self._task_instance = task_instance
        self.notice()

    def sleep(self, seconds: float, sleep: Callable[[float], object]) -> None:
        while seconds > 0:
            began = self.monotonic()
            sleep(min(SLICE_SECONDS, seconds))
            seconds -= SLICE_SECONDS
            if (now := self.monotonic()) - began > STALL_SECONDS:
                self._doubted_until = now + DOUBT_SECONDS
            self.notice()

    def notice(self) -> None:
        """Stop what was begun, if the task has been marked failed since the last time."""
        if not self.asked or self._decided or self._stop is None:
            return
        self._decided = True
        if self._is_marked_failed():
            try:
                self._stop()
            except (ClientError, BotoCoreError, UnexpectedAnswer) as error:
                # What may pass is tried again after the next slice.
                self._decided = not is_passing(error)
                self._log.warning(NOT_STOPPED, error)

    def _is_marked_failed(self) -> bool:
        if self.monotonic() < self._doubted_until:
            # A task without retries is ``failed`` then, and nobody has marked it.
            self._log.info(LEFT_ALONE, "Killed after the worker stood still: Airflow may have given it up")
            return False
        try:
            state = self._state()
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, there is no proof then
            state = f"not to be found out ({type(error).__name__})"
        if state != FAILED:
            self._log.info(LEFT_ALONE, f"Killed, and Airflow says this task is {state}")
        return state == FAILED

    def _state(self) -> str | None:
        task_instance = self._task_instance
        if task_instance is None:
            return None
        return only_state(task_instance.get_task_states(**states_query(task_instance)), task_instance.run_id)


def abort_rollout(hook: GuardrailsHook, rollout: Rollout, log: Any) -> None:
    """Throw the abort switch, if that stops this rollout and nothing else."""
    look = hook.look(rollout.endpoint_name)
    if switch := _switch_to_throw(look, rollout, log):
        hook.set_switch(switch, THROWN)
        log.warning(_THROWN, when_an_abort_acts(look, rollout.guardrails))


async def abort_rollout_async(
    rollout: Rollout, calls: RolloutCalls, log: Any, *, still_wanted: Callable[[], Awaitable[bool]]
) -> None:
    """
    Do as :func:`abort_rollout` does, on an event loop.

    :param still_wanted: asked right before the switch is thrown.
    """
    look = await calls.look(rollout.endpoint_name)
    switch = _switch_to_throw(look, rollout, log)
    if switch and await still_wanted():
        await calls.set_switch(switch, THROWN)
        log.warning(_THROWN, when_an_abort_acts(look, rollout.guardrails))


def stop_test(hook: GuardrailsHook, name: str, log: Any) -> None:
    """Stop the shadow test, if it is not over; production stays as it is."""
    if look := _under_way(hook.look_at_experiment(name), log):
        with _saying_whether_it_stops(look, log):
            hook.stop_experiment(look, Action.KEEP_PRODUCTION, state="Cancelled", reason=_KILLED)


async def stop_test_async(
    name: str, calls: ShadowCalls, log: Any, *, still_wanted: Callable[[], Awaitable[bool]]
) -> None:
    """
    Do as :func:`stop_test` does, on an event loop.

    :param still_wanted: asked right before the test is stopped.
    """
    look = _under_way(await calls.look_at_experiment(name), log)
    if look and await still_wanted():
        with _saying_whether_it_stops(look, log):
            await calls.stop_experiment(look, Action.KEEP_PRODUCTION, state="Cancelled", reason=_KILLED)


NOT_STOPPED = "The task was marked failed, but what it began could not be stopped: %s"
_KILLED = "The Airflow task that made this test was marked failed"
_STOPPED = "The task was marked failed: shadow test %s is being stopped, and production stays as it is"
_GOES_ON = (
    "The task was marked failed, but shadow test %s, which is %s, takes no stop now: stop it by hand (%s)"
)
_THROWN = "The task was marked failed: the abort switch is thrown; %s"


def _switch_to_throw(look: EndpointLook, rollout: Rollout, log: Any) -> AbortSwitch | None:
    refusal = rollout.why_not_abort(look)
    if refusal is not None:
        log.warning("The task was marked failed, but the rollout is not aborted: %s", refusal)
        return None
    return rollout.switch


def _under_way(look: ExperimentLook, log: Any) -> Experiment | None:
    if isinstance(look, Experiment) and not (look.phase.over or look.phase is Phase.STOPPING):
        return look
    log.info("The task was marked failed, and its shadow test is over already, or stopping")
    return None


@contextmanager
def _saying_whether_it_stops(look: Experiment, log: Any) -> Iterator[None]:
    """A test that is being created, started or updated takes no stop, and a kill has no time to wait."""
    try:
        yield
    except ClientError as error:
        if not is_conflict(error):
            raise
        log.warning(_GOES_ON, look.name, look.status.value, text_for_people(error))
    else:
        log.warning(_STOPPED, look.name)


def states_query(task_instance: Any) -> dict[str, Any]:
    """Return the arguments that ask Airflow for the state of this task instance and no other."""
    mapped = task_instance.map_index is not None and task_instance.map_index >= 0
    return {
        "dag_id": task_instance.dag_id,
        "run_ids": [task_instance.run_id],
        "task_ids": [task_instance.task_id],
        "map_index": task_instance.map_index if mapped else None,
    }


def only_state(states: Any, run_id: str) -> str | None:
    """Return the state in Airflow's answer to :func:`states_query`; None where there is none."""
    found = set((states or {}).get(run_id, {}).values())
    return str(found.pop()) if len(found) == 1 else None
