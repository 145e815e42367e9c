"""Triggers run in simulated time, and the events that they fire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred


def in_simulated_time(trigger: Any, simulated_sleep: Callable[[float], object]) -> Any:
    """Let *trigger* sleep in simulated time, and make its own calls instead of sharing them."""

    async def sleep(seconds: float) -> None:
        simulated_sleep(seconds)
        await asyncio.sleep(0)

    trigger.sleep, trigger.shares_poller = sleep, False
    return trigger


def recreated(trigger: Any) -> Any:
    """Create *trigger* again from its serialized form, as a triggerer does."""
    _, arguments = trigger.serialize()
    return type(trigger)(**json.loads(json.dumps(arguments)))


async def only_event(trigger: Any) -> Any:
    """Run *trigger* to its end; it must fire exactly one event, whose payload is JSON."""
    (payload,) = [event.payload async for event in trigger.run()]
    assert json.loads(json.dumps(payload)) == payload
    return payload


async def report_of(trigger: Any) -> Any:
    """The report in the only event of *trigger*, which must not be an error."""
    event = await only_event(trigger)
    assert event["error"] is None
    return event["report"]


async def event_of(trigger: Any, simulated_sleep: Callable[[float], object]) -> Any:
    """Run *trigger* as a triggerer does, in simulated time, until it fires."""
    return await only_event(in_simulated_time(recreated(trigger), simulated_sleep))


async def executed(
    task: Any, context: Any, simulated_sleep: Callable[[float], object], **changes: Any
) -> Any:
    """
    Execute *task*, and where it defers run its trigger and ``execute_complete``.

    :param changes: attributes of the trigger, for example ``now``.
    """
    try:
        return task.execute(context)
    except TaskDeferred as deferral:
        trigger = in_simulated_time(recreated(deferral.trigger), simulated_sleep)
    vars(trigger).update(changes)
    return task.execute_complete(context, event=await only_event(trigger))
