"""News of endpoints from an SQS queue that an EventBridge rule fills: one long poll for all waits."""

from __future__ import annotations

import asyncio
import logging

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.endpoint import EndpointLook
from airflow_guardrails.triggers.connection import SharedConnection
from airflow_guardrails.triggers.poller import Poller

log = logging.getLogger(__name__)

# Seconds between two tries at a queue that does not answer; lists have their beat meanwhile.
TRY_AGAIN_AFTER = 30.0
# Seconds after an answer that had nothing for us: what is somebody else's may come again at once.
FOREIGN_PAUSE = 1.0


async def listen(queue_url: str, connection: SharedConnection, poller: Poller[EndpointLook]) -> None:
    """Tell *poller* of each event, for ever; while the queue gives no answer, lists are relied on again."""
    while True:
        await _pause(await _listen_once(queue_url, connection, poller))


async def _listen_once(queue_url: str, connection: SharedConnection, poller: Poller[EndpointLook]) -> float:
    """Return how long not to ask again."""
    try:
        names = await (await connection.calls()).endpoints_in_events(queue_url)
    except Exception as error:  # noqa: BLE001 - a bug here must cost no wait more than its news
        _lost(queue_url, error, connection, poller)
        return TRY_AGAIN_AFTER
    poller.is_told = True
    for name in names:
        poller.tell(name)
    return 0.0 if names else FOREIGN_PAUSE


def _lost(
    queue_url: str, error: Exception, connection: SharedConnection, poller: Poller[EndpointLook]
) -> None:
    log.log(
        logging.DEBUG if poller.is_told is False else logging.WARNING,  # it is said once
        "No events come from %s, so endpoints are listed at each beat again: %s",
        queue_url,
        error,
        exc_info=not isinstance(error, (ClientError, BotoCoreError)),
    )
    poller.is_told = False
    if errors.is_refused(error):
        connection.refused()


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)
