"""Record captured requests and responses, of production variants and of shadows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from airflow_guardrails.simulator.capture.files import CaptureFiles, Folder
from airflow_guardrails.simulator.capture.records import Exchange, line
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.capture_rules import CaptureRule
from airflow_guardrails.simulator.serving.containers import Answer
from airflow_guardrails.simulator.serving.profiles import Fleet
from airflow_guardrails.simulator.serving.traffic import Batch

_OK = 200
# Not in the guides; a knob leaves it out.
_OF_SHADOW = "ShadowExperiment"


class Captures:
    """
    Turns requests and responses into records, and passes them to *files*.

    Shadows draw from their own random numbers, so that a shadow does not change what is recorded of
    production.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        knobs: Knobs,
        files: CaptureFiles,
        rng: random.Random,
        shadow_rng: random.Random,
    ) -> None:
        self._clock = clock
        self._knobs = knobs
        self._files = files
        self._rng = rng
        self._shadow_rng = shadow_rng

    def record(
        self, fleet: Fleet, rules: Sequence[CaptureRule], batch: Batch, answers: Sequence[Answer]
    ) -> None:
        """Record the successful responses of *fleet*, once for each rule."""
        if not rules:
            return
        exchanges = list(self._exchanges(fleet, batch, answers))
        rng = self._shadow_rng if fleet.shadow else self._rng
        for rule in rules:
            lines = [line(rule, exchange) for exchange in exchanges if _is_drawn(rng, rule.sampling)]
            if lines:
                folder = Folder(rule.destination, fleet.endpoint_name, fleet.variant_name, rule.experiment)
                self._files.add(folder, lines)

    def _exchanges(self, fleet: Fleet, batch: Batch, answers: Sequence[Answer]) -> Iterator[Exchange]:
        # Whether a shadow's record shares the eventId of production's is not documented.
        own_event = fleet.shadow and self._knobs.capture_event_id == "own"
        source = _OF_SHADOW if fleet.shadow and self._knobs.capture_invocation_source else None
        for request, answer in zip(batch.requests, answers, strict=True):
            if answer.status == _OK:
                yield Exchange(
                    request=request,
                    answer=answer,
                    content_type=batch.content_type,
                    event=self._shadow_rng.getrandbits(128) if own_event else request.event,
                    source=source,
                    at=self._clock.now(),
                )


def _is_drawn(rng: random.Random, probability: float) -> bool:
    # A certain result draws no random number, so it does not change later draws.
    return probability >= 1 or (probability > 0 and rng.random() < probability)
