"""Find what a rollback goes back to, the same in every try of its task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.tags import (
    DERIVED_FROM,
    ROLLBACK_PREFIX,
    RollbackTag,
    parse_rollback,
    rollback_text,
)
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.domain.versions.history import History, rollback_candidates, rollback_target
from airflow_guardrails.exceptions import EndpointBusy, NoRollbackTarget
from airflow_guardrails.operators._launch.reading import missing_endpoint
from airflow_guardrails.operators._versions.reading import is_deployable, tags_of

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# So many plans stay in tags of the endpoint, for tasks that are cleared later.
_KEPT_PLANS = 5


class RollbackPlan:
    """
    The target of one rollback, which is noted in a tag of the endpoint before the update.

    Once the target serves, the history alone would name an older one to a retry.

    :param owner: the task instance, see ``intent_store.owner_in``.
    :param busy_timeout: how long to wait for the end of another update, which changes what serves.
    :param pause: seconds between two looks meanwhile.
    :ivar warnings: what the report must say.
    """

    def __init__(
        self,
        hook: GuardrailsHook,
        endpoint_name: str,
        *,
        owner: str,
        busy_timeout: timedelta,
        pause: float,
        sleep: Callable[[float], object],
        monotonic: Callable[[], float],
    ) -> None:
        self.warnings: list[str] = []
        self._hook = hook
        self._name = endpoint_name
        self._owner = owner
        self._key = f"{ROLLBACK_PREFIX}{owner}"
        self._busy_timeout = busy_timeout
        self._pause = pause
        self._sleep = sleep
        self._monotonic = monotonic

    def target(self, to: str | None) -> str:
        """
        Return the name of the configuration to go back to.

        :param to: the one that the author of the DAG has named; ``None``: find it.
        :raises NoRollbackTarget: if nothing is known; nothing was changed.
        :raises EndpointBusy: if the endpoint is being changed by something else.
        """
        endpoint = self._existing(self._hook.describe_endpoint(self._name))
        arn = endpoint.arn or ""
        if to is not None:
            self._note(arn, self._tags_if_allowed(arn), to, endpoint)
            return to
        tags = self._hook.list_tags(arn)
        planned = parse_rollback(tags.get(self._key)) or self._by_switch(endpoint, tags)
        if planned is not None:
            return planned.to
        endpoint = self._settled(endpoint)
        found = self._find(endpoint, History.of_tags(tags))
        self._note(arn, tags, found, endpoint)
        return found

    def _existing(self, endpoint: EndpointLook) -> Endpoint:
        if not isinstance(endpoint, Endpoint):
            raise missing_endpoint(self._name, self._hook)
        return endpoint

    def _settled(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint once nothing is changing it: what serves then decides what was before."""
        give_up = self._monotonic() + self._busy_timeout.total_seconds()
        while endpoint.changing and self._monotonic() < give_up:
            self._sleep(self._pause)
            endpoint = self._existing(self._hook.describe_endpoint(self._name))
        if endpoint.changing:
            raise EndpointBusy(
                f"Endpoint {self._name} is {endpoint.status.value}, so it is not known yet what to go back "
                "from. Let Airflow retry this task, set if_busy='wait', or abort the update in flight"
            )
        return endpoint

    def _find(self, endpoint: Endpoint, history: History) -> str:
        serving = endpoint.endpoint_config_name
        if serving is not None and history.deployed_last not in {serving, None}:
            self.warnings.append(
                f"{serving} was put in service by something else: this package deployed "
                f"{history.deployed_last} last"
            )
        found = rollback_target(history, serving, exists=partial(is_deployable, hook=self._hook))
        if found is not None:
            return found.config
        base = self._base_of(serving)
        if base is not None:
            self.warnings.append(
                f"The history names nothing to go back to: {base} is what {serving} was derived from"
            )
            return base
        raise self._nothing(serving, history)

    def _base_of(self, serving: str | None) -> str | None:
        response = self._hook.describe_endpoint_config(serving) if serving else None
        if response is None:
            return None
        base = tags_of(response["EndpointConfigArn"], self._hook).get(DERIVED_FROM)
        return base if base and base != serving and is_deployable(base, self._hook) else None

    def _nothing(self, serving: str | None, history: History) -> NoRollbackTarget:
        gone = [record.config for record in rollback_candidates(history, serving)]
        deleted = f" Deleted, or without its models: {', '.join(gone)}." if gone else ""
        known = "; ".join(map(str, history.records)) or "nothing"
        return NoRollbackTarget(
            f"Nothing to roll back to: {self._name} serves {serving}, and no other configuration is known "
            f"to have served well before.{deleted} Recorded: {known}. Name the configuration with to="
        )

    def _by_switch(self, endpoint: Endpoint, tags: Mapping[str, str]) -> RollbackTag | None:
        """Return the plan that the abort switch of an earlier try proves, where no tag could be written."""
        for record in History.of_tags(tags).records:
            if AbortSwitch.of(self._name, owner=self._owner, target=record.config).is_named_by(endpoint):
                return RollbackTag(to=record.config, at=endpoint.seen_at)
        return None

    def _tags_if_allowed(self, arn: str) -> Mapping[str, str]:
        try:
            return self._hook.list_tags(arn)
        except ClientError as error:
            if errors.is_passing(error):
                raise
            return {}

    def _note(self, arn: str, tags: Mapping[str, str], target: str, endpoint: Endpoint) -> None:
        """Write the plan into a tag, unless it is there, and remove the oldest of other tasks."""
        if self._key in tags:
            return
        try:
            self._hook.add_tags(arn, {self._key: rollback_text(RollbackTag(to=target, at=endpoint.seen_at))})
            others = {
                key: parse_rollback(text) for key, text in tags.items() if key.startswith(ROLLBACK_PREFIX)
            }
            dated = sorted((plan.at, key) for key, plan in others.items() if plan)
            if old := [key for _, key in dated[: -(_KEPT_PLANS - 1)]]:
                self._hook.delete_tags(arn, old)
        except ClientError as error:
            if errors.is_passing(error):
                raise
            self.warnings.append(
                f"The rollback is not noted in a tag of the endpoint ({errors.text_for_people(error)}), so "
                "what it goes back from is not refused later. Allow sagemaker:AddTags and DeleteTags"
            )
