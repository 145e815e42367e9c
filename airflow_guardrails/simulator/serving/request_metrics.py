"""
The metrics that SageMaker publishes for requests.

Source: SageMaker developer guide, "Metrics for monitoring Amazon SageMaker AI with Amazon CloudWatch".
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime

from airflow_guardrails.simulator.cloudwatch.metrics import MetricStore
from airflow_guardrails.simulator.serving.containers import Answer
from airflow_guardrails.simulator.serving.profiles import Fleet

_NAMESPACE = "AWS/SageMaker"
# Invented; the real overhead is not known.
_OVERHEAD_MICROSECONDS = (1_500.0, 4_000.0)


def record(
    metrics: MetricStore,
    fleet: Fleet,
    answers: Sequence[Answer],
    *,
    instances: int,
    at: datetime,
    rng: random.Random,
) -> None:
    """Publish one value of each metric for each response, by variant and by variant and configuration."""
    variant = {"EndpointName": fleet.endpoint_name, "VariantName": fleet.variant_name}
    by_fleet = {**variant, "EndpointConfigName": fleet.endpoint_config_name}
    for name, unit, values in _measures(answers, instances, rng):
        # Both fleets of an update have the same VariantName; only the configuration tells them apart.
        for dimensions in (variant, by_fleet):
            metrics.record(_NAMESPACE, name, dimensions, values, at=at, unit=unit)


def _measures(
    answers: Sequence[Answer], instances: int, rng: random.Random
) -> list[tuple[str, str, list[float]]]:
    status = [answer.status for answer in answers]
    return [
        ("Invocations", "None", [1.0] * len(answers)),
        # Developer guide: each request counts 1 / number of instances.
        ("InvocationsPerInstance", "None", [1.0 / max(1, instances)] * len(answers)),
        ("Invocation4XXErrors", "None", [float(400 <= code < 500) for code in status]),  # noqa: PLR2004
        ("Invocation5XXErrors", "None", [float(code >= 500) for code in status]),  # noqa: PLR2004
        ("InvocationModelErrors", "None", [float(code != 200) for code in status]),  # noqa: PLR2004
        # Latencies are in microseconds; error metrics are 0 or 1 for each request.
        ("ModelLatency", "Microseconds", [answer.seconds * 1e6 for answer in answers]),
        (
            "OverheadLatency",
            "Microseconds",
            [rng.uniform(*_OVERHEAD_MICROSECONDS) for _ in answers],
        ),
    ]
