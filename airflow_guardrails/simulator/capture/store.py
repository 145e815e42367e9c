"""Write captured files to moto's S3 in this process."""

from __future__ import annotations

import logging
from datetime import timezone
from urllib.parse import urlsplit

from moto.s3.exceptions import S3ClientError
from moto.s3.models import S3Backend, s3_backends
from moto.utilities.utils import get_partition

from airflow_guardrails.simulator.engine.clock import Clock

log = logging.getLogger(__name__)


class CaptureStore:
    """
    Stores captured files. Their time of modification is simulated.

    A file that cannot be stored is lost; the log says so once for each destination, and traffic continues.
    """

    def __init__(self, *, account_id: str, region: str, clock: Clock) -> None:
        self._account_id = account_id
        self._partition = get_partition(region)
        self._clock = clock
        self._logged: set[str] = set()

    def put(self, destination: str, key: str, content: bytes) -> None:
        """Store *content* under *key* below *destination*, an ``s3://`` URL."""
        parts = urlsplit(destination)
        if parts.scheme != "s3":
            self._warn_once(destination, "the destination must be s3://bucket/prefix")
            return
        # The destination may be a bucket without a prefix.
        whole_key = f"{parts.path.strip('/')}/{key}".lstrip("/")
        try:
            stored = self._s3.put_object(parts.netloc, whole_key, content)
        except S3ClientError as error:
            self._warn_once(destination, error.message)
        else:
            # moto would set real time. It keeps times in UTC without a zone.
            stored.last_modified = self._clock.now().astimezone(timezone.utc).replace(tzinfo=None)

    @property
    def _s3(self) -> S3Backend:
        return s3_backends[self._account_id][self._partition]

    def _warn_once(self, destination: str, reason: str) -> None:
        if destination not in self._logged:
            self._logged.add(destination)
            log.warning("Captured records for %s are lost: %s", destination, reason)
