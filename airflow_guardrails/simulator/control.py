"""The control API: what tests and demos change in a simulation, beyond AWS's own API."""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from moto.core.utils import get_service_model
from werkzeug.wrappers import Response

from airflow_guardrails.simulator.engine.faults import Fault
from airflow_guardrails.simulator.serving.profiles import Profile

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from airflow_guardrails.simulator.world import Simulation, World

_TOKEN_HEADER = "X-Simulator-Token"  # noqa: S105 - its name, not a token
_OWN_SERVICES = ("sagemaker", "cloudwatch", "sagemaker-runtime")


class Control:
    """
    Answers JSON requests below ``/_simulator/`` that have the token.

    A wrong value is answered with 400 and an ``error`` that says what is allowed.
    """

    def __init__(self, simulation: Simulation, *, token: str) -> None:
        self._simulation = simulation
        self._token = token
        self._actions: dict[tuple[str, str], Callable[..., Any]] = {
            ("GET", "status"): self._status,
            ("POST", "clock/advance"): self._advance,
            ("POST", "clock/speed"): self._set_speed,
            ("POST", "knobs"): self._set_knobs,
            ("POST", "faults"): self._add_fault,
            ("POST", "faults/clear"): self._clear_faults,
            ("POST", "policies"): self._set_policies,
            ("POST", "profiles"): self._set_profile,
            ("POST", "profiles/clear"): self._clear_profile,
            ("POST", "traffic"): self._replay,
            ("POST", "traffic/stop"): self._stop_replay,
            ("POST", "endpoints/script-ending"): self._script_ending,
            ("POST", "endpoints/system-update"): self._system_update,
            ("POST", "endpoints/vanish"): self._vanish,
            ("POST", "endpoints/updates"): self._accepted_updates,
            ("POST", "experiments/script-ending"): self._script_experiment,
            ("POST", "alarms/state"): self._alarm_state,
        }

    def answer(self, environ: WSGIEnvironment, path: str, body: bytes) -> Response:
        """Return the response to one request; *path* is the path below ``/_simulator/``."""
        # Constant time, so that the token cannot be guessed character by character.
        if not hmac.compare_digest(environ.get("HTTP_X_SIMULATOR_TOKEN", "").encode(), self._token.encode()):
            return _json({"error": f"{_TOKEN_HEADER} must be the token printed at start"}, status=401)
        action = self._actions.get((environ["REQUEST_METHOD"], path))
        if action is None:
            known = ", ".join(f"{method} {name}" for method, name in self._actions)
            return _json(
                {"error": f"unknown {environ['REQUEST_METHOD']} {path} (known: {known})"}, status=404
            )
        try:
            with self._simulation.clock.lock:
                self._simulation.catch_up()
                return _json(action(**_arguments(body)))
        except (TypeError, ValueError) as error:
            return _json({"error": str(error)}, status=400)

    def _status(self) -> dict[str, Any]:
        simulation = self._simulation
        return {
            "now": simulation.clock.now().isoformat(),
            "speed": simulation.clock.speed,
            "seed": simulation.seed,
            "knobs": asdict(simulation.knobs),
            "calls": dict(simulation.calls),
            "worlds": {region: world.traffic.status() for region, world in simulation.worlds.items()},
        }

    def _advance(self, *, seconds: float) -> dict[str, Any]:
        self._simulation.clock.advance(_not_negative("seconds", seconds))
        return {"now": self._simulation.clock.now().isoformat()}

    def _set_speed(self, *, speed: float) -> dict[str, Any]:
        self._simulation.clock.speed = _not_negative("speed", speed)
        return {"speed": speed}

    def _set_knobs(self, **changes: Any) -> dict[str, Any]:
        self._simulation.knobs.update(**changes)
        return {"knobs": asdict(self._simulation.knobs)}

    def _add_fault(self, *, operation: str, **details: Any) -> dict[str, Any]:
        # Changes need a JSON response, which only SageMaker always sends.
        services = _OWN_SERVICES[:1] if details.get("kind") == "alter" else _OWN_SERVICES
        if not any(operation in get_service_model(service).operation_names for service in services):
            raise ValueError(f"operation must be one of {', '.join(services)} (got {operation!r})")
        self._simulation.faults.add(Fault(operation=operation, **details))
        return {}

    def _clear_faults(self) -> dict[str, Any]:
        self._simulation.faults.clear()
        return {}

    def _set_policies(self, *, policies: Any, access_key: str | None = None) -> dict[str, Any]:
        self._simulation.access.set_policies(policies, access_key=access_key)
        return {}

    def _set_profile(self, *, region: str, name: str, **details: Any) -> dict[str, Any]:
        self._world(region).profiles.add(name, Profile(**details))
        return {}

    def _clear_profile(self, *, region: str, name: str) -> dict[str, Any]:
        self._world(region).profiles.clear(name)
        return {}

    def _replay(self, *, region: str, **details: Any) -> dict[str, Any]:
        self._world(region).traffic.replay(**details)
        return {}

    def _stop_replay(self, *, region: str, endpoint_name: str) -> dict[str, Any]:
        return {"requests": self._world(region).traffic.stop_replay(endpoint_name)}

    def _script_ending(self, *, region: str, endpoint_name: str, **details: Any) -> dict[str, Any]:
        self._world(region).sagemaker.script_ending(endpoint_name, **details)
        return {}

    def _script_experiment(self, *, region: str, name: str, **details: Any) -> dict[str, Any]:
        self._world(region).sagemaker.experiments.script_ending(name, **details)
        return {}

    def _system_update(self, *, region: str, endpoint_name: str, seconds: float) -> dict[str, Any]:
        self._world(region).sagemaker.system_update(endpoint_name, seconds)
        return {}

    def _vanish(self, *, region: str, endpoint_name: str) -> dict[str, Any]:
        self._world(region).sagemaker.vanish(endpoint_name)
        return {}

    def _accepted_updates(self, *, region: str, endpoint_name: str | None = None) -> dict[str, Any]:
        updates = self._world(region).sagemaker.accepted_updates
        wanted = [update for update in updates if endpoint_name in (None, update.endpoint_name)]
        return {"updates": [asdict(update) for update in wanted]}

    def _alarm_state(self, *, region: str, name: str) -> dict[str, Any]:
        return {"state": self._world(region).alarms.state(name)}

    def _world(self, region: str) -> World:
        return self._simulation.world(region)


def _arguments(body: bytes) -> dict[str, Any]:
    arguments = json.loads(body or b"{}")
    if not isinstance(arguments, dict):
        raise TypeError(f"the body must be a JSON object (got {type(arguments).__name__})")
    return arguments


def _not_negative(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number (got {value!r})")
    if value < 0:
        raise ValueError(f"{name} must not be negative (got {value})")
    return value


def _json(answer: Any, *, status: int = 200) -> Response:
    return Response(json.dumps(answer, default=_to_json), status=status, content_type="application/json")


def _to_json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
