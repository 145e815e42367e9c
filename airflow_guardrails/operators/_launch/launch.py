"""
Start an update, so that a crash between any two calls starts no second one.

The order: describe the endpoint, create the abort switch, preflight, create the guards, write the intent,
wait until switch and guards are OK, describe the endpoint again, call UpdateEndpoint once. What a retry finds
of an earlier try, it adopts or reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.canary.power import power_report
from airflow_guardrails.domain.deployment.fallback import fell_back
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Finding
from airflow_guardrails.domain.rollout.launch import Intent, Move, next_move
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook, MissingEndpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.times import AwsClock
from airflow_guardrails.exceptions import EndpointBusy, ShadowTestRefused, UpdateRejected, UpdateUnanswered
from airflow_guardrails.operators._launch.adoption import Adoption
from airflow_guardrails.operators._launch.alarm_setup import AlarmSetup
from airflow_guardrails.operators._launch.creation import Creation
from airflow_guardrails.operators._launch.intent_store import IntentStore
from airflow_guardrails.operators._launch.preflight import read_context, run_preflight
from airflow_guardrails.operators._launch.request import LaunchRequest
from airflow_guardrails.operators._versions.check import VersionCheck

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


class ConfigFactory(Protocol):
    """
    Creates the target of a launch from the configuration in service.

    *warnings* are for the report.
    """

    warnings: list[str]

    @property
    def planned(self) -> Mapping[str, Any]:
        """After :meth:`plan`: DescribeEndpointConfig's response, or CreateEndpointConfig's request."""

    @property
    def planned_models(self) -> Mapping[str, Mapping[str, Any]]:
        """The models that :meth:`create` will create after :meth:`plan`: name -> CreateModel's request."""

    def is_up_to_date(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint already serves what is requested, so that it needs no update."""

    def plan(self, endpoint: Endpoint, *, existing: dict[str, Any] | None) -> EndpointConfig:
        """
        Return the target as it is, or as :meth:`create` will create it; raise if it must not be created.

        Changes nothing in AWS.

        :param existing: the response of DescribeEndpointConfig for the target; ``None`` if it does not exist.
        """

    def plan_first(self, *, existing: dict[str, Any] | None) -> EndpointConfig:
        """Return the same for an endpoint that does not exist yet."""

    @property
    def uses_marketplace(self) -> bool:
        """Whether a model that :meth:`create` creates has a container from AWS Marketplace."""

    def create(self) -> dict[str, Any]:
        """Create the planned target, unless it exists; return the response of DescribeEndpointConfig."""


_ANALYSIS_LEFT_OUT = (
    "The analysis is left out: the update runs all at once, without a bake in which both fleets have traffic"
)

_NOT_TESTED = (
    "Endpoint {} is not updated: it exists now, but did not when the shadow test began, so the model was not "
    "tested. Clear the task of the shadow test and those behind it"
)

# Between two calls of DescribeEndpoint after a response of UpdateEndpoint was lost.
_LONGEST_PAUSE_SECONDS = 5.0


class Launch:
    """
    Starts one update; :meth:`run` returns the state of a rollout that was started, adopted, or has ended.

    :param sleep: sleeps for a number of seconds, and raises if the task is killed meanwhile.
    :param monotonic: returns seconds since any fixed moment.
    :param waiter_delay: seconds between two calls of DescribeEndpoint.
    :param refuse_if_killed: raises if the task was killed, so that nothing more is started.
    :param on_update_called: gets the rollout once UpdateEndpoint was called: a killed task aborts it from
        then on.
    :param sleep_after_call: sleeps for a number of seconds; a kill meanwhile aborts the rollout.
    :param is_first_try: whether no earlier try of this task instance can have started an update.
    :param config_factory: creates the target; ``None`` if the target must already exist.
    :param endpoint_tags: tags of the endpoint, if it is created.
    :param warnings: what the task has to say already, for the report.
    """

    def __init__(
        self,
        request: LaunchRequest,
        *,
        hook: GuardrailsHook,
        intents: IntentStore,
        log: Any,
        sleep: Callable[[float], object],
        monotonic: Callable[[], float],
        waiter_delay: float,
        refuse_if_killed: Callable[[], object],
        on_update_called: Callable[[Rollout], object],
        sleep_after_call: Callable[[float], object],
        is_first_try: bool = True,
        config_factory: ConfigFactory | None = None,
        endpoint_tags: Sequence[Mapping[str, str]] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        self.request = request
        self.hook = hook
        self.intents = intents
        self.log = log
        self.sleep = sleep
        self.monotonic = monotonic
        self.waiter_delay = waiter_delay
        self.refuse_if_killed = refuse_if_killed
        self.on_update_called = on_update_called
        self.sleep_after_call = sleep_after_call
        self.is_first_try = is_first_try
        self.config_factory = config_factory
        self.endpoint_tags = endpoint_tags
        # The intent of an earlier try. The one that this try writes proves nothing about an earlier update.
        self.own = intents.own()
        self.findings: tuple[Finding, ...] = ()
        self.power: dict[str, Any] | None = None
        # What runs; preflight knows it for the fleets of the endpoint.
        self.guardrails = request.guardrails
        self.alarms = AlarmSetup(
            request.switch, target=request.target, hook=hook, log=log, sleep=sleep, monotonic=monotonic
        )
        self.versions = VersionCheck(request, hook=hook)
        self._given_warnings = tuple(warnings)
        self._has_waited = False

    def run(self) -> RolloutState:
        """
        Start the update, or adopt what an earlier try has started.

        :raises GuardrailsError: if the update was not started, or may not have been; the text says what to
            do.
        """
        endpoint = self._wait_until_free()
        move = self._next_move(endpoint)
        if move is Move.ADOPT_CREATION:
            return self._creation().adopt(endpoint, self.own)
        if move is Move.CREATE and isinstance(endpoint, MissingEndpoint):
            # Without guards: there is nothing to roll back to.
            return self._creation().create(endpoint)
        if move is Move.LAUNCH and isinstance(endpoint, Endpoint):
            if self.config_factory is not None and self.config_factory.is_up_to_date(endpoint):
                return self._unchanged(endpoint)
            if self.request.only_creates:
                raise ShadowTestRefused(_NOT_TESTED.format(endpoint.name))
            try:
                endpoint, move = self._prepare(endpoint)
                if move is Move.LAUNCH:
                    self.refuse_if_killed()
            except Exception:
                self._clean_up()
                raise
            if move is Move.LAUNCH and isinstance(endpoint, Endpoint):
                return self.request.with_analysis(self._call_update(endpoint), power=self.power)
            self._clean_up()
        return self._adopted(move, endpoint)

    def _creation(self) -> Creation:
        return Creation(
            request=self.request,
            hook=self.hook,
            intents=self.intents,
            log=self.log,
            sleep=self.sleep_after_call,
            monotonic=self.monotonic,
            refuse_if_killed=self.refuse_if_killed,
            on_called=self.on_update_called,
            describe=self._describe_if_possible,
            factory=self.config_factory,
            versions=self.versions,
            tags=self.endpoint_tags,
        )

    def record_start(self, state: RolloutState) -> None:
        """Store the update's StartTime for a retry, as soon as DescribeEndpoint has shown it."""
        known = self.own.started_at if self.own else None
        if state.started_at is not None and state.rollout.adopted is not Adopted.FOREIGN and known is None:
            self.intents.mark_started(state.started_at)

    def _adopted(self, move: Move, endpoint: EndpointLook) -> RolloutState:
        state = self._adoption().resolve(move, endpoint, self.own)
        runs = state.rollout.guardrails.strategy if state.rollout.guardrails else None
        if self.request.analysis and fell_back(self.request.guardrails.strategy, runs):
            return state.with_warning(_ANALYSIS_LEFT_OUT)
        # An endpoint that needed no update of this task has no two fleets to compare.
        unchanged = state.outcome is Outcome.SUCCEEDED and state.rollout.adopted is Adopted.FOREIGN
        return state if unchanged else self.request.with_analysis(state)

    def _clean_up(self) -> None:
        """Remove the traces of an update that was not started."""
        self.intents.withdraw()
        # A retry keeps the alarms: an earlier try may have started an update with them, and recorded nothing.
        if self.is_first_try:
            self.alarms.delete()

    def _next_move(self, endpoint: EndpointLook) -> Move:
        request, creates = self.request, self.request.if_missing == "create"
        move = next_move(
            endpoint,
            target=request.target,
            own=self.own,
            switch_named=request.switch.is_named_by(endpoint),
            has_switch=request.abort_switch,
            creates=creates,
        )
        gone = move is Move.ADOPT_CREATION and isinstance(endpoint, MissingEndpoint)
        if (gone or move in {Move.RESUME, Move.INQUIRE}) and request.relaunch:
            return next_move(endpoint, target=request.target, own=None, switch_named=False, creates=creates)
        return move

    def _wait_until_free(self) -> EndpointLook:
        endpoint = self.hook.describe_endpoint(self.request.endpoint_name)
        settled_at, clock = self._settled_at(endpoint), AwsClock(self.monotonic, as_of=endpoint.seen_at)
        give_up = endpoint.seen_at + self.request.busy_timeout
        while self._must_wait(endpoint, is_over=clock.now() >= give_up, settled_at=settled_at):
            self._has_waited = True
            self.sleep(self.waiter_delay)
            endpoint = self._describe_if_possible(clock) or endpoint
        return endpoint

    def _describe_if_possible(self, clock: AwsClock) -> EndpointLook | None:
        """Return None if SageMaker did not respond; an error that will not go away is raised."""
        try:
            endpoint = self.hook.describe_endpoint(self.request.endpoint_name)
        except (ClientError, BotoCoreError) as error:
            if not errors.is_passing(error):
                raise
            self.log.info("No response from SageMaker (%s); trying again", errors.text_for_people(error))
            return None
        clock.answered(endpoint.seen_at)
        return endpoint

    def _must_wait(self, endpoint: EndpointLook, *, is_over: bool, settled_at: datetime) -> bool:
        move = self._next_move(endpoint)
        if move is Move.WAIT:
            return self.request.if_busy == "wait" and not is_over
        return move in {Move.LAUNCH, Move.CREATE} and endpoint.seen_at < settled_at

    def _settled_at(self, endpoint: EndpointLook) -> datetime:
        """
        Return when DescribeEndpoint surely shows an update of an earlier try.

        Reads may lag, and the earlier try may have died right after its call of UpdateEndpoint.
        """
        if self.own is None:
            return endpoint.seen_at
        return (self.own.accepted_at or endpoint.seen_at) + DEFAULT_GRACE

    # Before UpdateEndpoint.

    def _prepare(self, endpoint: Endpoint) -> tuple[EndpointLook, Move]:
        """
        Create switch and guards, run the checks, write the intent, and describe the endpoint again.

        What is to be deployed is planned first, so that wrong arguments are refused before anything is made.
        Then comes the switch, because its alarm takes some seconds to become OK; preflight runs meanwhile.
        The guards come after preflight, which checks them, too.
        The second look shows an update that somebody else has started in the meantime.
        """
        factory = self.config_factory
        target = self._target() if factory is None else factory.plan(endpoint, existing=self.intents.config)
        request = self.request = self.request.for_target(target)
        if request.abort_switch:
            self.alarms.create_switch()
        context = read_context(request, endpoint, target=target, hook=self.hook, factory=factory)
        self.intents.tags = self.versions.check(
            endpoint,
            serving=context.serving,
            target=context.target,
            planned=factory.planned_models if factory else {},
        )
        self.findings = run_preflight(request, context, log=self.log)
        self.guardrails = context.guardrails
        self.power = power_report(context.power)
        self.alarms.create_guards(request.guard_alarms)
        if factory is not None:
            # Created only after preflight, so that a failure leaves nothing behind.
            self.intents.set_target(factory.create())
        intent = self.intents.write(endpoint)
        self.alarms.wait_until_ok()
        again = self.hook.describe_endpoint(request.endpoint_name)
        move = self._next_move(again)
        if move is Move.LAUNCH and isinstance(again, Endpoint):
            if intent.changed_since(again):
                self.intents.write(again)
            self._check_base(again, created_from=endpoint)
            self._check_fleets(context, again)
        return again, move

    def _target(self) -> EndpointConfig | None:
        # A configuration does not change under its name, but while the task waited it may have been created,
        # or deleted and created again.
        if self._has_waited or self.intents.config is None:
            self.intents.read_target_again()
        return self.intents.target

    def _check_base(self, endpoint: Endpoint, *, created_from: Endpoint) -> None:
        """Stop if the target was created from a configuration that is no longer in service."""
        if self.config_factory is not None and (
            endpoint.endpoint_config_name != created_from.endpoint_config_name
        ):
            raise EndpointBusy(
                f"Endpoint {endpoint.name} changed to {endpoint.endpoint_config_name} while this task "
                f"created {self.request.target} from {created_from.endpoint_config_name}; no update "
                "was started"
            )

    def _check_fleets(self, checked: PreflightContext, endpoint: Endpoint) -> None:
        """Stop if other guardrails would run on the fleets now than on those that were *checked*."""
        serving = checked.serving
        runs = self.request.guardrails_on(checked.target, endpoint, serving=serving)
        if runs != checked.guardrails:
            raise EndpointBusy(
                f"Endpoint {endpoint.name} was scaled while this task checked it, and other steps fit its "
                f"fleet now ({runs.strategy}); no update was started. A retry checks it again"
            )

    # UpdateEndpoint, the one call that changes what is in service.

    def _call_update(self, endpoint: Endpoint) -> RolloutState:
        request = self.request
        self.log.info(
            "Updating endpoint %s from %s to %s - %s",
            request.endpoint_name,
            endpoint.endpoint_config_name,
            request.target,
            self.guardrails.describe(),
        )
        rollout = replace(
            request.rollout(
                previous=endpoint.endpoint_config_name,
                target=self.intents.target,
                endpoint=endpoint,
                guardrails=self.guardrails,
            ),
            asked_at=endpoint.seen_at,
            status_before=endpoint.status,
        )
        try:
            accepted_at = self.hook.update_endpoint(
                endpoint_name=request.endpoint_name,
                endpoint_config_name=request.target,
                guardrails=self.guardrails,
                retained=request.retained,
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and not errors.may_be_carried_out(error):
                return self._after_rejection(error)
            return self._after_lost_response(error, rollout, before=endpoint)
        rollout = replace(rollout, launched_at=accepted_at)
        self.on_update_called(rollout)
        self.intents.mark_accepted(accepted_at)
        return self._state(rollout)

    def _after_rejection(self, error: ClientError) -> RolloutState:
        """Raise the error for a rejected call, or adopt an update of an earlier try that is in progress."""
        name, text = self.request.endpoint_name, errors.text_for_people(error)
        self._clean_up()
        if errors.is_access_denied(error):
            raise error
        if errors.is_throttled(error):
            raise EndpointBusy(
                f"SageMaker throttled the update of {name}; nothing was changed: {text}"
            ) from error
        if not errors.is_in_progress(error):
            raise UpdateRejected(f"SageMaker rejected the update of {name}: {text}") from error
        endpoint = self.hook.describe_endpoint(name)
        if self._next_move(endpoint) is Move.ADOPT:
            # Somebody else was faster, or an earlier try's update was not visible before.
            return self._adoption().resolve(Move.ADOPT, endpoint, self.own)
        raise EndpointBusy(
            f"Another update of endpoint {name} is in progress; this one was not accepted: {text}"
        ) from error

    def _after_lost_response(self, error: Exception, rollout: Rollout, *, before: Endpoint) -> RolloutState:
        """
        Look for the update during the whole grace period, because reads may lag behind it.

        :raises UpdateUnanswered: if it was not seen; a retry looks again before it starts an update.
        """
        text = errors.text_for_people(error)
        self.log.warning("No response from UpdateEndpoint (%s); checking whether the update runs", text)
        self.on_update_called(replace(rollout, launched_at=rollout.asked_at))
        intent = replace(self.intents.written, accepted_at=None)
        assert rollout.asked_at is not None
        clock = AwsClock(self.monotonic, as_of=rollout.asked_at)
        while True:
            endpoint = self._describe_if_possible(clock)
            if isinstance(endpoint, Endpoint) and (
                state := self._find_update(endpoint, intent, rollout, before)
            ):
                return state
            if clock.now() - rollout.asked_at >= DEFAULT_GRACE:
                raise UpdateUnanswered(
                    f"No response from UpdateEndpoint for {rollout.endpoint_name}, and no update to "
                    f"{rollout.target} seen within {DEFAULT_GRACE.total_seconds():g} s. A retry checks again "
                    f"before it starts the update: {text}"
                ) from error
            self.sleep_after_call(min(self.waiter_delay, _LONGEST_PAUSE_SECONDS))

    def _find_update(
        self, endpoint: Endpoint, intent: Intent, rollout: Rollout, before: Endpoint
    ) -> RolloutState | None:
        """
        Return the state of this task's update, if *endpoint* shows it; it began after the call.

        :param before: the endpoint right before the call.
        """
        if endpoint.changing:
            if not rollout.is_pending_in(endpoint):
                return None
            started = endpoint.pending.started_at if endpoint.pending else None
            accepted_at = started or endpoint.seen_at
            self.intents.mark_accepted(accepted_at)
            return self._state(
                replace(rollout, launched_at=accepted_at, adopted=Adopted.OWN)
            ).with_update_in_flight(endpoint)
        # It may have ended already; then the next look shows how.
        switch, changed = self.request.switch, intent.changed_since(endpoint)
        ran = switch.is_named_by(endpoint) and (changed or not switch.is_named_by(before))
        if not ran and not (changed and endpoint.endpoint_config_name == rollout.target):
            return None
        ended = self._state(replace(rollout, launched_at=endpoint.seen_at, adopted=Adopted.OWN))
        return replace(ended, seen_in_flight=ran)

    def _unchanged(self, endpoint: Endpoint) -> RolloutState:
        """Return a success for an endpoint that needs no update: it keeps the configuration it serves."""
        assert endpoint.endpoint_config_name is not None
        rollout = Rollout(
            endpoint_name=endpoint.name,
            target=endpoint.endpoint_config_name,
            max_wait=self.request.max_wait,
            adopted=Adopted.FOREIGN,
        )
        return replace(
            self._state(rollout), stages_complete=False, last_look=endpoint, outcome=Outcome.SUCCEEDED
        )

    def _state(self, rollout: Rollout) -> RolloutState:
        return RolloutState(rollout=rollout, warnings=self._warnings, findings=self.findings)

    def _adoption(self) -> Adoption:
        return Adoption(self.request, hook=self.hook, intents=self.intents, warnings=self._warnings)

    @property
    def _warnings(self) -> tuple[str, ...]:
        of_factory = self.config_factory.warnings if self.config_factory else ()
        return (*self._given_warnings, *self.intents.warnings, *of_factory, *self.versions.warnings)
