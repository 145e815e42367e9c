"""Checks whether anything would stop a bad update, and whether a good one can finish."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_guardrails.domain.deployment.deadline import LONGEST_UPDATE
from airflow_guardrails.domain.deployment.strategies import Canary, Linear, Rolling, Strategy
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, note, warning
from airflow_guardrails.domain.text import duration_in_words

# Prefix of the instance types that support neither deployment guardrails nor shadow tests.
INF1 = "ml.inf1."
# Developer guide, "Deployment guardrails: exclusions".
_FALLBACK = "SageMaker ignores strategy and alarms for them, updates everything at once and does not bake"

# Developer guide: "Deployment guardrails" and its page "Exclusions".
_SERVERLESS = (
    "AWS documents guardrails for real-time and asynchronous endpoints only, but excludes serverless ones "
    "only from rolling updates"
)


def _no_guard(context: PreflightContext) -> Iterator[Finding]:
    if not context.guardrails.alarms:
        text = "no alarm and no abort switch guard the update"
        yield _unguarded(context, Code.NO_GUARD, text, fix="name alarms, or keep the abort switch")


def _only_switch(context: PreflightContext) -> Iterator[Finding]:
    if context.guardrails.alarms and not context.users_alarm_names:
        text = "the abort switch is the only guard: nothing rolls the update back unless somebody throws it"
        yield warning(Code.ONLY_SWITCH, text, fix="name alarms, at least on error rate and latency")


def _no_bake(context: PreflightContext) -> Iterator[Finding]:
    # Developer guide: alarms are watched "during any baking period".
    if not context.guardrails.total_bake:
        name = strategy_name(context.guardrails.strategy)
        text = f"{name} bakes for 0 s in total, and SageMaker watches alarms only while it bakes"
        fix = "give the strategy a bake or a termination_wait longer than 0 s"
        yield _unguarded(context, Code.NO_BAKE, text, fix=fix)


def strategy_name(strategy: Strategy | None) -> str:
    """Return the name of the strategy for texts; None is SageMaker's default."""
    return strategy.name if strategy else "all at once, SageMaker's default,"


def exclusions(context: PreflightContext) -> Iterator[Finding]:
    """Find everything because of which SageMaker ignores the strategy and the alarms."""
    yield from _inf1(context)
    yield from _marketplace(context)
    yield from _variant_names(context)


def _inf1(context: PreflightContext) -> Iterator[Finding]:
    types = [kind for variant in context.variant_configs for kind in variant.instance_types]
    if excluded := [kind for kind in dict.fromkeys(types) if kind.startswith(INF1)]:
        text = f"instances are Inf1 ({', '.join(excluded)}): {_FALLBACK}"
        yield _unguarded(context, Code.INF1, text, fix="use other instances, such as ml.inf2")


def _marketplace(context: PreflightContext) -> Iterator[Finding]:
    if context.marketplace:
        text = f"containers are from AWS Marketplace: {_FALLBACK}"
        yield _unguarded(context, Code.MARKETPLACE, text, fix="use a container of your own")


def _variant_names(context: PreflightContext) -> Iterator[Finding]:
    old, new = context.serving_names, context.target.variant_names
    # AWS does not document whether SageMaker refuses other names or updates everything at once.
    if old and set(old) != set(new):
        text = (
            f"{context.target.name} has variants {', '.join(sorted(new))}, and the endpoint serves "
            f"{', '.join(sorted(old))}: deployment guardrails need the same names"
        )
        fix = f"name the variants of a new configuration {', '.join(sorted(old))}"
        yield _unguarded(context, Code.VARIANT_NAMES, text, fix=fix)


def _rolling(context: PreflightContext) -> Iterator[Finding]:
    if not isinstance(context.guardrails.strategy, Rolling):
        return
    # Developer guide, exclusions: no rolling update of serverless or multi-variant endpoints.
    for config in context.configs:
        if len(config.variants) > 1:
            text = f"rolling supports 1 variant, and {config.name} has {len(config.variants)}"
            yield error(Code.ROLLING_VARIANTS, text, fix="use AllAtOnce, Canary or Linear")
        if serverless := [variant.name for variant in config.variants if variant.serverless]:
            count = f"{len(serverless)} ({', '.join(serverless)})"
            text = f"rolling supports no serverless variants, and {config.name} has {count}"
            yield error(Code.ROLLING_SERVERLESS, text, fix="use AllAtOnce, Canary or Linear")


def _serverless(context: PreflightContext) -> Iterator[Finding]:
    """Say which updates of serverless variants are documented; a rolling one is refused elsewhere."""
    names = [variant.name for variant in context.variant_configs if variant.serverless]
    strategy = context.guardrails.strategy
    if not names or isinstance(strategy, Rolling):
        return
    found = ", ".join(dict.fromkeys(names))
    if isinstance(strategy, Canary | Linear):
        # A step is a part of the instances (CapacitySize), and a serverless variant has none.
        text = f"{strategy.name} moves traffic by instances, and serverless variants have none ({found})"
        fix = "use AllAtOnce with a termination_wait"
        yield _unguarded(context, Code.SERVERLESS_STEPS, f"{text}: {_SERVERLESS}", fix=fix)
    else:
        fix = "check after the update that the endpoint answers, for example with a test request"
        text = f"nothing may roll back the update of serverless variants ({found}): {_SERVERLESS}"
        yield warning(Code.SERVERLESS, text, fix=fix)


def _asynchronous(context: PreflightContext) -> Iterator[Finding]:
    if context.target.asynchronous:
        text = (
            f"{context.target.name} is asynchronous: AWS documents deployment guardrails for asynchronous "
            "endpoints, with every strategy"
        )
        yield note(Code.ASYNCHRONOUS, text)


def _serving_config_deleted(context: PreflightContext) -> Iterator[Finding]:
    name = context.endpoint.endpoint_config_name
    # Issues of the Terraform provider show this refusal (40048, 48997).
    if context.serving is None and name is not None:
        text = (
            f"configuration {name}, which {context.endpoint.name} serves, is deleted: "
            "SageMaker could not roll back to it, and refuses the update"
        )
        fix = f"create a configuration named {name} again, with the models that serve"
        yield error(Code.SERVING_CONFIG_DELETED, text, fix=fix)


def _async_dropped(context: PreflightContext) -> Iterator[Finding]:
    # An issue of AWS's Python SDK shows this refusal (sagemaker-python-sdk 3124).
    if context.serving and context.serving.asynchronous and not context.target.asynchronous:
        text = (
            f"{context.serving.name} has an AsyncInferenceConfig and {context.target.name} has none: "
            "SageMaker does not let an endpoint drop it"
        )
        yield error(
            Code.ASYNC_DROPPED, text, fix="give the new configuration one, or create another endpoint"
        )


def _schedule(context: PreflightContext) -> Iterator[Finding]:
    """Compare bakes and waits with SageMaker's limit and with max_wait; the time of provisioning is extra."""
    waiting, given = context.longest_wait, context.guardrails.max_duration
    text = f"the strategy's bakes and waits can take {duration_in_words(waiting)}"
    if waiting >= (limit := given or LONGEST_UPDATE):
        what = "max_duration" if given else "SageMaker's limit"
        fix = "shorten them, or use larger steps" + (", or raise max_duration (to 8 h)" if given else "")
        yield error(Code.SCHEDULE_TOO_LONG, f"{text} >= {duration_in_words(limit)}, {what}", fix=fix)
    if context.max_wait is not None and waiting >= context.max_wait:
        text = f"{text} >= {duration_in_words(context.max_wait)}, for which the task waits (max_wait)"
        yield warning(Code.SCHEDULE_EXCEEDS_WAIT, text, fix="raise max_wait, or shorten them")


def _unguarded(context: PreflightContext, code: Code, text: str, *, fix: str) -> Finding:
    """Return a finding that nothing guards the update: an error, unless ``allow_unguarded`` accepts that."""
    if context.allow_unguarded:
        return warning(code, text, fix=fix)
    return error(code, text, fix=f"{fix}, or accept that with allow_unguarded=True")


CHECKS = (
    _no_guard,
    _no_bake,
    exclusions,
    _rolling,
    _serverless,
    _asynchronous,
    _serving_config_deleted,
    _async_dropped,
    _schedule,
    _only_switch,
)
