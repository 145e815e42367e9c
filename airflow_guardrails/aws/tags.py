"""
Tags, and the intent of an update as the value of a tag of the target configuration.

A tag's value has at most 256 characters, and no braces or quotes (API reference, ``Tag``). So the intent is
not JSON, but words such as ``previous=churn-v1``, separated by spaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from airflow_guardrails.aws.reading import Response, sections_of, text_of
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.times import parse_time
from airflow_guardrails.domain.versions.digest import Version

# All tags of this package begin with it.
OURS = "airflow-guardrails:"
INTENT_PREFIX = f"{OURS}intent:"
# Name of the endpoint, on everything that this package creates for it.
MADE_FOR = f"{OURS}made-for"
# Name of the configuration from which another one was derived.
DERIVED_FROM = f"{OURS}derived-from"
# Of a configuration and its models: how their last rollout ended, as the record of the endpoint says.
OUTCOME = f"{OURS}outcome"
# Of a configuration: the version of its models, read before its rollout.
VERSION = f"{OURS}version"
# Of an endpoint, with the owner behind it: what a rollback goes back to.
ROLLBACK_PREFIX = f"{OURS}rollback:"


def parse_tags(response: Response) -> list[dict[str, str]]:
    """Return the tags of a page of ListTags. One without a key is left out; a missing value is ""."""
    return [
        {"Key": key, "Value": text_of(tag, "Value") or ""}
        for tag in sections_of(response, "Tags")
        if (key := text_of(tag, "Key"))
    ]


_WITHDRAWN, _CREATES = "withdrawn", "creates"


def intent_text(intent: Intent) -> str:
    """Return the intent as the value of a tag."""
    times = {
        "modified": intent.modified_at,
        "written": intent.written_at,
        "accepted": intent.accepted_at,
        "started": intent.started_at,
    }
    words = [f"previous={intent.previous}"] if intent.previous else []
    words += [f"{word}={_text(moment)}" for word, moment in times.items() if moment]
    if intent.logical_date:
        # To the second: with fractions, the longest intent would not fit.
        words.append(f"date={_text(intent.logical_date.replace(microsecond=0))}")
    flags = {_WITHDRAWN: intent.withdrawn, _CREATES: intent.creates}
    return " ".join([*words, *(word for word, holds in flags.items() if holds)])


def parse_intent(text: object) -> Intent | None:
    """Return the intent in a tag's value; None if it is missing or damaged, as if there were no intent."""
    if not isinstance(text, str):
        return None
    words = dict(word.partition("=")[::2] for word in text.split())
    written_at = parse_time(words.get("written"))
    if written_at is None:
        return None
    return Intent(
        previous=words.get("previous"),
        modified_at=parse_time(words.get("modified")),
        written_at=written_at,
        accepted_at=parse_time(words.get("accepted")),
        started_at=parse_time(words.get("started")),
        logical_date=parse_time(words.get("date")),
        withdrawn=_WITHDRAWN in words,
        creates=_CREATES in words,
    )


_UNCHANGED = "unchanged"


def version_text(version: Version) -> str:
    """Return the version as the value of a tag."""
    flags = [*(["artefact=url"] if version.by_url else []), *([_UNCHANGED] if version.unchanged else [])]
    return " ".join([f"version={version.digest}", *flags])


def parse_version(text: object) -> Version | None:
    """Return the version in a tag's value; None if it is missing or damaged."""
    words = dict(word.partition("=")[::2] for word in text.split()) if isinstance(text, str) else {}
    digest = words.get("version")
    if not digest:
        return None
    return Version(digest=digest, by_url=words.get("artefact") == "url", unchanged=_UNCHANGED in words)


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTag:
    """
    What one task instance rolls the endpoint back to.

    :param to: name of the endpoint configuration.
    :param at: when this was decided, on AWS's clock.
    """

    to: str
    at: datetime


def rollback_text(plan: RollbackTag) -> str:
    """Return the plan as the value of a tag."""
    return f"to={plan.to} at={_text(plan.at)}"


def parse_rollback(text: object) -> RollbackTag | None:
    """Return the plan in a tag's value; None if it is missing or damaged."""
    words = dict(word.partition("=")[::2] for word in text.split()) if isinstance(text, str) else {}
    at, to = parse_time(words.get("at")), words.get("to")
    return RollbackTag(to=to, at=at) if to and at else None
