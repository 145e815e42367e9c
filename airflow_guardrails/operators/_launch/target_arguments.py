"""What a guarded update deploys, as the author of the DAG says it, and what follows from that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_guardrails.aws.deployment_config import as_guardrails
from airflow_guardrails.aws.operator_config import (
    OperatorConfig,
    endpoint_name_in,
    parse_operator_config,
    parts_of,
)
from airflow_guardrails.domain.arguments import (
    Check,
    check_matches,
    check_model_package_arn,
    check_name,
    rendered_number,
    shown,
)
from airflow_guardrails.domain.deployment.guardrails import Guardrails, RetainedProperties, VariantProperty
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.names import guarded_name
from airflow_guardrails.tasks.validation import check_strategy

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook
    from airflow_guardrails.operators._launch.launch import ConfigFactory


def check_config(name: str, value: Any) -> None:  # noqa: ARG001 - the signature of all checks
    """
    Accept a dict in the form of amazon's SageMakerEndpointOperator; its parts are checked later.

    :raises InvalidValue: if *value* is no such dict.
    """
    parts_of(value)


def check_overrides(name: str, value: Any) -> None:
    """
    Accept a dict; it is compared with the API's description later.

    :raises InvalidArgument: if *value* is no dict, or names the configuration.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgument(
            f"{name} must be a dict in the form of CreateEndpointConfig (got {shown(value)})"
        )
    if "EndpointConfigName" in value:
        raise InvalidArgument(
            f"{name} must not have EndpointConfigName (got {shown(value['EndpointConfigName'])}): the task "
            "names the configuration"
        )


def check_role(name: str, value: object) -> None:
    """Accept the ARN or the name of an IAM role."""
    check_matches(name, value, r"[\w+=,.@:/-]{1,2048}", "the ARN or the name of an IAM role")


# What is deployed: one of these arguments. How each is checked once it is rendered.
WHAT_TO_DEPLOY: Mapping[str, Check] = {
    "endpoint_config_name": check_name,
    "model_name": check_name,
    "model_package_arn": check_model_package_arn,
    "config": check_config,
}
_FROM_MODEL = frozenset({"model_name", "model_package_arn"})
# Further arguments, and with which of the above they make sense.
USED_WITH: Mapping[str, frozenset[str]] = {
    "instance_type": _FROM_MODEL,
    "instance_count": _FROM_MODEL,
    "variant_name": _FROM_MODEL,
    "overrides": _FROM_MODEL,
    "role_arn": frozenset({"model_package_arn", "config"}),
    "if_missing": frozenset(WHAT_TO_DEPLOY),
}


@contextmanager
def _public() -> Iterator[None]:
    """Raise errors of wrong values as ``InvalidArgument``."""
    try:
        yield
    except GuardrailsValueError as error:
        raise InvalidArgument(str(error)) from error


class TargetArguments:
    """
    Mixin of the guarded update: finds out what to deploy, and names and creates it if the task does that.

    The operator that inherits from it has the arguments of :data:`WHAT_TO_DEPLOY` and of its docstring.
    """

    # Set by the operator's constructor.
    endpoint_name: Any
    endpoint_config_name: Any
    model_name: Any
    model_package_arn: Any
    config: Any
    instance_type: Any
    instance_count: Any
    variant_name: Any
    overrides: Any
    role_arn: Any
    strategy: Any
    alarms: Any
    retain_all_variant_properties: bool
    exclude_retained_variant_properties: Sequence[str]
    waiter_delay: float
    hook: GuardrailsHook
    log: Any
    sleep: Callable[[float], object]
    monotonic: Callable[[], float]

    # Whether the subclass itself says what is deployed, so that it takes none of the arguments.
    makes_own_target: ClassVar[bool] = False
    # Which of WHAT_TO_DEPLOY was given; None if the subclass makes its own target.
    _given: str | None = None
    # Name of the model that the task creates; None if the model must exist.
    _created_model: str | None = None
    # Read from *config* when the task runs.
    _operator_config: OperatorConfig | None = None

    def note_what_to_deploy(self, **arguments: object) -> None:
        """
        Note which argument says what to deploy. Only whether they are given counts: they may be templates.

        :raises InvalidArgument: if none, or more than one is given, or another argument does not fit to it.
        """
        given = [name for name in WHAT_TO_DEPLOY if arguments.get(name) is not None]
        if self.makes_own_target:
            if given:
                raise InvalidArgument(
                    f"{given[0]} must be left out (got {shown(arguments[given[0]])}): {type(self).__name__} "
                    "finds or creates the configuration"
                )
        elif len(given) != 1:
            text = " and ".join(f"{name}={shown(arguments[name])}" for name in given) or "None"
            raise InvalidArgument(f"exactly one of {', '.join(WHAT_TO_DEPLOY)} must be given (got {text})")
        self._given = given[0] if given else None
        for name, others in USED_WITH.items():
            if arguments.get(name) is not None and self._given not in others:
                raise InvalidArgument(
                    f"{name} must be left out without {' or '.join(sorted(others))} "
                    f"(got {shown(arguments[name])})"
                )

    def take_endpoint_name(self) -> None:
        """
        Take the endpoint's name from *config*, if it is not given.

        :raises InvalidArgument: if both are given and differ.
        """
        if self._given != "config":
            return
        found = endpoint_name_in(self.config)
        if self.endpoint_name is None:
            self.endpoint_name = found
        elif found is not None and found != self.endpoint_name:
            raise InvalidArgument(
                f"endpoint_name must be that of config.Endpoint, {found!r}, or left out "
                f"(got {self.endpoint_name!r})"
            )

    def check_target(self) -> None:
        """Check the argument that says what to deploy; it must not have rendered to None."""
        if self._given is not None:
            WHAT_TO_DEPLOY[self._given](self._given, getattr(self, self._given))

    def name_target(self, context: Mapping[str, Any]) -> bool:
        """
        Name the configuration, and the model, that the task creates; return whether it creates one.

        The names follow from the task instance and from what is asked for, and not from what is live.

        :raises InvalidArgument: if *config* or *overrides* have an unknown key, or a value of another type.
        """
        if self._given == "config":
            with _public():
                config = parse_operator_config(self.config, self.hook.input_shape)
            self._operator_config = config
            self.endpoint_config_name = config.endpoint_config_name
            if config.model is not None:
                self._created_model = guarded_name(
                    config.model["ModelName"], context, {"config": self.config, "role": self.role_arn}
                )
        if self._given == "model_package_arn":
            self._created_model = guarded_name(
                self.endpoint_name,
                context,
                {"model_package": self.model_package_arn, "role": self.role_arn, "for": self.endpoint_name},
            )
        naming = self._naming()
        if naming is None:
            return False
        prefix, content = naming
        self.endpoint_config_name = guarded_name(prefix, context, {"endpoint": self.endpoint_name, **content})
        return True

    def given_guardrails(self) -> Guardrails:
        """
        Return strategy and alarms: the arguments, and ``DeploymentConfig`` of *config*.

        :raises InvalidArgument: if there is no strategy, or the two differ.
        :raises GuardrailsValueError: if one of them breaks a rule.
        """
        endpoint = parts_of(self.config)["Endpoint"] if self._given == "config" else {}
        found = endpoint.get("DeploymentConfig")
        if found is None:
            check_strategy("strategy", self.strategy)
            return as_guardrails(self.strategy, self.alarms)
        theirs = as_guardrails(found, self.alarms)
        if self.strategy is None:
            check_strategy("strategy", theirs.strategy)
            return theirs
        ours = as_guardrails(self.strategy, theirs.alarms)
        if theirs.strategy not in {None, ours.strategy}:
            raise InvalidArgument(
                f"strategy must be that of DeploymentConfig in config (got {ours.strategy!r} and "
                f"{theirs.strategy!r}): leave out strategy, or the update policy in DeploymentConfig"
            )
        return ours

    def check_retained(self) -> None:
        """
        Check the two arguments about retained properties when the DAG file is parsed.

        :raises InvalidArgument: if one of them breaks a rule.
        """
        with _public():
            RetainedProperties(
                retain_all=self.retain_all_variant_properties,
                excluded=tuple(self.exclude_retained_variant_properties),
            )

    def given_retained(self) -> RetainedProperties:
        """
        Return what the update keeps of the live variants: the arguments, and what *config* says.

        Counts and weights that the author of the DAG gives for the new configuration are not kept.

        :raises InvalidArgument: if the two differ, or a property is unknown.
        """
        retain_all = self.retain_all_variant_properties
        excluded = tuple(self.exclude_retained_variant_properties)
        if (config := self._operator_config) is not None:
            if config.retain_all and not retain_all:
                raise InvalidArgument(
                    "retain_all_variant_properties must be True as in config, or left out (got False)"
                )
            retain_all = retain_all if config.retain_all is None else config.retain_all
            excluded = tuple(dict.fromkeys((*excluded, *config.excluded)))
        if self._given in _FROM_MODEL and retain_all:
            excluded = tuple(dict.fromkeys((*excluded, *self._given_properties())))
        with _public():
            return RetainedProperties(retain_all=retain_all, excluded=excluded)

    @property
    def deploys(self) -> str | None:
        """The argument that says what is deployed; None if the subclass itself says it."""
        return self._given

    @property
    def is_from_model(self) -> bool:
        """Whether a model, or a package, is deployed with the configuration in service."""
        return self._given in _FROM_MODEL

    @property
    def finds_target(self) -> bool:
        """Whether the task finds the configuration to deploy only when it runs."""
        return False

    def deploy_config(self, name: str) -> None:
        """Deploy the configuration *name*, whatever the arguments say."""
        self._given, self.endpoint_config_name = "endpoint_config_name", name

    def factory_with_model(self, model_name: str) -> ConfigFactory:
        """Return the factory for the same configuration with the existing model *model_name*."""
        self._created_model, self.model_package_arn, self.model_name = None, None, model_name
        factory = self._config_factory()
        assert factory is not None
        return factory

    @property
    def endpoint_tags(self) -> tuple[Mapping[str, str], ...]:
        """Tags of an endpoint that is created, besides those of this package."""
        return self._operator_config.tags if self._operator_config else ()

    def _given_properties(self) -> list[str]:
        from airflow_guardrails.aws.model_config import overridden  # noqa: PLC0415 - not in DAG files

        count = self.instance_count is not None or overridden(self.overrides, "InitialInstanceCount")
        weight = overridden(self.overrides, "InitialVariantWeight")
        return [
            *([VariantProperty.DESIRED_INSTANCE_COUNT.value] if count else []),
            *([VariantProperty.DESIRED_WEIGHT.value] if weight else []),
        ]

    def _naming(self) -> tuple[str, dict[str, Any]] | None:
        """Return the prefix of the name, and the content that the name identifies; None: it must exist."""
        if self._given == "config":
            config = self._operator_config
            if config is None or config.endpoint_config is None:
                return None
            return config.endpoint_config_name, {"config": self.config, "role": self.role_arn}
        if self._given not in _FROM_MODEL:
            return None
        names = (*_FROM_MODEL, *(name for name in USED_WITH if name != "if_missing"))
        return self.endpoint_name, {name: getattr(self, name) for name in names}

    def _config_factory(self) -> ConfigFactory | None:
        """Return the factory for the target configuration, or None if the target must already exist."""
        from airflow_guardrails.operators._launch import target  # noqa: PLC0415 - not in DAG files

        config = self._operator_config
        if config is not None and config.endpoint_config is not None:
            return target.config_as_given(
                config.endpoint_config,
                config.model,
                model_name=self._created_model,
                role_arn=self.role_arn,
                arguments=self.factory_arguments(),
                expand_role=self._role_named,
            )
        if self._given not in _FROM_MODEL:
            return None
        return target.ConfigForModel(
            model_name=self._created_model or self.model_name,
            package_arn=self.model_package_arn,
            role_arn=self._expanded_role(),
            variant_name=self.variant_name,
            instance_type=self.instance_type,
            instance_count=rendered_number(self.instance_count),
            overrides=self._fitted_overrides(),
            **self.factory_arguments(),
        )

    def factory_arguments(self) -> dict[str, Any]:
        """Return the arguments that all factories of configurations take."""
        return {
            "name": self.endpoint_config_name,
            "endpoint_name": self.endpoint_name,
            "hook": self.hook,
            "log": self.log,
            "sleep": self.sleep,
            "monotonic": self.monotonic,
            "pause": self.waiter_delay,
        }

    def _expanded_role(self) -> str | None:
        if self.role_arn is None or "/" in self.role_arn:
            return self.role_arn
        return self._role_named(self.role_arn)

    def _role_named(self, name: str) -> str:
        """
        Return the ARN of the IAM role *name*.

        :raises InvalidArgument: if there is none.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - not in DAG files

        from airflow_guardrails.aws.errors import code_of  # noqa: PLC0415

        try:
            return self.hook.get_role_arn(name)
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":
                raise
            raise InvalidArgument(
                f"The execution role must be an IAM role that exists (got {name!r}): give its ARN, or the "
                "name of a role of this account"
            ) from error

    def _fitted_overrides(self) -> Any:
        from airflow_guardrails.aws.shapes import fitted  # noqa: PLC0415 - not in DAG files

        with _public():
            return fitted(self.overrides, self.hook.input_shape("CreateEndpointConfig"), "overrides")
