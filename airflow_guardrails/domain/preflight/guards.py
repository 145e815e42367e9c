"""Whether anything would stop a bad update, and whether a good one could finish."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_guardrails.domain.deployment.deadline import LONGEST_UPDATE
from airflow_guardrails.domain.deployment.strategies import Rolling
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding, error, warning
from airflow_guardrails.domain.text import duration_in_words

# The instance types that support neither deployment guardrails nor shadow tests.
INF1 = "ml.inf1."
# Developer guide, "Deployment guardrails: exclusions".
_FALLBACK = "SageMaker ignores strategy and alarms for them, moves everything at once and does not bake"


def no_guard(facts: PreflightContext) -> Iterator[Finding]:
    if not facts.guardrails.alarms:
        text = "no alarm and no abort switch guard the update"
        yield _unguarded(facts, Code.NO_GUARD, text, fix="name alarms, or keep the abort switch")


def only_switch(facts: PreflightContext) -> Iterator[Finding]:
    if facts.guardrails.alarms and not facts.users_alarm_names:
        text = "the abort switch is the only guard: nothing undoes the update unless somebody throws it"
        yield warning(Code.ONLY_SWITCH, text, fix="name alarms, on the error rate and the latency at least")


def no_bake(facts: PreflightContext) -> Iterator[Finding]:
    if not facts.guardrails.total_bake:
        strategy = facts.guardrails.strategy
        name = strategy.name if strategy else "all at once, SageMaker's default,"
        text = f"{name} bakes for 0 s in all, and SageMaker looks at alarms only while it bakes"
        fix = "give the strategy a bake or a termination_wait longer than 0 s"
        yield _unguarded(facts, Code.NO_BAKE, text, fix=fix)


def inf1(facts: PreflightContext) -> Iterator[Finding]:
    types = [kind for variant in facts.variant_configs for kind in variant.instance_types]
    if excluded := [kind for kind in dict.fromkeys(types) if kind.startswith(INF1)]:
        text = f"instances are Inf1 ({', '.join(excluded)}): {_FALLBACK}"
        yield _unguarded(facts, Code.INF1, text, fix="use other instances, such as ml.inf2")


def marketplace(facts: PreflightContext) -> Iterator[Finding]:
    if facts.marketplace:
        text = f"containers are from AWS Marketplace: {_FALLBACK}"
        yield _unguarded(facts, Code.MARKETPLACE, text, fix="use a container of your own")


def variant_names(facts: PreflightContext) -> Iterator[Finding]:
    old, new = facts.serving_names, facts.target.variant_names
    if old and set(old) != set(new):
        text = (
            f"{facts.target.name} has variants {', '.join(sorted(new))}, and those that serve are "
            f"{', '.join(sorted(old))}: guardrails need the same names"
        )
        fix = f"name the variants of a new configuration {', '.join(sorted(old))}"
        yield _unguarded(facts, Code.VARIANT_NAMES, text, fix=fix)


def rolling(facts: PreflightContext) -> Iterator[Finding]:
    if not isinstance(facts.guardrails.strategy, Rolling):
        return
    for config in facts.configs:
        if len(config.variants) > 1:
            text = f"rolling takes 1 variant, and {config.name} has {len(config.variants)}"
            yield error(Code.ROLLING_VARIANTS, text, fix="use AllAtOnce, Canary or Linear")
        if serverless := [variant.name for variant in config.variants if variant.serverless]:
            count = f"{len(serverless)} ({', '.join(serverless)})"
            text = f"rolling takes no serverless variants, and {config.name} has {count}"
            yield error(Code.ROLLING_SERVERLESS, text, fix="use AllAtOnce, Canary or Linear")


def serving_config_deleted(facts: PreflightContext) -> Iterator[Finding]:
    name = facts.endpoint.endpoint_config_name
    if facts.serving is None and name is not None:
        text = (
            f"configuration {name}, which {facts.endpoint.name} serves, is deleted: "
            "SageMaker could not go back to it, and refuses the update"
        )
        fix = f"create a configuration named {name} again, with the models that serve"
        yield error(Code.SERVING_CONFIG_DELETED, text, fix=fix)


def async_dropped(facts: PreflightContext) -> Iterator[Finding]:
    if facts.serving and facts.serving.asynchronous and not facts.target.asynchronous:
        text = (
            f"{facts.serving.name} has an AsyncInferenceConfig and {facts.target.name} has none: "
            "SageMaker does not let an endpoint drop it"
        )
        yield error(Code.ASYNC_DROPPED, text, fix="give the new configuration one, or make another endpoint")


def schedule(facts: PreflightContext) -> Iterator[Finding]:
    """
    Compare the bakes and waits with SageMaker's limit and the task's; provisioning comes on top of them.
    """
    waiting, given = facts.longest_wait, facts.guardrails.max_duration
    text = f"the strategy's bakes and waits can take {duration_in_words(waiting)}"
    if waiting >= (limit := given or LONGEST_UPDATE):
        what = "max_duration" if given else "the longest that SageMaker allows"
        fix = "shorten them, or move more at a time" + (", or raise max_duration (to 8 h)" if given else "")
        yield error(Code.SCHEDULE_TOO_LONG, f"{text} >= {duration_in_words(limit)}, {what}", fix=fix)
    if facts.max_wait is not None and waiting >= facts.max_wait:
        text = f"{text} >= {duration_in_words(facts.max_wait)}, for which the task waits (max_wait)"
        yield warning(Code.SCHEDULE_EXCEEDS_WAIT, text, fix="raise max_wait, or shorten them")


def _unguarded(facts: PreflightContext, code: Code, text: str, *, fix: str) -> Finding:
    """Make a finding of what takes the guards away: an error unless that is accepted."""
    if facts.allow_unguarded:
        return warning(code, text, fix=fix)
    return error(code, text, fix=f"{fix}, or accept that with allow_unguarded=True")


CHECKS = (
    no_guard,
    no_bake,
    inf1,
    marketplace,
    variant_names,
    rolling,
    serving_config_deleted,
    async_dropped,
    schedule,
    only_switch,
)
