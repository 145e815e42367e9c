"""
The approval of an update by a person: the text that is shown, and the answer.

:func:`approval_body` writes the text, :func:`read_answer` reads what Airflow says about the answer, and
:func:`approval_report` writes the report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypedDict

from airflow_guardrails.domain.judge.verdict import Label
from airflow_guardrails.domain.rollout.plan import UpdatePlan, plan_in_markdown
from airflow_guardrails.domain.text import code_span, cut, duration_in_words, safe_text
from airflow_guardrails.domain.times import format_time, parse_time

SCHEMA_VERSION = 1

_LONGEST = 500
_LABELS = frozenset(label.value for label in Label)


class AnswerKind(str, Enum):
    """How a request for approval ended."""

    APPROVED = "Approved"
    REJECTED = "Rejected"
    TIMED_OUT = "TimedOut"
    INVALID = "Invalid"


_ANSWERS = frozenset(kind.value for kind in AnswerKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """
    The update that a person is asked about.

    :param verdict: XCom ``verdict`` of the judge; None without a shadow test.
    :param answer_within: without an answer in this time, the update is rejected.
    :param page_url: the page with the rollouts of the endpoint; None if its address is not known.
    """

    plan: UpdatePlan
    verdict: Mapping[str, Any] | None = None
    answer_within: timedelta
    page_url: str | None = None


class Question(TypedDict):
    """
    What a waiting task keeps about its question, as JSON.

    *endpoint_config_name* is null if it is not known yet.
    *evidence_digest* is that of the text that was shown; null if it is unknown.
    """

    endpoint_name: str
    endpoint_config_name: str | None
    evidence_digest: str | None
    asked_at: str
    warnings: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    An answer, or that there was none.

    :param by: ``id`` and ``name`` of the person; None if nobody has answered.
    :param params: what the person entered in the form.
    :param problem: why an invalid answer is none.
    """

    kind: AnswerKind
    by: Mapping[str, str] | None = None
    at: datetime | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None


def approval_body(proposal: Proposal) -> str:
    """
    Return the text that a person reads, in Markdown.

    Texts of others (AWS, the verdict, names) are code spans: there they cannot be links, images or HTML.
    """
    parts = (
        (plan_in_markdown(proposal.plan),),
        _shadow_test(proposal),
        _link(proposal),
        (_deadline(proposal),),
    )
    return "\n\n".join(text for part in parts if (text := "\n".join(part)))


def digest_of(body: str) -> str:
    """Return ``sha256:`` and the digest of the text that was shown."""
    return f"sha256:{hashlib.sha256(body.encode()).hexdigest()}"


def has_label(verdict: Mapping[str, Any]) -> bool:
    """Whether *verdict* has a label of the judge."""
    return _label_of(verdict) is not None


def read_answer(event: object, *, approve: str, reject: str) -> Answer:
    """
    Return the answer in an event of Airflow. Whatever is not clearly an approval is none.

    :param approve: the option that approves.
    :param reject: the option that rejects, which is also the default after the time-out.
    """
    if not isinstance(event, Mapping):
        return Answer(kind=AnswerKind.INVALID, problem="the event of Airflow has no answer")
    if "error" in event:
        is_late = event.get("error_type") == "timeout"
        kind = AnswerKind.TIMED_OUT if is_late else AnswerKind.INVALID
        return Answer(kind=kind, problem=_short(safe_text(str(event["error"]))))
    chosen = event.get("chosen_options")
    # Airflow then gives the time of the time-out and the defaults of the form, which nobody has entered.
    if event.get("timedout"):
        return Answer(kind=AnswerKind.TIMED_OUT)
    at, params = parse_time(event.get("responded_at")), event.get("params_input") or {}
    by = _person(event.get("responded_by_user"))
    if chosen == [approve]:
        return Answer(kind=AnswerKind.APPROVED, by=by, at=at, params=params)
    if chosen == [reject]:
        return Answer(kind=AnswerKind.REJECTED, by=by, at=at, params=params)
    problem = _short(safe_text(f"neither {approve} nor {reject} was chosen, but {chosen!r}"))
    return Answer(kind=AnswerKind.INVALID, by=by, at=at, params=params, problem=problem)


def approval_report(answer: Answer, question: Question) -> dict[str, Any]:
    """Return the report as JSON; what is unknown is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "answer": answer.kind.value,
        "endpoint_name": question["endpoint_name"],
        "endpoint_config_name": question["endpoint_config_name"],
        "answered_by": dict(answer.by) if answer.by else None,
        "answered_at": format_time(answer.at),
        "asked_at": question["asked_at"],
        # Airflow passes on what the form's JSON had; anything else would make the XCom fail.
        "params_input": json.loads(json.dumps(dict(answer.params), default=str)),
        "problem": answer.problem,
        "evidence_digest": question["evidence_digest"],
        "warnings": list(question["warnings"]),
    }


def reported_approval(value: object) -> dict[str, Any] | None:
    """
    Return the field ``approval`` of a rollout report from XCom ``approval``; None if that has no answer.

    The field has ``approved``, ``by`` (a name), ``at`` (ISO 8601) and ``digest`` of the text that was shown.
    """
    if not isinstance(value, Mapping) or value.get("answer") not in _ANSWERS:
        return None
    person = value.get("answered_by")
    return {
        "approved": value["answer"] == AnswerKind.APPROVED.value,
        "by": person.get("name") if isinstance(person, Mapping) else None,
        "at": value.get("answered_at"),
        "digest": value.get("evidence_digest"),
    }


def describe_answer(answer: Answer, question: Question, *, answer_within: timedelta) -> str:
    """Return who answered what and when, in one line."""
    config = question["endpoint_config_name"]
    update = f"{question['endpoint_name']} to {config}" if config else question["endpoint_name"]
    if answer.kind is AnswerKind.TIMED_OUT:
        return (
            f"Nobody answered within {duration_in_words(answer_within)}: the update of {update} is rejected"
        )
    if answer.kind is AnswerKind.INVALID:
        by = _by(answer) if answer.by else ""
        return f"The answer{by} is not valid: {answer.problem}. The update of {update} is rejected"
    at = f" at {format_time(answer.at)}" if answer.at else ""
    entered = _short(safe_text(", ".join(f"{name}: {value}" for name, value in answer.params.items())))
    more = f" ({entered})" if entered else ""
    return f"{answer.kind.value}{_by(answer)}{at}: the update of {update}{more}"


def _by(answer: Answer) -> str:
    if answer.by is None:
        return " by an unknown user"
    name, ident = answer.by["name"], answer.by["id"]
    return f" by {name}" if name == ident else f" by {name} ({ident})"


def _person(user: object) -> Mapping[str, str] | None:
    if not isinstance(user, Mapping) or not (user.get("id") or user.get("name")):
        return None
    ident, name = (_short(safe_text(str(user.get(key) or ""))) for key in ("id", "name"))
    return {"id": ident or name, "name": name or ident}


# The text.


def _shadow_test(proposal: Proposal) -> Iterator[str]:
    verdict = proposal.verdict
    if verdict is None:
        yield "**No verdict of a shadow test**"
        return
    name = f" {code_span(verdict['name'])}" if verdict.get("name") else ""
    yield f"**Shadow test{name}: {_label_of(verdict) or code_span(verdict.get('label'))}**"
    yield ""
    elsewhere = verdict.get("endpoint_name")
    if elsewhere and elsewhere != proposal.plan.endpoint_name:
        yield f"- **It was a test of another endpoint**: {code_span(elsewhere)}"
    if verdict.get("shadow_model_name"):
        yield (
            f"- Model {code_span(verdict['shadow_model_name'])} in the shadow of "
            f"{code_span(verdict.get('production_model_name'))}, "
            f"from {code_span(verdict.get('starts_at'))} to {code_span(verdict.get('ends_at'))}"
        )
    for reason in _list(verdict.get("reasons")):
        yield _reason(reason)
    if isinstance(verdict.get("predictions"), Mapping):
        yield _predictions(verdict["predictions"])
    for warning in _list(verdict.get("warnings")):
        yield f"- Warning: {code_span(warning)}"


def _reason(reason: object) -> str:
    if not isinstance(reason, Mapping):
        return f"- {code_span(reason)}"
    label = _label_of(reason) or code_span(reason.get("label"))
    ignored = " (does not count)" if reason.get("ignored") else ""
    missing = f"; missing: {code_span(reason['missing'])}" if reason.get("missing") else ""
    return f"- **{label}**{ignored}: {code_span(reason.get('text'))}{missing}"


def _predictions(summary: Mapping[str, Any]) -> str:
    pairs, rate = summary.get("pairs"), summary.get("disagreement_rate")
    share = f" ({rate:.2%})" if isinstance(rate, float) else ""
    text = f"- Predictions: {_number(summary.get('disagreements'))} of {_number(pairs)} pairs disagree{share}"
    records = summary.get("records")
    if not isinstance(records, Mapping):
        return text
    captured = (f"{_number(count)} of {code_span(side)}" for side, count in records.items())
    return f"{text}; captured requests: {', '.join(captured)}"


def _link(proposal: Proposal) -> Iterator[str]:
    if proposal.page_url is not None:
        yield f"[Earlier rollouts and shadow tests of this endpoint]({proposal.page_url})"


def _deadline(proposal: Proposal) -> str:
    return f"Without an answer within {duration_in_words(proposal.answer_within)}, the update is rejected."


def _label_of(judged: Mapping[str, Any]) -> str | None:
    label = judged.get("label")
    return label if isinstance(label, str) and label in _LABELS else None


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else code_span(value)


def _short(text: str) -> str:
    return cut(text, _LONGEST)
