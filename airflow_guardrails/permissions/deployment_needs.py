"""What tasks need to create what they deploy, to keep the history of an endpoint, and to clean up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.permissions import deployment_actions as may
from airflow_guardrails.permissions.actions import Kind
from airflow_guardrails.permissions.need import ANYTHING, Need, guards_of, switches_of
from airflow_guardrails.permissions.task_arguments import ANY, Pattern, TaskArguments, made_name

_FROM_MODEL = ("model_name", "model_package_arn")
_MODEL, _CONFIG, _ENDPOINT = "Model", "EndpointConfig", "Endpoint"
_NOT_NOTED = "what it goes back from is not refused later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    What an update deploys, by the names in its arguments.

    :param configs: the configurations to update to.
    :param created_configs: those of them that the task creates.
    :param created_models: the models that the task creates.
    :param roles: the roles that it passes to SageMaker.
    :param artefacts: the S3 objects of the models to deploy, as ``bucket/key``.
    """

    configs: tuple[Pattern, ...]
    created_configs: tuple[Pattern, ...]
    created_models: tuple[Pattern, ...]
    roles: tuple[Pattern, ...]
    artefacts: tuple[Pattern, ...]


def target_of(task: TaskArguments) -> Target:
    """Return what the guarded update *task* deploys."""
    named = task.patterns_of("endpoint_config_name", _given(task, "endpoint_config_name"))
    derived = any(_given(task, name) for name in _FROM_MODEL)
    own = tuple(map(made_name, task.patterns("endpoint_name")))
    packages = _given(task, "model_package_arn")
    parts = [_Parts(task, config) for config in _given(task, "config")]
    created = (*(own if derived else ()), *(one for part in parts for one in part.created_configs))
    return Target(
        configs=(*named, *created, *(one for part in parts for one in part.named_configs)),
        created_configs=created,
        created_models=(*(own if packages else ()), *(one for part in parts for one in part.created_models)),
        roles=(*_roles(task, packages), *(one for part in parts for one in part.roles)),
        artefacts=tuple(one for part in parts for one in part.artefacts)
        if parts and not derived
        else ANYTHING,
    )


def creation_needs(task: TaskArguments, target: Target) -> Iterator[Need]:
    """Yield what *task* needs to create *target*, or the endpoint."""
    packages = task.patterns_of("model_package_arn", _given(task, "model_package_arn"))
    if target.created_configs:
        yield Need(may.CREATE_CONFIG, target.created_configs)
        yield Need(may.TAG_CONFIG, target.created_configs)
    if any(_given(task, name) for name in _FROM_MODEL):
        yield from derivation_needs()
    if _given(task, "model_name") or _given(task, "config"):
        yield Need(may.FIND_MODEL)
    if packages:
        yield Need(may.READ_PACKAGE, packages)
        yield from write_back_needs(task)
        if not task.may_be_true("role_arn"):
            yield Need(may.READ_ROLE_IN_SERVICE)
    if target.created_models:
        yield Need(may.CREATE_MODEL, target.created_models)
        yield Need(may.TAG_MODEL, target.created_models)
    if target.roles:
        yield Need(may.PASS_ROLE, target.roles)
    if by_name := tuple(filter(_may_be_name, target.roles)):
        yield Need(may.FIND_ROLE, by_name)
    if task.value("if_missing") == "create":
        endpoint = task.patterns("endpoint_name")
        yield Need(may.CREATE_ENDPOINT, endpoint)
        yield Need(may.CREATE_ENDPOINT_WITH, target.configs)
        yield Need(may.TAG_ENDPOINT, endpoint)


def derivation_needs() -> Iterator[Need]:
    """Yield what is needed to derive a configuration from the one in service."""
    for permission in (may.READ_TAGS, may.FIND_TESTS, may.READ_FOUND_TESTS):
        yield Need(permission)


def record_needs(task: TaskArguments) -> Iterator[Need]:
    """Yield what is needed for the history of the endpoint."""
    endpoint = task.patterns("endpoint_name")
    for permission in (may.READ_HISTORY, may.RECORD, may.FORGET):
        yield Need(permission, endpoint)
    yield Need(may.FIND_TAGGED)
    yield Need(may.TAG_OUTCOME)


def write_back_needs(update: TaskArguments | None) -> Iterator[Need]:
    """Yield what is needed to write the outcome of *update* to its model package, if it deploys one."""
    if update and (packages := _given(update, "model_package_arn")):
        yield Need(may.WRITE_BACK, update.patterns_of("model_package_arn", packages))


def rollback_needs(task: TaskArguments) -> Iterator[Need]:
    """Yield what a rollback needs besides an update."""
    endpoint = task.patterns("endpoint_name")
    named = task.may_be_true("to") and not task.is_mapped
    yield Need(may.FIND_WAY_BACK.optional(_NOT_NOTED) if named else may.FIND_WAY_BACK, endpoint)
    yield Need(may.NOTE_WAY_BACK, endpoint)
    if not named:
        yield Need(may.FIND_BASE)
        yield Need(may.FIND_MODELS_BEFORE)


def clean_up_needs(task: TaskArguments) -> Iterator[Need]:
    """Yield what a clean-up needs besides reading the endpoint."""
    endpoint = task.patterns("endpoint_name")
    for permission in may.CLEAN_UP_READS:
        of_endpoint = permission.kind is Kind.ENDPOINT and permission.action == "sagemaker:ListTags"
        yield Need(permission, endpoint if of_endpoint else ANYTHING)
    if task.may_be_true("only_report" if not task.is_mapped else "dry_run"):
        return
    made = tuple(map(made_name, endpoint))
    yield Need(may.DELETE_CONFIGS, made)
    yield Need(may.DELETE_MODELS, made)
    yield Need(may.DELETE_OLD_ALARMS, (*switches_of(task), *guards_of(task)))


def package_sensor_needs(task: TaskArguments) -> Iterator[Need]:
    """Yield what the wait for the approval of a model package needs."""
    packages = task.patterns_of("model_package_arn", _given(task, "model_package_arn"))
    groups = task.patterns_of("model_package_group_name", _given(task, "model_package_group_name"))
    yield Need(may.AWAIT_PACKAGE, (*packages, *(Pattern(f"{one.text}/{ANY}", one.note) for one in groups)))
    if groups:
        yield Need(may.LIST_PACKAGES)


class _Parts:
    """The names in a value of ``config``, which Airflow may know only when the task runs."""

    def __init__(self, task: TaskArguments, config: Any) -> None:
        self._task = task
        self.named_configs: tuple[Pattern, ...] = ()
        self.created_configs = self.created_models = self.artefacts = ANYTHING
        self.roles = self._patterns([config])
        if isinstance(config, Mapping):
            has_parts = bool(config.keys() & {_MODEL, _CONFIG, _ENDPOINT})
            self._read(config if has_parts else {_ENDPOINT: config})

    def _read(self, parts: Mapping[str, Any]) -> None:
        model, endpoint_config = parts.get(_MODEL), parts.get(_CONFIG)
        self.created_configs = self._made(endpoint_config, "EndpointConfigName")
        self.created_models = self._made(model, "ModelName")
        if endpoint_config is None:
            self.named_configs = self._patterns([_get(parts.get(_ENDPOINT), "EndpointConfigName")])
        roles = [_get(endpoint_config, "ExecutionRoleArn")]
        if model is not None and not self._task.may_be_true("role_arn"):
            roles.append(_get(model, "ExecutionRoleArn"))
        self.roles = self._patterns([role for role in roles if role is not None])
        if model is not None:
            self.artefacts = tuple(map(_without_scheme, self._patterns(_urls(model))))

    def _made(self, part: Any, name: str) -> tuple[Pattern, ...]:
        return () if part is None else tuple(map(made_name, self._patterns([_get(part, name)])))

    def _patterns(self, values: list[Any]) -> tuple[Pattern, ...]:
        return self._task.patterns_of("config", values)


def _get(part: Any, key: str) -> Any:
    return part.get(key) if isinstance(part, Mapping) else None


def _urls(model: Any) -> list[Any]:
    """Return the artefacts in the request of CreateModel; none is a value of its own, for any."""
    if not isinstance(model, Mapping):
        return [None]
    containers = [model.get("PrimaryContainer"), *(model.get("Containers") or ())]
    return [url for each in containers if (url := _get(each, "ModelDataUrl"))]


def _roles(task: TaskArguments, packages: list[Any]) -> tuple[Pattern, ...]:
    """Return the roles that are no part of ``config``; that of the model in service is any."""
    given = _given(task, "role_arn") or ([None] if packages else [])
    overrides = [_get(one, "ExecutionRoleArn") for one in _given(task, "overrides")]
    return task.patterns_of("role_arn", [*given, *filter(None, overrides)])


def _may_be_name(role: Pattern) -> bool:
    if role.text.startswith("arn:"):
        return False
    # Without role_arn, it is the ARN of a model in service.
    return role.note is not None or role.text != ANY


def _without_scheme(url: Pattern) -> Pattern:
    return Pattern(url.text.removeprefix("s3://"), url.note)


def _given(task: TaskArguments, name: str) -> list[Any]:
    return [value for value in task.values(name) if value is not None]
