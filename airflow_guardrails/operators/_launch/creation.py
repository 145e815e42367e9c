"""Create the endpoint of a first deployment, so that a crash between any two calls creates no second one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.derived_config import is_taken, wire_tags, without_tags
from airflow_guardrails.aws.tags import MADE_FOR
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.rollout.outcome import Adopted
from airflow_guardrails.domain.rollout.state import DEFAULT_GRACE, Rollout, RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook, MissingEndpoint
from airflow_guardrails.domain.times import AwsClock
from airflow_guardrails.exceptions import (
    EndpointBusy,
    EndpointConfigNotFound,
    UpdateRejected,
    UpdateUnanswered,
)
from airflow_guardrails.operators._launch.intent_store import IntentStore
from airflow_guardrails.operators._launch.request import LaunchRequest
from airflow_guardrails.operators._versions.check import VersionCheck

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook
    from airflow_guardrails.operators._launch.launch import ConfigFactory

# Between two calls of DescribeEndpoint after a response of CreateEndpoint was lost.
_PAUSE_SECONDS = 5.0


@dataclass(kw_only=True)
class Creation:
    """
    Creates the endpoint, or continues what an earlier try has created.

    There are no alarms, no abort switch and no analysis: SageMaker has nothing to roll back to.

    :param factory: creates the configuration; ``None`` if it must exist.
    :param versions: reads the version, which the first record of the endpoint keeps.
    :param tags: tags of the endpoint, besides those of this package.
    :param on_called: gets the rollout once CreateEndpoint was called.
    :param describe: describes the endpoint; returns ``None`` if SageMaker did not respond.
    """

    request: LaunchRequest
    hook: GuardrailsHook
    intents: IntentStore
    log: Any
    sleep: Callable[[float], object]
    monotonic: Callable[[], float]
    refuse_if_killed: Callable[[], object]
    on_called: Callable[[Rollout], object]
    describe: Callable[[AwsClock], EndpointLook | None]
    factory: ConfigFactory | None
    versions: VersionCheck
    tags: Sequence[Mapping[str, str]] = ()

    def create(self, look: MissingEndpoint) -> RolloutState:
        """
        Create the configuration, if this task does that, and the endpoint.

        :param look: says that there is no endpoint.
        :raises EndpointConfigNotFound: if the configuration must exist, and does not.
        :raises GuardrailsError: if the endpoint was not created, or may not have been.
        """
        if self.factory is not None:
            target = self.factory.plan_first(existing=self.intents.config)
            self.intents.tags = self.versions.first(target, self.factory.planned_models)
            self.intents.set_target(self.factory.create())
        elif self.intents.config is None:
            self.intents.read_target_again()
        if self.intents.config is None:
            raise EndpointConfigNotFound(
                f"Endpoint configuration {self.request.target} does not exist in "
                f"{self.hook.conn_region_name}: create it before this task, or correct endpoint_config_name"
            )
        if self.factory is None and self.intents.target is not None:
            self.intents.tags = self.versions.first(self.intents.target, {})
        self.intents.write(look)
        try:
            self.refuse_if_killed()
        except Exception:
            self.intents.withdraw()
            raise
        return self._call_create(replace(self._rollout(), asked_at=look.seen_at))

    def adopt(self, look: EndpointLook, own: Intent | None) -> RolloutState:
        """Continue with the endpoint that an earlier try, or somebody else, has created with the target."""
        if own is not None:
            self.intents.adopt(own)
        # Only this task gives the target of a factory its name.
        is_own = own is not None or self.factory is not None
        accepted = (own.accepted_at if own else None) or look.seen_at
        if own is not None and own.accepted_at is None:
            self.intents.mark_accepted(accepted)
        rollout = replace(
            self._rollout(),
            adopted=Adopted.OWN if is_own else Adopted.FOREIGN,
            asked_at=own.written_at if own else None,
            launched_at=accepted,
        )
        return self._state(rollout)

    def _call_create(self, rollout: Rollout) -> RolloutState:
        name = self.request.endpoint_name
        self.log.info("Creating endpoint %s with %s; nothing guards it", name, self.request.target)
        request = {
            "EndpointName": name,
            "EndpointConfigName": self.request.target,
            "Tags": [*self.tags, *wire_tags({MADE_FOR: name})],
        }
        try:
            accepted_at = self._send(request)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and not errors.may_be_carried_out(error):
                raise self._rejection(error) from error
            return self._after_lost_response(error, rollout)
        rollout = replace(rollout, launched_at=accepted_at)
        self.on_called(rollout)
        self.intents.mark_accepted(accepted_at)
        return self._state(rollout)

    def _send(self, request: dict[str, Any]) -> Any:
        try:
            return self.hook.create_endpoint(request)
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            # Perhaps only tags are denied.
            accepted_at = self.hook.create_endpoint(without_tags(request))
            self.intents.warnings.append(f"{request['EndpointName']} was created without tags (AddTags)")
            return accepted_at

    def _rejection(self, error: ClientError) -> BaseException:
        name, text = self.request.endpoint_name, errors.text_for_people(error)
        self.intents.withdraw()
        if errors.is_access_denied(error):
            return cast("BaseException", error)
        if errors.is_throttled(error):
            return EndpointBusy(f"SageMaker throttled the creation of {name}; nothing was changed: {text}")
        if is_taken(error, "endpoint"):
            return EndpointBusy(
                f"Endpoint {name} was created by somebody else in the meantime; a retry updates it: {text}"
            )
        return UpdateRejected(f"SageMaker rejected the creation of endpoint {name}: {text}")

    def _after_lost_response(self, error: Exception, rollout: Rollout) -> RolloutState:
        """
        Look for the endpoint during the whole grace period, because reads may lag.

        :raises UpdateUnanswered: if it was not seen; a retry looks again before it creates it.
        """
        name, text = rollout.endpoint_name, errors.text_for_people(error)
        self.log.warning("No response from CreateEndpoint (%s); checking whether the endpoint exists", text)
        assert rollout.asked_at is not None
        self.on_called(replace(rollout, launched_at=rollout.asked_at))
        clock = AwsClock(self.monotonic, as_of=rollout.asked_at)
        while True:
            look = self.describe(clock)
            if isinstance(look, Endpoint):
                return self.adopt(look, replace(self.intents.written, accepted_at=None))
            if clock.now() - rollout.asked_at >= DEFAULT_GRACE:
                raise UpdateUnanswered(
                    f"No response from CreateEndpoint for {name}, and no endpoint seen within "
                    f"{DEFAULT_GRACE.total_seconds():g} s. A retry checks again before it creates it: {text}"
                ) from error
            self.sleep(_PAUSE_SECONDS)

    def _rollout(self) -> Rollout:
        return Rollout(
            endpoint_name=self.request.endpoint_name,
            target=self.request.target,
            max_wait=self.request.wait_limit(self.intents.target, None, Guardrails(strategy=None)),
            creates=True,
        )

    def _state(self, rollout: Rollout) -> RolloutState:
        of_factory = self.factory.warnings if self.factory else ()
        warnings = (*self.intents.warnings, *of_factory, *self.versions.warnings)
        return RolloutState(rollout=rollout, warnings=warnings)
