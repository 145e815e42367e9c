"""Checks of the fleets: whether the strategy fits their sizes, and what the new fleets will be."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from airflow_guardrails.domain.deployment.guardrails import VariantProperty
from airflow_guardrails.domain.deployment.step_sizes import StepSize, step_size
from airflow_guardrails.domain.deployment.steps import HALF_OF_THE_FLEET
from airflow_guardrails.domain.deployment.strategies import Rolling
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, note
from airflow_guardrails.domain.snapshots.endpoint_config import VariantConfig
from airflow_guardrails.domain.text import count_in_words, duration_in_words

# A step is at least one instance, and at most half of the fleet.
_MIN_FLEET = 2
# "Maximum number of instances per endpoint" and "Number of instances across active endpoints"
# (AWS General Reference, SageMaker endpoints and quotas). AWS raises both on request.
_DEFAULT_QUOTA = 4


def _fleet_too_small(context: PreflightContext) -> Iterator[Finding]:
    strategy = context.guardrails.strategy
    if strategy is None or step_size(strategy) is None:
        return
    for name, count in context.fleets:
        if count < _MIN_FLEET:
            fleet = context.fleet_in_words(name, count)
            text = f"{strategy.name} needs {strategy.minimum_instances} instances > {fleet}"
            fix = f"scale {name} out, or use AllAtOnce with a termination_wait"
            yield error(Code.FLEET_TOO_SMALL, f"{text}: a step is at most 50 %", fix=fix)


def _step_in_instances(context: PreflightContext) -> Iterator[Finding]:
    """Compare a step in instances with SageMaker's limits, which are in percent of the fleet."""
    step = step_size(context.guardrails.strategy)
    if step is None or step.instances is None:
        return
    for name, count in context.fleets:
        if count >= _MIN_FLEET:
            yield from _out_of_range(context, step, step.instances, name, count)


def _out_of_range(
    context: PreflightContext, step: StepSize, size: int, name: str, count: int
) -> Iterator[Finding]:
    percent = 100 * size / count
    text = f"a {step.noun} of {count_in_words(size, 'instance')} is {percent:.3g} %"
    fleet = context.fleet_in_words(name, count)
    if percent > HALF_OF_THE_FLEET:
        fix = f"make it at most {count_in_words(count // 2, 'instance')}"
        yield error(Code.STEP_TOO_LARGE, f"{text} > {HALF_OF_THE_FLEET} % of {fleet}", fix=fix)
    if percent < step.min_percent:
        least = count_in_words(ceil(count * step.min_percent / 100), "instance")
        fix = f"make it at least {least}, or give it in percent"
        yield error(Code.STEP_TOO_SMALL, f"{text} < {step.min_percent} % of {fleet}", fix=fix)


def _retained(context: PreflightContext) -> Iterator[Finding]:
    for variant in context.target.variants:
        for code, name, live, configured in _live_and_configured(context, variant):
            known = live is not None and configured is not None
            if known and context.retained.keeps(name) and live != configured:
                # Autoscaling does that to every healthy endpoint, so this is no warning.
                text = f"{variant.name} keeps its live {name.value} {live:g} instead of the {configured:g}"
                change = f'exclude_retained_variant_properties=["{name.value}"] uses the configuration\'s'
                yield note(code, f"{text} of {context.target.name}; {change}")


def _live_and_configured(
    context: PreflightContext, variant: VariantConfig
) -> Iterator[tuple[Code, VariantProperty, float | None, float | None]]:
    live = context.live(variant.name)
    count, weight = context.live_instances(variant.name), live.desired_weight if live else None
    yield Code.COUNT_RETAINED, VariantProperty.DESIRED_INSTANCE_COUNT, count, variant.initial_instances
    yield Code.WEIGHT_RETAINED, VariantProperty.DESIRED_WEIGHT, weight, variant.initial_weight


def _extra_instances(context: PreflightContext) -> Iterator[Finding]:
    """Note how many instances run if both fleets together exceed the default quota of an account."""
    # A rolling update needs about one batch more, not a second fleet.
    if isinstance(context.guardrails.strategy, Rolling):
        return
    green = sum(count for _, count in context.fleets)
    blue = sum(context.live_instances(name) or 0 for name in context.serving_names)
    if green and green + blue > _DEFAULT_QUOTA:
        wait = context.longest_wait
        minutes = green * wait.total_seconds() / 60
        words = duration_in_words(wait)
        billed = (
            f", both billed for {words} ({minutes:,.0f} instance minutes more) and provisioning"
            if wait
            else ""
        )
        yield note(
            Code.EXTRA_INSTANCES,
            f"the update runs {green} new instances beside the {blue} that serve{billed} "
            f"({green + blue} > {_DEFAULT_QUOTA}, the default quota; Rolling adds one batch at a time)",
        )


CHECKS = (_fleet_too_small, _step_in_instances, _retained, _extra_instances)
