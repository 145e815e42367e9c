"""The two configurations that are derived from the live one: with a shadow variant, and without."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.shadow_variant import (
    differences,
    is_taken,
    planned_config,
    with_shadow,
    with_tags,
    without_shadow,
    without_tags,
)
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.exceptions import (
    EndpointBusy,
    EndpointConfigDiffers,
    EndpointConfigNotFound,
    EndpointConfigRejected,
    ShadowTestRefused,
    ShadowVariantExists,
)
from airflow_guardrails.operators._shadow.eligibility import models_of, refuse

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


Answer = dict[str, Any]

# A configuration that was made just now may not be found for a moment (CreateEndpointConfig, "eventually
# consistent").
VISIBLE_WITHIN_SECONDS = 60.0
LONGEST_PAUSE = 5.0


@dataclass(kw_only=True)
class DerivedConfig(ABC):
    """
    The configuration *name*, like the one in service but for its shadow; see ``launch.TargetMaker``.

    :param pause: seconds between two looks for what was made just now.
    """

    name: str
    hook: GuardrailsHook
    log: Any
    sleep: Callable[[float], object]
    monotonic: Callable[[], float]
    pause: float
    warnings: list[str] = field(default_factory=list)
    _existing: Answer | None = None
    _request: Answer = field(default_factory=dict)
    _lives: dict[str, Answer] = field(default_factory=dict)

    @abstractmethod
    def derive(self, live: Answer, look: Endpoint) -> Answer:
        """Return CreateEndpointConfig's request but for the tags, or raise what is in the way."""

    @property
    def shadow_count(self) -> int | None:
        """How many instances the shadow must have, if the author said."""
        return None

    def needless(self, look: Endpoint) -> bool:  # noqa: ARG002 - for those that can be
        return False

    def plan(self, look: Endpoint, *, existing: Answer | None) -> EndpointConfig:
        """
        :raises EndpointConfigNotFound: if what serves has been deleted, so that nothing can be derived.
        :raises EndpointConfigDiffers: if the name is taken by a configuration of other content.
        :raises ShadowTestRefused: if an inference experiment has the endpoint; more from :meth:`derive`.
        """
        live = self.live(look)
        base = parse_endpoint_config(live)
        self._refuse_during_experiment(look.name)
        self._request = self.derive(live, look)
        self._existing = existing
        if existing is not None:
            self._compare(existing, base=base.name)
            return parse_endpoint_config(existing)
        self._request = with_tags(self._request, self._tags(base), derived_from=base.name)
        return planned_config(self._request, arn=base.arn)

    def make(self) -> Answer:
        """
        :raises EndpointConfigRejected: if SageMaker refuses it.
        :raises EndpointBusy: if an earlier try has made it so lately that it could not be seen before.
        """
        if self._existing is not None:
            return self._existing
        self.log.info("Creating endpoint configuration %s", self.name)
        try:
            self._create(self._request)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and errors.is_access_denied(error):
                raise
            if isinstance(error, ClientError) and not errors.is_passing(error):
                raise self._refusal(error) from error
            return self._seen(otherwise=error)
        return self._seen()

    def live(self, look: Endpoint) -> Answer:
        """Describe what is in service; it never changes under its name."""
        name = look.endpoint_config_name or ""
        if name not in self._lives:
            answer = self.hook.describe_endpoint_config(name) if name else None
            if answer is None:
                raise EndpointConfigNotFound(
                    f"Endpoint {look.name} serves the configuration {name}, which has been deleted, so "
                    "nothing can be derived from it: update the endpoint to one that is there"
                )
            self._lives[name] = answer
        return self._lives[name]

    # Before anything is created.

    def _compare(self, existing: Answer, *, base: str) -> None:
        if found := differences(existing, self._request, shadow_count=self.shadow_count):
            raise EndpointConfigDiffers(
                f"Endpoint configuration {self.name} has this task's name, and is not what the task would "
                f"make of {base}, which is in service: {'; '.join(found)}. An earlier try has made it of "
                "another configuration, or somebody else has: delete it, and clear this task"
            )

    def _tags(self, base: EndpointConfig) -> dict[str, str]:
        try:
            return self.hook.list_tags(base.arn)
        except ClientError as error:
            self.warn_if_denied(error, f"The tags of {base.name} are not carried over (sagemaker:ListTags)")
            return {}

    def _refuse_during_experiment(self, endpoint_name: str) -> None:
        try:
            experiments = list(self._experiments_on(endpoint_name))
        except ClientError as error:
            self.warn_if_denied(
                error,
                f"Whether an inference experiment has endpoint {endpoint_name} is not known "
                "(sagemaker:ListInferenceExperiments, DescribeInferenceExperiment)",
            )
            return
        if experiments:
            raise ShadowTestRefused(
                f"Endpoint {endpoint_name} is the inference experiment's {', '.join(experiments)}, which "
                "changes its configuration: stop the experiment, or wait for its end"
            )

    def _experiments_on(self, endpoint_name: str) -> Iterator[str]:
        for listed in self.hook.list_active_experiments():
            look = self.hook.describe_inference_experiment(listed.name)
            if isinstance(look, Experiment) and look.endpoint_name == endpoint_name and not look.phase.over:
                yield f"{look.name} ({look.status.value})"

    def warn_if_denied(self, error: ClientError, warning: str) -> None:
        """Go on without what is not permitted; any other error is raised."""
        if not errors.is_access_denied(error):
            raise error
        self.warn(warning)

    def warn(self, warning: str) -> None:
        self.log.warning(warning)
        self.warnings.append(warning)

    # The creation.

    def _create(self, request: Answer) -> None:
        try:
            self.hook.create_endpoint_config(request)
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            # Perhaps for its tags, perhaps altogether.
            self.hook.create_endpoint_config(without_tags(request))
            self.warn_if_denied(error, f"{self.name} was made without tags (sagemaker:AddTags)")

    def _refusal(self, error: ClientError) -> EndpointBusy | EndpointConfigRejected:
        if is_taken(error):
            return EndpointBusy(
                f"Endpoint configuration {self.name} has been made a moment ago, and could not be seen yet: "
                "the next try will find it"
            )
        return EndpointConfigRejected(
            f"SageMaker refused the endpoint configuration {self.name}; nothing was changed: "
            f"{errors.text_for_people(error)}"
        )

    def _seen(self, *, otherwise: Exception | None = None) -> Answer:
        """
        Look until it can be seen; *otherwise* is why it may never be.
        """
        give_up = self.monotonic() + VISIBLE_WITHIN_SECONDS
        while (found := self.hook.describe_endpoint_config(self.name)) is None:
            if self.monotonic() >= give_up:
                raise otherwise or EndpointBusy(
                    f"Endpoint configuration {self.name} was made, and is not to be seen after "
                    f"{VISIBLE_WITHIN_SECONDS:g} s"
                )
            self.sleep(min(self.pause, LONGEST_PAUSE))
        return found


@dataclass(kw_only=True)
class WithShadow(DerivedConfig):
    """What is in service, with *shadow* beside its one production variant."""

    shadow: ShadowVariant

    @property
    def shadow_count(self) -> int | None:
        return self.shadow.instance_count

    def derive(self, live: Answer, look: Endpoint) -> Answer:
        """
        :raises ShadowVariantExists: if there is one already.
        :raises ModelNotFound: if there is no model for the shadow.
        :raises ShadowTestRefused: if the endpoint can have no shadow; the text says all that is in the way.
        """
        config = parse_endpoint_config(live)
        self._refuse_second(look, config)
        models = models_of(config, self.shadow.model_name, hook=self.hook, warn=self.warn)
        refuse(look, config, models, shadow=self.shadow)
        return with_shadow(live, self.shadow, name=self.name, variants=look.variants)

    def _refuse_second(self, look: Endpoint, config: EndpointConfig) -> None:
        if config.shadow_variants:
            names = ", ".join(f"{each.name} of model {each.model_name}" for each in config.shadow_variants)
            raise ShadowVariantExists(
                f"Endpoint {look.name} has a shadow variant already ({names}, in {config.name}), and takes "
                "one at most: remove it before, with SageMakerRemoveShadowVariantOperator"
            )


@dataclass(kw_only=True)
class WithoutShadow(DerivedConfig):
    """What is in service, without its shadow."""

    def needless(self, look: Endpoint) -> bool:
        # After a failed rollback what serves is a mix, whatever the configuration in service says.
        mixed = look.status is not EndpointStatus.IN_SERVICE
        if mixed or parse_endpoint_config(self.live(look)).shadow_variants:
            return False
        self.log.info("Endpoint %s has no shadow variant (%s): done", look.name, look.endpoint_config_name)
        return True

    def derive(self, live: Answer, look: Endpoint) -> Answer:
        return without_shadow(live, name=self.name, variants=look.variants)
