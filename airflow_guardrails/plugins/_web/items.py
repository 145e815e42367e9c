"""
From the reports of task instances to the items of the page. Pure: no database, no clock.

Several task instances of a run may report the same rollout: the one that updates, a sensor, the one that
concludes. They make one item.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from airflow_guardrails.domain.times import format_time, parse_iso
from airflow_guardrails.plugins._web.reports import read_report
from airflow_guardrails.triggers._keys import REPORT_KEY, SHADOW_TEST_REPORT_KEY

Kind = Literal["rollout", "shadow_test"]
KIND_BY_KEY: dict[str, Kind] = {REPORT_KEY: "rollout", SHADOW_TEST_REPORT_KEY: "shadow_test"}
KEY_BY_KIND: dict[str, str] = {kind: key for key, kind in KIND_BY_KEY.items()}

# The state of a task instance that runs, waits, or will be tried again.
LIVE_STATES = frozenset(
    {"scheduled", "queued", "running", "deferred", "restarting", "up_for_retry", "up_for_reschedule"}
)
_STOPPABLE_STATES = frozenset({"running", "deferred"})
# What must agree where two reports of the same configuration both have it.
_IDENTITY = ("started_at", "region", "account")
_COUNTED = frozenset({"requests", "min_requests"})
_ENDED = frozenset({"Completed", "Cancelled"})
# Too long for a list, and not shown there.
_ONLY_IN_FULL = frozenset({"findings", "approval", "stages"})


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a report stands among all: by time, then by its key in the database."""

    at: datetime
    dag_run_id: int
    task_id: str
    map_index: int
    key: str

    def as_cursor(self) -> str:
        """Return it as text that is safe in a URL."""
        parts = [self.at.isoformat(), self.dag_run_id, self.task_id, self.map_index, self.key]
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()

    @classmethod
    def from_cursor(cls, cursor: str) -> Position:
        """
        Read what :meth:`as_cursor` has written.

        :raises ValueError: if *cursor* is something else.
        """
        parts = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
        if not isinstance(parts, list) or [type(part) for part in parts] != [str, int, str, int, str]:
            raise ValueError(f"not a cursor: {cursor}")
        at = parse_iso(parts[0])
        if at is None or at.tzinfo is None:
            raise ValueError(f"not a cursor: {cursor}")
        return cls(at, *parts[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """
    What one task instance has reported.

    :param value: the XCom as it is in the database; with a custom backend perhaps only a reference.
    :param state: state of the task instance.
    """

    position: Position
    dag_id: str
    run_id: str
    state: str | None
    try_number: int
    value: Any
    report: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "report", read_report(self.kind, self.value))

    @property
    def kind(self) -> Kind:
        """What the report is about."""
        return KIND_BY_KEY[self.position.key]

    @property
    def subject(self) -> tuple[Any, ...]:
        """What two reports of one rollout have in common; unique if the report cannot be read."""
        run, report = self.position.dag_run_id, self.report
        if self.kind == "shadow_test":
            return (run, self.kind, report["name"] or self.position)
        return (run, self.kind, report["endpoint_name"] or self.position, report["endpoint_config_name"])

    def may_be(self, other: Told) -> bool:
        """Whether both reports of one subject can be about the same rollout."""
        return all(
            None in (mine := self.report.get(name), its := other.report.get(name)) or mine == its
            for name in _IDENTITY
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another task instance of a run: one that judges, with its verdict, or one that concludes."""

    dag_run_id: int
    task_id: str
    map_index: int
    state: str | None
    verdict: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One rollout or shadow test. *told_by* is newest first."""

    told_by: tuple[Told, ...]
    concluding: Peer | None = None
    verdict: Mapping[str, Any] | None = None

    @property
    def main(self) -> Told:
        """The newest report that has an outcome, else the newest."""
        return next((told for told in self.told_by if told.report["outcome"]), self.told_by[0])

    @property
    def outcome(self) -> str | None:
        """How it ended; None while it is in flight, or if that is unknown."""
        outcome: str | None = self.main.report["outcome"]
        return outcome

    @property
    def endpoint(self) -> str | None:
        """Name of the endpoint; None if the report cannot be read."""
        endpoint: str | None = self.main.report["endpoint_name"]
        return endpoint or None

    @property
    def live(self) -> bool:
        """Whether it has no outcome yet, and a task instance still waits for it."""
        return self.outcome is None and any(told.state in LIVE_STATES for told in self.told_by)

    @property
    def stop(self) -> Told | None:
        """The task instance to mark failed if somebody wants to stop it; None if that would not stop it."""
        return next((told for told in self.told_by if _would_stop(told)), None)

    def is_told_by(self, task_id: str, map_index: int) -> bool:
        """Whether this task instance has reported it, or concludes it."""
        tasks = [(told.position.task_id, told.position.map_index) for told in self.told_by]
        if self.concluding:
            tasks.append((self.concluding.task_id, self.concluding.map_index))
        return (task_id, map_index) in tasks


def items_of(
    told: Iterable[Told], *, concluding: Iterable[Peer] = (), judging: Iterable[Peer] = ()
) -> tuple[Item, ...]:
    """
    Return the items of some runs.

    :param told: all reports of these runs, in any order.
    :param concluding: the task instances of these runs that conclude rollouts.
    :param judging: those that judge shadow tests.
    """
    concluding, judging = tuple(concluding), tuple(judging)
    return tuple(
        Item(
            told_by=group,
            concluding=_concluding(group, concluding),
            verdict=_verdict(group, judging),
        )
        for group in _groups(told)
    )


def in_list(item: Item) -> dict[str, Any]:
    """Return the item as JSON, without the long parts of its report."""
    report = {name: value for name, value in _report(item).items() if name not in _ONLY_IN_FULL}
    if isinstance(report.get("analysis"), Mapping):
        report["analysis"] = {name: value for name, value in report["analysis"].items() if name != "history"}
    return {**in_full(item), "report": report}


def in_full(item: Item) -> dict[str, Any]:
    """Return the item as JSON."""
    main, stop, concluding = item.main, item.stop, item.concluding
    return {
        "kind": main.kind,
        "dag_id": main.dag_id,
        "run_id": main.run_id,
        **_task(main),
        "try_number": main.try_number,
        "state": main.state,
        "live": item.live,
        "seen_at": format_time(main.position.at),
        "told_by": [{**_task(told), "state": told.state} for told in item.told_by],
        "stop": _task(stop) if stop else None,
        "concluding": {"task_id": concluding.task_id, "state": concluding.state} if concluding else None,
        "report": _report(item),
        "verdict": item.verdict,
    }


def history_entry(item: Item) -> dict[str, Any]:
    """Return the item as one entry of the history of its endpoint."""
    main = item.main
    return {
        "dag_id": main.dag_id,
        "run_id": main.run_id,
        **_task(main),
        "kind": main.kind,
        "live": item.live,
        "outcome": item.outcome,
        "summary": main.report.get("summary"),
        "ended_at": _ended_at(main),
        "endpoint_config_name": main.report.get("endpoint_config_name"),
    }


def _report(item: Item) -> dict[str, Any]:
    """Return the main report. Of a shadow test, the task that waits for it has counted the requests."""
    report = dict(item.main.report)
    if item.main.kind == "shadow_test" and report.get("requests") is None:
        counted = (told.report for told in item.told_by if told.report.get("requests") is not None)
        report |= {name: value for name, value in next(counted, {}).items() if name in _COUNTED}
    return report


def _ended_at(main: Told) -> Any:
    if main.kind == "rollout":
        return main.report.get("ended_at")
    # Until it has ended, this is when it will end by itself.
    return main.report.get("ends_at") if main.report.get("status") in _ENDED else None


def _groups(told: Iterable[Told]) -> Iterator[tuple[Told, ...]]:
    by_subject: dict[Any, list[list[Told]]] = {}
    for one in sorted(told, key=lambda one: one.position, reverse=True):
        groups = by_subject.setdefault(one.subject, [])
        for group in groups:
            if all(one.may_be(other) for other in group):
                group.append(one)
                break
        else:
            groups.append([one])
    for groups in by_subject.values():
        yield from map(tuple, groups)


def _concluding(group: tuple[Told, ...], peers: tuple[Peer, ...]) -> Peer | None:
    """Return the task that concludes the rollout: it has told so, or it stands beside the one that did."""
    if group[0].kind != "rollout":
        return None
    peers = tuple(peer for peer in peers if peer.dag_run_id == group[0].position.dag_run_id)
    tasks = {(told.position.task_id, told.position.map_index) for told in group}
    for peer in peers:
        if (peer.task_id, peer.map_index) in tasks:
            return peer
    beside = {(task_group(task_id), map_index) for task_id, map_index in tasks}
    near = [peer for peer in peers if (task_group(peer.task_id), peer.map_index) in beside]
    # Two of them stand for two rollouts, and nothing says which is whose.
    return near[0] if len(near) == 1 else None


def task_group(task_id: str) -> str:
    """Return the id of the task group that the task is in; "" if it is in none."""
    return task_id.rpartition(".")[0]


def _verdict(group: tuple[Told, ...], peers: tuple[Peer, ...]) -> dict[str, Any] | None:
    if group[0].kind != "shadow_test":
        return None
    run, name = group[0].position.dag_run_id, group[0].report["name"]
    for peer in peers:
        verdict = peer.verdict
        if peer.dag_run_id == run and isinstance(verdict, Mapping) and verdict.get("name") == name:
            return {
                "label": verdict.get("label"),
                "reasons": verdict.get("reasons") or [],
                "answers": _answers(verdict.get("predictions")),
            }
    return None


def _answers(predictions: Any) -> dict[str, Any] | None:
    """Return the compared answers without the examples: they may show what callers sent and got."""
    if not isinstance(predictions, Mapping):
        return None
    return {name: value for name, value in predictions.items() if name != "examples"}


def _would_stop(told: Told) -> bool:
    stopping = told.report.get("stopping")
    aborts = isinstance(stopping, Mapping) and stopping.get("aborts") is True
    return aborts and told.state in _STOPPABLE_STATES


def _task(told: Told) -> dict[str, Any]:
    return {"task_id": told.position.task_id, "map_index": told.position.map_index}
