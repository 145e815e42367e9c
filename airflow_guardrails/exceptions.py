"""
What a task of this package can fail with.

Airflow retries a task that failed, unless the error is an ``AirflowFailException``; so the base class
decides.

=======================  =======  ===========================================================================
error                    retried  means
=======================  =======  ===========================================================================
GuardrailsError                   root of all of them
 InvalidArgument         no       an argument breaks a rule; nothing was sent to AWS
 AccessDenied            no       AWS does not allow a call that the task needs; the text names the action
 ConnectionNotFound      no       no Airflow connection of this name; nothing was sent to AWS
 EndpointNotFound        no       no endpoint of this name in this region and account
 EndpointConfigNotFound  no       no endpoint configuration of this name; the update was not asked for
 PreflightFailed         no       the update would go wrong; ``.findings`` has all that was found before it
  AlarmNotFound          no       among it: an alarm that should guard the update does not exist
 ConfigAlreadyLive       no       the endpoint serves this configuration already; nothing was asked for
 EndpointNotUpdatable    no       the endpoint's status allows no update (Failed, OutOfService, Deleting)
 EndpointBusy            yes      another update, or SageMaker itself, is changing the endpoint
 UpdateRejected          no       SageMaker refused the update; nothing was changed
 UpdateUnanswered        yes      UpdateEndpoint gave no answer, and no update was seen; a retry looks first
 LaunchUnknown           no       launched before, perhaps, and undone unseen; nothing was asked for again
 AbortSwitchNotReady     yes      the abort switch could not be made, or did not become OK in time
 NothingToAbort          no       no update of the endpoint is in flight
 AbortRefused            no       the switch would hit another update, or not this one; it was not thrown
 TaskKilled              yes      Airflow killed the task before it had begun anything; nothing was asked for
 UnexpectedAnswer        no       AWS said something this version does not know; nothing is concluded
 ModelNotFound           no       no model of this name in this region and account
 EndpointConfigDiffers   no       a configuration of this task's name exists, and is not what the task wants
 EndpointConfigRejected  no       SageMaker refused the configuration; nothing was changed
 ShadowTestRefused       no       the endpoint can have no such shadow test; nothing was asked for
  ShadowVariantExists    no       it has a shadow already, and not this task's; nothing was asked for
 ShadowTestDiffers       no       a test of this task's name exists, and is not what the task wants
 ReportedError                    something ended, and not well; ``.report`` has the whole story
  RolloutError                    a rollout; the report is that of XCom ``rollout_report``
   EndpointRolledBack    no       back on its former configuration; a retry would repeat the update
   RollbackFailed        no       update and rollback failed: the endpoint serves a mix
   RolloutFailed         no       the endpoint is Failed, OutOfService, being deleted, or gone
   RolloutSuperseded     no       somebody else's configuration is served, or on its way
   RolloutNotStarted     no       the update was never seen in flight
   AbortTooLate          no       the update ended in service before the abort could act
   RolloutTimedOut       yes      it still ran when our time was up; a retry goes on watching
   RolloutUnwatched      no       SageMaker does not say how the endpoint is; the report is what was seen
  ShadowTestError                 the wait for a shadow test; the report is XCom ``shadow_test_report``
   ShadowTestCancelled   no       it was cancelled, by somebody or by an error; ``StatusReason`` says
   ShadowTestNotFound    no       no shadow test of this name in this region and account
   ShadowTestTooShort    no       it is over, and a variant has had fewer requests than wanted
   ShadowTestTimedOut    yes      it was not there yet when our time was up; a retry goes on watching
   ShadowTestUnwatched   no       SageMaker will not say how it is; the report is what was seen so far
   ShadowTestNotStopped  no       it is over, but the endpoint does not serve what was to be left
  CandidateRejected      no       the judge found the candidate worse; the report is its verdict
  CandidateUndecided     no       the judge could not tell; the report says what it lacked
=======================  =======  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_guardrails.domain.rollout.outcome import Outcome


class GuardrailsError(AirflowException):
    """Root of the errors of this package."""


class InvalidArgument(GuardrailsError, AirflowFailException):
    """An argument breaks a rule; the text gives name, rule and value."""


class ConnectionNotFound(GuardrailsError, AirflowFailException):
    """
    Airflow has no connection *aws_conn_id*.

    The amazon provider would use the worker's own credentials then; here only ``aws_conn_id=None`` does.
    """


class EndpointNotFound(GuardrailsError, AirflowFailException):
    """SageMaker has no endpoint of this name, in this region and account."""


class EndpointConfigNotFound(GuardrailsError, AirflowFailException):
    """SageMaker has no endpoint configuration of this name."""


class PreflightFailed(GuardrailsError, AirflowFailException):
    """
    The update was not asked for, because of what was found before it.

    *findings* are all of them, warnings too, as dicts of code, severity, text and fix; *report* is as in XCom
    ``rollout_report``.
    """

    def __init__(
        self,
        message: str,
        findings: Sequence[Mapping[str, str]] = (),
        report: Mapping[str, Any] | None = None,
    ) -> None:
        # All in args, so that the error survives pickling.
        super().__init__(message, list(findings), dict(report or {}))
        self.message = message
        self.findings = [dict(finding) for finding in findings]
        self.report = dict(report or {})

    def __str__(self) -> str:
        return self.message


class AlarmNotFound(PreflightFailed):
    """CloudWatch has no alarm of this name, so it could not have guarded anything."""


class ConfigAlreadyLive(GuardrailsError, AirflowFailException):
    """Updating an endpoint to the configuration it serves would make a rollback invisible."""


class EndpointNotUpdatable(GuardrailsError, AirflowFailException):
    """An endpoint in this status takes no update."""


class EndpointBusy(GuardrailsError):
    """The endpoint is being changed by somebody else; a later try may find it free."""


class UpdateRejected(GuardrailsError, AirflowFailException):
    """SageMaker refused the update, with its own words."""


class UpdateUnanswered(GuardrailsError):
    """The update was asked for, and nobody knows whether it was accepted; a later try finds out."""


class LaunchUnknown(GuardrailsError, AirflowFailException):
    """
    An earlier try meant to launch and may have; there is no trace to tell, so nothing is launched again.
    """


class AbortSwitchNotReady(GuardrailsError):
    """The abort switch could not be made ready; an update must not begin with it in ALARM."""


class NothingToAbort(GuardrailsError, AirflowFailException):
    """There is no update in flight that could be aborted."""


class AbortRefused(GuardrailsError, AirflowFailException):
    """Throwing the switch would hit an update it is not meant for, or none at all."""


class TaskKilled(GuardrailsError):
    """Airflow killed the task before it had begun anything in AWS; a retry begins it."""


class UnexpectedAnswer(GuardrailsError, AirflowFailException):
    """SageMaker said a word this version does not know."""


class ReportedError(GuardrailsError):
    """An error with a *report*, as it is in XCom."""

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        # Both in args, so that the error survives pickling.
        super().__init__(message, dict(report or {}))
        self.message = message
        self.report = dict(report or {})

    def __str__(self) -> str:
        return self.message


class AccessDenied(ReportedError, AirflowFailException):
    """
    AWS does not allow a call that the task needs; the text gives action and resource.

    *report* is what was seen until then, if anything was.
    """


class RolloutError(ReportedError):
    """A rollout ended without its target in service; *report* says how, as in XCom ``rollout_report``."""


class EndpointRolledBack(RolloutError, AirflowFailException):
    """The update was undone and the endpoint serves its former configuration; a retry would repeat it."""


class RollbackFailed(RolloutError, AirflowFailException):
    """The update failed and so did its rollback; the endpoint serves a mix of both configurations."""


class RolloutFailed(RolloutError, AirflowFailException):
    """The endpoint ended Failed, OutOfService or deleted."""


class RolloutSuperseded(RolloutError, AirflowFailException):
    """The endpoint went to a third configuration."""


class RolloutNotStarted(RolloutError, AirflowFailException):
    """The update was never seen in flight."""


class AbortTooLate(RolloutError, AirflowFailException):
    """The target serves: the update had ended before the switch could act."""


class RolloutTimedOut(RolloutError):
    """The rollout outlasted ``max_wait``; it was left running."""


class RolloutUnwatched(RolloutError, AirflowFailException):
    """The watch could not go on, so the outcome is not known; the report says what was seen until then."""


class ShadowTestRefused(GuardrailsError, AirflowFailException):
    """SageMaker's rules keep the endpoint from having this shadow test."""


class ShadowVariantExists(ShadowTestRefused):
    """An endpoint has one shadow variant at most."""


class EndpointConfigDiffers(GuardrailsError, AirflowFailException):
    """There is a configuration of the name that this task gives, with other content."""


class EndpointConfigRejected(GuardrailsError, AirflowFailException):
    """SageMaker refused the endpoint configuration, with its own words."""


class ShadowTestDiffers(GuardrailsError, AirflowFailException):
    """There is a test of the name that this task gives, with other content: somebody has changed it."""


class ModelNotFound(GuardrailsError, AirflowFailException):
    """SageMaker has no model of this name, in this region and account."""


class ShadowTestError(ReportedError):
    """
    A wait for a shadow test ended without what was waited for; *report* is as in XCom ``shadow_test_report``.
    """


class ShadowTestCancelled(ShadowTestError, AirflowFailException):
    """It was stopped by somebody, or an error ended it: SageMaker has one word for both."""


class ShadowTestNotFound(ShadowTestError, AirflowFailException):
    """SageMaker has no shadow test of this name."""


class ShadowTestTooShort(ShadowTestError, AirflowFailException):
    """It is over, and has seen fewer requests than wanted."""


class ShadowTestTimedOut(ShadowTestError):
    """It was not yet where it was to be; it was left as it was."""


class ShadowTestUnwatched(ShadowTestError, AirflowFailException):
    """The watch could not go on; the report says what was seen until then."""


class ShadowTestNotStopped(ShadowTestError, AirflowFailException):
    """It is over, but its endpoint does not serve what the stop was to leave there."""


class CandidateRejected(ReportedError, AirflowFailException):
    """The judge found the candidate worse than production by more than it may be; *report* is the verdict."""


class CandidateUndecided(ReportedError, AirflowFailException):
    """The judge could tell neither way; *report*, its verdict, says what was missing."""


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
