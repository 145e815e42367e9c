"""How far the analysis of one rollout is, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.canary.config import CanaryAnalysis, OnInconclusive
from airflow_guardrails.domain.judge.verdict import Label, Reason, Verdict
from airflow_guardrails.domain.text import error_in_words
from airflow_guardrails.domain.times import format_time

_FAILED = "the analysis failed"

# AWS's clock is read in whole seconds, so two looks a minute apart may seem to be a second closer.
_CLOCK = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """
    What a watch knows of its analysis; a value, as the watch is. Times are AWS's.

    :param looks: how often there was a verdict.
    :param asked_at: when CloudWatch was last asked, whether it answered or not.
    :param unanswered: why there was no answer then, or no verdict on it.
    :param passed_at: when the verdict was first Pass; it stays so, whatever later verdicts are.
    :param acted_at: when the abort switch was thrown; nothing is judged after it.
    :param would_have_acted_at: when it would have been, if it were not for ``observe_only``.
    :param refused: why it was not thrown, though it should have been.
    """

    wish: CanaryAnalysis
    verdict: Verdict | None = None
    looks: int = 0
    asked_at: datetime | None = None
    unanswered: str | None = None
    first_fail_at: datetime | None = None
    passed_at: datetime | None = None
    acted_at: datetime | None = None
    would_have_acted_at: datetime | None = None
    refused: str | None = None

    @property
    def label(self) -> Label | None:
        return self.verdict.label if self.verdict else None

    @property
    def over(self) -> bool:
        """Whether it has done, or would have done, all that it can do."""
        return self.acted_at is not None or self.would_have_acted_at is not None

    def due(self, now: datetime) -> bool:
        return self.asked_at is None or now - self.asked_at >= self.wish.every - _CLOCK

    def wants_abort(self, *, abort_cutoff: bool) -> bool:
        """
        Say whether the update is to be undone.

        :param abort_cutoff: whether it could not be any more if one waited.
        """
        if self.over:
            return False
        return self.label is Label.FAIL or (abort_cutoff and self.wish.holds and self.passed_at is None)

    def judged(self, verdict: Verdict, at: datetime) -> Analysis:
        return replace(
            self,
            verdict=verdict,
            looks=self.looks + 1,
            asked_at=at,
            unanswered=None,
            first_fail_at=self.first_fail_at or (at if verdict.label is Label.FAIL else None),
            passed_at=self.passed_at or (at if verdict.label is Label.PASS else None),
            refused=self.refused if verdict.label is self.label else None,
        )

    def without_answer(self, reason: str, at: datetime) -> Analysis:
        return replace(self, asked_at=at, unanswered=reason)

    def failing(self, error: Exception, at: datetime) -> Analysis:
        """Take note that judging has raised *error*: nothing is known then, and the watch goes on."""
        return self.without_answer(f"{_FAILED}: {error_in_words(error)}", at)

    @property
    def fails(self) -> bool:
        """Whether judging has raised an error when it was last tried."""
        return self.unanswered is not None and self.unanswered.startswith(_FAILED)

    @property
    def because(self) -> tuple[str, ...]:
        """What speaks against the target, or what is missing to speak for it."""
        silence = self._silence()
        if self.verdict is None:
            return silence or ("nothing has been judged",)
        counting = [reason for reason in self.verdict.reasons if not reason.ignored]
        told = [reason for reason in counting if reason.label is self.label]
        return (*silence, *(_in_words(reason) for reason in told))

    def _silence(self) -> tuple[str, ...]:
        if self.unanswered is None:
            return ()
        return (self.unanswered if self.fails else f"CloudWatch gave no answer ({self.unanswered})",)

    def why_in_words(self) -> str:
        label = self.label.value if self.label else Label.INCONCLUSIVE.value
        return f"{label}: {'; '.join(self.because)}"

    def warnings(self, *, succeeded: bool) -> tuple[str, ...]:
        """
        Say what a reader of the report has to know.

        :param succeeded: whether the target has come into service.
        """
        if self.refused:
            return (f"The analysis would abort the rollout ({self.why_in_words()}), but {self.refused}",)
        if not succeeded:
            return ()
        if self.acted_at:
            return (
                "The abort switch was thrown by the analysis, and the target came into service all the same",
            )
        if self.passed_at or self.over:
            return ()
        but = ", though it was to be held" if self.wish.holds and self.wish.may_abort else ""
        return (f"The target came into service without a Pass of the analysis{but} ({self.why_in_words()})",)

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        reasons = self.verdict.reasons if self.verdict else ()
        return {
            "label": self.label.value if self.label else None,
            "reasons": [reason.as_dict() for reason in reasons],
            "looks": self.looks,
            "unanswered": self.unanswered,
            "first_fail_at": format_time(self.first_fail_at),
            "passed_at": format_time(self.passed_at),
            "observe_only": self.wish.observe_only,
            "on_inconclusive": OnInconclusive(self.wish.on_inconclusive).value,
            "acted": self.acted_at is not None,
            "would_have_acted_at": format_time(self.would_have_acted_at),
        }


def _in_words(reason: Reason) -> str:
    return f"{reason.text} (missing: {reason.missing})" if reason.missing else reason.text
