"""The checks of the update behind a shadow test, made before a test of hours begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.deployment_config import as_guardrails
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.domain.deployment.guard_dicts import as_guard
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.findings import Code
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import ShadowTestRefused
from airflow_guardrails.operators._launch.approval import request_to_check
from airflow_guardrails.operators._launch.preflight import read_context

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# They may be otherwise when the test is over: alarms come and go, and so does traffic.
_MAY_CHANGE = frozenset(
    {
        Code.ALARM_IN_ALARM,
        Code.ALARM_WITHOUT_DATA,
        Code.ANALYSIS_TRAFFIC_LOW,
        Code.ANALYSIS_PAST_SHORT,
        Code.ANALYSIS_PASS_UNLIKELY,
    }
)
# Stands for the configuration to deploy until its name is known. An alarm on that name is not wrong.
_NO_NAME = "the-configuration-to-deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUpdate:
    """
    The update behind a shadow test, as far as it is known before the test.

    :param endpoint_config_name: name of the configuration to deploy; None if it is not known yet.
    :param strategy: a strategy, or a dict in the form of the API's ``DeploymentConfig``.
    :param alarms: names of alarms, without the abort switch.
    :param guards: guards, or their dicts.
    :param settings: from ``settings_to_check``.
    """

    endpoint_name: str
    endpoint_config_name: str | None
    strategy: Any
    alarms: Any
    guards: Any
    settings: Mapping[str, Any]

    def check(self, endpoint: Endpoint, *, hook: GuardrailsHook, warn: Callable[[str], None]) -> None:
        """
        Make the checks before the update; if its configuration does not exist yet, with that in service.

        :param endpoint: the endpoint of the shadow test.
        :param warn: gets a text for each check that failed and may pass later, or could not be made.
        :raises ShadowTestRefused: if the update would be refused; the text lists all reasons.
        """
        try:
            findings = self._findings(endpoint, hook)
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            denied = errors.denied_action(error) or errors.text_for_people(error)
            warn(f"The update behind the test was not checked: access denied ({denied})")
            return
        stopping = [finding for finding in findings if finding.stops]
        for finding in stopping:
            if finding.code in _MAY_CHANGE:
                warn(f"The update behind the test would be refused now: {finding}")
        if lasting := [finding for finding in stopping if finding.code not in _MAY_CHANGE]:
            listed = "\n".join(f"- {finding}" for finding in lasting)
            raise ShadowTestRefused(
                f"The update of {self.endpoint_name} behind the shadow test would be refused, so no test was "
                f"created:\n{listed}"
            )

    def _findings(self, tested: Endpoint, hook: GuardrailsHook) -> list[Any]:
        same = self.endpoint_name == tested.name
        endpoint = tested if same else hook.describe_endpoint(self.endpoint_name)
        target = self._target(endpoint, hook) if isinstance(endpoint, Endpoint) else None
        if not isinstance(endpoint, Endpoint) or target is None:
            # The update itself says so.
            return []
        guardrails = as_guardrails(self.strategy, self.alarms)
        guards = tuple(map(as_guard, self.guards))
        request = request_to_check(self.endpoint_name, target.name, guardrails, guards, self.settings)
        found = preflight(read_context(request, endpoint, target=target, hook=hook))
        if target.name != _NO_NAME:
            return list(found)
        return [finding for finding in found if finding.code is not Code.ALARM_ELSEWHERE]

    def _target(self, endpoint: Endpoint, hook: GuardrailsHook) -> EndpointConfig | None:
        """Return the configuration to deploy; until it exists, that in service by its name."""
        if self.endpoint_config_name and (
            response := hook.describe_endpoint_config(self.endpoint_config_name)
        ):
            return parse_endpoint_config(response)
        serving = hook.describe_endpoint_config(endpoint.endpoint_config_name or "")
        if serving is None:
            return None
        return replace(parse_endpoint_config(serving), name=self.endpoint_config_name or _NO_NAME)
