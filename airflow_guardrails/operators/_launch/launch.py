"""
The launch of an update, safe against a crash between any two of its calls.

Look, make the abort switch, preflight, write the intent, see the switch OK, look again, ask for the update
once. Whatever a retry finds of an earlier try, it adopts or reports; it does not ask twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.domain.preflight.findings import Finding
from airflow_guardrails.domain.rollout.launch import Intent, Move, next_move
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.times import AwsClock
from airflow_guardrails.exceptions import EndpointBusy, UpdateRejected, UpdateUnanswered
from airflow_guardrails.operators._launch.abort_switch import SwitchMaker
from airflow_guardrails.operators._launch.adoption import Adoption
from airflow_guardrails.operators._launch.intent_store import IntentStore
from airflow_guardrails.operators._launch.preflight import check
from airflow_guardrails.operators._launch.request import LaunchRequest

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


# Seconds between two looks for an update whose acceptance got lost.
LONGEST_PAUSE = 5.0


class Launch:
    """
    One launch; :meth:`run` returns the watch over an update that was asked for, adopted, or is over already.

    :param sleep: waits so many seconds, unless the task is killed.
    :param refuse_if_killed: raises if the task was killed, so that nothing is begun any more.
    :param asked: told of the rollout once UpdateEndpoint is called: from then on a killed task aborts it.
    :param sleep_once_asked: waits so many seconds, and notices that the task is killed.
    :param is_first_try: whether no earlier try of this task instance can have asked for anything.
    :param maker: makes the target, where it is not there before.
    """

    def __init__(
        self,
        wishes: LaunchRequest,
        *,
        hook: GuardrailsHook,
        intents: IntentStore,
        log: Any,
        sleep: Callable[[float], object],
        monotonic: Callable[[], float],
        waiter_delay: float,
        refuse_if_killed: Callable[[], object],
        asked: Callable[[Rollout], object],
        sleep_once_asked: Callable[[float], object],
        is_first_try: bool = True,
        maker: TargetMaker | None = None,
    ) -> None:
        self.wishes = wishes
        self.hook = hook
        self.intents = intents
        self.log = log
        self.sleep = sleep
        self.monotonic = monotonic
        self.waiter_delay = waiter_delay
        self.refuse_if_killed = refuse_if_killed
        self.asked = asked
        self.sleep_once_asked = sleep_once_asked
        self.is_first_try = is_first_try
        self.maker = maker
        # What an earlier try of this task has left; the intent that this try writes is no story of an earlier
        # one.
        self.own = intents.own()
        self.findings: tuple[Finding, ...] = ()
        self.switch = SwitchMaker(
            wishes.switch, target=wishes.target, hook=hook, log=log, sleep=sleep, monotonic=monotonic
        )

    def run(self) -> RolloutState:
        watch = self._run()
        # An endpoint that needed no update of ours had nothing to be compared.
        needless = watch.outcome is Outcome.SUCCEEDED and watch.rollout.adopted is Adopted.FOREIGN
        return watch if needless else self.wishes.analysed(watch)

    def learn_start(self, watch: RolloutState) -> None:
        """Keep the update's StartTime for a retry, as soon as a look has shown it."""
        known = self.own.started_at if self.own else None
        if watch.started_at is not None and watch.rollout.adopted is not Adopted.FOREIGN and known is None:
            self.intents.mark_started(watch.started_at)

    def _run(self) -> RolloutState:
        look = self._look_until_free()
        move = self._next_move(look)
        if move is Move.LAUNCH and isinstance(look, Endpoint):
            if self.maker is not None and self.maker.needless(look):
                return self._as_it_is(look)
            try:
                look, move = self._prepare(look)
                if move is Move.LAUNCH:
                    self.refuse_if_killed()
            except Exception:
                self._take_back()
                raise
            if move is Move.LAUNCH and isinstance(look, Endpoint):
                return self._ask(look)
            self._take_back()
        return self._adoption().of(move, look, self.own)

    def _take_back(self) -> None:
        """Leave nothing behind of an update that was not asked for."""
        self.intents.withdraw()
        # An earlier try may have launched an update that carries it, and could write that down nowhere.
        if self.wishes.abort_switch and self.is_first_try:
            self.switch.remove()

    def _look(self) -> EndpointLook:
        return self.hook.describe_endpoint(self.wishes.endpoint_name)

    def _next_move(self, look: EndpointLook) -> Move:
        wishes = self.wishes
        move = next_move(
            look,
            target=wishes.target,
            own=self.own,
            switch_named=wishes.switch.is_named_by(look),
            has_switch=wishes.abort_switch,
        )
        if move in {Move.RESUME, Move.INQUIRE} and wishes.relaunch:
            return next_move(look, target=wishes.target, own=None, switch_named=False)
        return move

    def _look_until_free(self) -> EndpointLook:
        look = self._look()
        settled_at, clock = self._settled_at(look), AwsClock(self.monotonic, as_of=look.seen_at)
        give_up = look.seen_at + self.wishes.busy_timeout
        while self._is_to_wait(look, is_over=clock.now() >= give_up, settled_at=settled_at):
            self.sleep(self.waiter_delay)
            look = self._look_if_answered(clock) or look
        return look

    def _look_if_answered(self, clock: AwsClock) -> EndpointLook | None:
        """An unanswered look ends no wait; what will not be answered later either, does."""
        try:
            look = self._look()
        except (ClientError, BotoCoreError) as error:
            if not errors.is_passing(error):
                raise
            self.log.info("SageMaker does not answer (%s); looking again", errors.text_for_people(error))
            return None
        clock.answered(look.seen_at)
        return look

    def _is_to_wait(self, look: EndpointLook, *, is_over: bool, settled_at: datetime) -> bool:
        move = self._next_move(look)
        if move is Move.WAIT:
            return self.wishes.if_busy == "wait" and not is_over
        return move is Move.LAUNCH and look.seen_at < settled_at

    def _settled_at(self, first_look: EndpointLook) -> datetime:
        """
        When reads will show whatever an earlier try has asked for; it may have died right after asking.
        """
        if self.own is None:
            return first_look.seen_at
        return (self.own.accepted_at or first_look.seen_at) + DEFAULT_GRACE

    # Before the update is asked for.

    def _prepare(self, look: Endpoint) -> tuple[EndpointLook, Move]:
        """
        Make the switch, check, write the intent and look again: meanwhile somebody else may have been here.

        The switch comes first, for its alarm takes some seconds to become OK; the checks are done meanwhile.
        """
        wishes = self.wishes
        if wishes.abort_switch:
            self.switch.make()
        self._check(look)
        intent = self.intents.write(look)
        if wishes.abort_switch:
            self.switch.see_it_ok()
        again = self._look()
        move = self._next_move(again)
        if move is Move.LAUNCH and isinstance(again, Endpoint) and intent.changed_since(again):
            self.intents.write(again)
        if move is Move.LAUNCH and isinstance(again, Endpoint):
            self._check_base(again, made_from=look)
        return again, move

    def _check(self, look: Endpoint) -> None:
        """Hold the update against what is known; a target is made only once nothing stands in the way."""
        maker = self.maker
        planned = maker.plan(look, existing=self.intents.config) if maker else None
        self.findings = check(self.wishes, look, hook=self.hook, log=self.log, target=planned)
        if maker is not None:
            self.intents.target_made(maker.make())

    def _check_base(self, look: Endpoint, *, made_from: Endpoint) -> None:
        """Undo nobody's update: a target made from what served before would."""
        if self.maker is not None and look.endpoint_config_name != made_from.endpoint_config_name:
            raise EndpointBusy(
                f"Endpoint {look.name} has come to serve {look.endpoint_config_name} while this task made "
                f"{self.wishes.target} from {made_from.endpoint_config_name}; nothing was asked for"
            )

    # The one call that changes what is served.

    def _ask(self, look: Endpoint) -> RolloutState:
        wishes = self.wishes
        self.log.info(
            "Updating endpoint %s from %s to %s - %s",
            wishes.endpoint_name,
            look.endpoint_config_name,
            wishes.target,
            wishes.guardrails.describe(),
        )
        rollout = wishes.rollout(previous=look.endpoint_config_name, target=self._target, look=look)
        rollout = replace(rollout, asked_at=look.seen_at, status_before=look.status)
        try:
            accepted_at = self.hook.update_endpoint(
                endpoint_name=wishes.endpoint_name,
                endpoint_config_name=wishes.target,
                guardrails=wishes.guardrails,
                retained=wishes.retained,
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and not errors.may_be_carried_out(error):
                return self._after_refusal(error)
            return self._after_lost_answer(error, rollout, before=look)
        rollout = replace(rollout, launched_at=accepted_at)
        self.asked(rollout)
        self.intents.mark_accepted(accepted_at)
        return self._watch(rollout)

    def _after_refusal(self, error: ClientError) -> RolloutState:
        """SageMaker has said no, so whatever is in flight is not what this call has asked for."""
        name, said = self.wishes.endpoint_name, errors.text_for_people(error)
        self._take_back()
        if errors.is_access_denied(error):
            raise error
        if errors.is_throttled(error):
            raise EndpointBusy(
                f"SageMaker throttled the update of {name}; nothing was changed: {said}"
            ) from error
        if not errors.is_in_progress(error):
            raise UpdateRejected(f"SageMaker refused the update of {name}: {said}") from error
        look = self._look()
        if self._next_move(look) is Move.ADOPT:
            # Somebody else was quicker, or an earlier try's update could not be seen before.
            return self._adoption().of(Move.ADOPT, look, self.own)
        raise EndpointBusy(
            f"Another update of endpoint {name} is in progress; this one was not accepted: {said}"
        ) from error

    def _after_lost_answer(self, error: Exception, rollout: Rollout, *, before: Endpoint) -> RolloutState:
        """
        Look for the whole grace period whether the update runs: reads may lag behind it.

        :raises UpdateUnanswered: if it was not seen; a retry looks again before it asks for anything.
        """
        self.log.warning(
            "UpdateEndpoint gave no answer (%s); looking whether it runs", errors.text_for_people(error)
        )
        self.asked(replace(rollout, launched_at=rollout.asked_at))
        asked = replace(self.intents.written, accepted_at=None)
        assert rollout.asked_at is not None
        clock = AwsClock(self.monotonic, as_of=rollout.asked_at)
        while True:
            look = self._look_if_answered(clock)
            if isinstance(look, Endpoint) and (watch := self._seen_since(look, asked, rollout, before)):
                return watch
            if clock.now() - rollout.asked_at >= DEFAULT_GRACE:
                raise UpdateUnanswered(
                    f"UpdateEndpoint of {rollout.endpoint_name} gave no answer, and no update to "
                    f"{rollout.target} was seen within {DEFAULT_GRACE.total_seconds():g} s. A retry of this "
                    "task looks again, and asks for the update only if it never ran: "
                    f"{errors.text_for_people(error)}"
                ) from error
            self.sleep_once_asked(min(self.waiter_delay, LONGEST_PAUSE))

    def _seen_since(
        self, look: Endpoint, asked: Intent, rollout: Rollout, before: Endpoint
    ) -> RolloutState | None:
        """
        Return the watch over the update if *look* shows it; it began after it was asked for, so it is ours.

        :param before: how the endpoint was when it was asked for.
        """
        if look.changing:
            if not rollout.is_pending_in(look):
                return None
            started = look.pending.started_at if look.pending else None
            self.intents.mark_accepted(started or look.seen_at)
            own = replace(rollout, launched_at=started or look.seen_at, adopted=Adopted.OWN)
            return self._watch(own).with_update_in_flight(look)
        # It may be over already; then the next look tells how.
        switch, changed = self.wishes.switch, asked.changed_since(look)
        ran = switch.is_named_by(look) and (changed or not switch.is_named_by(before))
        if not ran and not (changed and look.endpoint_config_name == rollout.target):
            return None
        over = self._watch(replace(rollout, launched_at=look.seen_at, adopted=Adopted.OWN))
        return replace(over, seen_in_flight=ran)

    def _as_it_is(self, look: Endpoint) -> RolloutState:
        """Report an endpoint that needs no update: what it serves is the target, and was before."""
        assert look.endpoint_config_name is not None
        rollout = Rollout(
            endpoint_name=look.name,
            target=look.endpoint_config_name,
            max_wait=self.wishes.max_wait,
            adopted=Adopted.FOREIGN,
        )
        return replace(self._watch(rollout), stages_complete=False, last_look=look, outcome=Outcome.SUCCEEDED)

    def _watch(self, rollout: Rollout) -> RolloutState:
        return RolloutState(rollout=rollout, warnings=self._warnings, findings=self.findings)

    def _adoption(self) -> Adoption:
        return Adoption(
            self.wishes, hook=self.hook, intents=self.intents, target=self._target, warnings=self._warnings
        )

    @property
    def _target(self) -> EndpointConfig | None:
        """The configuration to update to, as far as it can be read."""
        config = self.intents.config
        return parse_endpoint_config(config) if config else None

    @property
    def _warnings(self) -> tuple[str, ...]:
        return (*self.intents.warnings, *(self.maker.warnings if self.maker else ()))
