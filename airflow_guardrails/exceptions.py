"""
All errors of this package.

A task can fail with the errors of the first table. Airflow retries a failed task, unless the error is an
``AirflowFailException``; so the base class of each error decides about retries. An error can be caught by any
error that stands above it with less indentation.

=======================  =======  ===========================================================================
error                    retried  meaning
=======================  =======  ===========================================================================
GuardrailsError                   base of all errors of this table
 InvalidArgument         no       an argument breaks a rule; nothing was sent to AWS
 ConnectionNotFound      no       Airflow has no connection of this name; nothing was sent to AWS
 EndpointNotFound        no       no endpoint of this name in this region and account
 EndpointConfigNotFound  no       no endpoint configuration of this name; no update was started
 ModelNotFound           no       no model of this name in this region and account
 ModelPackageNotFound    no       no model package of this ARN, or no such group, in this region and account
 ModelPackageNotApproved no       the model package is not approved, or cannot be deployed
 ModelDiffers            no       a model of this task's name exists with other content
 ModelRejected           no       SageMaker rejected the model; the endpoint was not changed
 PreflightFailed         no       a check before the update failed; ``.findings`` lists all findings
  AlarmNotFound          no       the same, and an alarm of the update does not exist
 VersionRolledBack       no       the version was rolled back before; it was not deployed again
 NewerRunDeployed        no       a run with a later logical date has deployed; nothing was changed
 NoRollbackTarget        no       nothing is known that a rollback could go back to; nothing was changed
 ConfigAlreadyLive       no       the endpoint already serves this configuration; no update was started
 EndpointNotUpdatable    no       the endpoint's status allows no update (Failed, OutOfService, Deleting)
 EndpointBusy            yes      another update, a test, or SageMaker itself is changing the endpoint
 UpdateRejected          no       SageMaker rejected the update; nothing was changed
 UpdateUnanswered        yes      no response from UpdateEndpoint, and no update seen; a retry checks first
 LaunchUnknown           no       an earlier try may have started the update; it was not started again
 AbortSwitchNotReady     yes      the abort switch could not be created, or was not OK in time
 GuardNotReady           yes      a guard could not be made, or is in ALARM already; no update was started
 NothingToAbort          no       no update of the endpoint is in flight
 AbortRefused            no       the switch would not stop this update; it was not thrown
 TaskKilled              yes      Airflow killed the task before it changed anything in AWS
 UnexpectedAnswer        no       AWS returned a value that this version does not know
 ConfigNotDerivable      no       the configuration in service cannot be copied with another model
 EndpointConfigDiffers   no       a configuration of this task's name exists with other content
 EndpointConfigRejected  no       SageMaker rejected the configuration; nothing was changed
 ShadowTestRefused       no       the endpoint cannot have such a shadow; nothing was created
  ShadowVariantExists    no       the endpoint already has another shadow variant; nothing was created
 ShadowTestDiffers       no       a test of this task's name exists with other content
 MissingExtra            no       an optional dependency is not installed; the text has the command
 NotEnoughDisk           yes      the worker has too little temporary disk space; nothing was compared
 ReportedError                    base of the errors with a report, in ``.report``
  AccessDenied           no       AWS does not allow a call that the task needs; the text names the action
  RolloutError                    base of the outcomes of a rollout; the report is XCom ``rollout_report``
   EndpointRolledBack    no       the endpoint serves the previous configuration again
   RollbackFailed        no       update and rollback failed: the endpoint serves a mix
   RolloutFailed         no       the endpoint is Failed, OutOfService, being deleted, or gone
   RolloutSuperseded     no       the endpoint serves, or is being updated to, a third configuration
   RolloutNotStarted     no       the update was never seen in flight
   AbortTooLate          no       the update ended in service before the abort could act
   RolloutTimedOut       yes      the update was still running after the time-out; a retry continues to wait
   RolloutUnwatched      no       the outcome is unknown, because SageMaker cannot be read any more
  ShadowTestError                 base of the outcomes of a wait; the report is XCom ``shadow_test_report``
   ShadowTestCancelled   no       the test was cancelled, by somebody or by an error
   ShadowTestNotFound    no       no shadow test of this name in this region and account
   ShadowTestTooShort    no       the test is over, and a variant has had fewer requests than required
   ShadowTestTimedOut    yes      the test was not ready after the time-out; a retry continues to wait
   ShadowTestUnwatched   no       the state is unknown, because SageMaker cannot be read any more
   ShadowTestNotStopped  no       the test is over, but the endpoint does not serve what the stop asked for
  CandidateRejected      no       the verdict of the judge is Fail; the report is the verdict
  CandidateUndecided     no       the verdict of the judge is Inconclusive; the report says what was missing
  RolloutNotApproved     no       a person rejected the update, or nobody answered in time; it was not started
=======================  =======  ===========================================================================

Values of :mod:`airflow_guardrails.strategies` and :mod:`airflow_guardrails.rules`, and triggers, raise the
errors of the second table when they are built, in most cases while the DAG file is parsed. In a task they
become ``InvalidArgument``.

======================  =====================================================================================
error                   meaning
======================  =====================================================================================
GuardrailsValueError    a ``ValueError``, the base of all errors of this table; ``.field`` names the argument
 InvalidStrategy        SageMaker cannot carry out the strategy
 InvalidAlarms          not a list of alarm names that SageMaker accepts
 InvalidGuard           not a guard of ``airflow_guardrails.guards``, or a value breaks a rule
 InvalidRetention       SageMaker cannot retain these properties
 InvalidRule            a ``MetricRule`` that cannot be judged
 InvalidPredictionRule  a ``PredictionRule`` by which predictions cannot be compared
 InvalidAnalysis        a ``CanaryAnalysis`` that cannot be carried out
 InvalidComparison      not a comparison of predictions of this version, or of another rule
 InvalidShadowVariant   SageMaker cannot run the shadow variant
 InvalidShadowTest      SageMaker cannot run the shadow test
 InvalidEvidence        the judge cannot read the metrics
 InvalidValue           any other argument breaks a rule
======================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_guardrails.domain.rollout.outcome import Outcome


class GuardrailsError(AirflowException):
    """Base of the errors that a task of this package fails with."""


class InvalidArgument(GuardrailsError, AirflowFailException):
    """An argument breaks a rule; the text has name, rule and value."""


class ConnectionNotFound(GuardrailsError, AirflowFailException):
    """
    Airflow has no connection *aws_conn_id*.

    The amazon provider would use boto3's default credential chain instead; this package does so only with
    ``aws_conn_id=None``.
    """


class EndpointNotFound(GuardrailsError, AirflowFailException):
    """SageMaker has no endpoint of this name in this region and account."""


class EndpointConfigNotFound(GuardrailsError, AirflowFailException):
    """SageMaker has no endpoint configuration of this name in this region and account."""


class ModelPackageNotFound(GuardrailsError, AirflowFailException):
    """SageMaker has no model package of this ARN, or no such group, in this region and account."""


class ModelPackageNotApproved(GuardrailsError, AirflowFailException):
    """The model package is not approved, or its creation has failed; nothing was changed."""


class PreflightFailed(GuardrailsError, AirflowFailException):
    """
    A check before the update failed, so the update was not started.

    *findings* are all findings, also warnings, as dicts of code, severity, text and fix; *report* is as in
    XCom ``rollout_report``, or as in ``rollout_plan`` if ``SageMakerPreflightOperator`` raised it.
    """

    def __init__(
        self,
        message: str,
        findings: Sequence[Mapping[str, str]] = (),
        report: Mapping[str, Any] | None = None,
    ) -> None:
        # Everything is in args, so that the error can be pickled.
        super().__init__(message, list(findings), dict(report or {}))
        self.message = message
        self.findings = [dict(finding) for finding in findings]
        self.report = dict(report or {})

    def __str__(self) -> str:
        return self.message


class AlarmNotFound(PreflightFailed):
    """CloudWatch has no alarm of this name, so it cannot guard the update."""


class VersionRolledBack(GuardrailsError, AirflowFailException):
    """The version was rolled back, or somebody went back from it: the text says when, why, which run."""


class NewerRunDeployed(GuardrailsError, AirflowFailException):
    """A run with a later logical date has deployed, so this run would bring back an older model."""


class NoRollbackTarget(GuardrailsError, AirflowFailException):
    """No configuration is known that served well before what serves now; the text lists what is known."""


class ConfigAlreadyLive(GuardrailsError, AirflowFailException):
    """The endpoint already serves the configuration, so a rollback of an update to it would be invisible."""


class EndpointNotUpdatable(GuardrailsError, AirflowFailException):
    """An endpoint with this status accepts no update."""


class EndpointBusy(GuardrailsError):
    """The endpoint is being changed; a retry may find it free."""


class UpdateRejected(GuardrailsError, AirflowFailException):
    """SageMaker rejected the update; the text has its message."""


class UpdateUnanswered(GuardrailsError):
    """There was no response from UpdateEndpoint; a retry checks whether the update runs."""


class LaunchUnknown(GuardrailsError, AirflowFailException):
    """An earlier try may have started the update, and nothing shows whether it did."""


class AbortSwitchNotReady(GuardrailsError):
    """The abort switch is not OK. With an alarm in ALARM, SageMaker would roll the update back at once."""


class GuardNotReady(GuardrailsError):
    """A guard cannot guard the update: CloudWatch rejected its alarm, or it is in ALARM before the update."""


class NothingToAbort(GuardrailsError, AirflowFailException):
    """No update of the endpoint is in flight."""


class AbortRefused(GuardrailsError, AirflowFailException):
    """The switch was not thrown, because it would stop another update, or none."""


class TaskKilled(GuardrailsError):
    """Airflow killed the task before it changed anything in AWS; a retry starts anew."""


class UnexpectedAnswer(GuardrailsError, AirflowFailException):
    """A response of AWS has a value that this version does not know, or lacks a field."""


class ReportedError(GuardrailsError):
    """An error with the report that is also in XCom, in *report*."""

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        # Everything is in args, so that the error can be pickled.
        super().__init__(message, dict(report or {}))
        self.message = message
        self.report = dict(report or {})

    def __str__(self) -> str:
        return self.message


class AccessDenied(ReportedError, AirflowFailException):
    """
    AWS does not allow a call that the task needs; the text names action and resource.

    *report* is what was known until then; it may be empty.
    """


class RolloutError(ReportedError):
    """A rollout ended without success; *report* is as in XCom ``rollout_report``."""


class EndpointRolledBack(RolloutError, AirflowFailException):
    """SageMaker rolled the update back. There is no retry, because it would repeat the update."""


class RollbackFailed(RolloutError, AirflowFailException):
    """Update and rollback failed; the endpoint serves a mix of both configurations."""


class RolloutFailed(RolloutError, AirflowFailException):
    """The endpoint ended Failed or OutOfService, or was deleted."""


class RolloutSuperseded(RolloutError, AirflowFailException):
    """Somebody else has updated the endpoint to a third configuration."""


class RolloutNotStarted(RolloutError, AirflowFailException):
    """The update was never seen in flight."""


class AbortTooLate(RolloutError, AirflowFailException):
    """The update ended in service before the abort switch could act."""


class RolloutTimedOut(RolloutError):
    """The update was still running after ``max_wait``, and was left running."""


class RolloutUnwatched(RolloutError, AirflowFailException):
    """The outcome is unknown, because SageMaker cannot be read any more; *report* has what was seen."""


class ShadowTestRefused(GuardrailsError, AirflowFailException):
    """The endpoint cannot have such a shadow; the text lists all reasons."""


class ShadowVariantExists(ShadowTestRefused):
    """The endpoint has a shadow variant already; SageMaker allows one."""


class ConfigNotDerivable(GuardrailsError, AirflowFailException):
    """
    The configuration in service cannot be copied with another model; the text says why.

    It has a field that the installed botocore does not know, or inference components instead of models.
    """


class EndpointConfigDiffers(GuardrailsError, AirflowFailException):
    """An endpoint configuration of the name that this task uses exists with other content."""


class EndpointConfigRejected(GuardrailsError, AirflowFailException):
    """SageMaker rejected the endpoint configuration; the text has its message."""


class ShadowTestDiffers(GuardrailsError, AirflowFailException):
    """A shadow test of the name that this task uses exists with other content: somebody has changed it."""


class ModelNotFound(GuardrailsError, AirflowFailException):
    """SageMaker has no model of this name in this region and account."""


class ModelDiffers(GuardrailsError, AirflowFailException):
    """A model of the name that this task uses exists with other content."""


class ModelRejected(GuardrailsError, AirflowFailException):
    """SageMaker rejected the model; the text has its message."""


class ShadowTestError(ReportedError):
    """A shadow test did not reach what the task waits for; *report* is XCom ``shadow_test_report``."""


class ShadowTestCancelled(ShadowTestError, AirflowFailException):
    """The test was stopped by somebody or by an error; SageMaker has one status for both."""


class ShadowTestNotFound(ShadowTestError, AirflowFailException):
    """SageMaker has no shadow test of this name in this region and account."""


class MissingExtra(GuardrailsError, AirflowFailException):
    """An optional dependency of this package is not installed; the text says how to install it."""


class NotEnoughDisk(GuardrailsError):
    """The worker has too little memory or temporary disk space to compare captured predictions."""


class ShadowTestTooShort(ShadowTestError, AirflowFailException):
    """The test is over, and a variant has had fewer requests than required."""


class ShadowTestTimedOut(ShadowTestError):
    """The test was not ready after the time-out, and was left as it was."""


class ShadowTestUnwatched(ShadowTestError, AirflowFailException):
    """The state is unknown, because SageMaker cannot be read any more; *report* has what was seen."""


class ShadowTestNotStopped(ShadowTestError, AirflowFailException):
    """The test is over, but its endpoint does not serve what the stop asked for."""


class CandidateRejected(ReportedError, AirflowFailException):
    """The verdict of the judge is Fail; *report* is the verdict."""


class CandidateUndecided(ReportedError, AirflowFailException):
    """The verdict of the judge is Inconclusive; *report* is the verdict, and says what was missing."""


class RolloutNotApproved(ReportedError, AirflowFailException):
    """
    A person rejected the update, or nobody answered in time, or the answer was not valid.

    *report* is XCom ``approval``: who answered what and when.
    """


ERROR_BY_SHADOW_TEST_OUTCOME: Mapping[str, type[ShadowTestError]] = {
    "Cancelled": ShadowTestCancelled,
    "NotFound": ShadowTestNotFound,
    "TooFewRequests": ShadowTestTooShort,
    "TimedOut": ShadowTestTimedOut,
}


ERROR_BY_OUTCOME: Mapping[Outcome, type[RolloutError]] = {
    Outcome.ROLLED_BACK: EndpointRolledBack,
    Outcome.ROLLBACK_FAILED: RollbackFailed,
    Outcome.FAILED: RolloutFailed,
    Outcome.SUPERSEDED: RolloutSuperseded,
    Outcome.NOT_STARTED: RolloutNotStarted,
    Outcome.TIMED_OUT: RolloutTimedOut,
}
