"""One measured kind of trigger: a process with many waits, and a fake of SageMaker that only it uses."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

import psutil
from processes import ChildProcess

# The longest duration of a wait, in seconds: with this gap, our trigger does not look for stages.
NO_FURTHER_LOOKS = 9 * 3600.0

# Share of a processor below which a process is idle, except for its regular looks.
IDLE = 0.25


class Contender:
    """
    A process with many waits of one kind of trigger, and its own fake of SageMaker.

    :param name: "ours" or "theirs".
    :param waits: number of waits.
    :param interval: seconds between looks.
    :param max_gap: ``max_describe_gap`` of our trigger, in seconds.
    :param roles: number of connections that assume a role each; 0: one connection without a role.
    """

    def __init__(
        self,
        name: str,
        waits: int,
        *,
        interval: float,
        stack: ExitStack,
        max_gap: float = NO_FURTHER_LOOKS,
        roles: int = 0,
    ) -> None:
        import arguments  # noqa: PLC0415 - it imports Airflow, whose home has to be set before

        self.name, self.waits, self.interval = name, waits, interval
        endpoints = arguments.endpoint_names(waits)
        self.fake = ChildProcess("fake_sagemaker.py")
        stack.callback(self.fake.close)
        updates = {each: arguments.alarms_of(each) for each in endpoints}
        self.fake.send("create", endpoints=updates)
        url = f"http://127.0.0.1:{self.fake.greeting}"
        names = arguments.connection_names(max(1, roles))
        connection_of = {each: names[index % len(names)] for index, each in enumerate(endpoints)}
        environment = {
            "BENCHMARK_CONNECTION": names[0],
            **arguments.connections(names, url, with_role=roles > 0),
        }
        self.process = ChildProcess("waiting.py", name, environment=environment)
        stack.callback(self.process.close)
        if name == "ours":
            triggers = arguments.our_arguments(connection_of, interval=interval, max_gap=max_gap, url=url)
        else:
            triggers = arguments.their_arguments(connection_of, interval=interval)
        self.process.send("load", triggers=triggers)
        # Created again, because making the arguments has looked at them.
        self.fake.send("create", endpoints=updates)
        self._ended_well = arguments.ended_well

    def start(self) -> None:
        """Start all waits; return when every endpoint was looked at once and the process is idle."""
        self.process.send("watch_loop", on=True)
        self.before = self.read()
        self.process.send("start")
        while self.fake.send("count")["unseen"] or self._busy():
            time.sleep(0.1)
        self.started = self.read()
        self.process.send("watch_loop", on=False)

    def read(self) -> dict[str, Any]:
        """Return the current figures of the process, and the number of calls to the fake."""
        reading: dict[str, Any] = self.process.send("read")
        return {**reading, "calls": self.calls()}

    def calls(self) -> int:
        """Return the number of calls to the fake so far."""
        return sum(self.fake.send("count")["calls"].values())

    def end(self, *, within: float) -> None:
        """End the rollouts, evenly over *within* seconds, and measure pauses of the loop from now on."""
        self.process.send("watch_loop", on=True)
        self.fake.send("end", within=within)

    def end_after_look(self, seconds: float) -> None:
        """End the rollout *seconds* after the last look, so that its delay does not depend on luck."""
        self.process.send("watch_loop", on=True)
        self.fake.send("end_after_look", seconds=seconds, interval=self.interval)

    def delays(self) -> tuple[float, ...]:
        """
        Wait for all events and return how many seconds after the end of its rollout each one came.

        :raises SystemExit: if events are missing, or an update did not end well.
        """
        deadline = time.time() + 4 * self.interval + 60
        while (ended := self.process.send("count")) < self.waits:
            if time.time() > deadline:
                raise SystemExit(f"{self.name}: {ended} of {self.waits} waits have ended")
            time.sleep(0.5)
        # Read before the process has to send all events, which would be a long pause.
        self.ended = self.read()
        ends = self.fake.send("ends")
        events = self.process.send("received")
        for endpoint, (_, payload) in events.items():
            if not self._ended_well(self.name, payload):
                raise SystemExit(f"{self.name}: {endpoint} has ended with {payload}")
        if imported := self.ended["imported_late"]:
            print(f"{self.name}: the figures include imports of {', '.join(imported)}", file=sys.stderr)
        return tuple(received_at - ends[endpoint] for endpoint, (received_at, _) in events.items())

    def _busy(self) -> bool:
        process = psutil.Process(self.process.pid)
        before, seconds = process.cpu_times(), 0.5
        time.sleep(seconds)
        after = process.cpu_times()
        return bool((after.user + after.system - before.user - before.system) / seconds > IDLE)
