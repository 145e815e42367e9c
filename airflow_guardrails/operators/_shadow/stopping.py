"""Stop a shadow test, and verify what the endpoint serves afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.shadow.report import ShadowReport
from airflow_guardrails.domain.shadow.state import ShadowTestState
from airflow_guardrails.domain.shadow.stop import STOPPABLE, Action, why_not_carried_out
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.experiment import Experiment, Phase
from airflow_guardrails.exceptions import ShadowTestNotStopped, ShadowTestTimedOut

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


@dataclass(kw_only=True)
class StopRequest:
    """
    One stop of one shadow test.

    :param reason: text that SageMaker stores with the test.
    :param pause: seconds between two calls of a Describe operation.
    :param deadline: when to give up, on the clock *monotonic*, in seconds.
    """

    action: Action
    reason: str
    hook: GuardrailsHook
    log: Any
    sleep: Callable[[float], object]
    monotonic: Callable[[], float]
    pause: float
    deadline: float

    def send(self, state: ShadowTestState) -> ShadowTestState:
        """
        Wait until the test can be stopped, and stop it; return at once if it is over or already stopping.

        The returned state has an outcome if the test is over, does not exist, or could not be stopped before
        the deadline.
        """
        while True:
            state = state.after(self.hook.describe_inference_experiment(state.name))
            experiment = state.look
            if state.outcome is not None or (experiment and experiment.phase is Phase.STOPPING):
                return state
            stoppable = experiment and not state.missing_since and experiment.status in STOPPABLE
            if experiment and stoppable and self._accepted(experiment):
                return state
            if self.monotonic() >= self.deadline:
                return state.give_up()
            self.sleep(self.pause)

    def verify(self, report: ShadowReport) -> None:
        """
        Wait until the endpoint is InService, and check that the action was carried out.

        :raises ShadowTestNotStopped: if it was not.
        :raises ShadowTestTimedOut: if the endpoint is not InService before the deadline.
        """
        self._wait_for_endpoint(report)
        experiment = self.hook.describe_inference_experiment(report["name"])
        if isinstance(experiment, Experiment) and (
            difference := why_not_carried_out(experiment, self.action)
        ):
            raise ShadowTestNotStopped(
                f"Shadow test {experiment.name} is {experiment.status.value} "
                f"({experiment.reason or 'no reason given'}), but not by {self.action.value}: {difference}. "
                "Nothing more was changed; update the endpoint to the configuration you want",
                report,
            )

    def _accepted(self, experiment: Experiment) -> bool:
        """Call StopInferenceExperiment; return False if it must be called, or checked, again."""
        try:
            self.hook.stop_inference_experiment(
                experiment, self.action, state="Completed", reason=self.reason
            )
        except (ClientError, BotoCoreError) as error:
            if errors.is_passing(error) or (isinstance(error, ClientError) and errors.is_conflict(error)):
                return False
            raise
        self.log.info("Stopping shadow test %s by %s: %s", experiment.name, self.action.value, self.reason)
        return True

    def _wait_for_endpoint(self, report: ShadowReport) -> None:
        name = report["endpoint_name"]
        while True:
            endpoint = self.hook.describe_endpoint(name)
            if not isinstance(endpoint, Endpoint) or endpoint.status is EndpointStatus.IN_SERVICE:
                return  # an endpoint that somebody has deleted has no shadow either
            if not endpoint.changing:
                raise ShadowTestNotStopped(
                    f"Shadow test {report['name']} is {report['status']}, and its endpoint {name} is "
                    f"{endpoint.status.value}: {endpoint.failure_reason or 'SageMaker gives no reason'}",
                    report,
                )
            if self.monotonic() >= self.deadline:
                raise ShadowTestTimedOut(
                    f"Shadow test {report['name']} is {report['status']}, and its endpoint {name} is still "
                    f"{endpoint.status.value} after the time-out",
                    report,
                )
            self.sleep(self.pause)
