"""Whether the strategy fits the fleets, and what the fleets will be."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from airflow_guardrails.domain.deployment.step_sizes import StepSize, step_size
from airflow_guardrails.domain.deployment.steps import HALF_OF_THE_FLEET
from airflow_guardrails.domain.deployment.strategies import Rolling
from airflow_guardrails.domain.preflight.context import COUNT, WEIGHT, PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, warning
from airflow_guardrails.domain.snapshots.endpoint_config import VariantConfig
from airflow_guardrails.domain.text import count_in_words, duration_in_words

# A step is at least an instance, and at most half of the fleet.
SMALLEST_FLEET = 2
# "Maximum number of instances per endpoint" and "Number of instances across active endpoints"
# (AWS General Reference, SageMaker endpoints and quotas); both can be raised.
DEFAULT_QUOTA = 4


def fleet_too_small(facts: PreflightContext) -> Iterator[Finding]:
    strategy = facts.guardrails.strategy
    if strategy is None or step_size(strategy) is None:
        return
    for name, count in facts.fleets:
        if count < SMALLEST_FLEET:
            fleet = facts.fleet_in_words(name, count)
            text = f"{strategy.name} needs {strategy.minimum_instances} instances > {fleet}"
            fix = f"scale {name} out, or use AllAtOnce with a termination_wait"
            yield error(Code.FLEET_TOO_SMALL, f"{text}: a step is at most 50 %", fix=fix)


def step_in_instances(facts: PreflightContext) -> Iterator[Finding]:
    """
    Hold a step counted in instances to SageMaker's bounds, which are in percent of the fleet.
    """
    step = step_size(facts.guardrails.strategy)
    if step is None or step.instances is None:
        return
    for name, count in facts.fleets:
        if count >= SMALLEST_FLEET:
            yield from _out_of_bounds(facts, step, step.instances, name, count)


def _out_of_bounds(
    facts: PreflightContext, step: StepSize, size: int, name: str, count: int
) -> Iterator[Finding]:
    percent = 100 * size / count
    text = f"a {step.noun} of {count_in_words(size, 'instance')} is {percent:.3g} %"
    fleet = facts.fleet_in_words(name, count)
    if percent > HALF_OF_THE_FLEET:
        fix = f"make it {count_in_words(count // 2, 'instance')} at most"
        yield error(Code.STEP_TOO_LARGE, f"{text} > {HALF_OF_THE_FLEET} % of {fleet}", fix=fix)
    if percent < step.least:
        least = count_in_words(ceil(count * step.least / 100), "instance")
        fix = f"make it {least} at least, or give it in percent"
        yield error(Code.STEP_TOO_SMALL, f"{text} < {step.least} % of {fleet}", fix=fix)


def retained(facts: PreflightContext) -> Iterator[Finding]:
    for variant in facts.target.variants:
        for code, what, live, asked in _live_and_asked(facts, variant):
            if facts.retained.keeps(what) and None not in (live, asked) and live != asked:
                text = f"{variant.name} keeps its live {what} {live:g} instead of the {asked:g}"
                fix = f'to take the configuration\'s, set exclude_retained_variant_properties=["{what}"]'
                yield warning(code, f"{text} of {facts.target.name}", fix=fix)


def _live_and_asked(
    facts: PreflightContext, variant: VariantConfig
) -> Iterator[tuple[Code, str, float | None, float | None]]:
    live = facts.live(variant.name)
    yield Code.COUNT_RETAINED, COUNT, facts.live_instances(variant.name), variant.initial_instances
    yield Code.WEIGHT_RETAINED, WEIGHT, live.desired_weight if live else None, variant.initial_weight


def extra_instances(facts: PreflightContext) -> Iterator[Finding]:
    """
    Warn of two whole fleets side by side where they exceed the quota that an account starts with.
    """
    if isinstance(facts.guardrails.strategy, Rolling):
        return
    green = sum(count for _, count in facts.fleets)
    blue = sum(facts.live_instances(name) or 0 for name in facts.serving_names)
    if green and green + blue > DEFAULT_QUOTA:
        text = (
            f"blue/green runs {green} new instances beside the {blue} that serve{_billed(facts)}: "
            f"{green + blue} > {DEFAULT_QUOTA}, SageMaker's default quota of an endpoint"
        )
        fix = "see that the account's quotas allow them, or use Rolling, which adds a batch at a time"
        yield warning(Code.EXTRA_INSTANCES, text, fix=fix)


def _billed(facts: PreflightContext) -> str:
    waiting = facts.longest_wait
    return f", billed both for {duration_in_words(waiting)} and provisioning" if waiting else ""


CHECKS = (fleet_too_small, step_in_instances, retained, extra_instances)
