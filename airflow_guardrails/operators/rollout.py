"""Start a guarded update of a SageMaker endpoint, wait for it, and report its outcome."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperatorLink, conf

from airflow_guardrails.aws.deployment_config import alarm_names
from airflow_guardrails.aws.operator_config import endpoint_name_in
from airflow_guardrails.domain.arguments import (
    Check,
    check_instance_type,
    check_name,
    check_rendered_count,
    optional,
)
from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.guard_dicts import as_guard
from airflow_guardrails.domain.deployment.guardrails import MAX_ALARMS, Guardrails
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.polling import MAX_DESCRIBE_GAP
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.domain.rollout.report import RolloutReport, rollout_report
from airflow_guardrails.domain.rollout.state import RolloutState
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.exceptions import InvalidArgument, PreflightFailed
from airflow_guardrails.guards import Guard
from airflow_guardrails.links.rollout_page import RolloutPageLink
from airflow_guardrails.links.sagemaker import CloudWatchAlarmLink, SageMakerEndpointLink
from airflow_guardrails.operators._launch.request import LaunchRequest
from airflow_guardrails.operators._launch.target_arguments import (
    WHAT_TO_DEPLOY,
    TargetArguments,
    check_overrides,
    check_role,
)
from airflow_guardrails.strategies import Strategy
from airflow_guardrails.tasks.lineage import LineageTask
from airflow_guardrails.tasks.rollout import OnKill, OnRollback, OnTimeout, RolloutTask
from airflow_guardrails.tasks.validation import (
    check_alarms,
    check_choice,
    check_duration,
    check_flags,
    check_guards,
    check_list,
    check_number_of_alarms,
    check_seconds,
    check_strategy,
    coerce,
)
from airflow_guardrails.tasks.waiting import is_retry
from airflow_guardrails.triggers._keys import REPORT_KEY

if TYPE_CHECKING:
    # It imports the checks and the judge, which the parsing of a DAG file need not pay for.
    from airflow_guardrails.operators._launch.launch import Launch

IfBusy = Literal["fail", "wait"]
IfAlreadyLive = Literal["fail", "succeed"]
IfMissing = Literal["fail", "create"]


# The environment variable that makes ``airflow tasks test`` only print what an update would do.
DRY_RUN = "AIRFLOW_GUARDRAILS_DRY_RUN"


class SageMakerGuardedUpdateOperator(TargetArguments, LineageTask, RolloutTask):
    """
    Update a SageMaker endpoint with a guarded deployment, and succeed only if the new configuration is in
    service.

    An update that an alarm has rolled back ends as ``InService``, like a successful one. This operator checks
    which configuration is in service.

    Returns the rollout report, which is also XCom ``rollout_report``, and is there also if the task fails.
    ``docs/outcomes.md`` lists its fields.

    Each task starts one update, however often it is retried: a retry adopts the update of an earlier try, or
    reports how it ended. For that, the task records its intent in a tag of the endpoint configuration
    (``sagemaker:AddTags``, ``sagemaker:ListTags``) and in Airflow's task state (3.3).

    The update has an *abort switch*: a CloudWatch alarm that this package creates, and sets to ALARM to make
    SageMaker roll back. ``on_timeout``, ``on_kill``, ``analysis`` and
    :class:`~airflow_guardrails.operators.abort.SageMakerAbortRolloutOperator` use it. It is one of the 10
    alarms that SageMaker allows.

    What is deployed is exactly one of *endpoint_config_name*, *model_name*, *model_package_arn* and *config*.
    Except for the first, the task creates the configuration, under a name that is the same in every try and
    new in every run. ``docs/deploying-a-model.md`` has examples.

    :param endpoint_name: name of the endpoint; default: that in *config*. (templated)
    :param endpoint_config_name: name of the endpoint configuration to update to. It must differ from the one
        in service. (templated)
    :param model_name: name of the model to deploy. The configuration in service is copied with this model;
        everything else is kept. (templated)
    :param model_package_arn: ARN of a version of the model registry to deploy in the same way. It must be
        ``Approved``. The task creates the model, and writes the outcome to the version's metadata. See
        ``docs/registry.md``. (templated)
    :param config: what to deploy in the form of amazon's ``SageMakerEndpointOperator``:
        ``{"Model": ..., "EndpointConfig": ..., "Endpoint": ...}``, or the value of ``Endpoint`` alone. Names
        of model and configuration become the beginning of names that are new in every run. (templated)
    :param instance_type: instance type of the variant that gets the model; default: as in service. What
        another type may refuse, such as VolumeSizeInGB, is not copied. (templated)
    :param instance_count: instance count of that variant; default: its current count. (templated)
    :param variant_name: the variant that gets the model; required if the endpoint has several. (templated)
    :param overrides: what else changes, in the form of CreateEndpointConfig. Variants are merged by
        VariantName, other keys are replaced; None removes a field. (templated)
    :param role_arn: execution role, or its name, of the model that the task creates; default: that of the
        model in service, or that in *config*. (templated)
    :param if_missing: what happens if there is no endpoint: ``"fail"``, or ``"create"`` it. The first
        deployment has no guards, because there is nothing to go back to; the report says so. From a model it
        needs *instance_type*.
    :param strategy: how traffic is shifted: one of :mod:`airflow_guardrails.strategies`, or a dict in the
        form of the API's ``DeploymentConfig``; its numbers may be strings. Default: ``DeploymentConfig`` of
        *config*; it must be given without one. (templated)
    :param alarms: names of CloudWatch alarms, at most 10, or 9 with the abort switch. If one of them goes to
        ALARM during a bake, SageMaker rolls back. An empty list means no alarms; ``None`` is an error.
        (templated)
    :param guards: alarms that this task makes for the rollout: of :mod:`airflow_guardrails.guards`, or dicts
        like ``{"guard": "ErrorRate", "above": 0.01}``. Needs ``cloudwatch:PutMetricAlarm``. They count like
        *alarms*, and once for each variant. See ``docs/guards.md``. (templated)
    :param on_rollback: what a rollback does to the task: ``"fail"`` (no retry), ``"skip"`` (also what depends
        on it), or ``"return"`` (the task succeeds and returns the report).
    :param wait_for_completion: whether to wait for the end of the update. If False, the task ends when
        SageMaker has accepted the update, and ``outcome`` in the report is null.
    :param deferrable: whether to wait in the triggerer instead of a worker slot.
    :param waiter_delay: seconds between two calls of DescribeEndpoint, at most 30 days.
    :param max_wait: how long to wait after the start of the update, on AWS's clock. A retry does not extend
        it. Default: the strategy's own time limit if it has one, or else the sum of its bakes, the start-up
        of the instances and a rollback.
    :param retain_all_variant_properties: whether the variants keep their current instance counts and weights
        instead of those in the new configuration. (The default of the API is False, which undoes
        autoscaling.)
    :param exclude_retained_variant_properties: the properties to take from the new configuration all the
        same: ``"DesiredInstanceCount"``, ``"DesiredWeight"``.
    :param abort_switch: whether the update has an abort switch. Needs ``cloudwatch:PutMetricAlarm`` and
        ``cloudwatch:PutMetricData``.
    :param on_timeout: what happens if the update still runs after *max_wait*: ``"fail"`` leaves the update
        running, ``"abort"`` throws the abort switch and waits for the rollback.
    :param on_kill: what happens if somebody marks the task, or its run, failed: ``"abort"`` throws the abort
        switch, ``"leave"`` leaves the update running. A cleared task, an evicted worker or a restarted
        triggerer never aborts.
    :param if_busy: what happens if the endpoint is being changed by something else: ``"fail"`` raises
        ``EndpointBusy``, which Airflow retries; ``"wait"`` waits in the worker.
    :param busy_timeout: how long ``if_busy="wait"`` waits, at most 30 days.
    :param if_already_live: what happens if the configuration is already in service, and not through this
        task: ``"fail"`` or ``"succeed"``.
    :param relaunch: whether to start the update again if an earlier try of this task has started it and it
        was rolled back.
    :param refuse_older: whether to refuse the update if a run with a later logical date has deployed to the
        endpoint (a backfill, or an old run that was cleared). Runs without a logical date are not checked.
    :param redeploy: whether to deploy a version although it was rolled back before, or somebody went back
        from it. See ``docs/versions.md``.
    :param require_alarms_ok: whether an alarm without data (``INSUFFICIENT_DATA``) stops the update instead
        of giving a warning, and whether an alarm that is changed during the update aborts it. Alarms on
        metrics of the new configuration are exempt, because they cannot have data yet.
    :param allow_unguarded: whether to start an update that nothing can roll back: without alarms and switch,
        without a bake, or with variants that SageMaker updates all at once (Inf1, AWS Marketplace).
    :param analysis: compare the new fleet with the old one during the bakes, and throw the abort switch if it
        is worse: a :class:`~airflow_guardrails.rules.CanaryAnalysis`, or a dict of its arguments. See
        ``docs/analysis.md``.
    :param max_describe_gap: maximum number of seconds between two calls of DescribeEndpoint by the triggerer.
        In between it may use lists of endpoints instead. Stages may be reported this late.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises InvalidArgument: if an argument breaks a rule; nothing was sent to AWS.
    :raises PreflightFailed: if a check before the update fails; ``.findings`` lists all findings.
    :raises VersionRolledBack: if the version was rolled back before, and *redeploy* is not set.
    :raises NewerRunDeployed: if a run with a later logical date has deployed, and *refuse_older* is set.
    :raises EndpointRolledBack: if SageMaker rolled the update back; the text names the alarm.
    :raises RolloutError: if the rollout ended otherwise without success; its subclasses name the outcome.
    :raises GuardrailsError: if the update was not started: ``EndpointNotFound``, ``EndpointConfigNotFound``,
        ``ConfigAlreadyLive``, ``EndpointBusy``, ``UpdateRejected``, ... see
        :mod:`airflow_guardrails.exceptions`.
    """

    template_fields: Sequence[str] = (
        "endpoint_name",
        *WHAT_TO_DEPLOY,
        "instance_type",
        "instance_count",
        "variant_name",
        "overrides",
        "role_arn",
        "strategy",
        "alarms",
        "guards",
        *RolloutTask.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "config": "json",
        "overrides": "json",
        "strategy": "json",
        "alarms": "json",
        "guards": "json",
    }
    rendered_checks: ClassVar[Mapping[str, Check]] = {
        "endpoint_name": check_name,
        **{name: optional(check) for name, check in WHAT_TO_DEPLOY.items()},
        "instance_type": optional(check_instance_type),
        "instance_count": optional(check_rendered_count),
        "variant_name": optional(check_name),
        "overrides": optional(check_overrides),
        "role_arn": optional(check_role),
        "strategy": optional(check_strategy),
        "alarms": check_alarms,
        "guards": check_guards,
        **RolloutTask.rendered_checks,
    }
    operator_extra_links: Sequence[BaseOperatorLink] = (RolloutPageLink(), SageMakerEndpointLink())
    ui_color = "#d7ecd9"
    counts_rollout = True
    # Whether this run creates the target; known once it is named.
    _creates_target = False
    # Warnings from before the launch. Unlike those of warn(), they outlive a deferral.
    _launch_warnings: tuple[str, ...] = ()
    # The task before this one that creates a shadow test; None: the update does not depend on one.
    shadow_test_task_id: str | None = None

    def __init__(  # noqa: PLR0915 - it checks and assigns, one argument after the other
        self,
        *,
        endpoint_name: str | None = None,
        endpoint_config_name: str | None = None,
        model_name: str | None = None,
        model_package_arn: str | None = None,
        config: Mapping[str, Any] | None = None,
        instance_type: str | None = None,
        instance_count: int | str | None = None,
        variant_name: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        role_arn: str | None = None,
        if_missing: IfMissing = "fail",
        strategy: Strategy | Mapping[str, Any] | None = None,
        alarms: Sequence[str] = (),
        guards: Sequence[Guard | Mapping[str, Any]] = (),
        on_rollback: OnRollback = "fail",
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        waiter_delay: float = 30,
        max_wait: timedelta | None = None,
        retain_all_variant_properties: bool = True,
        exclude_retained_variant_properties: Sequence[str] = (),
        abort_switch: bool = True,
        on_timeout: OnTimeout = "fail",
        on_kill: OnKill = "abort",
        if_busy: IfBusy = "fail",
        busy_timeout: timedelta = timedelta(hours=1),
        if_already_live: IfAlreadyLive = "fail",
        relaunch: bool = False,
        refuse_older: bool = True,
        redeploy: bool = False,
        require_alarms_ok: bool = False,
        allow_unguarded: bool = False,
        analysis: CanaryAnalysis | Mapping[str, Any] | None = None,
        max_describe_gap: float = MAX_DESCRIBE_GAP,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_flags(
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            retain_all_variant_properties=retain_all_variant_properties,
            abort_switch=abort_switch,
            relaunch=relaunch,
            refuse_older=refuse_older,
            redeploy=redeploy,
            require_alarms_ok=require_alarms_ok,
            allow_unguarded=allow_unguarded,
        )
        check_choice("on_rollback", on_rollback, OnRollback)
        check_choice("on_timeout", on_timeout, OnTimeout)
        check_choice("on_kill", on_kill, OnKill)
        check_choice("if_missing", if_missing, IfMissing)
        check_choice("if_busy", if_busy, IfBusy)
        check_choice("if_already_live", if_already_live, IfAlreadyLive)
        check_seconds("waiter_delay", waiter_delay)
        check_seconds("max_describe_gap", max_describe_gap)
        if max_wait is not None:
            check_duration("max_wait", max_wait)
        check_duration("busy_timeout", busy_timeout)
        check_list("exclude_retained_variant_properties", exclude_retained_variant_properties, of="names")
        if analysis is not None and not wait_for_completion:
            raise InvalidArgument(
                "wait_for_completion must be True with analysis (got False): the comparison runs while the "
                "task waits"
            )
        self.note_what_to_deploy(
            endpoint_config_name=endpoint_config_name,
            model_name=model_name,
            model_package_arn=model_package_arn,
            config=config,
            instance_type=instance_type,
            instance_count=instance_count,
            variant_name=variant_name,
            overrides=overrides,
            role_arn=role_arn,
            if_missing=None if if_missing == "fail" else if_missing,
        )
        # A template in config is rendered here like there.
        self.endpoint_name = endpoint_name_in(config) if endpoint_name is None else endpoint_name
        self.endpoint_config_name = endpoint_config_name
        self.model_name = model_name
        self.model_package_arn = model_package_arn
        self.config = config
        self.instance_type = instance_type
        self.instance_count = instance_count
        self.variant_name = variant_name
        self.overrides = overrides
        self.role_arn = role_arn
        self.if_missing = if_missing
        self.strategy = strategy
        self.alarms = alarms
        self.guards = guards
        self.on_rollback = on_rollback
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.max_wait = max_wait
        self.retain_all_variant_properties = retain_all_variant_properties
        self.exclude_retained_variant_properties = exclude_retained_variant_properties
        self.abort_switch = abort_switch
        self.on_timeout = on_timeout
        self.kill_action = on_kill  # on_kill is a method of every operator
        self.if_busy = if_busy
        self.busy_timeout = busy_timeout
        self.if_already_live = if_already_live
        self.relaunch = relaunch
        self.refuse_older = refuse_older
        self.redeploy = redeploy
        self.require_alarms_ok = require_alarms_ok
        self.allow_unguarded = allow_unguarded
        self.analysis = None if analysis is None else coerce("analysis", CanaryAnalysis, analysis)
        self.max_describe_gap = max_describe_gap
        # Built here only for the checks: these two arguments are not templated.
        self.check_retained()
        self.operator_extra_links = (*type(self).operator_extra_links, *_alarm_links(alarms, strategy))

    def execute(self, context: Any) -> RolloutReport:
        """Start the update and wait for its end; return the rollout report."""
        self.end_dry_run()
        self.take_endpoint_name()
        self.check_rendered()
        self._creates_target = self.name_target(context)
        launch = self._new_launch(context)
        try:
            state = self._with_approval(context, launch.run())
        except PreflightFailed as failure:
            # Airflow does not store the attributes of an error, so the findings are pushed.
            self.push(context, REPORT_KEY, failure.report)
            raise
        # The author's alarms come first, because the links are numbered by their place in that list.
        self.push_links(context, tuple(dict.fromkeys([*self.alarms, *state.alarms])))
        if state.outcome is None and not self.wait_for_completion:
            report = self.reported = rollout_report(state)
            self.push(context, REPORT_KEY, report)
            return report
        # The launch does this only for an update that it starts. A kill aborts an adopted one, too.
        self.abort_if_killed(context, state.rollout)
        if state.outcome is None:
            state = self.poll_once(context, state)
            launch.record_start(state)
        if state.outcome is not None and not self._must_abort(state):
            return self.end(context, self.finish(context, state))
        if self.deferrable and (state.outcome is None or state.may_abort):
            self.defer_wait(context, state, every=self.waiter_delay)
        return self.end(context, self.wait_until_finished(context, state, every=self.waiter_delay))

    def dry_run(self) -> None:
        """Print what the update would do, its templates rendered; change nothing in AWS."""
        from airflow.sdk import get_current_context  # noqa: PLC0415 - not in DAG files

        from airflow_guardrails.domain.rollout.plan import plan_in_text  # noqa: PLC0415
        from airflow_guardrails.operators._launch.known import known_update  # noqa: PLC0415
        from airflow_guardrails.operators._launch.plan import read_plan  # noqa: PLC0415

        context: Mapping[str, Any] = {}
        with suppress(RuntimeError):
            # Outside of a task there is none.
            context = get_current_context()
        with self.public_errors():
            plan = read_plan(known_update(self, context, asking=self)).plan
        print(plan_in_text(plan))  # noqa: T201 - a dry run is for a person at a terminal

    def end_dry_run(self) -> None:
        """
        End here if ``airflow tasks test`` runs the task with the variable :data:`DRY_RUN`.

        Airflow 3 has no option for a dry run. Outside of ``airflow tasks test`` the variable does nothing, so
        that it never leaves out a deployment.

        :raises AirflowSkipException: after the plan was printed.
        """
        if os.environ.get("AIRFLOW_TEST_MODE") == "True" and os.environ.get(DRY_RUN, "").lower() == "true":
            self.dry_run()
            raise AirflowSkipException("Dry run: nothing was changed")

    def end(self, context: Mapping[str, Any], report: RolloutReport) -> RolloutReport:
        """Record the outcome in tags and in the model registry; then as in :class:`RolloutTask`."""
        from airflow_guardrails.operators._launch.intent_store import owner_in  # noqa: PLC0415 - not in DAG files
        from airflow_guardrails.operators._versions.recording import record_outcome  # noqa: PLC0415

        owner = owner_in(context, report["endpoint_name"])
        record_outcome(self, context, report, owner=owner, package_arn=self.model_package_arn)
        return super().end(context, report)

    def _with_approval(self, context: Mapping[str, Any], state: RolloutState) -> RolloutState:
        from airflow_guardrails.operators._launch.approval import approval_before  # noqa: PLC0415 - not in DAG files

        return replace(state, approval=approval_before(self, context, warn=self.warn))

    def check_rendered(self) -> None:
        """
        Check the templated fields, and strategy, alarms and guards together.

        :raises InvalidArgument: if one of them breaks a rule.
        """
        super().check_rendered()
        self.check_target()
        # Owner and target do not matter for the checks. The real ones follow from the context.
        switch = AbortSwitch.of(self.endpoint_name, owner="0" * 20, target="")
        check_number_of_alarms(self._guardrails(switch).alarms, self.guards)

    def _guardrails(self, switch: AbortSwitch) -> Guardrails:
        own = (switch.alarm_name,) if self.abort_switch else ()
        try:
            given = self.given_guardrails()
            return replace(given, alarms=(*(name for name in given.alarms if name not in own), *own))
        except GuardrailsValueError as error:
            raise InvalidArgument(f"{error}{self._switch_hint()}") from error

    def _switch_hint(self) -> str:
        is_full = self.abort_switch and not isinstance(self.alarms, str) and len(self.alarms) == MAX_ALARMS
        return "; the abort switch is one of them: give 9, or set abort_switch=False" if is_full else ""

    def _launch_request(self, switch: AbortSwitch, *, logical_date: datetime | None) -> LaunchRequest:
        return LaunchRequest(
            endpoint_name=self.endpoint_name,
            target=self.endpoint_config_name,
            guardrails=self._guardrails(switch),
            guards=tuple(map(as_guard, self.guards)),
            retained=self.given_retained(),
            switch=switch,
            abort_switch=self.abort_switch,
            # A configuration that has the name of this task is its own.
            if_already_live="succeed" if self._creates_target else self.if_already_live,
            if_missing=self.if_missing,
            if_busy=self.if_busy,
            busy_timeout=self.busy_timeout,
            relaunch=self.relaunch,
            refuse_older=self.refuse_older,
            redeploy=self.redeploy,
            logical_date=logical_date,
            require_alarms_ok=self.require_alarms_ok,
            allow_unguarded=self.allow_unguarded,
            analysis=self.analysis,
            max_wait=self.max_wait,
            on_timeout=self.on_timeout,
        )

    def _new_launch(self, context: Any) -> Launch:
        from airflow_guardrails.operators._launch.intent_store import IntentStore, owner_in  # noqa: PLC0415 - not in DAG files
        from airflow_guardrails.operators._launch.launch import Launch  # noqa: PLC0415
        from airflow_guardrails.operators._versions.recording import logical_date_in  # noqa: PLC0415

        name, target = self.endpoint_name, self.endpoint_config_name
        request = self._launch_request(
            AbortSwitch.of(name, owner=owner_in(context, name), target=target),
            logical_date=logical_date_in(context),
        )
        request = replace(request, only_creates=self._was_left_untested(context))
        intents = IntentStore(
            hook=self.hook,
            owner=request.switch.owner,
            target=target,
            task_state=context.get("task_state_store"),
            log=self.log,
            logical_date=request.logical_date,
        )
        return Launch(
            request,
            hook=self.hook,
            intents=intents,
            log=self.log,
            # Before UpdateEndpoint is called, a kill ends the task at once: there is nothing to abort.
            sleep=self.sleep_unless_killed,
            monotonic=self.monotonic,
            waiter_delay=self.waiter_delay,
            refuse_if_killed=self.refuse_if_killed,
            on_update_called=partial(self.abort_if_killed, context),
            # After the call, the update may run even if AWS did not respond, so a kill has to abort it.
            sleep_after_call=self._sleep,
            is_first_try=not is_retry(context),
            config_factory=self._config_factory(),
            endpoint_tags=self.endpoint_tags,
            warnings=self._launch_warnings,
        )

    def _was_left_untested(self, context: Mapping[str, Any]) -> bool:
        """Whether there was no shadow test before this task, because there was no endpoint."""
        from airflow_guardrails.domain.shadow.spec import NO_TEST  # noqa: PLC0415 - not in every DAG file

        if self.shadow_test_task_id is None:
            return False
        task_instance = context["ti"]
        name = task_instance.xcom_pull(
            task_ids=self.shadow_test_task_id, key="name", map_indexes=task_instance.map_index
        )
        return bool(name == NO_TEST)

    def _must_abort(self, state: RolloutState) -> bool:
        """Whether *max_wait* was over before this try began, and ``on_timeout`` says to abort."""
        return state.outcome is Outcome.TIMED_OUT and self.on_timeout == "abort"


def _alarm_links(alarms: Any, strategy: Any) -> list[BaseOperatorLink]:
    """
    Return one link for each alarm; none if *alarms* is a template.

    Values of any type are accepted, so that the DAG file can be parsed; ``execute`` checks them.
    """
    if not isinstance(alarms, list | tuple):
        return []
    names = [_literal(name) for name in (*alarms, *alarm_names(strategy))]
    known = [name for at, name in enumerate(names) if name is None or name not in names[:at]]
    return [CloudWatchAlarmLink(number, name) for number, name in enumerate(known, start=1)]


def _literal(name: Any) -> str | None:
    # The link's name is fixed when the DAG file is parsed, before templates are rendered.
    return name if isinstance(name, str) and "{{" not in name else None
