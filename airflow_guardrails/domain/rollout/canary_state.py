"""The state of the analysis of one rollout, and what the analysis decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_guardrails.domain.canary.config import CanaryAnalysis, OnInconclusive
from airflow_guardrails.domain.canary.evidence import TrialHistory
from airflow_guardrails.domain.canary.sample_ratio import Step, is_share_finding
from airflow_guardrails.domain.judge.verdict import Label, Reason, Requests, Verdict, finite
from airflow_guardrails.domain.text import error_in_words
from airflow_guardrails.domain.times import format_time

_FAILED = "the analysis failed"

# AWS's clock is read in whole seconds, so two looks a minute apart may seem to be 59 seconds apart.
_CLOCK_RESOLUTION = timedelta(seconds=1)


# Looks that the report keeps. Beyond it, every second of the older ones is left out.
_MAX_PAST_LOOKS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLook:
    """
    The numbers of a verdict of the analysis, and when it was given; the texts would need much memory.

    :param rules: label, measured, low and high of each reason, in their order.
    """

    at: datetime
    label: Label
    requests: Requests | None
    rules: tuple[tuple[Label, float | None, float | None, float | None], ...]

    @classmethod
    def of(cls, verdict: Verdict, at: datetime) -> PastLook:
        """Take the numbers from *verdict*."""
        rules = tuple(
            (reason.label, finite(reason.measured), finite(reason.low), finite(reason.high))
            for reason in verdict.reasons
        )
        return cls(at=at, label=verdict.label, requests=verdict.requests, rules=rules)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON for the report."""
        return {
            "at": format_time(self.at),
            "label": self.label.value,
            "requests": self.requests.as_dict() if self.requests else None,
            "rules": [
                {"label": label.value, "measured": measured, "low": low, "high": high}
                for label, measured, low, high in self.rules
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisState:
    """
    What is known about an analysis between two looks; an immutable value. All times are on AWS's clock.

    :param power: what the analysis can find, as JSON for the report; ``None`` if unknown.
    :param verdict: the last verdict; ``None`` before the first one.
    :param looks: number of verdicts.
    :param read_at: when CloudWatch was last read, with or without a response.
    :param unanswered: why that gave no response, or no verdict; ``None`` if it gave one.
    :param first_fail_at: when the verdict was first Fail.
    :param passed_at: when the verdict was first Pass; see :attr:`pass_stands`.
    :param share_fell_at: when a verdict first said that the new fleet's share of the requests fell.
    :param acted_at: when the analysis threw the abort switch; nothing is judged after that.
    :param would_have_acted_at: when it would have thrown it, with ``observe_only``.
    :param refused: why the switch could not be thrown, although the analysis wanted to.
    :param steps: the bakes that the looks have shown, with the sizes of both fleets; after a restart, only
        those since then.
    :param past: the verdicts so far, not all of a long update; after a restart, only those since then.
    :param history: metrics from before the update, which are read only once per wait. They are not part of
        the serialized state, so a restarted triggerer reads them again.
    """

    config: CanaryAnalysis
    power: Mapping[str, Any] | None = None
    verdict: Verdict | None = None
    looks: int = 0
    read_at: datetime | None = None
    unanswered: str | None = None
    first_fail_at: datetime | None = None
    passed_at: datetime | None = None
    share_fell_at: datetime | None = None
    acted_at: datetime | None = None
    would_have_acted_at: datetime | None = None
    refused: str | None = None
    steps: tuple[Step, ...] = ()
    past: tuple[PastLook, ...] = field(default=(), repr=False)
    history: TrialHistory | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> Label | None:
        """Label of the last verdict; None before the first one."""
        return self.verdict.label if self.verdict else None

    @property
    def pass_stands(self) -> bool:
        """
        Whether there was a Pass, and nothing since that takes it back: a Fail, or a fall of the share.

        Any other Inconclusive does not. The judge limits the probability that a worse configuration *ever*
        passes, so one Pass is enough, and near a margin later verdicts may be undecided again.
        """
        if self.label is Label.PASS:
            return True
        return self.passed_at is not None and self.first_fail_at is None and self.share_fell_at is None

    @property
    def over(self) -> bool:
        """Whether the analysis has acted, or would have: nothing is judged any more."""
        return self.acted_at is not None or self.would_have_acted_at is not None

    def due(self, now: datetime) -> bool:
        """Whether it is time to read CloudWatch again."""
        return self.read_at is None or now - self.read_at >= self.config.every - _CLOCK_RESOLUTION

    def wants_abort(self, *, abort_cutoff: bool) -> bool:
        """
        Whether the update is to be aborted.

        :param abort_cutoff: whether the next look would be too late to abort it.
        """
        if self.over:
            return False
        return self.label is Label.FAIL or (abort_cutoff and self.config.holds and not self.pass_stands)

    def judged(self, verdict: Verdict, at: datetime) -> AnalysisState:
        """Return the state after *verdict*."""
        return replace(
            self,
            verdict=verdict,
            looks=self.looks + 1,
            past=_thinned((*self.past, PastLook.of(verdict, at))),
            read_at=at,
            unanswered=None,
            first_fail_at=self.first_fail_at or (at if verdict.label is Label.FAIL else None),
            passed_at=self.passed_at or (at if verdict.label is Label.PASS else None),
            share_fell_at=self.share_fell_at or (at if any(map(is_share_finding, verdict.reasons)) else None),
            # A new verdict may not want the abort any more.
            refused=self.refused if verdict.label is self.label else None,
        )

    def without_response(self, reason: str, at: datetime) -> AnalysisState:
        """Return the state after CloudWatch gave no response; the last verdict stays."""
        return replace(self, read_at=at, unanswered=reason)

    def after_error(self, error: Exception, at: datetime) -> AnalysisState:
        """Return the state after the judge raised *error*; the last verdict stays."""
        return self.without_response(f"{_FAILED}: {error_in_words(error)}", at)

    @property
    def failing(self) -> bool:
        """Whether the judge raised an error at the last look."""
        return self.unanswered is not None and self.unanswered.startswith(_FAILED)

    @property
    def because(self) -> tuple[str, ...]:
        """The reasons of the last verdict that led to its label, and why there is no newer one."""
        no_response = self._no_response()
        if self.verdict is None:
            return no_response or ("nothing was judged yet",)
        counting = [reason for reason in self.verdict.reasons if not reason.ignored]
        deciding = [reason for reason in counting if reason.label is self.label]
        return (*no_response, *(_in_words(reason) for reason in deciding))

    def _no_response(self) -> tuple[str, ...]:
        if self.unanswered is None:
            return ()
        return (self.unanswered if self.failing else f"no response from CloudWatch ({self.unanswered})",)

    def summary(self) -> str:
        """Return label and reasons in one line; without a verdict the label is Inconclusive."""
        label = self.label.value if self.label else Label.INCONCLUSIVE.value
        return f"{label}: {'; '.join(self.because)}"

    def course(self, start: datetime | None) -> str | None:
        """
        Return when the new fleet first passed, failed and lost its share: "passed at 10:13 UTC (minute 12)".

        None if it did nothing of it.

        :param start: when the update began; minutes count from there.
        """
        turns = [
            ("passed", self.passed_at),
            ("failed", self.first_fail_at),
            ("lost its share of the requests", self.share_fell_at),
        ]
        seen = sorted((at, word) for word, at in turns if at is not None)
        parts = [f"{word} at {_moment(at, start)}" for at, word in seen]
        if self.pass_stands and self.label is not Label.PASS:
            parts.append("Inconclusive now, but the Pass stands")
        return ", ".join(parts) or None

    def warnings(self, *, succeeded: bool) -> tuple[str, ...]:
        """
        Return the warnings for the report.

        :param succeeded: whether the target came into service.
        """
        if self.refused:
            return (not_aborted(self, self.refused),)
        if not succeeded:
            return ()
        if self.acted_at:
            return ("The analysis threw the abort switch, but the target came into service",)
        if self.pass_stands or self.over:
            return ()
        but = ', although on_inconclusive is "hold"' if self.config.holds and self.config.may_abort else ""
        return (f"The target came into service without a Pass of the analysis{but} ({self.summary()})",)

    def as_dict(self, start: datetime | None = None) -> dict[str, Any]:
        """Return the field ``analysis`` of the report; *start* is when the update began."""
        reasons = self.verdict.reasons if self.verdict else ()
        return {
            "label": self.label.value if self.label else None,
            "reasons": [reason.as_dict() for reason in reasons],
            "power": dict(self.power) if self.power else None,
            "requests": self.verdict.requests.as_dict() if self.verdict and self.verdict.requests else None,
            "looks": self.looks,
            "history": [look.as_dict() for look in self.past],
            "unanswered": self.unanswered,
            "first_fail_at": format_time(self.first_fail_at),
            "passed_at": format_time(self.passed_at),
            "share_fell_at": format_time(self.share_fell_at),
            "course": self.course(start),
            "observe_only": self.config.observe_only,
            "on_inconclusive": OnInconclusive(self.config.on_inconclusive).value,
            "acted": self.acted_at is not None,
            "would_have_acted_at": format_time(self.would_have_acted_at),
        }


def not_aborted(analysis: AnalysisState, why: str) -> str:
    """Return the warning that the analysis could not throw the abort switch."""
    return f"The analysis could not abort the update: {why} ({analysis.summary()})"


def _thinned(past: tuple[PastLook, ...]) -> tuple[PastLook, ...]:
    if len(past) <= _MAX_PAST_LOOKS:
        return past
    half = len(past) // 2
    return (*past[:half:2], *past[half:])


def _moment(at: datetime, start: datetime | None) -> str:
    minute = f" (minute {int((at - start).total_seconds() // 60)})" if start else ""
    return f"{at.astimezone(timezone.utc):%H:%M} UTC{minute}"


def _in_words(reason: Reason) -> str:
    return f"{reason.text} (missing: {reason.missing})" if reason.missing else reason.text
