"""
The creation of a shadow test, safe against a crash between any two of its calls.

A test has a name that follows from the task instance and from what it is to be, and SageMaker gives a name
once. So a retry finds what an earlier try has made by its name, and can make no second one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.shadow.eligibility import Production
from airflow_guardrails.domain.shadow.spec import ShadowTest, length_warning
from airflow_guardrails.domain.shadow.state import GRACE
from airflow_guardrails.domain.snapshots.experiment import Experiment, ExperimentLook, Phase
from airflow_guardrails.exceptions import (
    EndpointBusy,
    InvalidArgument,
    ShadowTestDiffers,
    ShadowTestRefused,
)
from airflow_guardrails.names import guarded_name
from airflow_guardrails.operators._shadow.eligibility import find_production

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# So often may a test of one task instance be cancelled and begun again.
MOST_ATTEMPTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTest:
    """The test that there is now; *adopted* where an earlier try of this task has made it."""

    name: str
    adopted: bool
    warnings: tuple[str, ...] = ()


@dataclass(kw_only=True)
class ShadowTestCreation:
    """
    One creation; :meth:`run` returns what was made or found.

    :param prefix: how the test's name begins.
    """

    test: ShadowTest
    prefix: str
    context: Mapping[str, Any]
    hook: GuardrailsHook
    log: Any
    sleep: Callable[[float], object]
    refuse_if_killed: Callable[[], object]
    monotonic: Callable[[], float]
    pause: float
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def run(self) -> CreatedTest:
        name = guarded_name(self.prefix, self.context, self.test.content)
        for attempt in range(1, MOST_ATTEMPTS + 1):
            made = self._attempt(name if attempt == 1 else f"{name}-{attempt}")
            if made is not None:
                return made
        raise ShadowTestRefused(
            f"{MOST_ATTEMPTS} shadow tests of this task were cancelled, the last is {name}-{MOST_ATTEMPTS}: "
            "see to their reasons before there is another"
        )

    def _attempt(self, name: str) -> CreatedTest | None:
        """None if the test of this name was cancelled, so that another one is due."""
        look = self.hook.describe_inference_experiment(name)
        return self._adopt(look) if isinstance(look, Experiment) else self._create(name)

    def _adopt(self, look: Experiment) -> CreatedTest | None:
        if look.phase is Phase.CANCELLED:
            self.log.info("Shadow test %s was cancelled (%s): another one is due", look.name, look.reason)
            return None
        if differences := self.test.differences(look):
            raise ShadowTestDiffers(
                f"Shadow test {look.name} has this task's name, and {'; '.join(differences)}: somebody has "
                "changed it. Stop it and delete it, and clear this task"
            )
        self.log.info("Shadow test %s is %s: an earlier try has made it", look.name, look.status.value)
        return CreatedTest(name=look.name, adopted=True)

    def _create(self, name: str) -> CreatedTest | None:
        endpoint, production = find_production(
            self.test.endpoint_name, shadow=self.test.shadow, hook=self.hook, warn=self._warn
        )
        starts_at, ends_at = self._schedule(endpoint.seen_at)
        warning = length_warning(self.test.schedule, endpoint.seen_at)
        if warning:
            self._warn(warning)
        self.log.info(
            "Creating shadow test %s on endpoint %s: %s", name, endpoint.name, self._says(production)
        )
        self.refuse_if_killed()
        try:
            self.hook.create_inference_experiment(
                test=self.test,
                name=name,
                production=production,
                starts_at=starts_at,
                ends_at=ends_at,
                description=self.description,
                tags=self.tags,
            )
        except (ClientError, BotoCoreError) as error:
            return self._after_refusal(name, error)
        return CreatedTest(name=name, adopted=False, warnings=tuple(self.warnings))

    def _warn(self, warning: str) -> None:
        self.log.warning(warning)
        self.warnings.append(warning)

    def _schedule(self, now: datetime) -> tuple[datetime | None, datetime]:
        try:
            return self.test.schedule.at(now)
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error

    def _says(self, production: Production) -> str:
        shadow, source = self.test.shadow, f"{production.model_name} ({production.variant_name})"
        return f"model {shadow.model_name} gets {shadow.sampling_percentage} % of the requests to {source}"

    def _after_refusal(self, name: str, error: Exception) -> CreatedTest | None:
        """Tell a refusal from an answer that got lost on its way: then the test may well be there."""
        if isinstance(error, ClientError) and errors.is_access_denied(error):
            raise error
        in_use, said = (
            isinstance(error, ClientError) and errors.is_in_use(error),
            errors.text_for_people(error),
        )
        if not in_use and not errors.is_passing(error):
            raise ShadowTestRefused(f"SageMaker refused the shadow test {name}: {said}") from error
        look = self._look_for(name)
        if isinstance(look, Experiment):
            return self._adopt(look)
        if in_use:
            raise EndpointBusy(
                f"Endpoint {self.test.endpoint_name} has a shadow test already: stop that first, or let "
                f"Airflow retry this task until it is over ({said})"
            ) from error
        raise EndpointBusy(
            f"The shadow test {name} was not accepted, and there is none of that name: {said}"
        ) from error

    def _look_for(self, name: str) -> ExperimentLook:
        """Look until reads must show what was there before; they may lag."""
        give_up = self.monotonic() + GRACE.total_seconds()
        look = self.hook.describe_inference_experiment(name)
        while not isinstance(look, Experiment) and self.monotonic() < give_up:
            self.sleep(self.pause)
            look = self.hook.describe_inference_experiment(name)
        return look
