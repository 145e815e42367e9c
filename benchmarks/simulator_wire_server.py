"""One server in a process of its own, for ``simulator_wire.py``: moto's server or the simulator."""

from __future__ import annotations

import asyncio
import sys
import time

from moto.server import ThreadedMotoServer
from processes import serve_commands

from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.server import serve
from airflow_guardrails.simulator.world import Simulation


def _moto() -> str:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    return f"http://127.0.0.1:{port}"


def _simulator() -> str:
    return serve(Simulation(clock=Clock())).url


if __name__ == "__main__":
    url = {"moto": _moto, "simulator": _simulator}[sys.argv[1]]()
    # All threads of this process, user and system time.
    asyncio.run(serve_commands({"cpu": time.process_time}, greeting=url))
