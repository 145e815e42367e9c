"""
Tags, and the intent of an update as the value of a tag of the target configuration.

A tag's value has at most 256 characters, and no braces or quotes (API reference, ``Tag``). So the intent is
not JSON, but words such as ``previous=churn-v1``, separated by spaces.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow_guardrails.aws.reading import Response, sections_of, text_of
from airflow_guardrails.domain.rollout.launch import Intent
from airflow_guardrails.domain.times import parse_time


def parse_tags(response: Response) -> list[dict[str, str]]:
    """Return the tags of a page of ListTags. One without a key is left out; a missing value is ""."""
    return [
        {"Key": key, "Value": text_of(tag, "Value") or ""}
        for tag in sections_of(response, "Tags")
        if (key := text_of(tag, "Key"))
    ]


_WITHDRAWN, _CREATES = "withdrawn", "creates"


# All tags of this package begin with it.
OURS = "airflow-guardrails:"
# Name of the endpoint, on everything that this package creates for it.
MADE_FOR = f"{OURS}made-for"
# Name of the configuration from which another one was derived.
DERIVED_FROM = f"{OURS}derived-from"

INTENT_PREFIX = f"{OURS}intent:"


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
        withdrawn=_WITHDRAWN in words,
        creates=_CREATES in words,
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
