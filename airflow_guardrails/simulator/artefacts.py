"""Model artefacts, read from moto's S3 in this process."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends
from moto.utilities.utils import get_partition


class ArtefactNotFound(RuntimeError):
    """There is nothing to fetch at a ModelDataUrl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    etag: str
    content: bytes


def fetch(url: str, *, account_id: str, region: str) -> Artefact:
    """The object at an ``s3://bucket/key`` url; raises ArtefactNotFound."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ArtefactNotFound(f"ModelDataUrl must be s3://bucket/key (got {url!r})")
    try:
        found = s3_backends[account_id][get_partition(region)].get_object(
            parts.netloc, parts.path.lstrip("/")
        )
    except S3ClientError as error:
        raise ArtefactNotFound(f"{url}: {error.message}") from error
    if found is None:
        raise ArtefactNotFound(f"{url}: there is no such object")
    return Artefact(etag=found.etag, content=found.value)
