"""What the role of an update lacks, before it is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.preflight.findings import Code, Finding, error
from airflow_guardrails.operators.rollback import SageMakerRollbackOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_variant import (
    SageMakerAddShadowVariantOperator,
    SageMakerRemoveShadowVariantOperator,
)
from airflow_guardrails.permissions.actions import Kind
from airflow_guardrails.permissions.need import Need, resources_of
from airflow_guardrails.permissions.task_arguments import ANY, Pattern, TaskArguments
from airflow_guardrails.permissions.update_needs import (
    add_shadow_needs,
    remove_shadow_needs,
    rollback_needs,
    update_needs,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_guardrails.domain.rollout.plan import UpdatePlan

    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook
    from airflow_guardrails.operators._launch.known import KnownUpdate

# Which permissions each task needs that updates an endpoint.
NEEDS_OF_UPDATES: Mapping[type, Callable[[TaskArguments], Iterator[Need]]] = {
    SageMakerGuardedUpdateOperator: update_needs,
    SageMakerRollbackOperator: rollback_needs,
    SageMakerAddShadowVariantOperator: add_shadow_needs,
    SageMakerRemoveShadowVariantOperator: remove_shadow_needs,
}
# Actions that change nothing.
READS = re.compile(r"\w+:(Describe|Get|List)")

# Which of them are needed only by an update, and only by a first deployment.
_OF_UPDATE = frozenset({"sagemaker:UpdateEndpoint", "cloudwatch:PutMetricAlarm", "cloudwatch:PutMetricData"})
_OF_FIRST = frozenset({"sagemaker:CreateEndpoint"})
_FIX = "allow it; python -m airflow_guardrails policy prints the policy of a DAG"
_NOT_CHECKED = "Permissions to change AWS were not checked"
_ALLOW = "allow iam:SimulatePrincipalPolicy and sts:GetCallerIdentity to the role of this task"
_ALLOW_PATH = "allow it to the role of this task, whose path is needed"
_ASSUMED = re.compile(r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.+")
_PRINCIPAL = re.compile(r"arn:(?P<partition>[\w-]+):iam::(?P<account>\d+):(?:role|user)/.+")
# The end of a name that is made when the update runs: 12 hexadecimal digits.
_ANY_END = "0" * 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """
    Whether the role may make the changes of an update.

    :param notes: what was not checked, and why.
    """

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


def permission_findings(denied: Iterable[str]) -> tuple[Finding, ...]:
    """Return a finding for each action of IAM that AWS has denied."""
    return tuple(error(Code.NOT_PERMITTED, f"{action} is denied", fix=_FIX) for action in denied)


def arguments_now(known: KnownUpdate, update: Any) -> TaskArguments:
    """Return the arguments of *update* as they are known; the others as the DAG file gives them."""
    task = copy(known.task)
    for name in known.unknown:
        vars(task)[name] = getattr(update, name)
    return TaskArguments(task)


def check_writes(arguments: TaskArguments, plan: UpdatePlan, *, hook: GuardrailsHook) -> Writes:
    """
    Ask IAM whether the role may make the changes of the update, without which the update fails.

    It raises no error: the notes say what is not known.
    """
    if plan.endpoint_name is None:
        return Writes(notes=(f"{_NOT_CHECKED}: the endpoint is not known yet",))
    others = _OF_UPDATE if plan.is_first else _OF_FIRST
    needs = [
        need
        for need in _needs_of(arguments)
        if need.permission.without is None
        and not READS.match(need.permission.action)
        and need.permission.action not in others
    ]
    try:
        caller = hook.get_caller_arn()
        found = _ASSUMED.fullmatch(caller) or _PRINCIPAL.fullmatch(caller)
        if found is None:
            return Writes(notes=(f"{_NOT_CHECKED}: {caller} is neither a role nor a user",))
        return _Check(hook, caller, found).of(needs)
    except ClientError as caught:
        if denied := errors.denied_action(caught):
            fix = _ALLOW_PATH if denied == "iam:GetRole" else _ALLOW
            return Writes(notes=(f"{_NOT_CHECKED}: {denied} is denied; {fix}",))
        return Writes(notes=(f"{_NOT_CHECKED}: {errors.text_for_people(caught)}",))
    except BotoCoreError as caught:
        return Writes(notes=(f"{_NOT_CHECKED}: {errors.named_text(caught)}",))


def _needs_of(arguments: TaskArguments) -> Iterator[Need]:
    found = next(NEEDS_OF_UPDATES[base] for base in arguments.kind.__mro__ if base in NEEDS_OF_UPDATES)
    return found(arguments)


class _Check:
    """
    Asks IAM about one role or user.

    :param caller: ARN of the caller, as AWS names it.
    :param found: its match: partition, account and, for an assumed role, the name of the role.
    """

    def __init__(self, hook: GuardrailsHook, caller: str, found: re.Match[str]) -> None:
        self._hook = hook
        self._partition, self._account = found["partition"], found["account"]
        self._role = found["role"] if found.re is _ASSUMED else None
        prefix = f"arn:{self._partition}:iam::{self._account}:role/"
        self._principal = f"{prefix}{self._role}" if self._role else caller
        self._path_is_known = False

    def of(self, needs: list[Need]) -> Writes:
        """Return which of *needs* the role or user lacks."""
        denied: list[str] = []
        unknown: list[str] = []
        for (action, context), alternatives in self._wanted(needs, unknown).items():
            asked = dict.fromkeys(_example(one) for each in alternatives for one in each)
            decided = self._simulate(action, tuple(asked), dict(context))
            for each in alternatives:
                allowed = [decided.get(_example(one)) for one in each]
                if all(one is False for one in allowed):
                    denied.append(f"{action} on {each[0]}")
                elif True not in allowed:
                    unknown.append(action)
        names = ", ".join(dict.fromkeys(unknown))
        why = "their names or conditions are known only when the update runs"
        return Writes(
            findings=permission_findings(dict.fromkeys(denied)),
            notes=(f"Not checked is whether the role has {names}: {why}",) if names else (),
        )

    def _wanted(
        self, needs: list[Need], unknown: list[str]
    ) -> dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[str, ...]]]:
        """Return action and context -> resources, each with the spellings of which one is enough."""
        wanted: dict[tuple[str, tuple[tuple[str, str], ...]], list[tuple[str, ...]]] = {}
        for need in needs:
            action = need.permission.action
            for pattern in need.names:
                if not _is_definite(need, pattern):
                    unknown.append(action)
                    continue
                spellings = resources_of(
                    Need(need.permission, (pattern,)),
                    account=self._account,
                    region=self._hook.conn_region_name,
                    partition=self._partition,
                )
                wanted.setdefault((action, _context(need)), []).append(spellings)
        return wanted

    def _simulate(
        self, action: str, resources: tuple[str, ...], context: dict[str, str]
    ) -> dict[str, bool | None]:
        try:
            return self._hook.simulate_policy(self._principal, action, resources, context=context)
        except ClientError as caught:
            if self._role is None or self._path_is_known or not errors.is_missing_role(caught):
                raise
        # The ARN of an assumed role has no path.
        self._principal = self._hook.get_role_arn(self._role)
        self._path_is_known = True
        return self._hook.simulate_policy(self._principal, action, resources, context=context)


def _is_definite(need: Need, pattern: Pattern) -> bool:
    """Whether the name is known, at least but for the end that every task makes."""
    kind = need.permission.kind
    if kind is Kind.ALL:
        return True
    if kind is Kind.ROLE:
        # A name alone has no path.
        return pattern.text.startswith("arn:") and ANY not in pattern.text
    return pattern.note is None and pattern.text != ANY


def _example(resource: str) -> str:
    return resource if resource == ANY else resource.replace(ANY, _ANY_END)


def _context(need: Need) -> tuple[tuple[str, str], ...]:
    if need.permission.kind is Kind.ROLE:
        return (("iam:PassedToService", "sagemaker.amazonaws.com"),)
    return (("cloudwatch:namespace", need.namespace),) if need.namespace else ()
