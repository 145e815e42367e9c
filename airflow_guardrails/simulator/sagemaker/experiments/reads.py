"""Reads of inference experiments, which lag if the knobs say so."""

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
    """What DescribeInferenceExperiment and ListInferenceExperiments return. Each lags by its own knobs."""

    def __init__(self, *, clock: Clock, knobs: Knobs, rng: random.Random) -> None:
        self._clock = clock
        self._knobs = knobs
        self._rng = rng

    def visible(self, experiment: Experiment) -> bool:
        """Whether the experiment can be found already."""
        age = self._clock.now() - experiment.created_at
        return age >= timedelta(seconds=self._knobs.experiment_visible_after_seconds)

    def freeze(self, experiment: Experiment, endpoint: Endpoint | None) -> None:
        """Keep the present description for reads that lag. Called before each change."""
        # AWS documents no lag of these reads. A test sets one, to see what a task does with old states.
        until = self._clock.now() + timedelta(seconds=self._knobs.experiment_describe_lag_seconds)
        experiment.history.freeze(until, describe(experiment, endpoint))

    def describe(self, experiment: Experiment, endpoint: Endpoint | None) -> Description:
        """Return the response of DescribeInferenceExperiment, possibly an older one."""
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
        """Return the rows of ListInferenceExperiments, possibly older ones. *deleted* may still be listed."""
        if not self._knobs.experiment_list_lag_seconds:
            return [summarize(experiment) for experiment in experiments]
        when = self._clock.now() - timedelta(seconds=self._knobs.experiment_list_lag_seconds)
        # Deleted experiments too: at that time they may still have existed.
        histories = [experiment.history for experiment in (*experiments, *deleted)]
        return rows_as_of(histories, when, SUMMARY_FIELDS)
