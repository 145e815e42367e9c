"""
Sessions for an event loop that never make it wait: what blocks happens in a thread, and only once.

The amazon provider's own sessions refresh the credentials of an assumed role inside the loop, and each parses
botocore's description of SageMaker anew, which takes more than twenty megabytes with a role.
"""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timezone
from functools import cached_property
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

from airflow_guardrails.aws.errors import (
    ConnectionNotFound,
    Unanswered,
    clean_answer,
    cleaned,
    named_text,
)
from airflow_guardrails.hooks._threads import Threads, in_thread

if TYPE_CHECKING:
    from aiobotocore.session import AioSession


class TerseLoader(JSONFileLoader):  # type: ignore[misc]
    """Reads botocore's descriptions of services without their prose, in plain dicts: half of the memory."""

    def load_file(self, file_path: str) -> Any:
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            if Path(file_path + suffix).is_file():
                with opened(file_path + suffix, "rb") as file:
                    return json.loads(file.read(), object_pairs_hook=_without_prose)
        return None


def _without_prose(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Emptied, not left out: botocore reads it where a service (S3) has parameters of the client's own.
    return {key: "" if key == "documentation" and isinstance(value, str) else value for key, value in pairs}


# botocore's descriptions of its services, parsed once for all sessions, by one thread at a time.
LOADER = Loader(file_loader=TerseLoader())
_PARSING = threading.Lock()

# One client asks for everybody, so it slows down for everybody when AWS throttles; and a connection that
# hangs is given up before long.
PATIENT = Config(
    retries={"mode": "adaptive", "total_max_attempts": 4},
    connect_timeout=10,
    read_timeout=20,
    max_pool_connections=20,
)

# Threads of one connection that may hang at once, each in a call that AWS does not answer.
_MOST_THREADS = 8

# Seconds between two tries to renew credentials that are still good.
RETRY_REFRESH = 60.0


class ThreadedCredentials(Credentials):  # type: ignore[misc]
    """
    boto3's credentials, of whatever kind, for an event loop.

    boto3 begins to renew them a quarter of an hour before their end, and would try so at every call, in the
    thread that calls. Here a thread does it, one for all who ask, and what is still good is used meanwhile.

    :param credentials: what a session of boto3 has resolved.
    """

    def __init__(self, credentials: Credentials) -> None:
        # What a client asks for is the frozen ones.
        super().__init__("", "")
        self._credentials = credentials
        self._known: ReadOnlyCredentials | None = None
        self._refreshing: asyncio.Future[ReadOnlyCredentials] | None = None
        self._tried_at = -math.inf
        self.method = credentials.method

    def get_account_id(self) -> None:
        """No endpoint of the services used here depends on it."""

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        if not self._needs_refresh():
            self._known = self._credentials.get_frozen_credentials()
        elif self._still_good() is None or time.monotonic() - self._tried_at >= RETRY_REFRESH:
            self._known = await self._refreshed()
        return self._known

    async def _refreshed(self) -> ReadOnlyCredentials:
        if self._refreshing is None or self._refreshing.done():
            self._tried_at = time.monotonic()
            work = asyncio.to_thread(self._credentials.get_frozen_credentials)
            self._refreshing = asyncio.ensure_future(work)
            self._refreshing.add_done_callback(_retrieve)
        try:
            # Whoever is cancelled must not take the others' refresh along.
            return await asyncio.shield(self._refreshing)
        except Exception:
            good = self._still_good()
            if good is None:
                raise
            return good  # boto3 has logged why

    def _needs_refresh(self) -> bool:
        return isinstance(self._credentials, RefreshableCredentials) and self._credentials.refresh_needed()

    def _still_good(self) -> ReadOnlyCredentials | None:
        return None if self._credentials.refresh_needed(refresh_in=0) else self._known


def _retrieve(refreshing: asyncio.Future[ReadOnlyCredentials]) -> None:
    """Take the error, or asyncio complains where all who asked have been cancelled."""
    if not refreshing.cancelled():
        refreshing.exception()


class SharingHook(AwsBaseHook):
    """
    An AWS hook whose clients share one session, and those for an event loop what it has learned besides.

    So a role is assumed once for all services, and not once for each.

    :param parent: a hook of the same connection, whose look-up and sessions are used.
    """

    def __init__(self, *, parent: SharingHook | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._kin = parent
        # Of this connection only: one whose role cannot be assumed now holds up no other.
        self.threads: Threads = Threads(most=_MOST_THREADS) if parent is None else parent.threads
        self._known: AwsConnectionWrapper | None = None
        self._sessions: dict[str | None, Session] = {}
        self._async_session: AioSession | None = None

    @property
    def conn_config(self) -> AwsConnectionWrapper:
        """
        The connection, looked up once.

        Not by cached_property: before Python 3.12 it has one lock for all hooks, and a secrets backend that
        hangs for one connection would hold up the look-ups of all.

        :raises aws.errors.ConnectionNotFound: if there is none of this name. The amazon provider would use
            the machine's own credentials, of an unknown account.
        """
        if self._kin is not None:
            return self._kin.conn_config
        if self._known is None:
            self._known = _look_up(self)
        if self.aws_conn_id and not self._known:
            raise ConnectionNotFound(name=self.aws_conn_id)
        return self._known

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Return boto3's session or, if *deferrable*, aiobotocore's; it may block, so call in a thread."""
        if self._kin is not None:
            return self._kin.get_session(region_name, deferrable)
        if not deferrable:
            if region_name not in self._sessions:
                session = super().get_session(region_name)
                _clean_errors(session.events)
                self._sessions[region_name] = session
            return self._sessions[region_name]
        if self._async_session is None:
            self._async_session = self._open_session(region_name)
        return self._async_session

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        if not deferrable:
            with without_secret_url():
                return super().get_client_type(region_name, config)
        _parse(self.service_name)
        return super().get_client_type(region_name, PATIENT.merge(config or self.config), deferrable=True)

    async def connecting(self, *, retries: bool = True) -> Any:
        """Make a client for an event loop, in a thread; it opens as a context manager."""
        return await in_thread(self.threads, self._connecting, retries=retries)

    def _connecting(self, *, retries: bool) -> Any:
        config = None if retries else self._without_retries
        return self.get_client_type(region_name=self.region_name, config=config, deferrable=True)

    @cached_property
    def _conn_without_retries(self) -> Any:
        return self.get_client_type(region_name=self.region_name, config=self._without_retries)

    @property
    def _without_retries(self) -> Config:
        return self.config.merge(Config(retries={"total_max_attempts": 1}))

    @cached_property
    def caller(self) -> str:
        """The operator that calls, for the user agent; the provider reads the source of the stack for it."""
        found: str = super()._get_caller() if self._kin is None else self._kin.caller
        return found

    def _get_caller(self, target_function_name: str = "execute") -> str:  # noqa: ARG002 - the provider's
        return self.caller

    def _open_session(self, region_name: str | None) -> AioSession:
        _parse_once("endpoints", "partitions", "sdk-default-configuration", "_retry")
        if self.conn_config.role_arn:
            _parse("sts")
        factory = _SharingFactory(conn=self.conn_config, region_name=region_name, config=self.config)
        return asynchronous_session(factory.create_session())


# What AwsBaseHook does behind its cached_property.
_look_up: Callable[[AwsBaseHook], AwsConnectionWrapper] = inspect.getattr_static(
    AwsBaseHook, "conn_config"
).func


class _SharingFactory(SessionFactory):  # type: ignore[misc, valid-type]
    """The factory that the user has configured, with the descriptions of services shared."""

    def _create_basic_session(self, session_kwargs: dict[str, Any]) -> Session:
        session = botocore.session.get_session()
        session.register_component("data_loader", LOADER)
        shared: Session = super()._create_basic_session({**session_kwargs, "botocore_session": session})
        # Each session of boto3 adds where its own are.
        LOADER.search_paths[:] = dict.fromkeys(LOADER.search_paths)
        return shared


def asynchronous_session(session: Session) -> AioSession:
    """Make aiobotocore's session of boto3's; its credentials and its parsed descriptions are shared."""
    from aiobotocore.credentials import AioCredentialResolver  # noqa: PLC0415 - a worker does without
    from aiobotocore.session import AioSession  # noqa: PLC0415

    opened = AioSession()
    opened.register_component("data_loader", LOADER)
    opened.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_moment)
    _clean_errors(opened.get_component("event_emitter"))
    opened.set_config_variable("region", session.region_name)
    if session.profile_name != "default":
        opened.set_config_variable("profile", session.profile_name)
    if (credentials := session.get_credentials()) is not None:
        opened._credentials = ThreadedCredentials(credentials)  # noqa: SLF001 - as the amazon provider does
    else:
        # Or each client would look for them again while it is built, and others wait for their turn.
        opened.register_component("credential_provider", AioCredentialResolver(providers=[]))
    return opened


def _clean_errors(events: Any) -> None:
    """Let no error of a client tell the credentials in an ``endpoint_url``, nor more than one line."""
    events.register_first("after-call-error", _clean_error)
    events.register_first("after-call", _clean_answer)


# What botocore's parsers raise for an answer that is not what its description says.
_UNREADABLE = (ResponseParserError, AttributeError, KeyError, TypeError)


# What a listener returns may be taken for an answer, so these return nothing.


def _clean_error(*, exception: Exception, **_: Any) -> None:
    cleaned(exception)
    if isinstance(exception, _UNREADABLE) or str(exception).startswith("Invalid timestamp"):
        # A page of a proxy, for example; the same call may well be answered a little later.
        raise Unanswered(reason=f"the answer cannot be read ({named_text(exception)})") from exception


def _clean_answer(*, parsed: Any, **_: Any) -> None:
    clean_answer(parsed)


@contextmanager
def without_secret_url() -> Iterator[None]:
    """Let boto3's refusal of an ``endpoint_url`` not show it."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith("Invalid endpoint"):
            raise
        raise ValueError(
            "endpoint_url must be a URL, as https://host:port (it is not shown: it may hold credentials)"
        ) from None


def parse_moment(value: Any) -> datetime:
    """Read a time of an answer; botocore's way, by the local zone, takes most of the time of a long list."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, timezone.utc)
    moment: datetime = parse_timestamp(value)
    return moment


@asynccontextmanager
async def building() -> AsyncIterator[None]:
    """Build one client at a time, and let the loop's other tasks have a turn before the next."""
    loop = asyncio.get_running_loop()
    site = _SITES.setdefault(loop, _Site())
    site.builders += 1
    try:
        async with site.lock:
            yield
            await asyncio.sleep(0)
    finally:
        site.builders -= 1
        if not site.builders:
            del _SITES[loop]


class _Site:
    """Where the clients of one event loop are built."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.builders = 0


_SITES: dict[asyncio.AbstractEventLoop, _Site] = {}


def _parse_once(*names: str) -> None:
    """Parse what all sessions share in one thread, or those of many connections would, each for itself."""
    with _PARSING:
        for name in names:
            LOADER.load_data(name)


def _parse(service: str) -> None:
    """Parse here, in a thread, most of what aiobotocore would parse in the event loop to build a client."""
    with _PARSING:
        LOADER.load_service_model(service, "service-2")
        LOADER.load_service_model(service, "endpoint-rule-set-1")
