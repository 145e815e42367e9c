"""A Python handle on a running simulator's control API, for tests and demos alike; standard library only."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from typing import Any

_TIMEOUT_SECONDS = 300


class SimulatorError(RuntimeError):
    """The simulator refused a control request; the text is its own."""


class _SimulatorClock:
    """The simulator's clock, from outside."""

    def __init__(self, client: SimulatorClient) -> None:
        self._client = client

    def now(self) -> datetime:
        return self._client.now()

    def advance(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Let simulated time pass at once, and answer the time it is then."""
        answer = self._client.post("clock/advance", seconds=hours * 3600 + minutes * 60 + seconds)
        return datetime.fromisoformat(answer["now"])


class SimulatorClient:
    """
    Control of the simulator at *url*, in one region where it matters.

    Every method raises :class:`SimulatorError` when the simulator refuses it: a wrong token, value or name.
    """

    def __init__(self, url: str, token: str, *, region: str = "us-east-1") -> None:
        self.url = url.rstrip("/")
        self.region = region
        self.clock = _SimulatorClock(self)
        self._token = token
        # A proxy set for the internet must not be asked for a local port.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def now(self) -> datetime:
        return datetime.fromisoformat(self.status()["now"])

    @property
    def speed(self) -> float:
        """Simulated seconds per second of wall time; 0 when the clock is moved by hand."""
        return float(self.status()["speed"])

    def set_speed(self, speed: float) -> None:
        self.post("clock/speed", speed=speed)

    def status(self) -> dict[str, Any]:
        """now, speed, seed, knobs, calls by operation and the traffic of each region."""
        return self._request("GET", "status")

    def calls(self, operation: str) -> int:
        """How often AWS clients called an operation so far, calls that met a fault included."""
        return int(self.status()["calls"].get(operation, 0))

    def set_knobs(self, **knobs: Any) -> None:
        self.post("knobs", **knobs)

    def throttle(self, operation: str, *, times: int | None = None, probability: float = 1.0) -> None:
        """Answer "Rate exceeded" to the next *times* calls (None: all), with *probability* each."""
        self.fault(operation, kind="throttle", times=times, probability=probability)

    def fault(self, operation: str, *, kind: str, times: int | None = 1, **details: Any) -> None:
        """
        Let calls of *operation* meet a fault.

        :param kind: ``throttle``, ``error`` (*code*, *message*, *status*; default HTTP 500 InternalFailure),
            ``hang`` (answered *seconds* of wall time late, or when the faults are cleared), ``lose``
            (carried out, then not answered), ``date`` (answered with a Date header that is *date*:
            ``missing``, ``malformed``, ``doubled``, ``repeated``, ``without_zone`` or ``unknown_zone``) or
            ``alter`` (answered with *changes*: a dict of paths like ``"ProductionVariants.*.CurrentWeight"``
            and their new values, None to leave a field out; SageMaker only).
        :param times: how many calls meet it; None means every one from now on.
        """
        self.post("faults", operation=operation, kind=kind, times=times, **details)

    def clear_faults(self) -> None:
        """Let no call meet a fault any more; those that hang are answered now."""
        self.post("faults/clear")

    def profile(self, name: str, **behaviour: Any) -> None:
        """
        Lay a behaviour over the model or endpoint configuration *name*, in place of the one before; ``"*"``
        stands for every model that has none of its own.

        :param behaviour: any of latency_ms (in place of what the model takes), latency_factor,
            extra_latency_ms, latency_jitter_ms, error_rate, from_minute (minutes since the fleet's first
            request), never_healthy (for a model), cpu_percent, memory_percent and disk_percent.
        """
        self.post("profiles", region=self.region, name=name, **behaviour)

    def clear_profile(self, name: str) -> None:
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
        Send each of *rows* as a request, over and over, *per_minute* of them in a simulated minute.

        It replaces the endpoint's replay of before; while the endpoint serves nothing, nothing is sent.

        :param shuffle: whether the order of the rows is drawn from the simulator's seed, anew in every round.
        :param inference_ids: whether each request carries an InferenceId, another one every time.
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
        """End an endpoint's replay; answers how many requests it sent, 0 when there was none."""
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
        """End the update in flight, or else the next one, *after_seconds* after its start in *status*."""
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
        End the inference experiment *name*, there or yet to be created, so long after its creation.

        :param status: ``Completed`` or ``Cancelled``.
        :param reason: its StatusReason.
        :param keep_shadow: whether the endpoint stays as it is then; else the shadow is taken down first.
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
        """Put the endpoint into SystemUpdating for *seconds*."""
        self.post("endpoints/system-update", region=self.region, endpoint_name=endpoint_name, seconds=seconds)

    def vanish(self, endpoint_name: str) -> None:
        """Make the endpoint disappear at once, whatever it is doing."""
        self.post("endpoints/vanish", region=self.region, endpoint_name=endpoint_name)

    def accepted_updates(self, endpoint_name: str | None = None) -> list[dict[str, Any]]:
        """
        Every UpdateEndpoint that was accepted so far, oldest first, of one endpoint or of all.

        Each has ``endpoint_name``, ``endpoint_config_name``, the names of its ``alarms``, and as datetimes
        ``accepted_at`` and ``start_time``. Updates by inference experiments are not among them.
        """
        answer = self.post("endpoints/updates", region=self.region, endpoint_name=endpoint_name)
        times = ("accepted_at", "start_time")
        return [
            {**update, **{key: datetime.fromisoformat(update[key]) for key in times}}
            for update in answer["updates"]
        ]

    def alarm_state(self, name: str) -> str | None:
        """An alarm's state, None when there is no such alarm."""
        state: str | None = self.post("alarms/state", region=self.region, name=name)["state"]
        return state

    def post(self, path: str, **arguments: Any) -> dict[str, Any]:
        return self._request("POST", path, json.dumps(arguments).encode())

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the url is the caller's own
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
