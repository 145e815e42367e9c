"""What happens to inference experiments over time, and to the endpoints that they have."""

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

Then = Callable[[Experiment], None]


class OpenCaptures(Protocol):
    """Captured records that are not stored yet, see ``simulator.capture``."""

    def finish(self, endpoint_name: str, *, experiment: str | None = None) -> None:
        """Do with what is open, of *experiment* or of all the endpoint, what ``capture_at_end`` says."""


class Hosting(Protocol):
    """The endpoints that experiments run on."""

    def endpoint(self, name: str) -> Endpoint | None: ...

    def check_room(self, fleet: Fleet, wanted: int, endpoint: Endpoint) -> None:
        """Raise ResourceLimitExceeded when *endpoint* may not have *wanted* instances more."""

    def swap(self, endpoint: Endpoint, green: Fleet) -> None:
        """Update *endpoint* to *green*, all at once; it is at rest when this is called."""


class ExperimentLifecycle:
    """
    Creating, Created, Starting, Running, Stopping, Completed; Updating between; Cancelled when it fails.

    An experiment brings its shadow up and takes it down by updates of its endpoint, to configurations of its
    own making and back. An endpoint has one experiment at a time that is not over.
    """

    def __init__(
        self,
        *,
        hosting: Hosting,
        catalogue: Catalogue,
        captured: OpenCaptures,
        clock: Clock,
        knobs: Knobs,
        account_id: str,
    ) -> None:
        self._hosting = hosting
        self._catalogue = catalogue
        self._captured = captured
        self._clock = clock
        self._knobs = knobs
        self._account_id = account_id
        self._by_endpoint: dict[str, Experiment] = {}

    def check_free(self, name: str, endpoint_name: str) -> None:
        """Raise ExperimentInUse where another experiment has the endpoint."""
        if endpoint_name in self._by_endpoint:
            raise ExperimentInUse(self._knobs, name=name, endpoint=endpoint_name)

    def begin(self, experiment: Experiment) -> None:
        self._by_endpoint[experiment.endpoint_name] = experiment
        self._note(experiment)
        self.later(experiment, self.ready)

    def on(self, endpoint: Endpoint) -> Experiment | None:
        """The experiment that has changed *endpoint* and is not over."""
        experiment = self._by_endpoint.get(endpoint.name)
        return experiment if experiment and experiment.touches_endpoint else None

    def enter(self, experiment: Experiment, status: str) -> None:
        experiment.enter(status, now=self._clock.now())
        self._note(experiment)

    def check_change(self, endpoint: Endpoint) -> None:
        """Raise EndpointInExperiment where an experiment does not let its endpoint be changed."""
        experiment = self.on(endpoint)
        if experiment and self._knobs.change_during_experiment == "reject":
            raise EndpointInExperiment(self._knobs, arn=endpoint.arn, experiment=experiment.name)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Go on with what waits for the endpoint to be at rest."""
        experiment = self._by_endpoint.get(endpoint.name)
        if experiment is None:
            return
        self._note(experiment)
        if self._hosting.endpoint(endpoint.name) is not endpoint:
            if experiment.touches_endpoint:
                self._fail(experiment, EndpointNotFound(endpoint.arn).message)
        elif experiment.then and not endpoint.busy:
            then, experiment.then = experiment.then, None
            then(experiment)

    def model_variants(self, request: Request) -> requests.ModelVariants:
        """Both variants of an experiment that its endpoint, as it is now, can have; or why it cannot."""
        variants = requests.model_variants(request, self._knobs)
        for variant in variants.values():
            self._catalogue.model(variant["ModelName"])
        if not self._hosting.endpoint(request["EndpointName"]) and (
            self._knobs.experiment_missing_endpoint == "cancelled"
        ):
            return variants
        endpoint, fleet = self._serving(request["EndpointName"])
        variants = requests.with_production(variants, request, fleet, self._knobs)
        spec = requests.shadow_spec(variants, request, fleet.variants[0].weight)
        config = {**fleet.config, "ShadowProductionVariants": [spec]}
        check_features(config, self._catalogue.model, knobs=self._knobs, own_account=self._account_id)
        self._hosting.check_room(fleet, spec["InitialInstanceCount"], endpoint)
        return variants

    def write_down(self, experiment: Experiment, after_seconds: float, outcome: Outcome) -> None:
        passed = (self._clock.now() - experiment.created_at).total_seconds()
        self._clock.after(max(after_seconds - passed, 0), lambda: self._cut(experiment, outcome))

    def later(self, experiment: Experiment, then: Then) -> None:
        experiment.timer = self._clock.after(self._knobs.experiment_step_seconds, lambda: then(experiment))

    def ready(self, experiment: Experiment) -> None:
        self.enter(experiment, "Created")
        if experiment.schedule.start <= self._clock.now():
            self.start(experiment)
        else:
            experiment.timer = self._clock.at(experiment.schedule.start, lambda: self.start(experiment))

    def start(self, experiment: Experiment) -> None:
        self.enter(experiment, "Starting")
        self._when_at_rest(experiment, self._bring_up)

    def sample(self, experiment: Experiment) -> None:
        endpoint = self._hosting.endpoint(experiment.endpoint_name)
        if endpoint and endpoint.blue and endpoint.config_name == experiment.config_name:
            configs.sample(endpoint.blue, experiment)
        self._run(experiment)

    def conclude(self, experiment: Experiment, outcome: Outcome) -> None:
        experiment.outcome = outcome
        self.enter(experiment, "Stopping")
        if experiment.touches_endpoint and not outcome.changes_nothing:
            self._when_at_rest(experiment, self._take_down)
        else:
            self.later(experiment, self._finish)

    def _note(self, experiment: Experiment) -> None:
        """Remember how it looks now, for reads that lag."""
        look = describe(experiment, self._hosting.endpoint(experiment.endpoint_name))
        experiment.history.record(self._clock.now(), look)

    def _bring_up(self, experiment: Experiment) -> None:
        try:
            endpoint, blue = self._serving(experiment.endpoint_name)
            variants = self.model_variants(experiment.request)
            name = self._catalogue.free_config_name(configs.own_name(experiment, self._knobs))
            green = configs.with_shadow(
                experiment, variants, blue, self._catalogue.model, name=name, now=self._clock.now()
            )
            self._catalogue.keep_config(green.config)
            experiment.original, experiment.config_name = blue.config, name
            self._swap(experiment, endpoint, green, self._came_up)
        except ServiceException as error:
            self._fail(experiment, error.message)

    def _came_up(self, experiment: Experiment) -> None:
        endpoint = self._hosting.endpoint(experiment.endpoint_name)
        if endpoint and endpoint.status == "InService" and endpoint.config_name == experiment.config_name:
            self._run(experiment)
        else:
            self._fail(experiment, endpoint.failure_reason if endpoint else None)

    def _run(self, experiment: Experiment) -> None:
        self.enter(experiment, "Running")
        done = Outcome(status="Completed")
        experiment.timer = self._clock.at(experiment.schedule.end, lambda: self.conclude(experiment, done))

    def _take_down(self, experiment: Experiment) -> None:
        outcome = experiment.outcome
        assert outcome
        assert experiment.original
        try:
            endpoint, blue = self._serving(experiment.endpoint_name)
            if blue.config_name != experiment.config_name:
                self._finish_elsewhere(experiment, blue.config_name)
                return
            green = configs.without_experiment(
                experiment, outcome, blue, self._catalogue, knobs=self._knobs, now=self._clock.now()
            )
            self._swap(experiment, endpoint, green, lambda _: self._came_down(experiment, green.config_name))
        except EndpointNotFound as error:
            self._fail(experiment, error.message)
        except ServiceException as error:
            self._fail(experiment, error.message, shadow="Retain")

    def _came_down(self, experiment: Experiment, config_name: str) -> None:
        endpoint = self._hosting.endpoint(experiment.endpoint_name)
        if endpoint and endpoint.status == "InService" and endpoint.config_name == config_name:
            self._finish(experiment)
        else:
            self._fail(experiment, endpoint.failure_reason if endpoint else None, shadow="Retain")

    def _finish_elsewhere(self, experiment: Experiment, config_name: str) -> None:
        # It never came up, or somebody has updated the endpoint since: nothing is left to take down.
        if experiment.original and config_name == experiment.original["EndpointConfigName"]:
            self._finish(experiment)
        else:
            self._fail(
                experiment, f"The endpoint uses {config_name}, which is no configuration of the experiment."
            )

    def _finish(self, experiment: Experiment) -> None:
        assert experiment.outcome
        self._end(experiment, experiment.outcome)

    def _fail(self, experiment: Experiment, reason: str | None, *, shadow: str = "Remove") -> None:
        told = reason or "The update of the endpoint failed."
        self._end(experiment, Outcome(status="Cancelled", shadow=shadow, reason=told))

    def _end(self, experiment: Experiment, outcome: Outcome) -> None:
        experiment.end(outcome, now=self._clock.now())
        self._note(experiment)
        self.forget(experiment)
        self._captured.finish(experiment.endpoint_name, experiment=experiment.name)

    def forget(self, experiment: Experiment) -> None:
        """Let nothing happen to it any more."""
        experiment.timer.cancel()
        if self._by_endpoint.get(experiment.endpoint_name) is experiment:
            del self._by_endpoint[experiment.endpoint_name]

    def _cut(self, experiment: Experiment, outcome: Outcome) -> None:
        if experiment.over:
            return
        if outcome.changes_nothing or not experiment.touches_endpoint:
            self._end(experiment, outcome)
        elif experiment.status == "Stopping" and experiment.outcome:
            experiment.outcome = configs.ending_as(experiment.outcome, outcome)
        else:
            self.conclude(experiment, outcome)

    def _swap(self, experiment: Experiment, endpoint: Endpoint, green: Fleet, then: Then) -> None:
        # Before it begins: without a wait in it, an update is over when this returns.
        experiment.then = then
        self._hosting.swap(endpoint, green)

    def _when_at_rest(self, experiment: Experiment, then: Then) -> None:
        endpoint = self._hosting.endpoint(experiment.endpoint_name)
        if endpoint and endpoint.busy:
            experiment.then = then
        else:
            then(experiment)

    def _serving(self, endpoint_name: str) -> tuple[Endpoint, Fleet]:
        arn = self._catalogue.arn("endpoint", endpoint_name)
        endpoint = self._hosting.endpoint(endpoint_name)
        if endpoint is None:
            raise EndpointNotFound(arn)
        if endpoint.status == "Failed":
            raise EndpointFailed((self._knobs.failed_endpoint_message or "").replace("{arn}", arn))
        if endpoint.blue is None:
            raise EndpointInProgress(arn)
        return endpoint, endpoint.blue
