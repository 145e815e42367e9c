"""The operations on inference experiments."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.errors import ExperimentConflict, ExperimentInUse, ExperimentNotFound
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.catalogue import Catalogue, Request, Response
from airflow_guardrails.simulator.sagemaker.experiments import requests
from airflow_guardrails.simulator.sagemaker.experiments.experiment import (
    CHANGEABLE,
    TERMINAL,
    Experiment,
    Outcome,
)
from airflow_guardrails.simulator.sagemaker.experiments.lifecycle import Endpoints, ExperimentLifecycle
from airflow_guardrails.simulator.sagemaker.experiments.reads import ExperimentReadModel
from airflow_guardrails.simulator.sagemaker.experiments.schedule import changed_schedule, new_schedule
from airflow_guardrails.simulator.sagemaker.listing import page

# Deleted experiments are kept only for lists that lag.
_MAX_DELETED = 1000


class Experiments:
    """
    Requests and responses are those of the API. They are checked against the service model before they get
    here.
    """

    def __init__(
        self,
        *,
        lifecycle: ExperimentLifecycle,
        reads: ExperimentReadModel,
        endpoints: Endpoints,
        catalogue: Catalogue,
        clock: Clock,
        knobs: Knobs,
    ) -> None:
        self._lifecycle = lifecycle
        self._reads = reads
        self._endpoints = endpoints
        self._catalogue = catalogue
        self._clock = clock
        self._knobs = knobs
        self._experiments: dict[str, Experiment] = {}
        self._deleted: deque[Experiment] = deque(maxlen=_MAX_DELETED)
        self._scripts: dict[str, tuple[float, Outcome]] = {}

    def create_inference_experiment(self, request: Request) -> Response:
        """
        Carry out CreateInferenceExperiment.

        :raises ExperimentInUse: if its name or endpoint is taken.
        """
        name, endpoint_name = request["Name"], request["EndpointName"]
        # AWS returns ResourceInUse for a taken name and for a taken endpoint.
        self._lifecycle.check_endpoint_free(name, endpoint_name)
        if name in self._experiments:
            raise ExperimentInUse(self._knobs, name=name, endpoint=endpoint_name)
        experiment = Experiment(
            name=name,
            arn=self._catalogue.arn("inference-experiment", name),
            request={key: value for key, value in request.items() if key not in {"Name", "Tags", "Schedule"}},
            model_variants=self._lifecycle.model_variants(request),
            schedule=new_schedule(request.get("Schedule"), now=self._clock.now(), knobs=self._knobs),
            created_at=self._clock.now(),
        )
        self._experiments[name] = experiment
        self._catalogue.tags.create(experiment.arn, request)
        self._lifecycle.begin(experiment)
        # A test may have scripted the end before the experiment was created.
        if script := self._scripts.pop(name, None):
            self._lifecycle.script_end(experiment, *script)
        return {"InferenceExperimentArn": experiment.arn}

    def describe_inference_experiment(self, request: Request) -> Response:
        """Carry out DescribeInferenceExperiment."""
        experiment = self._find(request["Name"])
        return self._reads.describe(experiment, self._endpoints.endpoint(experiment.endpoint_name))

    def list_inference_experiments(self, request: Request) -> Response:
        """Carry out ListInferenceExperiments."""
        rows = self._reads.summaries(self._experiments.values(), self._deleted)
        return page(rows, request, prefix="", key="InferenceExperiments")

    def update_inference_experiment(self, request: Request) -> Response:
        """Carry out UpdateInferenceExperiment, which needs status Created or Running."""
        experiment = self._find_in(CHANGEABLE, request["Name"], "updated")
        running = experiment.status == "Running"
        merged = requests.merge_update(experiment, request, self._knobs)
        schedule = changed_schedule(
            experiment.schedule,
            merged.pop("Schedule", None),
            running=running,
            now=self._clock.now(),
            knobs=self._knobs,
        )
        if running:
            # The deployed variants cannot change; only the fields of the request are checked.
            requests.model_variants(merged, self._knobs)
            variants = experiment.model_variants
        else:
            variants = self._lifecycle.model_variants(merged)
        self._freeze(experiment)
        experiment.model_variants = variants
        experiment.request, experiment.schedule = merged, schedule
        self._lifecycle.enter(experiment, "Updating")
        self._lifecycle.schedule_next(
            experiment, self._lifecycle.apply_sampling if running else self._lifecycle.enter_created
        )
        return {"InferenceExperimentArn": experiment.arn}

    def start_inference_experiment(self, request: Request) -> Response:
        """Carry out StartInferenceExperiment, which needs status Created."""
        experiment = self._find_in({"Created"}, request["Name"], "started")
        self._freeze(experiment)
        experiment.schedule = experiment.schedule.starting_at(self._clock.now())
        self._lifecycle.start(experiment)
        return {"InferenceExperimentArn": experiment.arn}

    def stop_inference_experiment(self, request: Request) -> Response:
        """Carry out StopInferenceExperiment, which needs status Created or Running."""
        experiment = self._find_in(CHANGEABLE, request["Name"], "stopped")
        outcome = requests.stop_outcome(experiment, request, self._knobs)
        self._freeze(experiment)
        self._lifecycle.stop(experiment, outcome)
        return {"InferenceExperimentArn": experiment.arn}

    def delete_inference_experiment(self, request: Request) -> Response:
        """Carry out DeleteInferenceExperiment. The endpoint is not changed."""
        # The call has a ConflictException in the service model, which does not say for which status.
        experiment = self._find_in(TERMINAL, request["Name"], "deleted")
        self._lifecycle.forget(experiment)
        del self._experiments[experiment.name]
        self._deleted.append(experiment)
        experiment.history.record(self._clock.now(), None)
        self._catalogue.tags.remove(experiment.arn)
        return {"InferenceExperimentArn": experiment.arn}

    def script_ending(
        self,
        name: str,
        *,
        status: str,
        reason: str | None = None,
        after_seconds: float = 0.0,
        keep_shadow: bool = False,
    ) -> None:
        """
        Set how an experiment ends; it may be created later.

        The shadow is removed first. An experiment that is stopping by then gets the scripted status and
        reason.

        :param status: ``Completed`` or ``Cancelled``.
        :param after_seconds: simulated seconds since its creation.
        :param keep_shadow: whether the endpoint stays as it is then.
        :raises ValueError: for another status, and for an experiment that has ended.
        """
        if status not in TERMINAL:
            raise ValueError(f"status must be one of {sorted(TERMINAL)} (got {status!r})")
        experiment = self._experiments.get(name)
        outcome = Outcome(status=status, shadow="Retain" if keep_shadow else "Remove", reason=reason)
        if experiment is None:
            self._scripts[name] = (after_seconds, outcome)
        elif experiment.ended:
            raise ValueError(f"experiment {name} has ended: it is {experiment.status}")
        else:
            self._lifecycle.script_end(experiment, after_seconds, outcome)

    def _freeze(self, experiment: Experiment) -> None:
        self._reads.freeze(experiment, self._endpoints.endpoint(experiment.endpoint_name))

    def _find(self, name: str) -> Experiment:
        experiment = self._experiments.get(name)
        if experiment is None or not self._reads.visible(experiment):
            raise ExperimentNotFound(self._knobs, arn=self._catalogue.arn("inference-experiment", name))
        return experiment

    def _find_in(self, statuses: Collection[str], name: str, what: str) -> Experiment:
        experiment = self._find(name)
        if experiment.status not in statuses:
            raise ExperimentConflict(self._knobs, arn=experiment.arn, status=experiment.status, action=what)
        return experiment
