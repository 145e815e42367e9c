"""Read what this package made for an endpoint, and what uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.tags import DERIVED_FROM, INTENT_PREFIX, MADE_FOR, parse_intent
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix, switch_prefix
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.times import parse_time
from airflow_guardrails.domain.versions.cleaning import TOO_NEW, Inventory, Kind, MadeConfig, MadeModel
from airflow_guardrails.domain.versions.history import History, rollback_candidates
from airflow_guardrails.operators._versions.reading import is_deployable, tags_of

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks._inventory_calls import Listed
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_Item = TypeVar("_Item")

# AWS limits the calls of an account; other tasks need them, too.
_PAUSE_SECONDS = 0.1
# ``names.guarded_name`` cuts a prefix to fit, so a long endpoint name is not whole in the names made of it.
_LONGEST_PREFIX = 50
_GUARDED_NAME = re.compile(r".+-[0-9a-f]{12}")


class InventoryReader:
    """
    Reads the inventory of one endpoint.

    What may not be read makes its kind unknown: nothing of that kind is deleted then.

    :param sleep: sleeps for a number of seconds.
    :ivar warnings: which permissions are missing, for the report.
    """

    def __init__(self, hook: GuardrailsHook, endpoint: Endpoint, *, sleep: Callable[[float], object]) -> None:
        self.warnings: list[str] = []
        self._hook = hook
        self._endpoint = endpoint
        self._sleep = sleep
        self._unknown: dict[Kind, str] = {}
        self._history: History | None = None
        self._base: str | None = None
        self._existing: frozenset[str] = frozenset()
        self._all_configs: list[Listed] | None = None
        self._configs: list[MadeConfig] = []
        self._models: list[MadeModel] = []
        self._alarms: list[str] = []
        self._used_configs: dict[str, str] = {}
        self._used_models: dict[str, str] = {}

    def read(self) -> Inventory:
        """Return what there is, and what uses it."""
        endpoint = self._endpoint
        with self._may_be_denied(Kind.CONFIG, Kind.MODEL):
            self._read_history()
            self._read_configs()
        with self._may_be_denied(Kind.MODEL):
            self._read_models()
        if self._configs or self._models:
            with self._may_be_denied(Kind.CONFIG, Kind.MODEL):
                self._read_endpoints()
            with self._may_be_denied(Kind.CONFIG, Kind.MODEL):
                self._read_experiments()
        if self._models and self._all_configs is not None:
            with self._may_be_denied(Kind.MODEL):
                self._read_other_configs({found.name for found in self._all_configs})
        with self._may_be_denied(Kind.ALARM):
            self._read_alarms()
        return Inventory(
            serving=endpoint.endpoint_config_name,
            pending=endpoint.pending_config_name,
            base=self._base,
            history=self._history,
            existing=self._existing,
            configs=tuple(self._configs),
            models=tuple(self._models),
            alarms=tuple(self._alarms),
            used_configs=self._used_configs,
            used_models=self._used_models,
            used_alarms=dict.fromkeys(endpoint.rollback_alarms, "the last update of the endpoint names it"),
            unknown=self._unknown,
            now=endpoint.seen_at,
        )

    def _read_history(self) -> None:
        history = History.of_tags(self._hook.list_tags(self._endpoint.arn or ""))
        serving = self._endpoint.endpoint_config_name
        response = self._hook.describe_endpoint_config(serving) if serving else None
        if response is not None:
            self._base = tags_of(response["EndpointConfigArn"], self._hook).get(DERIVED_FROM)
        for record in self._paced(rollback_candidates(history, serving)):
            if is_deployable(record.config, self._hook):
                # One is enough: a rollback goes back to the first that exists.
                self._existing = frozenset({record.config})
                break
        self._history = history

    # What this package made.

    def _read_configs(self) -> None:
        known = {record.config for record in self._history.records} if self._history else set()
        self._all_configs = self._hook.list_endpoint_configs()
        listed = self._perhaps_made(self._all_configs)
        for name in self._paced(sorted(listed | known)):
            response = self._hook.describe_endpoint_config(name)
            if response is None:
                continue
            tags = tags_of(response["EndpointConfigArn"], self._hook)
            if not self._is_made(name, tags, known):
                continue
            config = parse_endpoint_config(response)
            models = [each.model_name for each in (*config.variants, *config.shadow_variants)]
            made = MadeConfig(
                name=name,
                models=tuple(dict.fromkeys(filter(None, models))),
                created_at=parse_time(response.get("CreationTime")),
                launched_at=_launched_at(tags),
                intended_at=_intended_at(tags),
            )
            self._configs.append(made)

    def _perhaps_made(self, listed: Iterable[Listed]) -> set[str]:
        """
        Return the names that this package may have given: with the endpoint's name, or of ``guarded_name``.

        The second may begin with any name, because ``config`` of a task says which.
        """
        prefix = self._endpoint.name[:_LONGEST_PREFIX].rstrip("-")
        return {found.name for found in listed if prefix in found.name or _GUARDED_NAME.fullmatch(found.name)}

    def _is_made(self, name: str, tags: dict[str, str], known: Iterable[str]) -> bool:
        if MADE_FOR in tags:
            return tags[MADE_FOR] == self._endpoint.name
        # An older release made only configurations with and without a shadow, and did not say for what.
        shadow = rf"{re.escape(self._endpoint.name)}-(shadow|plain)-[0-9a-f]{{12}}"
        return DERIVED_FROM in tags and (name in known or re.fullmatch(shadow, name) is not None)

    def _read_models(self) -> None:
        named = {model for config in self._configs for model in config.models}
        listed = self._perhaps_made(self._hook.list_models())
        for name in self._paced(sorted(listed | named)):
            model = self._hook.get_model(name)
            if model is None or tags_of(model["ModelArn"], self._hook).get(MADE_FOR) != self._endpoint.name:
                continue
            self._models.append(MadeModel(name=name, created_at=parse_time(model.get("CreationTime"))))

    def _read_alarms(self) -> None:
        if self._endpoint.changing:
            self._unknown[Kind.ALARM] = f"the endpoint is {self._endpoint.status.value}"
        before = self._endpoint.seen_at - TOO_NEW
        for prefix in (switch_prefix(self._endpoint.name), guard_prefix(self._endpoint.name)):
            self._alarms += self._hook.list_alarm_names(prefix, before=before)

    # What uses it.

    def _read_endpoints(self) -> None:
        for name in self._paced(self._hook.list_endpoint_names()):
            if name == self._endpoint.name:
                continue
            other = self._hook.describe_endpoint(name)
            if isinstance(other, Endpoint):
                for config in filter(None, (other.endpoint_config_name, other.pending_config_name)):
                    self._used_configs[config] = f"used by endpoint {name}"

    def _read_experiments(self) -> None:
        for listed in self._paced(self._hook.list_active_experiments()):
            experiment = self._hook.describe_inference_experiment(listed.name)
            if not isinstance(experiment, Experiment):
                continue
            why = f"used by inference experiment {experiment.name}"
            if experiment.endpoint_name == self._endpoint.name:
                # Its end may bring back what served before it.
                self._unknown[Kind.CONFIG] = f"inference experiment {experiment.name} uses the endpoint"
            self._used_models.update({variant.model_name: why for variant in experiment.variants})

    def _read_other_configs(self, names: set[str]) -> None:
        made = {config.name for config in self._configs}
        in_use = {self._endpoint.endpoint_config_name, self._endpoint.pending_config_name}
        if gone := sorted({*filter(None, in_use), *self._used_configs} - names):
            # Its endpoint serves on, and does not say which models it uses.
            self._unknown[Kind.MODEL] = f"configuration {gone[0]} is in use, and was deleted"
        for name in self._paced(sorted(names - made)):
            response = self._hook.describe_endpoint_config(name)
            if response is None:
                continue
            config = parse_endpoint_config(response)
            for each in (*config.variants, *config.shadow_variants):
                if each.model_name:
                    self._used_models[each.model_name] = f"used by configuration {name}"

    def _paced(self, items: Iterable[_Item]) -> Iterator[_Item]:
        for item in items:
            yield item
            self._sleep(_PAUSE_SECONDS)

    @contextmanager
    def _may_be_denied(self, *kinds: Kind) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            action = errors.denied_action(error)
            if action is None:
                raise
            for kind in kinds:
                self._unknown[kind] = f"{action} is denied, so it is not known what is used"
            names = " and ".join(f"{kind.value}s" for kind in kinds)
            self.warnings.append(f"Access denied: {action}. No {names} are deleted without it")


def _launched_at(tags: dict[str, str]) -> datetime | None:
    """Return when an update to the configuration with these tags was last accepted; None if never."""
    return max((each.accepted_at for each in _intents(tags) if each.accepted_at), default=None)


def _intended_at(tags: dict[str, str]) -> datetime | None:
    """Return when a task last noted that it will update to the configuration; None if none did."""
    return max((each.written_at for each in _intents(tags) if not each.withdrawn), default=None)


def _intents(tags: dict[str, str]) -> list[Intent]:
    intents = [parse_intent(text) for key, text in tags.items() if key.startswith(INTENT_PREFIX)]
    return [intent for intent in intents if intent is not None]
