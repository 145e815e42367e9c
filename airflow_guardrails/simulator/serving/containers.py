"""The containers behind endpoints: processes that run models."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Timer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends
from moto.utilities.utils import get_partition

from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.resources import Model
from airflow_guardrails.simulator.serving.container_logs import ContainerLogs
from airflow_guardrails.simulator.serving.profiles import Fleet, Profile, Profiles
from airflow_guardrails.simulator.serving.worker import read_frame, write_frame

_COPIED_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
# One thread for each process: many models share few cores, and threads would spin.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_GRACE_SECONDS = 2
_MOST_PRINTED = 64 * 1024


class ContainerDied(RuntimeError):
    """The process ended, or was killed because it did not answer in time."""


class LoadFailed(RuntimeError):
    """The artefact could not be unpacked or loaded. The text comes from the model."""


class UnknownArtefact(LoadFailed):
    """The artefact is none that the simulator can serve."""


class Container:
    """
    One running model.

    :param artefact: content of its ``model.tar.gz``.
    :param environment: environment variables of its model.
    :param output: gets the lines that the process prints.
    :param timeout: seconds of real time for one call; SageMaker allows 60.
    :raises LoadFailed: if the model does not load.
    :raises ContainerDied: if the process ends while loading.
    """

    def __init__(
        self,
        artefact: bytes,
        *,
        environment: Mapping[str, str],
        output: Callable[[list[str]], object] = len,
        timeout: float = 60,
    ) -> None:
        self._timeout = timeout
        self.output = output
        # A file, which a process can fill while nobody reads; a pipe would stop it.
        self._printed = TemporaryFile()  # noqa: SIM115 - close() closes it
        # The process appends, also after the file was emptied here.
        fcntl.fcntl(self._printed, fcntl.F_SETFL, os.O_APPEND)
        # Both processes remove the folder when they end, because either may be killed.
        self._directory = TemporaryDirectory(prefix="simulated-container-", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "airflow_guardrails.simulator.serving.worker", self._directory.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            env=_environment(environment),
            # Python imports modules from here first. Only root can write there.
            cwd="/",
        )
        try:
            loaded = self._call(artefact)
        except ContainerDied:
            self.close()
            raise
        if not loaded["loaded"]:
            self.close()
            raise (UnknownArtefact if loaded["unknown"] else LoadFailed)(loaded["error"])

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def answer(self, bodies: Sequence[bytes], *, content_type: str, accept: str | None) -> dict[str, Any]:
        """
        Send a batch of request bodies and return what :func:`worker.answer` returns.

        :raises ContainerDied: if the process gives no answer.
        """
        request = {
            # JSON holds no bytes; latin-1 maps each byte to one character and back.
            "bodies": [body.decode("latin-1") for body in bodies],
            "content_type": content_type,
            "accept": accept,
        }
        return self._call(json.dumps(request).encode())

    def close(self) -> None:
        """End the process. It may be called twice."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._directory.cleanup()
        self._printed.close()

    def _call(self, payload: bytes) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        # A model may hang; killing its process ends a blocked write or read.
        watchdog = Timer(self._timeout, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            write_frame(self._process.stdin, payload)
            answer: dict[str, Any] = json.loads(read_frame(self._process.stdout))
        except (EOFError, OSError):
            # The output closes shortly before the process ends; the next call must not find it running.
            self._process.kill()
            self._process.wait()
            raise ContainerDied("the process of the model ended without a response") from None
        else:
            return answer
        finally:
            watchdog.cancel()
            self._hand_over_output()

    def _hand_over_output(self) -> None:
        """Hand over what was printed since the last call; of much output only the end."""
        size = 0 if self._printed.closed else os.fstat(self._printed.fileno()).st_size
        if not size:
            return
        printed = os.pread(self._printed.fileno(), _MOST_PRINTED, max(0, size - _MOST_PRINTED))
        os.ftruncate(self._printed.fileno(), 0)
        self.output(printed.decode(errors="replace").splitlines())


def _environment(of_model: Mapping[str, str]) -> dict[str, str]:
    # The code of a model must not get credentials, nor a home folder with a credentials file.
    passed_on = {name: os.environ[name] for name in _COPIED_VARIABLES if name in os.environ}
    # The later ones win: a model must not change the PYTHONPATH of this interpreter.
    # What a model prints must be there when its answer is.
    own = {**dict.fromkeys(_THREAD_VARIABLES, "1"), "PYTHONUNBUFFERED": "1"}
    return {**of_model, **passed_on, **own}


class _ArtefactNotFound(RuntimeError):
    """There is no object at the ModelDataUrl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Artefact:
    """A downloaded artefact."""

    etag: str
    content: bytes


def _fetch(url: str, *, account_id: str, region: str) -> _Artefact:
    """Return the object at an ``s3://bucket/key`` URL; raise _ArtefactNotFound."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise _ArtefactNotFound(f"ModelDataUrl must be s3://bucket/key (got {url!r})")
    try:
        found = s3_backends[account_id][get_partition(region)].get_object(
            parts.netloc, parts.path.lstrip("/")
        )
    except S3ClientError as error:
        raise _ArtefactNotFound(f"{url}: {error.message}") from error
    if found is None:
        raise _ArtefactNotFound(f"{url}: the object does not exist")
    return _Artefact(etag=found.etag, content=found.value)


# A limit on memory: each process holds an interpreter, its libraries and a model.
_MAX_RUNNING = 8
_PLACEHOLDER_SECONDS = 0.020
_PLACEHOLDER_BODY = b"0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    The response of a container.

    :param body: for an error, its text.
    :param seconds: latency of the model.
    """

    status: int
    body: bytes
    content_type: str
    seconds: float


class _Key(NamedTuple):
    model_name: str
    url: str
    shadow: bool


class _Where(NamedTuple):
    """Whose log gets what a container prints."""

    endpoint_name: str
    variant_name: str


@dataclass(slots=True, kw_only=True)
class _Deployed:
    artefact: _Artefact
    container: Container | None = None


class Containers:
    """
    The processes of all models of one region, each started when it is first needed.

    At most eight run at once. When a ninth is needed, the one that was used longest ago ends; it is started
    again when needed. A model without an artefact is replaced by a placeholder: ``0`` after 20 ms, changed by
    its profile; by a knob, so is one whose artefact is missing or unknown. A shadow has a process of its own,
    also for the model of the production variant.
    """

    def __init__(
        self, *, account_id: str, region: str, profiles: Profiles, knobs: Knobs, logs: ContainerLogs
    ) -> None:
        self._account_id = account_id
        self._region = region
        self._profiles = profiles
        self._knobs = knobs
        self._logs = logs
        self._deployed: OrderedDict[_Key, _Deployed] = OrderedDict()

    def healthy(self, model: Model, *, endpoint_name: str, variant_name: str, shadow: bool = False) -> bool:
        """Whether a new instance passes its ping: its artefact, as S3 has it now, can be loaded."""
        if self._profiles.never_healthy(model.name):
            self._logs.load_failed(endpoint_name, variant_name, model.name, "its profile is never_healthy")
            return False
        if model.model_data_url is None:
            return True
        where = _Where(endpoint_name, variant_name)
        try:
            self._deploy(model, _Key(model.name, model.model_data_url, shadow), where)
        except (_ArtefactNotFound, UnknownArtefact) as error:
            if self._knobs.unknown_artefact == "profile":
                self._logs.write(*where, [f"Served by its profile: {error}"])
                return True
            self._logs.load_failed(*where, model.name, str(error))
            return False
        except (LoadFailed, ContainerDied) as error:
            self._logs.load_failed(*where, model.name, str(error))
            return False
        return True

    def answer(
        self, fleet: Fleet, model: Model, bodies: Sequence[bytes], *, content_type: str, accept: str | None
    ) -> list[Answer]:
        """Return the responses to *bodies*, in order, changed by the profile of *fleet*."""
        answers = self._call(fleet, model, bodies, content_type, accept)
        profile = self._profiles.of(fleet, model.name)
        return [self._with_profile(profile, fleet, answer) for answer in answers] if profile else answers

    def close(self) -> None:
        """End all processes."""
        for deployed in self._deployed.values():
            _end(deployed)

    def _call(
        self, fleet: Fleet, model: Model, bodies: Sequence[bytes], content_type: str, accept: str | None
    ) -> list[Answer]:
        placeholder = Answer(
            status=200, body=_PLACEHOLDER_BODY, content_type="text/csv", seconds=_PLACEHOLDER_SECONDS
        )
        if model.model_data_url is None:
            return [placeholder] * len(bodies)
        where = _Where(fleet.endpoint_name, fleet.variant_name)
        try:
            container = self._running(model, _Key(model.name, model.model_data_url, fleet.shadow), where)
            return _answers(container.answer(bodies, content_type=content_type, accept=accept))
        except (_ArtefactNotFound, LoadFailed, ContainerDied) as error:
            is_unknown = isinstance(error, _ArtefactNotFound | UnknownArtefact)
            if is_unknown and self._knobs.unknown_artefact == "profile":
                return [placeholder] * len(bodies)
            failed = Answer(status=500, body=str(error).encode(), content_type="text/plain", seconds=0.0)
            return [failed] * len(bodies)

    def _running(self, model: Model, key: _Key, where: _Where) -> Container:
        deployed = self._deployed.get(key)
        if deployed is None:
            return self._deploy(model, key, where)
        # A running instance keeps what it has loaded, also if the object in S3 is replaced.
        return self._start(model, key, deployed.artefact, where)

    def _deploy(self, model: Model, key: _Key, where: _Where) -> Container:
        artefact = _fetch(key.url, account_id=self._account_id, region=self._region)
        return self._start(model, key, artefact, where)

    def _start(self, model: Model, key: _Key, artefact: _Artefact, where: _Where) -> Container:
        deployed = self._deployed.setdefault(key, _Deployed(artefact=artefact))
        self._deployed.move_to_end(key)
        # The object in S3 was replaced: a new instance loads the new content.
        if deployed.artefact.etag != artefact.etag:
            _end(deployed)
            deployed.artefact = artefact
        if deployed.container is None or not deployed.container.running:
            _end(deployed)
            self._stop_oldest()
            deployed.container = Container(
                artefact.content, environment=model.environment, output=partial(self._logs.write, *where)
            )
        # Endpoints with the same model share its process.
        deployed.container.output = partial(self._logs.write, *where)
        return deployed.container

    def _stop_oldest(self) -> None:
        running = [deployed for deployed in self._deployed.values() if deployed.container]
        for deployed in running[: max(0, len(running) - _MAX_RUNNING + 1)]:
            _end(deployed)

    def _with_profile(self, profile: Profile, fleet: Fleet, answer: Answer) -> Answer:
        slowed = replace(answer, seconds=self._profiles.latency(profile, fleet, answer.seconds))
        if not self._profiles.fails(profile, fleet):
            return slowed
        return replace(slowed, status=500, body=b"error by profile", content_type="text/plain")


def _answers(answers: dict[str, Any]) -> list[Answer]:
    return [
        Answer(status=status, body=body.encode("latin-1"), content_type=content_type, seconds=seconds)
        for status, body, content_type, seconds in answers["replies"]
    ]


def _end(deployed: _Deployed) -> None:
    if deployed.container:
        deployed.container.close()
        deployed.container = None
