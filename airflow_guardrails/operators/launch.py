"""
The launch of an update, safe against a crash between any two of its calls.

Look, preflight, write the intent, ready the abort switch, look again, ask for the update once. Whatever a
retry finds of an earlier try, it adopts or reports; it does not ask twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.abort_switch import AbortSwitch
from airflow_guardrails.domain.endpoint import Endpoint, EndpointLook
from airflow_guardrails.domain.endpoint_config import EndpointConfig
from airflow_guardrails.domain.findings import Finding
from airflow_guardrails.domain.launching import Move, next_move
from airflow_guardrails.domain.rollout import DEFAULT_GRACE, Outcome, Rollout, Watch
from airflow_guardrails.exceptions import EndpointBusy, UpdateRejected
from airflow_guardrails.operators.aftermath import Aftermath
from airflow_guardrails.operators.checks import check
from airflow_guardrails.operators.intents import IntentStore
from airflow_guardrails.operators.switch import ready_switch
from airflow_guardrails.operators.wishes import Wishes

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


class TargetMaker(Protocol):
    """
    Makes the target of a launch from what the endpoint serves; *warnings* are for the report.
    """

    warnings: list[str]

    def needless(self, look: Endpoint) -> bool:
        """Whether what serves is as it is wanted, so that no update is due."""

    def plan(self, look: Endpoint, *, existing: dict[str, Any] | None) -> EndpointConfig:
        """
        Say what the target will be, or is where it exists, or raise what is in the way; change nothing.
        """

    def make(self) -> dict[str, Any]:
        """Make what was planned, unless it exists; return DescribeEndpointConfig's answer."""


class Launch:
    """
    One launch; :meth:`run` returns the watch over an update that was asked for, adopted, or is over already.

    :param maker: makes the target, where it is not there before.
    """

    def __init__(
        self,
        wishes: Wishes,
        *,
        hook: GuardrailsHook,
        intents: IntentStore,
        log: Any,
        sleep: Callable[[float], object],
        now: Callable[[], float],
        waiter_delay: float,
        maker: TargetMaker | None = None,
    ) -> None:
        self.wishes = wishes
        self.hook = hook
        self.intents = intents
        self.log = log
        self.sleep = sleep
        self.now = now
        self.waiter_delay = waiter_delay
        self.maker = maker
        # What an earlier try of this task has left; the intent that this try writes is no story of an earlier
        # one.
        self.own = intents.own()
        self.findings: tuple[Finding, ...] = ()
        self.switch = AbortSwitch(endpoint_name=wishes.endpoint_name)

    def run(self) -> Watch:
        watch = self._run()
        # An endpoint that needed no update of ours had nothing to be compared.
        needless = watch.outcome is Outcome.SUCCEEDED and watch.rollout.adopted == "foreign"
        return watch if needless else self.wishes.analysed(watch)

    def _run(self) -> Watch:
        look = self._look_until_free()
        move = self._next_move(look)
        if move is Move.LAUNCH and isinstance(look, Endpoint):
            if self.maker is not None and self.maker.needless(look):
                return self._as_it_is(look)
            self._check(look)
            try:
                look, move = self._prepare(look)
            except Exception:
                self.intents.withdraw()
                raise
            if move is Move.LAUNCH and isinstance(look, Endpoint):
                return self._ask(look)
            self.intents.withdraw()
        aftermath = Aftermath(self.wishes, hook=self.hook, warnings=self._warnings)
        return aftermath.of(move, look, self.own)

    def _look(self) -> EndpointLook:
        return self.hook.look(self.wishes.endpoint_name)

    def _next_move(self, look: EndpointLook) -> Move:
        move = next_move(look, target=self.wishes.target, own=self.own)
        if move in {Move.RESUME, Move.INQUIRE} and self.wishes.relaunch:
            return next_move(look, target=self.wishes.target, own=None)
        return move

    def _look_until_free(self) -> EndpointLook:
        look = self._look()
        give_up = self.now() + self.wishes.busy_timeout.total_seconds()
        settled_at = self._settled_at(look)
        while self._is_to_wait(look, give_up=give_up, settled_at=settled_at):
            self.sleep(self.waiter_delay)
            look = self._look()
        return look

    def _is_to_wait(self, look: EndpointLook, *, give_up: float, settled_at: datetime) -> bool:
        move = self._next_move(look)
        if move is Move.WAIT:
            return self.wishes.if_busy == "wait" and self.now() < give_up
        return move is Move.LAUNCH and look.seen_at < settled_at

    def _settled_at(self, first_look: EndpointLook) -> datetime:
        """
        When reads will show whatever an earlier try has asked for; it may have died right after asking.
        """
        if self.own is None:
            return first_look.seen_at
        return (self.own.launched_at or first_look.seen_at) + DEFAULT_GRACE

    # Before the update is asked for.

    def _check(self, look: Endpoint) -> None:
        """Hold the update against what is known; a target is made only once nothing stands in the way."""
        maker = self.maker
        planned = maker.plan(look, existing=self.intents.config) if maker else None
        self.findings = check(self.wishes, look, hook=self.hook, log=self.log, target=planned)
        if maker is not None:
            self.intents.target_made(maker.make())

    def _prepare(self, look: Endpoint) -> tuple[EndpointLook, Move]:
        """Write the intent, ready the switch and look again: meanwhile somebody else may have been here."""
        intent = self.intents.write(look)
        if self.wishes.abort_switch:
            ready_switch(self.switch, self.hook, sleep=self.sleep, now=self.now, pause=self.waiter_delay)
        again = self._look()
        move = self._next_move(again)
        if move is Move.LAUNCH and isinstance(again, Endpoint) and intent.changed_since(again):
            self.intents.write(again)
        if move is Move.LAUNCH and isinstance(again, Endpoint):
            self._check_base(again, made_from=look)
        return again, move

    def _check_base(self, look: Endpoint, *, made_from: Endpoint) -> None:
        """Undo nobody's update: a target made from what served before would."""
        if self.maker is not None and look.endpoint_config_name != made_from.endpoint_config_name:
            raise EndpointBusy(
                f"Endpoint {look.name} has come to serve {look.endpoint_config_name} while this task made "
                f"{self.wishes.target} from {made_from.endpoint_config_name}; nothing was asked for"
            )

    # The one call that changes what is served.

    def _ask(self, look: Endpoint) -> Watch:
        wishes = self.wishes
        self.log.info(
            "Updating endpoint %s from %s to %s - %s",
            wishes.endpoint_name,
            look.endpoint_config_name,
            wishes.target,
            wishes.guardrails.describe(),
        )
        rollout = wishes.rollout(previous=look.endpoint_config_name)
        try:
            launched_at = self.hook.update_endpoint(
                endpoint_name=wishes.endpoint_name,
                endpoint_config_name=wishes.target,
                guardrails=wishes.guardrails,
                retained=wishes.retained,
            )
        except (ClientError, BotoCoreError) as error:
            return self._after_refusal(error, rollout)
        self.intents.mark_launched(launched_at)
        return self._watch(replace(rollout, launched_at=launched_at, status_before=look.status))

    def _after_refusal(self, error: Exception, rollout: Rollout) -> Watch:
        """Tell a refusal from an answer that got lost on its way: then the update may well be running."""
        refused = isinstance(error, ClientError) and not errors.is_passing(error)
        if refused:
            self.intents.withdraw()
        if refused and not errors.is_in_progress(error):
            raise UpdateRejected(
                f"SageMaker refused the update of {self.wishes.endpoint_name}: {error}"
            ) from error
        look = self._look()
        if isinstance(look, Endpoint) and look.pending_config_name == self.wishes.target:
            # Refused as in progress, and none of an earlier try: somebody else was quicker.
            adopted = "foreign" if refused and self.own is None else "own"
            return self._watch(replace(rollout, adopted=adopted)).found(look)
        raise EndpointBusy(
            f"The update of endpoint {self.wishes.endpoint_name} was not accepted, and none to "
            f"{self.wishes.target} is in flight: {error}"
        ) from error

    def _as_it_is(self, look: Endpoint) -> Watch:
        """Report an endpoint that needs no update: what it serves is the target, and was before."""
        assert look.endpoint_config_name is not None
        rollout = self.wishes.rollout(previous=None)
        rollout = replace(rollout, target=look.endpoint_config_name, adopted="foreign", guardrails=None)
        return replace(self._watch(rollout), stages_complete=False, last_look=look, outcome=Outcome.SUCCEEDED)

    def _watch(self, rollout: Rollout) -> Watch:
        return Watch(rollout=rollout, warnings=self._warnings, findings=self.findings)

    @property
    def _warnings(self) -> tuple[str, ...]:
        return (*self.intents.warnings, *(self.maker.warnings if self.maker else ()))
