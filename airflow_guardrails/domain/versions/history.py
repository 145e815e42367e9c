"""The history of an endpoint, read from its tags, and what it allows: deploy, go back, forget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from airflow_guardrails.domain.versions.digest import Version
from airflow_guardrails.domain.versions.record import (
    RECORD_PREFIX,
    RecordedOutcome,
    RolloutRecord,
    parse_record,
    whole_second,
)

# A resource has at most 50 tags, and users need some of them.
MAX_RECORDS = 20
# Of these, so many newest good ones are never removed: a rollback may need them.
MAX_GOOD = 10


@dataclass(frozen=True, slots=True)
class History:
    """The records of an endpoint, the newest first, one for each configuration."""

    records: tuple[RolloutRecord, ...] = ()

    @classmethod
    def of(cls, records: Iterable[RolloutRecord]) -> History:
        """Return the history of *records*, which may have any order."""
        # Also by name, so that records of the same second always have the same order.
        return cls(tuple(sorted(records, key=lambda record: (record.at, record.config), reverse=True)))

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> History:
        """Return the history in *tags* (key -> value) of an endpoint. Damaged records are left out."""
        found = [(key, parse_record(value)) for key, value in tags.items() if key.startswith(RECORD_PREFIX)]
        # Under a wrong key it is damaged, and nothing would ever replace it.
        return cls.of(record for key, record in found if record and key == record.tag_key)

    def find(self, config: str | None) -> RolloutRecord | None:
        """Return the record of the configuration *config*; None if there is none."""
        return next((record for record in self.records if record.config == config), None)

    @property
    def good(self) -> tuple[RolloutRecord, ...]:
        """The records of configurations that served well, the newest first."""
        return tuple(record for record in self.records if record.good)

    @property
    def deployed_last(self) -> str | None:
        """The configuration that this package brought into service last; None if there is none."""
        succeeded = (r.config for r in self.records if r.outcome is RecordedOutcome.SUCCEEDED)
        return next(succeeded, None)


def refused_version(
    history: History, version: str | None, *, config: str, unchanged: bool = False
) -> RolloutRecord | None:
    """
    Return the record because of which a deployment is refused; None if it is not.

    The last thing that was learned about the version decides.

    :param version: version of the configuration to deploy; ``None`` if unknown.
    :param config: name of that configuration.
    :param unchanged: whether the endpoint serves this version already, under another configuration.
    """
    own = history.find(config)
    if own is not None and own.refused:
        return own
    if version is None or unchanged:
        return None
    same = [record for record in history.records if record.version == version]
    last = max(same, key=lambda record: record.decided_at, default=None)
    return last if last is not None and last.refused else None


def newer_run(history: History, logical_date: datetime | None) -> RolloutRecord | None:
    """
    Return the record of the newest run that has deployed, if it is newer than *logical_date*; else None.

    A configuration that was rolled back, or that somebody went back from, does not count.

    :param logical_date: logical date of the run that is to deploy; ``None`` for a run without one.
    """
    if logical_date is None:
        return None
    dated = [(record.logical_date, record) for record in history.good if record.logical_date]
    latest, record = max(dated, key=lambda pair: pair[0], default=(None, None))
    # Records have whole seconds.
    return record if latest is not None and latest > whole_second(logical_date) else None


def rollback_candidates(history: History, serving: str | None) -> tuple[RolloutRecord, ...]:
    """
    Return what a rollback may go back to, the best first: what last served well before *serving*.

    Configurations with another version come before those with the same one.
    """
    own = history.find(serving)
    before = [
        record for record in history.good if record.config != serving and (own is None or record.at < own.at)
    ]
    same = [r for r in before if own is not None and r.version is not None and r.version == own.version]
    return (*(record for record in before if record not in same), *same)


def rollback_target(
    history: History, serving: str | None, *, exists: Callable[[str], bool]
) -> RolloutRecord | None:
    """
    Return what a rollback from *serving* goes back to; None if nothing is known.

    :param exists: whether there still is a configuration of this name.
    """
    candidates = rollback_candidates(history, serving)
    return next((record for record in candidates if exists(record.config)), None)


def with_rollout(
    history: History,
    record: RolloutRecord,
    *,
    started_at: datetime,
    previous: str | None,
    reverts: bool = False,
    left: Version | None = None,
) -> tuple[RolloutRecord, ...]:
    """
    Return the records to write at the end of a rollout; none if it is recorded already.

    :param record: how it ended.
    :param started_at: when it started.
    :param previous: the configuration that was in service before; ``None`` if unknown.
    :param reverts: whether it was a rollback, so that *previous* is not to be deployed again.
    :param left: the version of *previous*, if it is known: somebody may have put it in service by hand.
    """
    known = history.find(record.config)
    # A rollout takes longer than a second. So this is its own record, or that of a later one.
    if known is not None and known.at >= whole_second(started_at):
        return ()
    if reverts and known is not None:
        # It serves the data of the run that made it, not of the run that went back to it.
        record = replace(record, logical_date=known.logical_date)
    if record.outcome is not RecordedOutcome.SUCCEEDED or previous in {None, record.config}:
        return (record,)
    assert previous is not None
    replaced = history.find(previous)
    if reverts:
        replaced = replaced or _served(previous, started_at)
        if left is not None and replaced.version is None:
            replaced = replace(replaced, version=left.digest, by_url=left.by_url)
        return (record, replace(replaced, reverted_at=record.at))
    return (record,) if replaced else (record, _served(previous, started_at))


def records_to_remove(history: History, *, serving: str | None) -> tuple[RolloutRecord, ...]:
    """Return the oldest records above the limit; never those of what serves, and of the newest good ones."""
    return spare_records(history, serving=serving)[: max(0, len(history.records) - MAX_RECORDS)]


def spare_records(history: History, *, serving: str | None) -> tuple[RolloutRecord, ...]:
    """Return the records that may go if there is no room, the oldest first."""
    needed = {serving, *(record.config for record in history.good[:MAX_GOOD])}
    return tuple(record for record in reversed(history.records) if record.config not in needed)


def _served(config: str, until: datetime) -> RolloutRecord:
    return RolloutRecord(config=config, outcome=RecordedOutcome.SERVED, at=whole_second(until))
