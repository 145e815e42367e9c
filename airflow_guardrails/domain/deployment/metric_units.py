"""The units in which people read the metrics of SageMaker."""

from __future__ import annotations

# Metrics of requests ("Amazon SageMaker AI metrics in Amazon CloudWatch", invocation metrics).
REQUESTS = "AWS/SageMaker"


def unit_of(namespace: str, metric: str | None, stat: str | None) -> str | None:
    """
    Return the unit in which people read a metric of SageMaker; None if its values are shown as they are.

    ``%``: a share of the requests, 0 to 1. ``ms``: a latency, which SageMaker publishes in microseconds.
    """
    if namespace != REQUESTS or metric is None or stat in {None, "SampleCount", "Sum"}:
        return None
    if metric.endswith("Errors"):
        return "%" if stat == "Average" else None
    return "ms" if metric.endswith("Latency") else None


def value_in_words(value: float, unit: str | None) -> str:
    """Return a value of a metric with its unit: ``1 %``, ``250 ms``, ``12``."""
    if unit == "%":
        return f"{value * 100:.4g} %"
    return f"{value / 1000:.6g} ms" if unit == "ms" else f"{value:.6g}"
