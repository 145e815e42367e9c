"""A client of the simulator's control API. It needs only the standard library."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_TIMEOUT_SECONDS = 300


class SimulatorError(RuntimeError):
    """The simulator refused a control request; the text says why."""


class _SimulatorClock:
    """The simulator's clock."""

    def __init__(self, client: SimulatorClient) -> None:
        self._client = client

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._client.now()

    def advance(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Move simulated time forward at once, and return the new time."""
        answer = self._client.post("clock/advance", seconds=hours * 3600 + minutes * 60 + seconds)
        return datetime.fromisoformat(answer["now"])


class SimulatorClient:
    """
    A client of the simulator at *url*. Profiles, traffic, endpoints and alarms are those of *region*.

    Every method raises :class:`SimulatorError` if the simulator refuses the request: wrong token, value or
    name.
    """

    def __init__(self, url: str, token: str, *, region: str = "us-east-1") -> None:
        self.url = url.rstrip("/")
        self.region = region
        self.clock = _SimulatorClock(self)
        self._token = token
        # Environment variables may set a proxy, which cannot reach a local port.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def now(self) -> datetime:
        """Return the simulated time."""
        return datetime.fromisoformat(self.status()["now"])

    @property
    def speed(self) -> float:
        """Simulated seconds for each real second; 0 if only the control API moves the clock."""
        return float(self.status()["speed"])

    def set_speed(self, speed: float) -> None:
        """Set the simulated seconds for each real second; 0 stops the clock."""
        self.post("clock/speed", speed=speed)

    def status(self) -> dict[str, Any]:
        """Return now, speed, seed, knobs, calls by operation, and the traffic of each region."""
        return self._request("GET", "status")

    def calls(self, operation: str) -> int:
        """Return how often AWS clients called an operation, including calls that met a fault."""
        return int(self.status()["calls"].get(operation, 0))

    def set_knobs(self, **knobs: Any) -> None:
        """Change several knobs, or none of them if one value is wrong."""
        self.post("knobs", **knobs)

    def throttle(self, operation: str, *, times: int | None = None, probability: float = 1.0) -> None:
        """Answer "Rate exceeded" to the next *times* calls (None: all), each with *probability* (0 to 1)."""
        self.fault(operation, kind="throttle", times=times, probability=probability)

    def fault(self, operation: str, *, kind: str, times: int | None = 1, **details: Any) -> None:
        """
        Add a fault for calls of *operation*.

        :param kind: ``throttle``, ``error`` (*code*, *message*, *status*; default HTTP 500 InternalFailure),
            ``hang`` (the response comes *seconds* of real time late, or when faults are cleared), ``lose``
            (carried out, but no response), ``date`` (the Date header is *date*: ``missing``, ``malformed``,
            ``doubled``, ``repeated``, ``without_zone`` or ``unknown_zone``) or ``alter`` (the response has
            *changes*: a dict from paths like ``"ProductionVariants.*.CurrentWeight"`` to new values, None to
            remove a field; SageMaker only).
        :param times: number of calls that meet it; None means all.
        """
        self.post("faults", operation=operation, kind=kind, times=times, **details)

    def clear_faults(self) -> None:
        """Remove all faults. Calls that hang are answered now."""
        self.post("faults/clear")

    def set_policies(
        self, policies: Sequence[Mapping[str, Any]] | None, *, access_key: str | None = None
    ) -> None:
        """
        Deny every call that these IAM policies do not allow; None removes the limit.

        :param policies: policy documents. They may have Allow and Deny, wildcards, and the conditions
            StringEquals and StringLike. An empty list allows nothing.
        :param access_key: limit only calls with this access key; default: those of every key without policies
            of its own.
        """
        self.post("policies", policies=policies, access_key=access_key)

    def profile(self, name: str, **behaviour: Any) -> None:
        """
        Set the profile of a model or endpoint configuration, instead of its previous one.

        :param name: name of the model or endpoint configuration; ``"*"`` is every model without a profile of
            its own.
        :param behaviour: any of latency_ms (instead of the measured time), latency_factor, extra_latency_ms,
            latency_jitter_ms, error_rate (0 to 1), from_minute (minutes since the first request to the
            fleet), never_healthy (for a model), cpu_percent, memory_percent and disk_percent.
        """
        self.post("profiles", region=self.region, name=name, **behaviour)

    def clear_profile(self, name: str) -> None:
        """Remove the profile of a model or endpoint configuration."""
        self.post("profiles/clear", region=self.region, name=name)

    def replay(
        self,
        endpoint_name: str,
        rows: Sequence[str | bytes],
        *,
        per_minute: float = 600,
        content_type: str = "text/csv",
        accept: str | None = None,
        shuffle: bool = True,
        inference_ids: bool = False,
    ) -> None:
        """
        Send each of *rows* as a request, again and again, instead of the endpoint's previous replay.

        While the endpoint does not serve, nothing is sent.

        :param per_minute: requests in a simulated minute.
        :param shuffle: whether each round has a new random order, drawn from the simulator's seed.
        :param inference_ids: whether each request has an InferenceId of its own.
        """
        texts = [row.decode() if isinstance(row, bytes) else row for row in rows]
        self.post(
            "traffic",
            region=self.region,
            endpoint_name=endpoint_name,
            rows=texts,
            per_minute=per_minute,
            content_type=content_type,
            accept=accept,
            shuffle=shuffle,
            inference_ids=inference_ids,
        )

    def stop_replay(self, endpoint_name: str) -> int:
        """Stop the replay of an endpoint and return the number of its requests, 0 if there was none."""
        return int(self.post("traffic/stop", region=self.region, endpoint_name=endpoint_name)["requests"])

    def script_ending(
        self,
        endpoint_name: str,
        *,
        status: str,
        failure_reason: str | None = None,
        after_seconds: float = 0,
        endpoint_config_name: str | None = None,
    ) -> None:
        """
        Set how the update in flight, or the next one, ends: *after_seconds* after its start, in *status*.

        :param endpoint_config_name: serves afterwards; None means that the old configuration does.
        """
        self.post(
            "endpoints/script-ending",
            region=self.region,
            endpoint_name=endpoint_name,
            status=status,
            failure_reason=failure_reason,
            after_seconds=after_seconds,
            endpoint_config_name=endpoint_config_name,
        )

    def script_experiment(
        self,
        name: str,
        *,
        status: str,
        reason: str | None = None,
        after_seconds: float = 0,
        keep_shadow: bool = False,
    ) -> None:
        """
        Set how an inference experiment ends. It may be created later.

        :param status: ``Completed`` or ``Cancelled``.
        :param reason: its StatusReason.
        :param after_seconds: simulated seconds since its creation.
        :param keep_shadow: whether the endpoint stays as it is then. Otherwise the shadow is removed first.
        """
        self.post(
            "experiments/script-ending",
            region=self.region,
            name=name,
            status=status,
            reason=reason,
            after_seconds=after_seconds,
            keep_shadow=keep_shadow,
        )

    def system_update(self, endpoint_name: str, seconds: float) -> None:
        """Show SystemUpdating for that many simulated seconds."""
        self.post("endpoints/system-update", region=self.region, endpoint_name=endpoint_name, seconds=seconds)

    def vanish(self, endpoint_name: str) -> None:
        """Delete the endpoint at once, in any status."""
        self.post("endpoints/vanish", region=self.region, endpoint_name=endpoint_name)

    def accepted_updates(self, endpoint_name: str | None = None) -> list[dict[str, Any]]:
        """
        Return every UpdateEndpoint that was accepted so far, oldest first, of one endpoint or of all.

        Each has ``endpoint_name``, ``endpoint_config_name``, names of its ``alarms``, and as datetimes
        ``accepted_at`` and ``start_time``. Updates by inference experiments are not included.
        """
        answer = self.post("endpoints/updates", region=self.region, endpoint_name=endpoint_name)
        times = ("accepted_at", "start_time")
        return [
            {**update, **{key: datetime.fromisoformat(update[key]) for key in times}}
            for update in answer["updates"]
        ]

    def alarm_state(self, name: str) -> str | None:
        """Return the state of an alarm, or None if it does not exist."""
        state: str | None = self.post("alarms/state", region=self.region, name=name)["state"]
        return state

    def post(self, path: str, **arguments: Any) -> dict[str, Any]:
        """Send a request to the control API and return its JSON response."""
        return self._request("POST", path, json.dumps(arguments).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the caller chose the URL
            f"{self.url}/_simulator/{path}",
            data=body,
            method=method,
            headers={"X-Simulator-Token": self._token, "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            raise SimulatorError(f"{method} {path}: {_reason(error)}") from None


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace").strip()
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {text}"
