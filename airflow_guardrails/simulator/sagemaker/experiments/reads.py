"""What a look at inference experiments answers: their present state, or an older one, as the knobs say."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Description, Endpoint
from airflow_guardrails.simulator.sagemaker.experiments.experiment import (
    SUMMARY_FIELDS,
    Experiment,
    describe,
    summarize,
)
from airflow_guardrails.simulator.sagemaker.reads import rows_as_of, stale_description


class ExperimentReadModel:
    """DescribeInferenceExperiment and ListInferenceExperiments lag in their own ways."""

    def __init__(self, *, clock: Clock, knobs: Knobs, rng: random.Random) -> None:
        self._clock = clock
        self._knobs = knobs
        self._rng = rng

    def visible(self, experiment: Experiment) -> bool:
        age = self._clock.now() - experiment.created_at
        return age >= timedelta(seconds=self._knobs.experiment_visible_after_seconds)

    def freeze(self, experiment: Experiment, endpoint: Endpoint | None) -> None:
        """Let it be described for a while as it is now: a call is about to change it."""
        until = self._clock.now() + timedelta(seconds=self._knobs.experiment_describe_lag_seconds)
        experiment.history.freeze(until, describe(experiment, endpoint))

    def describe(self, experiment: Experiment, endpoint: Endpoint | None) -> Description:
        description = stale_description(
            experiment.history,
            now=self._clock.now(),
            rng=self._rng,
            probability=self._knobs.experiment_stale_read_probability,
            seconds=self._knobs.experiment_stale_read_seconds,
        )
        return description or describe(experiment, endpoint)

    def summaries(
        self, experiments: Iterable[Experiment], deleted: Iterable[Experiment]
    ) -> list[dict[str, Any]]:
        if not self._knobs.experiment_list_lag_seconds:
            return [summarize(experiment) for experiment in experiments]
        when = self._clock.now() - timedelta(seconds=self._knobs.experiment_list_lag_seconds)
        histories = [experiment.history for experiment in (*experiments, *deleted)]
        return rows_as_of(histories, when, SUMMARY_FIELDS)
