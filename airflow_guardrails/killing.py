"""
Stopping what a task has begun when a person has killed the task, and nobody else.

Airflow calls ``on_kill`` also when a task is cleared, a worker evicted or a triggerer has lost its triggers.
So what Airflow says of the task instance decides: only ``failed`` is somebody's wish to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws.errors import is_conflict, text_for_people
from airflow_guardrails.domain.abort_switch import THROWN, AbortSwitch
from airflow_guardrails.domain.endpoint import EndpointLook
from airflow_guardrails.domain.experiment import Experiment, ExperimentLook, Phase
from airflow_guardrails.domain.rollout import Rollout
from airflow_guardrails.domain.shadow_stop import Action

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.driving import RolloutCalls, ShadowCalls
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# A killed worker has about 5 s before SIGKILL.
SLICE_SECONDS = 0.5


class Kill:
    """
    A worker's wait that may be killed.

    ``on_kill`` runs inside a signal handler, wherever the task happens to be; it only sets *asked*. The wait
    notices between two slices of its sleep, and acts there.

    :param stop: what a person's wish is to bring about.
    """

    def __init__(self, stop: Callable[[], None], *, task_instance: Any, log: Any) -> None:
        self.asked = False
        self._done = False
        self._stop = stop
        self._task_instance = task_instance
        self._log = log

    def sleep(self, seconds: float, sleep: Callable[[float], object]) -> None:
        while seconds > 0:
            sleep(min(SLICE_SECONDS, seconds))
            seconds -= SLICE_SECONDS
            if self.asked and not self._done:
                self._done = True
                if _is_a_wish(self._state(), "Killed", self._log):
                    self._stop()

    def _state(self) -> str | None:
        task_instance = self._task_instance
        if task_instance is None:
            return None
        states = task_instance.get_task_states(**_query(task_instance))
        return _only_state(states, task_instance.run_id)


def abort_rollout(hook: GuardrailsHook, rollout: Rollout, log: Any) -> None:
    """Throw the abort switch, if that hits this rollout and nothing else."""
    look = hook.look(rollout.endpoint_name)
    if _would_hit(look, rollout, log):
        hook.set_switch(AbortSwitch(endpoint_name=look.name), THROWN)
        log.warning(_THROWN)


def stop_test(hook: GuardrailsHook, name: str, log: Any) -> None:
    """Stop the shadow test, if it is not over; production stays as it is."""
    if look := _under_way(hook.look_at_experiment(name), log):
        with _saying_whether_it_stops(look, log):
            hook.stop_experiment(look, Action.KEEP_PRODUCTION, state="Cancelled", reason=_KILLED)


async def abort_if_failed(rollout: Rollout, calls: RolloutCalls, task_instance: Any, log: Any) -> None:
    """The same from a trigger, whose ``on_kill`` may await."""
    if not _is_a_wish(await _state_async(task_instance), "Cancelled", log):
        return
    look = await calls.look(rollout.endpoint_name)
    if _would_hit(look, rollout, log):
        await calls.set_switch(AbortSwitch(endpoint_name=look.name), THROWN)
        log.warning(_THROWN)


async def stop_if_failed(name: str, calls: ShadowCalls, task_instance: Any, log: Any) -> None:
    """Do as :func:`stop_test` does, from a trigger."""
    if not _is_a_wish(await _state_async(task_instance), "Cancelled", log):
        return
    if look := _under_way(await calls.look_at_experiment(name), log):
        with _saying_whether_it_stops(look, log):
            await calls.stop_experiment(look, Action.KEEP_PRODUCTION, state="Cancelled", reason=_KILLED)


_KILLED = "The Airflow task that made this test was marked failed"
_STOPPED = "The task was marked failed: shadow test %s is being stopped, and production stays as it is"
_GOES_ON = (
    "The task was marked failed, but shadow test %s, which is %s, takes no stop now: stop it by hand (%s)"
)
_THROWN = "The task was marked failed: the abort switch is thrown, and acts at the next bake"


def _is_a_wish(state: str | None, what_happened: str, log: Any) -> bool:
    if state == "failed":
        return True
    log.info("%s, and Airflow says this task is %s: nothing is stopped", what_happened, state)
    return False


def _would_hit(look: EndpointLook, rollout: Rollout, log: Any) -> bool:
    refusal = rollout.why_not_abort(look)
    if refusal is not None:
        log.warning("The task was marked failed, but the rollout is not aborted: %s", refusal)
    return refusal is None


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


async def _state_async(task_instance: Any) -> str | None:
    from airflow.sdk.execution_time.comms import GetTaskStates  # noqa: PLC0415 - only in a triggerer
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415

    answer = await SUPERVISOR_COMMS.asend(GetTaskStates(**_query(task_instance)))
    return _only_state(getattr(answer, "task_states", {}), task_instance.run_id)


def _query(task_instance: Any) -> dict[str, Any]:
    mapped = task_instance.map_index is not None and task_instance.map_index >= 0
    return {
        "dag_id": task_instance.dag_id,
        "run_ids": [task_instance.run_id],
        "task_ids": [task_instance.task_id],
        "map_index": task_instance.map_index if mapped else None,
    }


def _only_state(states: Any, run_id: str) -> str | None:
    found = set((states or {}).get(run_id, {}).values())
    return str(found.pop()) if len(found) == 1 else None
