"""
The record of one rollout, kept as the value of a tag of the endpoint.

A tag's value has at most 256 characters, and no braces or quotes (API reference, ``Tag``). So a record is
words such as ``outcome=Succeeded``, separated by spaces.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from airflow_guardrails.domain.rollout.outcome import CauseKind
from airflow_guardrails.domain.times import parse_time

RECORD_PREFIX = "airflow-guardrails:rollout:"
# Hex digits of SHA-256 of the configuration's name.
_KEY_DIGITS = 12
LONGEST_VALUE = 256
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.:/=+@-]")
_VERSION = re.compile(r"[0-9a-f]{16}")
_BY_URL = "url"


class RecordedOutcome(str, Enum):
    """How a configuration fared on its endpoint."""

    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    ROLLBACK_FAILED = "RollbackFailed"
    # In service when this package replaced it; this package has not brought it into service.
    SERVED = "Served"


_GOOD = frozenset({RecordedOutcome.SUCCEEDED, RecordedOutcome.SERVED})
_UNDONE = frozenset({RecordedOutcome.ROLLED_BACK, RecordedOutcome.ROLLBACK_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """
    How the last rollout of one configuration ended. Times are on AWS's clock, to the second.

    :param config: name of the endpoint configuration.
    :param at: when the rollout ended.
    :param version: digest of what the models run; ``None`` if unknown, or if the rollout did not change it.
    :param by_url: whether an artefact counts in *version* by its URL, because S3 did not show its content.
    :param logical_date: logical date of the DAG run; ``None`` for a run without one.
    :param run: ``dag_id/run_id``, cut to fit.
    :param cause: why it was rolled back or failed, as in the report's ``cause.kind``.
    :param reverted_at: when somebody went back from this configuration by the rollback operator.
    """

    config: str
    outcome: RecordedOutcome
    at: datetime
    version: str | None = None
    by_url: bool = False
    logical_date: datetime | None = None
    run: str | None = None
    cause: str | None = None
    reverted_at: datetime | None = None

    @property
    def good(self) -> bool:
        """Whether it served well, and nobody went back from it."""
        return self.outcome in _GOOD and self.reverted_at is None

    @property
    def refused(self) -> bool:
        """Whether this version must not be deployed again without being asked for."""
        if self.reverted_at is not None:
            return True
        # Without instances, nothing was learned about the version.
        return self.outcome in _UNDONE and self.cause != CauseKind.CAPACITY.value

    @property
    def decided_at(self) -> datetime:
        """When the last thing was learned about the version."""
        return max(self.at, self.reverted_at) if self.reverted_at else self.at

    @property
    def tag_key(self) -> str:
        """Key of the record's tag."""
        return record_key(self.config)

    def __str__(self) -> str:
        words = [f"{self.config}: {self.outcome.value} at {_text(self.at)}"]
        if self.reverted_at:
            words.append(f"reverted at {_text(self.reverted_at)}")
        return ", ".join([*words, *([f"by run {self.run}"] if self.run else [])])


def record_key(config: str) -> str:
    """Return the key of the tag for the rollouts of *config*."""
    return f"{RECORD_PREFIX}{hashlib.sha256(config.encode()).hexdigest()[:_KEY_DIGITS]}"


def record_text(record: RolloutRecord) -> str:
    """Return the record as the value of a tag; *run* is cut to what fits."""
    words = [
        f"outcome={record.outcome.value}",
        f"at={_text(record.at)}",
        f"config={record.config}",
        *([f"version={record.version}"] if record.version else []),
        *([f"artefact={_BY_URL}"] if record.by_url else []),
        *([f"date={_text(record.logical_date)}"] if record.logical_date else []),
        *([f"reverted={_text(record.reverted_at)}"] if record.reverted_at else []),
        *([f"cause={_legal(record.cause)}"] if record.cause else []),
    ]
    text = " ".join(words)
    room = LONGEST_VALUE - len(text) - len(" run=")
    return f"{text} run={_legal(record.run)[:room]}" if record.run and room > 0 else text


def parse_record(text: object) -> RolloutRecord | None:
    """Return the record in a tag's value; None if it is damaged, or of a kind that this release lacks."""
    if not isinstance(text, str):
        return None
    words = dict(word.partition("=")[::2] for word in text.split())
    at, config = parse_time(words.get("at")), words.get("config")
    if at is None or not config:
        return None
    try:
        outcome = RecordedOutcome(words.get("outcome"))
    except ValueError:
        return None
    version = words.get("version", "")
    return RolloutRecord(
        config=config,
        outcome=outcome,
        at=at,
        version=version if _VERSION.fullmatch(version) else None,
        by_url=words.get("artefact") == _BY_URL,
        logical_date=parse_time(words.get("date")),
        run=words.get("run") or None,
        cause=words.get("cause") or None,
        reverted_at=parse_time(words.get("reverted")),
    )


def whole_second(moment: datetime) -> datetime:
    """Return *moment* as records have it: in UTC, without fractions of a second."""
    return moment.astimezone(timezone.utc).replace(microsecond=0)


def _text(moment: datetime) -> str:
    return whole_second(moment).isoformat().replace("+00:00", "Z")


def _legal(text: str) -> str:
    return _NOT_IN_TAGS.sub("_", text)
