"""When a trigger may fire."""

from __future__ import annotations

# Airflow 3.3 marks a task failed in up to a third of the runs in which its trigger fires within about 6 s of
# the deferral: the worker that deferred may still be waiting for its next heartbeat.
FIRE_FLOOR = 8.0  # seconds
