"""
One captured request as a line of JSON.

Source: SageMaker developer guide, "Capture data from real-time endpoint".
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from airflow_guardrails.simulator.sagemaker.capture_rules import BASE64, CaptureRule
from airflow_guardrails.simulator.serving.containers import Answer
from airflow_guardrails.simulator.serving.traffic import InvocationRequest

# The value in the developer guide's example.
_EVENT_VERSION = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    A request and its response.

    :param content_type: of the request.
    :param event: 128 bits that become the eventId.
    :param source: the invocationSource; None leaves it out.
    """

    request: InvocationRequest
    answer: Answer
    content_type: str
    event: int
    source: str | None
    at: datetime


def line(rule: CaptureRule, exchange: Exchange) -> str:
    """Return the record of *exchange* with the sides that *rule* captures."""
    data = {}
    request, answer = exchange.request, exchange.answer
    if rule.input:
        data["endpointInput"] = _side(rule, "INPUT", request.body, exchange.content_type)
    if rule.output:
        data["endpointOutput"] = _side(rule, "OUTPUT", answer.body, answer.content_type)
    metadata = {
        "eventId": uuid(exchange.event),
        "inferenceId": request.inference_id,
        "invocationSource": exchange.source,
        "inferenceTime": exchange.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    record = {
        "captureData": data,
        "eventMetadata": {key: value for key, value in metadata.items() if value is not None},
        "eventVersion": _EVENT_VERSION,
    }
    return json.dumps(record, separators=(",", ":"))


def uuid(bits: int) -> str:
    """Return a version 4 UUID of 128 random bits."""
    return str(UUID(int=bits, version=4))


def _side(rule: CaptureRule, mode: str, body: bytes, content_type: str) -> dict[str, Any]:
    encoding = rule.encodings.of(content_type)
    # AWS records base64 for content types that are not listed as CSV or JSON.
    text = base64.b64encode(body).decode() if encoding == BASE64 else body.decode(errors="replace")
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}
