"""Data capture: its objects in S3."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import blake2b
from typing import NamedTuple

# s3://<destination>/{endpoint}/{variant}/yyyy/mm/dd/hh/*.jsonl, in UTC (developer guide, "Capture data from
# real-time endpoint"). AWS does not document whether an experiment puts its name before the endpoint's.
_KEY = re.compile(
    r"(?:^|/)(?P<endpoint>[^/]+)/(?P<variant>[^/]+)"
    r"/(?P<hour>[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2})/[^/]+\.jsonl$"
)
_HOUR = "%Y/%m/%d/%H"


class S3Object(NamedTuple):
    """An object as S3 lists it: *etag* is different for other content, *size* in bytes."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureKey:
    """The parts of an S3 key: whose requests the object has, and of which hour (UTC)."""

    endpoint_name: str
    variant_name: str
    hour: datetime


def parse_capture_key(key: str) -> CaptureKey | None:
    """Return the parts of an S3 *key*; None if the object has no captured data."""
    if (found := _KEY.search(key)) is None:
        return None
    try:
        hour = datetime.strptime(found["hour"], _HOUR).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return CaptureKey(endpoint_name=found["endpoint"], variant_name=found["variant"], hour=hour)


def captured_objects(objects: Iterable[S3Object], wanted: CaptureKey) -> list[S3Object]:
    """Return those of *objects* that have the requests of the variant and hour, in the same order."""
    return [each for each in objects if parse_capture_key(each.key) == wanted]


def digest_of(objects: Iterable[S3Object]) -> str:
    """Return a digest of the objects and their content; it does not depend on their order."""
    names = sorted(f"{each.key} {each.etag}" for each in objects)
    return blake2b("\n".join(names).encode(), digest_size=12).hexdigest()


def capture_prefix(destination_prefix: str, wanted: CaptureKey, *, experiment_name: str | None = None) -> str:
    """
    Return the S3 prefix of the objects of a variant and hour.

    :param experiment_name: returns the prefix for the case that an experiment puts its name in front.
    """
    hour = wanted.hour.astimezone(timezone.utc).strftime(_HOUR)
    levels = [destination_prefix.strip("/"), experiment_name, wanted.endpoint_name, wanted.variant_name, hour]
    return "/".join(level for level in levels if level) + "/"
