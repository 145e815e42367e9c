"""A thousand random orders of rollout, rollback, clean-up and changes by hand: what is needed never goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_guardrails.domain.versions.cleaning import Inventory, Kind, MadeConfig, MadeModel, deletable
from airflow_guardrails.domain.versions.history import (
    MAX_RECORDS,
    History,
    records_to_remove,
    rollback_target,
    with_rollout,
)
from airflow_guardrails.domain.versions.record import (
    RecordedOutcome,
    RolloutRecord,
    record_text,
)

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)


@dataclass
class Account:
    """An endpoint whose history is in tags, configurations and their models."""

    now: datetime = START
    serving: str = "by-hand-0"
    configs: dict[str, str] = field(default_factory=lambda: {"by-hand-0": "by-hand-0"})
    made: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=lambda: {"by-hand-0"})
    tags: dict[str, str] = field(default_factory=dict)
    created: dict[str, datetime] = field(default_factory=dict)
    count: int = 0

    @property
    def history(self) -> History:
        return History.of_tags(self.tags)

    def exists(self, name: str) -> bool:
        return name in self.configs and self.configs[name] in self.models

    def target(self) -> str | None:
        found = rollback_target(self.history, self.serving, exists=self.exists)
        return found.config if found else None

    def create(self, kind: str) -> str:
        self.count += 1
        name = f"{kind}-{self.count}"
        self.configs[name] = name
        self.models.add(name)
        self.created[name] = self.now
        if kind == "made":
            self.made.add(name)
        return name

    def roll_out(self, name: str, *, good: bool, reverts: bool = False) -> None:
        started, before = self.now, self.serving
        self.now += timedelta(minutes=20)
        if good:
            self.serving = name
        record = RolloutRecord(
            config=name,
            outcome=RecordedOutcome.SUCCEEDED if good else RecordedOutcome.ROLLED_BACK,
            at=self.now,
            version=f"{int(name.rpartition('-')[2]) % 3:016x}",
        )
        written = with_rollout(self.history, record, started_at=started, previous=before, reverts=reverts)
        self.tags |= {each.tag_key: record_text(each) for each in written}
        for each in records_to_remove(self.history, serving=self.serving):
            del self.tags[each.tag_key]
        assert len(self.tags) <= MAX_RECORDS + 1

    def clean_up(self, keep: int) -> None:
        used = {model: "used" for name, model in self.configs.items() if name not in self.made}
        target = self.target()
        found = deletable(
            Inventory(
                serving=self.serving,
                history=self.history,
                existing=frozenset([target] if target else []),
                configs=tuple(
                    MadeConfig(name=name, models=(self.configs[name],), created_at=self.created[name])
                    for name in sorted(self.made)
                ),
                models=tuple(
                    MadeModel(name=name, created_at=self.created[name])
                    for name in sorted(self.models)
                    if name.startswith("made")
                ),
                used_models=used,
                now=self.now,
            ),
            keep=keep,
        )
        for each in found:
            if each.why is None and each.kind is Kind.CONFIG:
                del self.configs[each.name]
                self.made.discard(each.name)
            elif each.why is None:
                self.models.discard(each.name)


def play(account: Account, what: str, number: int) -> None:
    names = sorted(account.configs)
    some = names[number % len(names)]
    if what in {"good", "bad"}:
        account.roll_out(account.create("made"), good=what == "good")
    elif what == "again" and some != account.serving and account.exists(some):
        account.roll_out(some, good=number % 3 > 0)
    elif what == "back" and (target := account.target()):
        account.roll_out(target, good=number % 4 > 0, reverts=True)
    elif what == "by hand":
        account.serving = account.create("by-hand") if number % 2 or not account.exists(some) else some
    elif what == "left":
        account.create("made")
    elif what == "deleted by hand" and some != account.serving:
        del account.configs[some]
        account.made.discard(some)
    elif what == "clean up":
        before = account.target()
        newest = [record.config for record in account.history.good if account.exists(record.config)]
        account.clean_up(keep=1 + number % 3)
        assert account.exists(account.serving) or account.serving not in account.configs
        assert account.target() == before
        assert all(map(account.exists, [name for name in newest if name != account.serving][:1]))
        people = {name for name in names if not name.startswith("made")}
        assert people <= set(account.configs)
        assert all(model in account.models for model in account.configs.values())
    account.now += timedelta(minutes=45)


MOVES = ["good", "good", "bad", "again", "back", "by hand", "left", "deleted by hand", "clean up", "clean up"]


@pytest.mark.proof
@settings(max_examples=1000)
@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 99)), max_size=40))
def test_what_serves_and_what_a_rollback_needs_is_never_deleted(moves):
    account = Account()
    for what, number in moves:
        play(account, what, number)
