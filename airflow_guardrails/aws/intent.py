"""
An intent as text: the value of one tag of the target configuration, whose key names the owner.

A tag's value takes 256 characters, and neither braces nor quotes (API reference, ``Tag``), so it is no JSON
but words such as ``previous=churn-v1``, separated by spaces.
"""

from __future__ import annotations

from datetime import datetime, timezone
from enum import Enum

from airflow_guardrails.domain.intent import Intent

_WITHDRAWN = "withdrawn"
_UTC = "+00:00"


class Kind(str, Enum):
    """What an owner was about to do; the beginning of the tag's key, which ends with the owner."""

    UPDATE = "airflow-guardrails:intent:"
    ABORT = "airflow-guardrails:abort:"

    def tag_of(self, owner: str) -> str:
        return f"{self.value}{owner}"


def intent_text(intent: Intent) -> str:
    times = {
        "modified": intent.modified_at,
        "written": intent.written_at,
        "accepted": intent.accepted_at,
        "started": intent.started_at,
    }
    words = [f"previous={intent.previous}"] if intent.previous else []
    words += [f"{word}={_text(moment)}" for word, moment in times.items() if moment]
    return " ".join([*words, *([_WITHDRAWN] if intent.withdrawn else [])])


def parse_intent(text: object) -> Intent | None:
    """Return None for what is no intent, or is damaged: then nothing is known, as if there were none."""
    if not isinstance(text, str):
        return None
    words = dict(word.partition("=")[::2] for word in text.split())
    try:
        return Intent(
            previous=words.get("previous"),
            modified_at=_moment(words.get("modified")),
            written_at=_utc(datetime.fromisoformat(_full(words["written"]))),
            accepted_at=_moment(words.get("accepted")),
            started_at=_moment(words.get("started")),
            withdrawn=_WITHDRAWN in words,
        )
    except (KeyError, ValueError):
        return None


def _text(moment: datetime) -> str:
    return _utc(moment).astimezone(timezone.utc).isoformat().replace(_UTC, "Z")


def _moment(text: str | None) -> datetime | None:
    return _utc(datetime.fromisoformat(_full(text))) if text else None


def _full(text: str) -> str:
    return text.replace("Z", _UTC)  # before Python 3.11 the Z is not read


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
