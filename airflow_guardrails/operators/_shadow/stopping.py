"""The end of a shadow test: asked for once SageMaker takes it, and held against what is there afterwards."""

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
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


@dataclass(kw_only=True)
class StopRequest:
    """One stop of one test, from the request for it to the endpoint that is at rest again."""

    action: Action
    reason: str
    hook: GuardrailsHook
    log: Any
    sleep: Callable[[float], object]
    monotonic: Callable[[], float]
    pause: float
    deadline: float  # on the clock *monotonic*

    def ask(self, watch: ShadowTestState) -> ShadowTestState:
        """
        Look until the test takes the stop, and ask for it; return at once where it is over or stopping.

        The state has an outcome where the test is over, does not exist, or took no stop before the deadline.
        """
        while True:
            watch = watch.after(self.hook.describe_inference_experiment(watch.name))
            look = watch.look
            if watch.outcome is not None or (look and look.phase is Phase.STOPPING):
                return watch
            if look and not watch.missing_since and look.status in STOPPABLE and self._is_taken(look):
                return watch
            if self.monotonic() >= self.deadline:
                return watch.give_up()
            self.sleep(self.pause)

    def settle(self, report: ShadowReport) -> None:
        """
        Wait until the endpoint is InService, and see that what was asked for has come true.

        :raises ShadowTestNotStopped: if it has not.
        :raises ShadowTestTimedOut: if the endpoint is not InService before the deadline.
        """
        self._see_to_the_endpoint(report)
        look = self.hook.describe_inference_experiment(report["name"])
        if isinstance(look, Experiment) and (difference := why_not_carried_out(look, self.action)):
            raise ShadowTestNotStopped(
                f"Shadow test {look.name} is {look.status.value} ({look.reason or 'no reason given'}), but "
                f"not by {self.action.value}: {difference}. Nothing more was changed; update the endpoint to "
                "what it is to serve",
                report,
            )

    def _is_taken(self, look: Experiment) -> bool:
        """Ask; False where it has to be asked again, or looked at to see whether it was taken."""
        try:
            self.hook.stop_inference_experiment(look, self.action, state="Completed", reason=self.reason)
        except (ClientError, BotoCoreError) as error:
            if errors.is_passing(error) or (isinstance(error, ClientError) and errors.is_conflict(error)):
                return False
            raise
        self.log.info("Shadow test %s is being stopped by %s: %s", look.name, self.action.value, self.reason)
        return True

    def _see_to_the_endpoint(self, report: ShadowReport) -> None:
        name = report["endpoint_name"]
        while True:
            look = self.hook.describe_endpoint(name)
            if not isinstance(look, Endpoint) or look.status is EndpointStatus.IN_SERVICE:
                return  # one that somebody has deleted meanwhile has no shadow left either
            if not look.changing:
                raise ShadowTestNotStopped(
                    f"Shadow test {report['name']} is {report['status']}, and its endpoint {name} is "
                    f"{look.status.value}: {look.failure_reason or 'SageMaker gives no reason'}",
                    report,
                )
            if self.monotonic() >= self.deadline:
                raise ShadowTestTimedOut(
                    f"Shadow test {report['name']} is {report['status']}, and its endpoint {name} was still "
                    f"{look.status.value} when the time was up",
                    report,
                )
            self.sleep(self.pause)
