"""One kind of trigger under measurement: a process full of waits, and a fake of SageMaker for it alone."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

import psutil
from orders import Child

# As long as a wait lasts at most: in that time, nobody looks for stages.
NO_STAGE_BEATS = 9 * 3600.0

# The part of a processor below which a process has nothing to do but its looks.
IDLE = 0.25


class Contender:
    """A process full of one kind of trigger, and a fake for it alone."""

    def __init__(
        self,
        name: str,
        waits: int,
        *,
        beat: float,
        stack: ExitStack,
        gap: float = NO_STAGE_BEATS,
        roles: int = 0,
    ) -> None:
        import arguments  # noqa: PLC0415 - it imports Airflow, whose home has to be set before

        self.name, self.waits, self.beat = name, waits, beat
        endpoints = arguments.endpoint_names(waits)
        self.fake = Child("fake_sagemaker.py")
        stack.callback(self.fake.close)
        updates = {each: arguments.alarms_of(each) for each in endpoints}
        self.fake.ask("create", endpoints=updates)
        url = f"http://127.0.0.1:{self.fake.hello}"
        names = arguments.connection_names(max(1, roles))
        connection_of = {each: names[index % len(names)] for index, each in enumerate(endpoints)}
        environment = {
            "BENCHMARK_CONNECTION": names[0],
            **arguments.connections(names, url, with_role=roles > 0),
        }
        self.process = Child("waiting.py", name, environment=environment)
        stack.callback(self.process.close)
        if name == "ours":
            triggers = arguments.our_arguments(connection_of, beat=self.beat, gap=gap, url=url)
        else:
            triggers = arguments.their_arguments(connection_of, beat=self.beat)
        self.process.ask("load", triggers=triggers)
        self.fake.ask("create", endpoints=updates)  # nobody has looked at these
        self._ended_well = arguments.ended_well

    def start(self) -> None:
        """Start all waits, until every endpoint was looked at and the process has nothing to do."""
        self.process.ask("watch_loop", on=True)
        self.before = self.read()
        self.process.ask("start")
        while self.fake.ask("count")["unseen"] or self._busy():
            time.sleep(0.1)
        self.started = self.read()
        self.process.ask("watch_loop", on=False)

    def read(self) -> dict[str, Any]:
        reading: dict[str, Any] = self.process.ask("read")
        return {**reading, "calls": self.calls()}

    def calls(self) -> int:
        return sum(self.fake.ask("count")["calls"].values())

    def end(self, *, within: float) -> None:
        """End the rollouts, evenly over *within* seconds, and look for pauses from now on."""
        self.process.ask("watch_loop", on=True)
        self.fake.ask("end", within=within)

    def end_after_look(self, seconds: float) -> None:
        """End a rollout at that point of a beat, so that the news of few are not a matter of luck."""
        self.process.ask("watch_loop", on=True)
        self.fake.ask("end_after_look", seconds=seconds, beat=self.beat)

    def news(self) -> tuple[float, ...]:
        """Wait for all events and return how late they were."""
        give_up_at = time.time() + 4 * self.beat + 60
        while (told := self.process.ask("count")) < self.waits:
            if time.time() > give_up_at:
                raise SystemExit(f"{self.name}: {told} of {self.waits} waits have ended")
            time.sleep(0.5)
        self.ended = self.read()  # before it has to tell a lot at once
        ends = self.fake.ask("ends")
        events = self.process.ask("told")
        for endpoint, (_, payload) in events.items():
            if not self._ended_well(self.name, payload):
                raise SystemExit(f"{self.name}: {endpoint} has ended with {payload}")
        if imported := self.ended["imported_late"]:
            print(f"{self.name} was charged for imports: {', '.join(imported)}", file=sys.stderr)
        return tuple(told_at - ends[endpoint] for endpoint, (told_at, _) in events.items())

    def _busy(self) -> bool:
        process = psutil.Process(self.process.pid)
        before, seconds = process.cpu_times(), 0.5
        time.sleep(seconds)
        after = process.cpu_times()
        return bool((after.user + after.system - before.user - before.system) / seconds > IDLE)
