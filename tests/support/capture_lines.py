"""Lines of captured data, made as tests need them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

TEN = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)


def capture_line(
    answer: Any = 1.0,
    *,
    at: float = 60.0,
    inference_id: str = "",
    event_id: str = "",
    sent: str = "",
    text: str | None = None,
    **metadata: Any,
) -> str:
    """A request *at* so many seconds after ten; its answer is *answer* as JSON, or *text* as it is."""
    data: dict[str, Any] = {}
    if sent:
        data["endpointInput"] = _part("INPUT", sent, "CSV")
    if text is not None or answer is not None:
        data["endpointOutput"] = _part("OUTPUT", json.dumps(answer) if text is None else text, "JSON")
    moment = TEN + timedelta(seconds=at)
    ids = {"inferenceId": inference_id, "eventId": event_id}
    return json.dumps(
        {
            "captureData": data,
            "eventMetadata": {
                **{name: value for name, value in ids.items() if value},
                "inferenceTime": moment.isoformat().replace("+00:00", "Z"),
                **metadata,
            },
            "eventVersion": "0",
        }
    )


def hour_of(line: str) -> str:
    """The hour of a line's time."""
    hour: str = json.loads(line)["eventMetadata"]["inferenceTime"][:13]
    return hour


def _part(mode: str, data: str, encoding: str) -> dict[str, str]:
    return {"observedContentType": "text/csv", "mode": mode, "data": data, "encoding": encoding}
