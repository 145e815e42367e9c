"""How inference experiments proceed, and how they change their endpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from moto.core.exceptions import ServiceException

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.errors import (
    EndpointFailed,
    EndpointInExperiment,
    EndpointInProgress,
    EndpointNotFound,
    ExperimentInUse,
)
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.catalogue import Catalogue, Request
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.experiments import configs, requests
from airflow_guardrails.simulator.sagemaker.experiments.experiment import Experiment, Outcome, describe
from airflow_guardrails.simulator.sagemaker.fleets import Fleet
from airflow_guardrails.simulator.sagemaker.shadows import check_features

_NextStep = Callable[[Experiment], None]


class PendingCaptures(Protocol):
    """Captured records that are not stored yet, see ``simulator.capture``."""

    def finish(self, endpoint_name: str, *, experiment: str | None = None) -> None:
        """
        Treat the pending records of an endpoint, or of one *experiment* on it, as ``capture_at_end`` says.
        """


class Endpoints(Protocol):
    """The endpoints that experiments change."""

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint with exactly this name, or None."""

    def check_quota(self, fleet: Fleet, requested: int, endpoint: Endpoint) -> None:
        """Raise ResourceLimitExceeded if *endpoint* cannot have *requested* more instances."""

    def replace_fleet(self, endpoint: Endpoint, green: Fleet) -> None:
        """Update *endpoint* to *green* all at once. The endpoint must not be busy."""


class ExperimentLifecycle:
    """
    Moves experiments through Creating, Created, Starting, Running, Stopping and Completed.

    Updating may come in between; a failure ends in Cancelled. An experiment adds and removes its shadow by
    updates of its endpoint. An endpoint has at most one experiment that has not ended.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        catalogue: Catalogue,
        pending_captures: PendingCaptures,
        clock: Clock,
        knobs: Knobs,
        account_id: str,
    ) -> None:
        self._endpoints = endpoints
        self._catalogue = catalogue
        self._pending_captures = pending_captures
        self._clock = clock
        self._knobs = knobs
        self._account_id = account_id
        self._by_endpoint: dict[str, Experiment] = {}

    def check_endpoint_free(self, name: str, endpoint_name: str) -> None:
        """Raise ExperimentInUse if another experiment has the endpoint."""
        if endpoint_name in self._by_endpoint:
            raise ExperimentInUse(self._knobs, name=name, endpoint=endpoint_name)

    def begin(self, experiment: Experiment) -> None:
        """Start the life of a new experiment, in status Creating."""
        self._by_endpoint[experiment.endpoint_name] = experiment
        self._record(experiment)
        self.schedule_next(experiment, self.enter_created)

    def experiment_on(self, endpoint: Endpoint) -> Experiment | None:
        """Return the experiment that has changed *endpoint* and has not ended, or None."""
        experiment = self._by_endpoint.get(endpoint.name)
        return experiment if experiment and experiment.touches_endpoint else None

    def enter(self, experiment: Experiment, status: str) -> None:
        """Enter a status and record the new description."""
        experiment.enter(status, now=self._clock.now())
        self._record(experiment)

    def check_change_allowed(self, endpoint: Endpoint) -> None:
        """Raise EndpointInExperiment if an experiment forbids changes of its endpoint."""
        experiment = self.experiment_on(endpoint)
        if experiment and self._knobs.change_during_experiment == "reject":
            raise EndpointInExperiment(self._knobs, arn=endpoint.arn, experiment=experiment.name)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Continue an experiment that waits for its endpoint. Called after each change of an endpoint."""
        experiment = self._by_endpoint.get(endpoint.name)
        if experiment is None:
            return
        self._record(experiment)
        # A deleted endpoint may have a successor with the same name.
        if self._endpoints.endpoint(endpoint.name) is not endpoint:
            if experiment.touches_endpoint:
                self._fail(experiment, EndpointNotFound(endpoint.arn).message)
        elif experiment.next_step and not endpoint.busy:
            # Clear it first: the step may set the next one.
            next_step, experiment.next_step = experiment.next_step, None
            next_step(experiment)

    def model_variants(self, request: Request) -> requests.ModelVariants:
        """
        Return both variants of a requested experiment.

        :raises ServiceException: the error of AWS if the endpoint cannot have this experiment.
        """
        variants = requests.model_variants(request, self._knobs)
        for variant in variants.values():
            self._catalogue.model(variant["ModelName"])
        # AWS does not document what the API does without the endpoint. The console can create one.
        if not self._endpoints.endpoint(request["EndpointName"]) and (
            self._knobs.experiment_missing_endpoint == "cancelled"
        ):
            return variants
        endpoint, fleet = self._serving(request["EndpointName"])
        variants = requests.with_production(variants, request, fleet, self._knobs)
        spec = requests.shadow_variant_spec(variants, request, fleet.variants[0].weight)
        config = {**fleet.config, "ShadowProductionVariants": [spec]}
        # Developer guide: here these features are an error; an update falls back to all at once.
        check_features(config, self._catalogue.model, knobs=self._knobs, own_account=self._account_id)
        self._endpoints.check_quota(fleet, spec["InitialInstanceCount"], endpoint)
        return variants

    def script_end(self, experiment: Experiment, after_seconds: float, outcome: Outcome) -> None:
        """End the experiment *after_seconds* after its creation, with *outcome*."""
        passed = (self._clock.now() - experiment.created_at).total_seconds()
        self._clock.after(max(after_seconds - passed, 0), lambda: self._apply_script(experiment, outcome))

    def schedule_next(self, experiment: Experiment, next_step: _NextStep) -> None:
        """Run *next_step* after ``experiment_step_seconds``."""
        experiment.timer = self._clock.after(
            self._knobs.experiment_step_seconds, lambda: next_step(experiment)
        )

    def enter_created(self, experiment: Experiment) -> None:
        """Enter Created, and start now or at the StartTime."""
        self.enter(experiment, "Created")
        if experiment.schedule.start <= self._clock.now():
            self.start(experiment)
        else:
            experiment.timer = self._clock.at(experiment.schedule.start, lambda: self.start(experiment))

    def start(self, experiment: Experiment) -> None:
        """Enter Starting, and add the shadow when the endpoint is not busy."""
        self.enter(experiment, "Starting")
        self._when_idle(experiment, self._add_shadow)

    def apply_sampling(self, experiment: Experiment) -> None:
        """Apply a changed SamplingPercentage, and run again."""
        endpoint = self._endpoints.endpoint(experiment.endpoint_name)
        if endpoint and endpoint.blue and endpoint.config_name == experiment.config_name:
            configs.apply_sampling(endpoint.blue, experiment)
        self._run(experiment)

    def stop(self, experiment: Experiment, outcome: Outcome) -> None:
        """Enter Stopping, and change the endpoint as *outcome* says."""
        experiment.outcome = outcome
        self.enter(experiment, "Stopping")
        if experiment.touches_endpoint and not outcome.changes_nothing:
            self._when_idle(experiment, self._apply_outcome)
        else:
            self.schedule_next(experiment, self._finish)

    def _record(self, experiment: Experiment) -> None:
        """Add the present description to the history, for reads that lag."""
        description = describe(experiment, self._endpoints.endpoint(experiment.endpoint_name))
        experiment.history.record(self._clock.now(), description)

    def _add_shadow(self, experiment: Experiment) -> None:
        try:
            endpoint, blue = self._serving(experiment.endpoint_name)
            # Check again: the endpoint may have changed since the experiment was created.
            variants = self.model_variants(experiment.request)
            name = self._catalogue.unused_config_name(configs.new_config_name(experiment, self._knobs))
            green = configs.fleet_with_shadow(
                experiment, variants, blue, self._catalogue.model, name=name, now=self._clock.now()
            )
            # That SageMaker deploys another configuration is inferred: EndpointMetadata has its name.
            self._catalogue.add_config(green.config)
            experiment.original, experiment.config_name = blue.config, name
            self._replace_fleet(experiment, endpoint, green, self._shadow_added)
        except ServiceException as error:
            # There is no status Failed: the error becomes the StatusReason of a Cancelled experiment.
            self._fail(experiment, error.message)

    def _shadow_added(self, experiment: Experiment) -> None:
        endpoint = self._endpoints.endpoint(experiment.endpoint_name)
        # InService alone is no success: a rolled-back update ends there too, with the old configuration.
        if endpoint and endpoint.status == "InService" and endpoint.config_name == experiment.config_name:
            self._run(experiment)
        else:
            self._fail(experiment, endpoint.failure_reason if endpoint else None)

    def _run(self, experiment: Experiment) -> None:
        self.enter(experiment, "Running")
        done = Outcome(status="Completed")
        experiment.timer = self._clock.at(experiment.schedule.end, lambda: self.stop(experiment, done))

    def _apply_outcome(self, experiment: Experiment) -> None:
        outcome = experiment.outcome
        assert outcome
        assert experiment.original
        try:
            endpoint, blue = self._serving(experiment.endpoint_name)
            if blue.config_name != experiment.config_name:
                self._finish_on_other_config(experiment, blue.config_name)
                return
            green = configs.fleet_after(
                experiment, outcome, blue, self._catalogue, knobs=self._knobs, now=self._clock.now()
            )
            self._replace_fleet(
                experiment, endpoint, green, lambda _: self._outcome_applied(experiment, green.config_name)
            )
        except EndpointNotFound as error:
            self._fail(experiment, error.message)
        except ServiceException as error:
            # The update was refused, so the shadow is still deployed.
            self._fail(experiment, error.message, shadow="Retain")

    def _outcome_applied(self, experiment: Experiment, config_name: str) -> None:
        endpoint = self._endpoints.endpoint(experiment.endpoint_name)
        if endpoint and endpoint.status == "InService" and endpoint.config_name == config_name:
            self._finish(experiment)
        else:
            self._fail(experiment, endpoint.failure_reason if endpoint else None, shadow="Retain")

    def _finish_on_other_config(self, experiment: Experiment, config_name: str) -> None:
        # The shadow was never added, or another update has removed it: there is nothing to remove.
        if experiment.original and config_name == experiment.original["EndpointConfigName"]:
            self._finish(experiment)
        else:
            self._fail(
                experiment,
                f"The endpoint uses {config_name}, which is not a configuration of the experiment.",
            )

    def _finish(self, experiment: Experiment) -> None:
        assert experiment.outcome
        self._end(experiment, experiment.outcome)

    def _fail(self, experiment: Experiment, reason: str | None, *, shadow: str = "Remove") -> None:
        text = reason or "The update of the endpoint failed."
        self._end(experiment, Outcome(status="Cancelled", shadow=shadow, reason=text))

    def _end(self, experiment: Experiment, outcome: Outcome) -> None:
        experiment.end(outcome, now=self._clock.now())
        self._record(experiment)
        self.forget(experiment)
        self._pending_captures.finish(experiment.endpoint_name, experiment=experiment.name)

    def forget(self, experiment: Experiment) -> None:
        """Cancel the timer of an experiment and free its endpoint."""
        experiment.timer.cancel()
        if self._by_endpoint.get(experiment.endpoint_name) is experiment:
            del self._by_endpoint[experiment.endpoint_name]

    def _apply_script(self, experiment: Experiment, outcome: Outcome) -> None:
        if experiment.ended:
            return
        if outcome.changes_nothing or not experiment.touches_endpoint:
            self._end(experiment, outcome)
        # A stopping experiment continues, but ends with the scripted status and reason.
        elif experiment.status == "Stopping" and experiment.outcome:
            experiment.outcome = configs.with_scripted_end(experiment.outcome, outcome)
        else:
            self.stop(experiment, outcome)

    def _replace_fleet(
        self, experiment: Experiment, endpoint: Endpoint, green: Fleet, next_step: _NextStep
    ) -> None:
        # Set it before the update starts: an update without any wait is finished when replace_fleet returns.
        experiment.next_step = next_step
        self._endpoints.replace_fleet(endpoint, green)

    def _when_idle(self, experiment: Experiment, next_step: _NextStep) -> None:
        endpoint = self._endpoints.endpoint(experiment.endpoint_name)
        if endpoint and endpoint.busy:
            experiment.next_step = next_step
        else:
            next_step(experiment)

    def _serving(self, endpoint_name: str) -> tuple[Endpoint, Fleet]:
        arn = self._catalogue.arn("endpoint", endpoint_name)
        endpoint = self._endpoints.endpoint(endpoint_name)
        if endpoint is None:
            raise EndpointNotFound(arn)
        if endpoint.status == "Failed":
            raise EndpointFailed(self._knobs, arn=arn)
        if endpoint.blue is None:
            raise EndpointInProgress(arn)
        return endpoint, endpoint.blue
