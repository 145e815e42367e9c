"""What models print, in CloudWatch Logs, where SageMaker puts it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from moto.logs.models import LogGroup, logs_backends

from airflow_guardrails.simulator.engine.clock import Clock

log = logging.getLogger(__name__)

# Per stream, so that a model that prints at each request does not fill the memory.
_KEPT_EVENTS = 1000
_LONGEST_LINE = 4096


class ContainerLogs:
    """
    Writes the output of containers to the group ``/aws/sagemaker/Endpoints/<endpoint>``.

    The stream is ``<variant>/<instance>``; it keeps its newest 1,000 lines.
    """

    def __init__(self, *, account_id: str, region: str, clock: Clock) -> None:
        self._account_id = account_id
        self._region = region
        self._clock = clock

    def write(self, endpoint_name: str, variant_name: str, lines: Sequence[str]) -> None:
        """Append *lines* at the simulated time."""
        if not lines:
            return
        group = self._group(f"/aws/sagemaker/Endpoints/{endpoint_name}")
        instance = hashlib.sha256(f"{endpoint_name}/{variant_name}".encode()).hexdigest()[:17]
        name = f"{variant_name}/i-{instance}"
        if name not in group.streams:
            group.create_log_stream(name)
        stream = group.streams[name]
        now = int(self._clock.now().timestamp() * 1000)
        # Not by moto's PutLogEvents, which refuses what is old by real time.
        stream.put_log_events([{"timestamp": now, "message": line[:_LONGEST_LINE]} for line in lines])
        del stream.events[:-_KEPT_EVENTS]

    def load_failed(self, endpoint_name: str, variant_name: str, model_name: str, reason: str) -> None:
        """Say why a model does not pass its ping, here and in the simulator's own log."""
        text = f"Model {model_name} did not load: {reason}"
        log.warning("Endpoint %s, variant %s: %s", endpoint_name, variant_name, text)
        self.write(endpoint_name, variant_name, [text])

    def _group(self, name: str) -> LogGroup:
        backend = logs_backends[self._account_id][self._region]
        if name not in backend.groups:
            backend.create_log_group(name, {})
        return backend.groups[name]
