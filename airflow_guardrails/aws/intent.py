"""An intent on the wire: tags of the endpoint configuration that is to be brought into service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from airflow_guardrails.domain.intent import Intent

_PREFIX = "airflow-guardrails:"
_OWNER, _PREVIOUS, _MODIFIED, _WRITTEN, _LAUNCHED = (
    f"{_PREFIX}{word}"
    for word in ("owner", "previous-config", "endpoint-modified-at", "written-at", "launched-at")
)

Tag = Mapping[str, str]


def intent_tags(intent: Intent) -> list[dict[str, str]]:
    """Tags for AddTags; a value that is not known is empty, so that nothing of an older intent stays."""
    values = {
        _OWNER: intent.owner,
        _PREVIOUS: intent.previous or "",
        _MODIFIED: _text(intent.modified_at),
        _WRITTEN: _text(intent.written_at),
        _LAUNCHED: _text(intent.launched_at),
    }
    return [{"Key": key, "Value": value} for key, value in values.items()]


def parse_intent(tags: Iterable[Tag]) -> Intent | None:
    """Read ListTags' answer; None where there is no intent, or one that cannot be read."""
    values = {tag["Key"]: tag["Value"] for tag in tags}
    try:
        return Intent(
            owner=values[_OWNER],
            previous=values[_PREVIOUS] or None,
            modified_at=_moment(values[_MODIFIED]),
            written_at=datetime.fromisoformat(values[_WRITTEN]),
            launched_at=_moment(values.get(_LAUNCHED, "")),
        )
    except (KeyError, ValueError):
        return None


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
