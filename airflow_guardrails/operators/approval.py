"""Ask a person before an endpoint is updated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from inspect import signature
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperatorLink, TaskDeferred
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import exceptions as sdk_exceptions

from airflow_guardrails.aws.deployment_config import as_guardrails
from airflow_guardrails.domain.arguments import (
    Check,
    InvalidValue,
    check_matches,
    check_name,
    check_options,
    optional,
    shown,
)
from airflow_guardrails.domain.deployment.guard_dicts import as_guard
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.rollout.approval import (
    Answer,
    AnswerKind,
    Proposal,
    Question,
    approval_body,
    approval_report,
    describe_answer,
    digest_of,
    has_label,
    read_answer,
)
from airflow_guardrails.domain.rollout.plan import UpdatePlan
from airflow_guardrails.domain.text import error_in_words
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.exceptions import (
    EndpointConfigNotFound,
    EndpointNotFound,
    InvalidArgument,
    RolloutNotApproved,
)
from airflow_guardrails.guards import Guard
from airflow_guardrails.links.rollout_page import endpoint_page_url
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.operators._launch.approval import (
    APPROVAL_KEY,
    check_update,
)
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.strategies import Strategy
from airflow_guardrails.tasks.aws_task import AwsTask
from airflow_guardrails.tasks.validation import (
    check_alarms,
    check_choice,
    check_duration,
    check_guards,
    check_strategy,
)

OnReject = Literal["fail", "skip"]

# Arguments of ApprovalOperator that this operator sets itself.
_FIXED = ("body", "defaults", "fail_on_reject", "ignore_downstream_trigger_rules", "multiple", "options")
# Older releases of the standard provider take the time for the answer from execution_timeout.
_TIMEOUT = "response_timeout"
if _TIMEOUT not in signature(HITLOperator.__init__).parameters:
    _TIMEOUT = "execution_timeout"
# Airflow 3.3 does not defer: it waits in a state of its own, which is started by another exception.
_AwaitingInput: type[BaseException] = getattr(sdk_exceptions, "TaskAwaitingInput", TaskDeferred)


def _check_subject(name: str, value: object) -> None:
    check_matches(name, value, r"[^{}\x00-\x1f\x7f]{1,1024}", "one line of text without braces")


def _check_verdict(name: str, value: Any) -> None:
    check_options(name, value)
    if value is not None and not has_label(value):
        raise InvalidValue(
            f"{name} must be the verdict of SageMakerJudgeShadowTestOperator, which has a label "
            f"(got {shown(value)})",
            field=name,
        )


class SageMakerApproveRolloutOperator(AwsTask, ApprovalOperator):
    """
    Ask a person to approve an update, before ``SageMakerGuardedUpdateOperator`` starts it.

    Based on ``ApprovalOperator`` of Airflow's standard provider: the person answers in the Airflow UI (or by
    its API), and the task waits without a worker slot. The text shows what would be deployed where, and the
    verdict of the shadow test; with *update* also what the checks before that update would find now, and what
    its analysis could find. Without an answer in time, the update is rejected.

    Returns a report, which is also XCom ``approval``, and is there also if the task fails: who answered what
    and when, and a digest of the text that was shown.

    :param endpoint_name: name of the endpoint. (templated)
    :param endpoint_config_name: name of the endpoint configuration to deploy; default: what *update* deploys,
        which may be a configuration that it makes. (templated)
    :param verdict: return value of
        :class:`~airflow_guardrails.operators.judge.SageMakerJudgeShadowTestOperator`. (templated)
    :param strategy: how the update shifts traffic; default: as *update* says. (templated)
    :param alarms: names of the alarms that roll it back; default: as *update* says. (templated)
    :param guards: the guards of the update; default: as *update* says. (templated)
    :param update: the task that updates the endpoint, not mapped by ``expand``. With it, the text is the plan
        of the update: its checks are made, with its settings; nothing is changed. It adds no dependency.
    :param on_reject: what a rejection, or no answer in time, does to the task: ``"fail"`` (no retry), or
        ``"skip"`` (also what depends on it).
    :param response_timeout: without an answer in this time, the update is rejected. It is used as
        ``execution_timeout`` if the standard provider has no ``response_timeout``.
    :param subject: the headline; default: made from the names of endpoint and configuration. (templated)
    :param assigned_users: who may answer: a dict with ``id`` and ``name``, or a list of them. Default: all
        who may do so in Airflow.
    :param notifiers: called when the task begins to wait.
    :param params: fields of a form; what the person enters is in the report.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises RolloutNotApproved: if the update is rejected, or nobody answers in time, and *on_reject* is
        ``"fail"``; and if the answer is not valid.
    :raises EndpointNotFound: if there is no such endpoint; nobody is asked.
    :raises EndpointConfigNotFound: if there is no such configuration; nobody is asked.
    """

    template_fields: Sequence[str] = (
        "endpoint_name",
        "endpoint_config_name",
        "verdict",
        "strategy",
        "alarms",
        "guards",
        "subject",
        *AwsTask.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"verdict": "json"}
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "endpoint_name": check_name,
        "endpoint_config_name": optional(check_name),
        "verdict": _check_verdict,
        "strategy": optional(check_strategy),
        "alarms": check_alarms,
        "guards": check_guards,
        "subject": optional(_check_subject),
        **AwsTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#efe6d2"
    # By this, the update that follows finds the task whose XCom has the approval.
    asks_for_approval = True

    def __init__(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str | None = None,
        verdict: Mapping[str, Any] | None = None,
        strategy: Strategy | Mapping[str, Any] | None = None,
        alarms: Sequence[str] = (),
        guards: Sequence[Guard | Mapping[str, Any]] = (),
        update: SageMakerGuardedUpdateOperator | None = None,
        on_reject: OnReject = "fail",
        response_timeout: timedelta = timedelta(days=1),
        subject: str | None = None,
        **kwargs: Any,
    ) -> None:
        for name in _FIXED:
            if name in kwargs:
                raise InvalidArgument(
                    f"{name} must be left out: this operator sets it (got {kwargs[name]!r})"
                )
        check_update(update)
        check_choice("on_reject", on_reject, OnReject)
        check_duration("response_timeout", response_timeout)
        super().__init__(**{**kwargs, "subject": "", "defaults": [self.REJECT], _TIMEOUT: response_timeout})
        self.endpoint_name = endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.verdict = verdict
        self.strategy = strategy
        self.alarms = alarms
        self.guards = guards
        self.on_reject = on_reject
        self.response_timeout: timedelta = response_timeout
        self.subject: Any = subject
        self._update = update

    def check_rendered(self) -> None:
        """
        Check the templated fields, and strategy and alarms together.

        :raises InvalidArgument: if one of them breaks a rule.
        """
        super().check_rendered()
        if self._update is None and self.endpoint_config_name is None:
            raise InvalidArgument("endpoint_config_name must be given without update (got None)")
        self._guardrails()

    def execute(self, context: Any) -> Any:
        """Ask, and wait for the answer; Airflow then calls :meth:`execute_complete`."""
        self.check_rendered()
        # Airflow has rendered the templates already, so what looks like one in the evidence stays text.
        plan = self._plan(context)
        self.body = approval_body(
            Proposal(
                plan=plan,
                verdict=self.verdict,
                answer_within=self.response_timeout,
                page_url=endpoint_page_url(self.endpoint_name),
            )
        )
        self.subject = self.subject or _subject_of(plan)
        # For Airflow's listeners: older releases of the standard provider keep the values of the constructor.
        self.hitl_summary.update(subject=self.subject, body=self.body)
        self.push_endpoint_links(context, self.endpoint_name)
        question = self._question(digest_of(self.body), plan)
        self.log.info("Asking for approval of the update of %s", self.endpoint_name)
        try:
            return super().execute(context)
        except (TaskDeferred, _AwaitingInput) as pause:
            waiting: Any = pause
            waiting.kwargs = {**(waiting.kwargs or {}), "question": question}
            raise

    def execute_complete(
        self, context: Any, event: dict[str, Any], question: Question | None = None
    ) -> dict[str, Any]:
        """
        Return the report of the approval, or raise; Airflow calls it with the answer, or after the time-out.

        :param question: what :meth:`execute` asked; templates may render to other values by now.
        """
        asked = question or self._question(None)
        answer = read_answer(event, approve=self.APPROVE, reject=self.REJECT)
        if answer.kind is AnswerKind.APPROVED:
            answer = self._validated(context, event, answer)
        self._troubles = ()
        report = approval_report(answer, asked)
        # Before anything is raised: Airflow keeps no return value of a task that fails.
        self.push(context, APPROVAL_KEY, report)
        text = describe_answer(answer, asked, answer_within=self.response_timeout)
        if answer.kind is AnswerKind.APPROVED:
            self.log.info(text)
            return self.with_warnings(report)
        text = f"{text}. To ask again, clear this task"
        if self.on_reject == "skip" and answer.kind is not AnswerKind.INVALID:
            self.log.warning(text)
            raise AirflowSkipException(text)
        raise RolloutNotApproved(text, report)

    def _validated(self, context: Any, event: dict[str, Any], answer: Answer) -> Answer:
        """Return the approval, or that it is invalid, if Airflow does not accept what the person entered."""
        try:
            super().execute_complete(context=context, event=event)
        except Exception as error:  # noqa: BLE001 - an answer that Airflow does not accept is no approval
            return replace(answer, kind=AnswerKind.INVALID, problem=error_in_words(error))
        return answer

    def _question(self, digest: str | None, plan: UpdatePlan | None = None) -> Question:
        return {
            "endpoint_name": self.endpoint_name,
            "endpoint_config_name": plan.endpoint_config_name if plan else self.endpoint_config_name,
            "evidence_digest": digest,
            "asked_at": format_time(datetime.now(timezone.utc)),
            "warnings": list(self._troubles),
        }

    def _plan(self, context: Any) -> UpdatePlan:
        """Read what the update would do; each thing that may not be read is a warning."""
        from airflow_guardrails.operators._launch.known import known_update, with_arguments  # noqa: PLC0415 - not in DAG files
        from airflow_guardrails.operators._launch.plan import read_configs, read_plan  # noqa: PLC0415

        if self._update is None:
            read = read_configs(
                self.endpoint_name,
                str(self.endpoint_config_name),
                hook=self.hook,
                guardrails=self._guardrails() if self.strategy or self.alarms or self.guards else None,
                guards=tuple(as_guard(guard).describe() for guard in self.guards),
            )
        else:
            known = with_arguments(
                known_update(self._update, context, asking=self),
                endpoint_name=self.endpoint_name,
                endpoint_config_name=self.endpoint_config_name,
                strategy=self.strategy,
                alarms=self.alarms or None,
                guards=self.guards or None,
            )
            known.task.__dict__["hook"] = self.hook
            read = read_plan(known)
        for error in read.errors:
            if isinstance(error, EndpointNotFound | EndpointConfigNotFound):
                raise error
        for why in read.plan.unread:
            self.warn(why)
        return read.plan

    def _guardrails(self) -> Guardrails:
        try:
            return as_guardrails(self.strategy, self.alarms)
        except GuardrailsValueError as error:
            raise InvalidArgument(str(error)) from error


def _subject_of(plan: UpdatePlan) -> str:
    verb, preposition = ("Create", "with") if plan.is_first else ("Update", "to")
    name = plan.endpoint_config_name
    return f"{verb} {plan.endpoint_name} {preposition} {name}?" if name else f"{verb} {plan.endpoint_name}?"
