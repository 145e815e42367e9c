"""Decide what this package made may be deleted: configurations, models, alarms; and why the rest stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from airflow_guardrails.domain.text import duration_in_words
from airflow_guardrails.domain.versions.history import History, rollback_target
from airflow_guardrails.domain.versions.record import whole_second

# A rollout creates its configuration minutes before it calls UpdateEndpoint.
TOO_NEW = timedelta(hours=1)
# A task that has died is retried within this time, or not at all.
UNREPORTED = timedelta(days=1)


class Kind(str, Enum):
    """What can be deleted."""

    CONFIG = "endpoint configuration"
    MODEL = "model"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeConfig:
    """
    A configuration that this package made for the endpoint.

    :param models: names of all its models.
    :param created_at: ``None`` if unknown.
    :param launched_at: when an update to it was accepted, if a task has noted that.
    :param intended_at: when a task last noted that it will update the endpoint to it.
    """

    name: str
    models: tuple[str, ...] = ()
    created_at: datetime | None = None
    launched_at: datetime | None = None
    intended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeModel:
    """A model that this package made for the endpoint."""

    name: str
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """
    What there is, and what uses it.

    :param serving: the configuration in service.
    :param pending: the configuration that the endpoint is being updated to; ``None`` without an update.
    :param base: what the serving configuration was derived from; ``None`` if unknown.
    :param history: the endpoint's history; ``None`` if it cannot be read.
    :param existing: names of configurations of the history that exist, with all of their models.
    :param used_configs: configuration -> what else uses it.
    :param used_models: model -> what else uses it, apart from *configs*.
    :param used_alarms: alarm -> what uses it.
    :param unknown: kind -> why it is not known what else uses it. Nothing of that kind is deleted.
    :param now: AWS's time.
    """

    serving: str | None
    pending: str | None = None
    base: str | None = None
    history: History | None = None
    existing: frozenset[str] = frozenset()
    configs: tuple[MadeConfig, ...] = ()
    models: tuple[MadeModel, ...] = ()
    alarms: tuple[str, ...] = ()
    used_configs: Mapping[str, str] = field(default_factory=dict)
    used_models: Mapping[str, str] = field(default_factory=dict)
    used_alarms: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[Kind, str] = field(default_factory=dict)
    now: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """Something that this package made; *why* it stays, or ``None`` if it may be deleted."""

    kind: Kind
    name: str
    why: str | None = None


def deletable(inventory: Inventory, *, keep: int) -> tuple[Found, ...]:
    """
    Return everything in *inventory*, in the order of deletion: configurations, their models, alarms.

    :param keep: how many of the newest configurations that served well stay, besides what serves.
    """
    needed = needed_configs(inventory, keep=keep)
    configs = [
        Found(Kind.CONFIG, made.name, _why_config(inventory, made, needed)) for made in inventory.configs
    ]
    staying = {found.name for found in configs if found.why}
    users = {
        model: f"used by configuration {made.name}"
        for made in inventory.configs
        if made.name in staying
        for model in made.models
    }
    models = [Found(Kind.MODEL, made.name, _why_model(inventory, made, users)) for made in inventory.models]
    alarms = [
        Found(Kind.ALARM, name, inventory.unknown.get(Kind.ALARM) or inventory.used_alarms.get(name))
        for name in inventory.alarms
    ]
    return (*configs, *models, *alarms)


def needed_configs(inventory: Inventory, *, keep: int) -> dict[str, str]:
    """Return configuration -> why the endpoint needs it."""
    history = inventory.history or History()
    target = rollback_target(history, inventory.serving, exists=inventory.existing.__contains__)
    needed = dict.fromkeys(_newest(inventory, history, keep), f"one of the newest {keep} that served well")
    if inventory.base is not None:
        needed[inventory.base] = "the serving configuration was derived from it"
    if target is not None:
        needed[target.config] = "target of a rollback"
    # The strongest reason last.
    if inventory.pending is not None:
        needed[inventory.pending] = "the endpoint is being updated to it"
    if inventory.serving is not None:
        needed[inventory.serving] = "in service"
    return needed


def _newest(inventory: Inventory, history: History, keep: int) -> list[str]:
    """Return the newest *keep* that served well, or may have: an accepted update may lack its record."""
    served = [(record.at, record.config) for record in history.good]
    served += [
        (made.launched_at, made.name)
        for made in inventory.configs
        if made.launched_at is not None and history.find(made.name) is None
    ]
    others = (name for _, name in sorted(served, reverse=True) if name != inventory.serving)
    return list(others)[:keep]


def _why_config(inventory: Inventory, made: MadeConfig, needed: Mapping[str, str]) -> str | None:
    return (
        needed.get(made.name)
        or inventory.used_configs.get(made.name)
        or (None if inventory.history is not None else "the history of the endpoint cannot be read")
        or inventory.unknown.get(Kind.CONFIG)
        or _why_new(made.created_at, inventory.now)
        or _why_unreported(inventory, made)
    )


def _why_model(inventory: Inventory, made: MadeModel, users: Mapping[str, str]) -> str | None:
    return (
        users.get(made.name)
        or inventory.used_models.get(made.name)
        or inventory.unknown.get(Kind.MODEL)
        or _why_new(made.created_at, inventory.now)
    )


def _why_unreported(inventory: Inventory, made: MadeConfig) -> str | None:
    """A task has noted that it will update to *made*, and has not recorded the outcome: a retry needs it."""
    noted_at, record = made.intended_at, (inventory.history or History()).find(made.name)
    if noted_at is None or inventory.now - noted_at >= UNREPORTED:
        return None
    if record is not None and record.at >= whole_second(noted_at):
        return None
    return "a task noted it as its target less than a day ago, and has not recorded an outcome since"


def _why_new(created_at: datetime | None, now: datetime) -> str | None:
    if created_at is None:
        return "it is not known when it was created"
    if now - created_at < TOO_NEW:
        return f"created less than {duration_in_words(TOO_NEW)} ago: a rollout may be about to use it"
    return None
