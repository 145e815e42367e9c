"""
Sessions and clients of boto3 and aiobotocore, made so that thousands of waits fit on one event loop.

The amazon provider makes a session for each client. It assumes a role for each, refreshes credentials inside
the event loop, and parses botocore's service descriptions again for each session. What the parts here save,
for one process with 50 connections (``python benchmarks/sessions.py``; a pause is CPU in one turn of the
loop):

- Service descriptions shared by all sessions (``_SharedDescriptions``): 65 MB instead of 810 MB, and 1.7 s of
  CPU instead of 8.9 s.
- Descriptions without prose (``_TerseLoader``): 13 MB instead of 22 MB with one connection. Without it, a
  single wait takes more memory than the amazon provider's (``python benchmarks/waits.py --rows one``).
- Descriptions parsed in a thread (``_parse``): the first client pauses the loop for 10 ms instead of 75 ms.
- Clients built one at a time (``one_client_at_a_time``): pauses of 110 ms instead of 280 ms; with neither of
  the two, 500 ms.
- Times parsed as UTC (``_parse_time``): a page of ListEndpoints takes 0.5 ms instead of 2.1 ms of CPU.
- Long responses parsed in a thread (``_with_threads``): the metrics of an analysis with 50 rules would pause
  the loop for 300 ms.

Three parts are not about speed: ``ThreadedCredentials`` keeps a slow STS from stopping the event loop,
``SharingHook`` assumes a role once for all services, and ``_clean_errors`` keeps credentials in an
``endpoint_url`` out of logs. ``tests/unit/hooks/test_sessions.py`` tests each part against the installed
botocore, aiobotocore and amazon provider, because all of them use private names of these.
"""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timezone
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, SessionFactory
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from boto3.session import Session
from botocore.config import Config
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.loaders import JSONFileLoader, Loader
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from airflow_guardrails.aws import unknown_fields
from airflow_guardrails.aws.errors import (
    ConnectionNotFound,
    Unanswered,
    clean_answer,
    cleaned,
    named_text,
)
from airflow_guardrails.hooks._threads import Threads, in_computing_thread, in_thread

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


class _TerseLoader(JSONFileLoader):  # type: ignore[misc]
    """Reads botocore's service descriptions without their documentation texts."""

    def load_file(self, file_path: str) -> Any:
        for suffix, open_file in ((".json", open), (".json.gz", gzip.open)):
            if Path(file_path + suffix).is_file():
                with open_file(file_path + suffix, "rb") as file:
                    return json.loads(file.read(), object_pairs_hook=_without_prose)
        return None


def _without_prose(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Emptied, not left out: botocore reads the text when it adds client parameters of its own (S3).
    return {key: "" if key == "documentation" and isinstance(value, str) else value for key, value in pairs}


# Service descriptions, shared by all sessions of the process. The lock lets one thread parse at a time.
LOADER = Loader(file_loader=_TerseLoader())
_PARSING = threading.Lock()

# Many waits share a client: if AWS throttles one, all slow down ("adaptive"). A hanging connection ends soon.
SHARED_CLIENT_CONFIG = Config(
    retries={"mode": "adaptive", "total_max_attempts": 4},
    connect_timeout=10,
    read_timeout=20,
    max_pool_connections=20,
)

# Threads of one connection that may hang at the same time in a call without a response.
_MOST_THREADS = 8

# Seconds between two attempts to refresh credentials that are still valid.
REFRESH_RETRY_SECONDS = 60.0


class ThreadedCredentials(Credentials):  # type: ignore[misc]
    """
    boto3's credentials for an event loop: refreshed in a thread, once for all calls that need them.

    boto3 starts to refresh 15 minutes before the end, and would try again at every call, in the calling
    thread. Here the old credentials are used meanwhile, as long as they are valid.

    :param credentials: the credentials that a boto3 session has resolved.
    """

    def __init__(self, credentials: Credentials) -> None:
        # Empty keys: clients only call get_frozen_credentials().
        super().__init__("", "")
        self._credentials = credentials
        self._last: ReadOnlyCredentials | None = None
        self._refresh: asyncio.Future[ReadOnlyCredentials] | None = None
        self._tried_at = -math.inf
        self.method = credentials.method

    def get_account_id(self) -> None:
        """Return None: no service used here has the account in its endpoint."""

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return valid credentials; wait for a refresh only if the last ones have expired."""
        if not self._needs_refresh():
            self._last = self._credentials.get_frozen_credentials()
        elif self._still_valid() is None or time.monotonic() - self._tried_at >= REFRESH_RETRY_SECONDS:
            self._last = await self._refreshed()
        return self._last

    async def _refreshed(self) -> ReadOnlyCredentials:
        if self._refresh is None or self._refresh.done():
            self._tried_at = time.monotonic()
            work = asyncio.to_thread(self._credentials.get_frozen_credentials)
            self._refresh = asyncio.ensure_future(work)
            self._refresh.add_done_callback(_retrieve)
        try:
            # Shielded: if one caller is cancelled, the refresh goes on for the others.
            return await asyncio.shield(self._refresh)
        except Exception:
            valid = self._still_valid()
            if valid is None:
                raise
            return valid  # boto3 has logged the error

    def _needs_refresh(self) -> bool:
        return isinstance(self._credentials, RefreshableCredentials) and self._credentials.refresh_needed()

    def _still_valid(self) -> ReadOnlyCredentials | None:
        return None if self._credentials.refresh_needed(refresh_in=0) else self._last


def _retrieve(refresh: asyncio.Future[ReadOnlyCredentials]) -> None:
    """Retrieve the error, or asyncio logs it as never retrieved if all callers were cancelled."""
    if not refresh.cancelled():
        refresh.exception()


class SharingHook(AwsBaseHook):
    """
    An AWS hook that shares connection, sessions and threads with the hooks of other services.

    :param parent: the hook of the same connection to share with; None: this hook is the parent.
    """

    def __init__(self, *, parent: SharingHook | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._parent = parent
        # For this connection only: if its role cannot be assumed now, other connections do not wait.
        self.threads: Threads = Threads(most=_MOST_THREADS) if parent is None else parent.threads
        self._connection_found: AwsConnectionWrapper | None = None
        self._sessions: dict[str | None, Session] = {}
        self._async_session: AioSession | None = None

    @property
    def conn_config(self) -> AwsConnectionWrapper:
        """
        The Airflow connection, looked up once.

        :raises aws.errors.ConnectionNotFound: if there is no such connection. The amazon provider would use
            the machine's own credentials, which may be of another account.
        """
        # Not a cached_property: before Python 3.12 all hooks share its lock, so one secrets backend that
        # hangs would stop the look-ups of all connections.
        if self._parent is not None:
            return self._parent.conn_config
        if self._connection_found is None:
            self._connection_found = _look_up(self)
        if self.aws_conn_id and not self._connection_found:
            raise ConnectionNotFound(name=self.aws_conn_id)
        return self._connection_found

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Return boto3's session or, if *deferrable*, aiobotocore's. May block: on a loop, use a thread."""
        if self._parent is not None:
            return self._parent.get_session(region_name, deferrable)
        if not deferrable:
            if region_name not in self._sessions:
                session = super().get_session(region_name)
                _listen(session.events)
                self._sessions[region_name] = session
            return self._sessions[region_name]
        if self._async_session is None:
            self._async_session = self._new_async_session(region_name)
        return self._async_session

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Return a boto3 client or, if *deferrable*, aiobotocore's context manager that builds one."""
        if not deferrable:
            with without_secret_url():
                return super().get_client_type(region_name, config)
        _parse(self.service_name)
        config = SHARED_CLIENT_CONFIG.merge(config or self.config)
        return super().get_client_type(region_name, config, deferrable=True)

    async def async_client(self, *, retries: bool = True) -> Any:
        """Prepare an aiobotocore client in a thread; return the context manager that builds it."""
        return await in_thread(
            self.threads,
            self.get_client_type,
            region_name=self.region_name,
            config=None if retries else self._config_without_retries,
            deferrable=True,
        )

    @cached_property
    def conn_without_retries(self) -> Any:
        """The boto3 client for calls that must not be retried."""
        return self.get_client_type(region_name=self.region_name, config=self._config_without_retries)

    @property
    def _config_without_retries(self) -> Config:
        return self.config.merge(Config(retries={"total_max_attempts": 1}))

    @cached_property
    def caller(self) -> str:
        """The calling operator's class name, for the user agent. A sibling is created too late to find it."""
        name: str = super()._get_caller() if self._parent is None else self._parent.caller
        return name

    def _get_caller(self, target_function_name: str = "execute") -> str:  # noqa: ARG002 - the provider's
        return self.caller

    def _new_async_session(self, region_name: str | None) -> AioSession:
        if self.conn_config.role_arn:
            _parse("sts")
        factory = _SharedDescriptions(conn=self.conn_config, region_name=region_name, config=self.config)
        return async_session(factory.create_session())


# The function behind AwsBaseHook's cached_property.
_look_up: Callable[[AwsBaseHook], AwsConnectionWrapper] = inspect.getattr_static(
    AwsBaseHook, "conn_config"
).func


class _SharedDescriptions(SessionFactory):  # type: ignore[misc, valid-type]
    """The session factory that the user has configured, with shared service descriptions."""

    def _create_basic_session(self, session_kwargs: dict[str, Any]) -> Session:
        session = botocore.session.get_session()
        session.register_component("data_loader", LOADER)
        shared: Session = super()._create_basic_session({**session_kwargs, "botocore_session": session})
        # Each boto3 session adds its own path again.
        LOADER.search_paths[:] = dict.fromkeys(LOADER.search_paths)
        return shared


def async_session(session: Session) -> AioSession:
    """Return an aiobotocore session with the region, profile and credentials of boto3's *session*."""
    from aiobotocore.credentials import AioCredentialResolver  # noqa: PLC0415 - a worker does not need it
    from aiobotocore.session import AioSession  # noqa: PLC0415

    new = AioSession()
    new.register_component("data_loader", LOADER)
    parsers = new.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_parse_time)
    _with_threads(parsers)
    _listen(new.get_component("event_emitter"))
    new.set_config_variable("region", session.region_name)
    if session.profile_name != "default":
        new.set_config_variable("profile", session.profile_name)
    if (credentials := session.get_credentials()) is not None:
        new._credentials = ThreadedCredentials(credentials)  # noqa: SLF001 - as the amazon provider does
    else:
        # Without this, each client would search for credentials again while it is built.
        new.register_component("credential_provider", AioCredentialResolver(providers=[]))
    return new


def _listen(events: Any) -> None:
    """Register what listens to the clients of a session."""
    _clean_errors(events)
    events.register(unknown_fields.EVENT, unknown_fields.note_unknown_fields)


def _clean_errors(events: Any) -> None:
    """Make clients' error texts one line, without the credentials that an ``endpoint_url`` may contain."""
    events.register_first("after-call-error", _clean_error)
    events.register_first("after-call", _clean_response)


# What botocore's parsers raise for a response that does not match the service description.
_UNREADABLE = (ResponseParserError, AttributeError, KeyError, TypeError)


# botocore takes what a listener returns for the response, so the two below return None.


def _clean_error(*, exception: Exception, **_: Any) -> None:
    cleaned(exception)
    if isinstance(exception, _UNREADABLE) or str(exception).startswith("Invalid timestamp"):
        # For example a proxy's page. The same call may succeed later.
        raise Unanswered(reason=f"response cannot be read ({named_text(exception)})") from exception


def _clean_response(*, parsed: Any, **_: Any) -> None:
    clean_answer(parsed)


@contextmanager
def without_secret_url() -> Iterator[None]:
    """Replace boto3's error about an invalid ``endpoint_url``, which shows the URL, by one without it."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Invalid endpoint"):
            raise
        raise ValueError(
            "endpoint_url must be a URL, as https://host:port (it is not shown: it may hold credentials)"
        ) from None


def _parse_time(value: Any) -> datetime:
    """Parse a time of a response. botocore's own parser converts numbers to the local zone, which is slow."""
    if isinstance(value, int | float):
        return _utc(value)
    parsed: datetime = parse_timestamp(value)
    return parsed


@lru_cache(maxsize=4096)
def _utc(seconds: float) -> datetime:
    # All series of GetMetricData have the same minutes, and one object for each takes less memory.
    return datetime.fromtimestamp(seconds, timezone.utc)


# Such a response takes about 5 ms to parse. A page of ListEndpoints is shorter, and does not wait for the
# thread.
_LONG_RESPONSE = 50_000  # bytes


def _with_threads(parsers: Any) -> None:
    """Let the parsers that the factory *parsers* creates parse long responses in a thread."""
    create_parser = parsers.create_parser

    def create(protocol_name: str) -> Any:
        parser = create_parser(protocol_name)
        parse = parser.parse

        async def parse_in_thread(response: dict[str, Any], shape: Any) -> Any:
            body = response.get("body")
            # An event stream has a body that is read on the loop, later.
            if not isinstance(body, bytes) or len(body) < _LONG_RESPONSE:
                return await parse(response, shape)
            return await in_computing_thread(_run_without_loop, parse, response, shape)

        parser.parse = parse_in_thread
        return parser

    parsers.create_parser = create


def _run_without_loop(parse: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """Run a coroutine that waits for nothing: a parser is one only for the sake of event streams."""
    parsing = parse(*args)
    try:
        parsing.send(None)
    except StopIteration as end:
        return end.value
    parsing.close()
    raise RuntimeError("aiobotocore's parser waits for something, so it cannot parse in a thread")


@asynccontextmanager
async def one_client_at_a_time() -> AsyncIterator[None]:
    """Let one task of the loop build a client, then give the loop's other tasks a turn."""
    loop = asyncio.get_running_loop()
    turn = _TURNS.setdefault(loop, _Turn())
    turn.users += 1
    try:
        async with turn.lock:
            yield
            await asyncio.sleep(0)
    finally:
        turn.users -= 1
        if not turn.users:
            del _TURNS[loop]


class _Turn:
    """The lock of one event loop, and how many tasks use it: the last one removes it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


_TURNS: dict[asyncio.AbstractEventLoop, _Turn] = {}


def _parse(service: str) -> None:
    """Parse, in the calling thread, what aiobotocore would otherwise parse on the event loop."""
    with _PARSING:
        LOADER.load_service_model(service, "service-2")
        LOADER.load_service_model(service, "endpoint-rule-set-1")
