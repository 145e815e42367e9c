"""
Create a shadow test, so that a crash between any two calls creates no second one.

The name of the test follows from the task instance and the arguments, and SageMaker accepts each name once.
So a retry finds the test of an earlier try by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.shadow.eligibility import Production
from airflow_guardrails.domain.shadow.planning import RequestsNeeded
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
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

# For one task instance: how many tests may be cancelled and created again.
_MOST_TESTS = 100
_ONE_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTest:
    """The shadow test that now exists; *adopted* if an earlier try of this task has created it."""

    name: str
    adopted: bool
    warnings: tuple[str, ...] = ()


@dataclass(kw_only=True)
class ShadowTestCreation:
    """
    Creates one shadow test, or finds that of an earlier try.

    :param prefix: beginning of the test's name.
    :param context: Airflow's context of the running task.
    :param refuse_if_killed: raises if the task was killed, so that nothing is created.
    :param pause: seconds between two calls of DescribeInferenceExperiment.
    :param check_update: raises if the update behind the test would be refused, see ``UpdateCheck.run``.
    :param needed: what the tasks behind the test need; None if that is not known.
    :param warnings: what the report must say; filled by :meth:`run`.
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
    check_update: Callable[..., None] | None = None
    needed: RequestsNeeded | None = None
    warnings: list[str] = field(default_factory=list)

    def run(self) -> CreatedTest:
        """
        Return the test of this task, which is created if it does not exist.

        :raises ShadowTestRefused: if the endpoint cannot have such a test.
        :raises ShadowTestDiffers: if somebody has changed the test of this task.
        :raises EndpointBusy: if the endpoint is being changed, or has another test.
        """
        name = guarded_name(self.prefix, self.context, self.test.content)
        for attempt in range(1, _MOST_TESTS + 1):
            created = self._attempt(name if attempt == 1 else f"{name}-{attempt}")
            if created is not None:
                return created
        raise ShadowTestRefused(
            f"{_MOST_TESTS} shadow tests of this task were cancelled, the last is {name}-{_MOST_TESTS}: fix "
            "the reason before you start another one"
        )

    def _attempt(self, name: str) -> CreatedTest | None:
        """Return None if the test of this name was cancelled, so that the next name is used."""
        experiment = self.hook.describe_inference_experiment(name)
        return self._adopt(experiment) if isinstance(experiment, Experiment) else self._create(name)

    def _adopt(self, experiment: Experiment) -> CreatedTest | None:
        name = experiment.name
        if experiment.phase is Phase.CANCELLED:
            self.log.info("Shadow test %s was cancelled (%s): creating another one", name, experiment.reason)
            return None
        if differences := self.test.differences(experiment):
            raise ShadowTestDiffers(
                f"Shadow test {name} has this task's name, but {'; '.join(differences)}: somebody has "
                "changed it. Stop and delete it, and clear this task"
            )
        self.log.info("Shadow test %s is %s: an earlier try has created it", name, experiment.status.value)
        return CreatedTest(name=name, adopted=True)

    def _create(self, name: str) -> CreatedTest | None:
        endpoint, production = find_production(
            self.test.endpoint_name, shadow=self.test.shadow, hook=self.hook, warn=self.warn
        )
        if self.check_update is not None:
            self.check_update(warn=self.warn)
        starts_at, ends_at = self._schedule(endpoint.seen_at)
        warning = length_warning(self.test.schedule, endpoint.seen_at)
        if warning:
            self.warn(warning)
        self._check_requests(production, ends_at - (starts_at or endpoint.seen_at), now=endpoint.seen_at)
        shadow = self.test.shadow
        self.log.info(
            "Creating shadow test %s on endpoint %s: model %s gets %s %% of the requests to %s (%s)",
            name,
            endpoint.name,
            shadow.model_name,
            shadow.sampling_percentage,
            production.model_name,
            production.variant_name,
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
            return self._after_error(name, error)
        return CreatedTest(name=name, adopted=False, warnings=tuple(self.warnings))

    def _check_requests(self, production: Production, length: timedelta, *, now: datetime) -> None:
        """
        Compare the length of the test and the traffic of the last hour with what is *needed*.

        :raises ShadowTestRefused: if the test would be over before anything of it is judged.
        """
        if self.needed is None:
            return
        if reason := self.needed.impossible(length):
            raise ShadowTestRefused(f"Endpoint {self.test.endpoint_name} gets no shadow test: {reason}")
        if self.needed.min_requests is None:
            return
        name, variant = self.test.endpoint_name, production.variant_name
        try:
            counted = self.hook.count_variant_requests(name, [variant], start=now - _ONE_HOUR, end=now)
        except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
            # The number only warns, so nothing depends on it.
            self.log.info("The traffic of the last hour is not known: %s", errors.text_for_people(error))
            return
        percentage = self.test.shadow.sampling_percentage
        if warning := self.needed.unlikely(length, requests=counted[variant], sampling_percentage=percentage):
            self.warn(warning)

    def warn(self, warning: str) -> None:
        """Log *warning*, and add it to the report of a test that is created."""
        self.log.warning(warning)
        self.warnings.append(warning)

    def _schedule(self, now: datetime) -> tuple[datetime | None, datetime]:
        try:
            return self.test.schedule.at(now)
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error

    def _after_error(self, name: str, error: Exception) -> CreatedTest | None:
        """Raise the error for a rejected call; adopt the test if only the response was lost."""
        in_use = False
        if isinstance(error, ClientError):
            if errors.is_access_denied(error):
                raise error
            in_use = errors.is_in_use(error)
        text = errors.text_for_people(error)
        if not in_use and not errors.is_passing(error):
            raise ShadowTestRefused(f"SageMaker rejected the shadow test {name}: {text}") from error
        experiment = self._find(name)
        if isinstance(experiment, Experiment):
            return self._adopt(experiment)
        if in_use:
            raise EndpointBusy(
                f"Endpoint {self.test.endpoint_name} already has a shadow test: stop it, or let Airflow "
                f"retry this task until it is over ({text})"
            ) from error
        raise EndpointBusy(
            f"SageMaker did not accept the shadow test {name}, and it does not exist: {text}"
        ) from error

    def _find(self, name: str) -> ExperimentLook:
        """Look for the test until reads, which may lag, must show it."""
        give_up = self.monotonic() + GRACE.total_seconds()
        experiment = self.hook.describe_inference_experiment(name)
        while not isinstance(experiment, Experiment) and self.monotonic() < give_up:
            self.sleep(self.pause)
            experiment = self.hook.describe_inference_experiment(name)
        return experiment
