"""Profiles: a test makes models slower or lets them fail."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_guardrails.simulator.engine.clock import Clock

_NOT_NEGATIVE = (
    "latency_ms",
    "latency_factor",
    "extra_latency_ms",
    "latency_jitter_ms",
    "from_minute",
    "cpu_percent",
)
_PERCENT = ("memory_percent", "disk_percent")


_EVERY_MODEL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    How the responses and instances of a model, or of a fleet, differ from what the model does.

    :param latency_ms: latency of every response; None keeps the measured time of the model.
    :param latency_factor: multiplies the latency.
    :param extra_latency_ms: is added to it.
    :param latency_jitter_ms: a random delay that is added, uniform from 0 to this.
    :param error_rate: share of requests that are answered with HTTP 500, 0 to 1.
    :param from_minute: minutes since the first request to the fleet; the profile has no effect before.
    :param never_healthy: whether the container never passes its ping.
    :param cpu_percent: CPUUtilization of its instances; above 100 with several cores.
    :param memory_percent: MemoryUtilization, 0 to 100.
    :param disk_percent: DiskUtilization, 0 to 100.
    :raises ValueError: if a value is out of its range.
    """

    latency_ms: float | None = None
    latency_factor: float = 1.0
    extra_latency_ms: float = 0.0
    latency_jitter_ms: float = 0.0
    error_rate: float = 0.0
    from_minute: float = 0.0
    never_healthy: bool = False
    cpu_percent: float = 25.0
    memory_percent: float = 40.0
    disk_percent: float = 15.0

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 1:
            raise ValueError(f"error_rate must be between 0 and 1 (got {self.error_rate})")
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative (got {value})")
        for name in _PERCENT:
            if not 0 <= getattr(self, name) <= 100:  # noqa: PLR2004
                raise ValueError(f"{name} must be between 0 and 100 (got {getattr(self, name)})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The instances of one variant that serve one endpoint configuration."""

    endpoint_name: str
    variant_name: str
    endpoint_config_name: str
    shadow: bool = False


class Profiles:
    """
    The profiles of one region.

    The profile of an endpoint configuration is used before that of its model, and the profile of ``*`` last.
    """

    def __init__(self, clock: Clock, rng: random.Random, *, shadow_rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._shadow_rng = shadow_rng
        self._by_name: dict[str, Profile] = {}
        self._first_request: dict[Fleet, datetime] = {}

    def add(self, name: str, profile: Profile) -> None:
        """Set the profile of a model, of an endpoint configuration or of ``*``."""
        self._by_name[name] = profile

    def clear(self, name: str) -> None:
        """Remove a profile, if there is one."""
        self._by_name.pop(name, None)

    def never_healthy(self, model_name: str) -> bool:
        """Whether the profile of this model says that it never passes its ping."""
        profile = self._by_name.get(model_name)
        return profile is not None and profile.never_healthy

    def of(self, fleet: Fleet, model_name: str) -> Profile | None:
        """
        Return the profile for a request to *fleet* now, or None. It counts as the fleet's first request if it
        is.
        """
        self._first_request.setdefault(fleet, self._clock.now())
        return self.active_profile(fleet, model_name)

    def active_profile(self, fleet: Fleet, model_name: str) -> Profile | None:
        """Return the profile of *fleet* that has an effect now, or None."""
        since = self._first_request.get(fleet, self._clock.now())
        # The most specific profile wins.
        names = (fleet.endpoint_config_name, model_name, _EVERY_MODEL)
        profile = next((self._by_name[name] for name in names if name in self._by_name), None)
        if profile and self._clock.now() - since >= timedelta(minutes=profile.from_minute):
            return profile
        return None

    def keep_only(self, endpoint_name: str, fleets: set[Fleet]) -> None:
        """
        Drop the first requests of other fleets of the endpoint: a fleet that is launched again starts at
        minute 0.
        """
        for fleet in [known for known in self._first_request if known.endpoint_name == endpoint_name]:
            if fleet not in fleets:
                del self._first_request[fleet]

    def fails(self, profile: Profile, fleet: Fleet) -> bool:
        """Draw whether a request fails."""
        return self._rng_for(fleet).random() < profile.error_rate

    def latency(self, profile: Profile, fleet: Fleet, seconds: float) -> float:
        """Return the latency in seconds of a response that took the model *seconds*."""
        # Drawn without jitter too: setting it must not shift the numbers of later requests.
        jitter = self._rng_for(fleet).random() * profile.latency_jitter_ms
        own = seconds if profile.latency_ms is None else profile.latency_ms / 1000
        return own * profile.latency_factor + (profile.extra_latency_ms + jitter) / 1000

    def _rng_for(self, fleet: Fleet) -> random.Random:
        # With shared random numbers, a shadow would change which requests to production fail.
        return self._shadow_rng if fleet.shadow else self._rng
