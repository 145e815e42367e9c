"""Reads the captured files of the simulator from S3."""

from __future__ import annotations

import json
from typing import Any

BUCKET = "captures"


def keys(s3, *, within: str = "", bucket: str = BUCKET) -> list[str]:
    """Return the keys that contain *within*, such as ``/churn/AllTraffic/``, sorted."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sorted(
        found["Key"] for page in pages for found in page.get("Contents", ()) if within in found["Key"]
    )


def records(s3, *, within: str = "", bucket: str = BUCKET) -> list[dict[str, Any]]:
    """Return the records in the files with these keys, file by file."""
    texts = [
        s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        for key in keys(s3, within=within, bucket=bucket)
    ]
    assert all(text.endswith("\n") for text in texts)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def inputs(found: list[dict[str, Any]]) -> list[str]:
    return [record["captureData"]["endpointInput"]["data"] for record in found]


def outputs(found: list[dict[str, Any]]) -> list[str]:
    return [record["captureData"]["endpointOutput"]["data"] for record in found]


def times(found: list[dict[str, Any]]) -> list[str]:
    return metadata(found, "inferenceTime")


def metadata(found: list[dict[str, Any]], key: str) -> list[Any]:
    """Return this key of every eventMetadata; ``None`` if it is absent."""
    return [record["eventMetadata"].get(key) for record in found]


def inputs_by_id(found: list[dict[str, Any]]) -> dict[str, str]:
    """Return inferenceId -> input; every record must have its own id."""
    by_id = dict(zip(metadata(found, "inferenceId"), inputs(found), strict=True))
    assert None not in by_id
    assert len(by_id) == len(found)
    return by_id
