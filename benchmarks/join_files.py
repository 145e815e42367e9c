"""Makes the captured data of one hour: files of both variants with the same requests, in random order."""

from __future__ import annotations

import json
import random
import uuid
from pathlib import Path

SEED = 20260302
FILES = 8
SIDES = ("production", "shadow")


def make_files(folder: Path, pairs: int) -> None:
    """Write *pairs* requests to 8 files of each side, about 550 bytes for each request and side."""
    for side in SIDES:
        order = list(range(pairs))
        random.Random(f"{SEED} {side}").shuffle(order)  # noqa: S311 - the same in every run
        for number in range(FILES):
            with (folder / f"{side}-{number}.jsonl").open("w") as file:
                file.writelines(_line(request, pairs, side) for request in order[number::FILES])


def files_of(folder: Path, side: str) -> list[Path]:
    """Return the files of "production" or "shadow" in their order."""
    return sorted(folder.glob(f"{side}-*.jsonl"))


def _line(request: int, pairs: int, side: str) -> str:
    chance = random.Random(SEED + request)  # noqa: S311 - the same in every run
    sent = ",".join(f"{chance.random():.4f}" for _ in range(8))
    score = chance.random()
    inference_id = uuid.UUID(int=chance.getrandbits(128))
    if side == "shadow":
        score = min(1.0, max(0.0, score + chance.gauss(0, 0.01)))
    answer = {"predictions": [{"label": "churn" if score > 0.5 else "stay", "score": score}]}  # noqa: PLR2004 - half
    event_id = uuid.UUID(int=random.Random(f"{request} {side}").getrandbits(128))  # noqa: S311 - the same in every run
    second = request * 3600 // pairs
    record = {
        "captureData": {
            "endpointInput": _part("text/csv", "INPUT", sent, "CSV"),
            "endpointOutput": _part("application/json", "OUTPUT", json.dumps(answer), "JSON"),
        },
        "eventMetadata": {
            "eventId": str(event_id),
            "inferenceId": str(inference_id),
            "inferenceTime": f"2026-03-02T10:{second // 60:02}:{second % 60:02}Z",
        },
        "eventVersion": "0",
    }
    return json.dumps(record) + "\n"


def _part(content_type: str, mode: str, data: str, encoding: str) -> dict[str, str]:
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}
