"""
Write a call to AWS once, and get it as a sync and as an async method.

A call is a generator: it yields a :class:`Request`, gets AWS's response as the value of the ``yield``, and
returns the result. It does no I/O itself, so the same code serves boto3 and aiobotocore::

    class Calls:
        @Call
        def describe_endpoint(self, name: str) -> Steps[Endpoint]:
            return parse_endpoint((yield DESCRIBE_ENDPOINT(EndpointName=name)))

    class Hook(Calls, SyncClient): ...        # hook.describe_endpoint("churn") returns an Endpoint
    class AsyncCalls(Calls, AsyncClient): ... # await calls.describe_endpoint("churn") does too

An error of AWS is raised at the ``yield``, where the call can catch it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from airflow_guardrails.aws.operations import Request

_Arguments = ParamSpec("_Arguments")
_Page = TypeVar("_Page")
_Result = TypeVar("_Result")

# What a call yields, what is sent to it (AWS's response), and what it returns.
Steps = Generator[Request, Any, _Result]


class SyncClient:
    """Base class that turns every inherited :class:`Call` into a method that blocks."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, call in _calls_of(cls):
            setattr(cls, name, call.sync_method)

    def send(self, request: Request) -> Any:
        """Return the response or, for a paginated request, the list of all pages."""
        raise NotImplementedError

    def pages(self, request: Request) -> Iterator[Any]:
        """Yield the response's pages, each read when it is needed."""
        raise NotImplementedError


class AsyncClient:
    """Base class that turns every inherited :class:`Call` into a coroutine method."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, call in _calls_of(cls):
            setattr(cls, name, call.async_method)

    async def send(self, request: Request) -> Any:
        """Return the response or, for a paginated request, the list of all pages."""
        raise NotImplementedError

    def pages(self, request: Request) -> AsyncIterator[Any]:
        """Yield the response's pages, each read when it is needed."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class PagedRequest(Generic[_Page]):
    """A request whose pages are read one by one, and the parser of a page."""

    request: Request
    parse: Callable[[Any], _Page]


class ApiCall:
    """A call in its two forms. Both are functions whose first argument is the client."""

    def __init__(self, call: Callable[..., Any], *, sync_method: Any, async_method: Any) -> None:
        self.sync_method = _with_signature_of(call, sync_method)
        self.async_method = _with_signature_of(call, async_method)
        self.__doc__ = call.__doc__


class Call(ApiCall, Generic[_Arguments, _Result]):
    """Decorator for a generator that yields requests and returns the result."""

    def __init__(self, call: Callable[Concatenate[Any, _Arguments], Steps[_Result]]) -> None:
        super().__init__(call, sync_method=_sync_method(call), async_method=_async_method(call))

    # For mypy only. When the program runs, the client's class has functions in place of the calls.
    if TYPE_CHECKING:

        @overload
        def __get__(self, client: SyncClient, owner: type) -> Callable[_Arguments, _Result]: ...
        @overload
        def __get__(
            self, client: AsyncClient, owner: type
        ) -> Callable[_Arguments, Coroutine[Any, Any, _Result]]: ...
        def __get__(self, client: Any, owner: type) -> Any: ...


class PagedCall(ApiCall, Generic[_Arguments, _Page]):
    """Decorator for a function that returns a :class:`PagedRequest`; the method yields the parsed pages."""

    def __init__(self, call: Callable[Concatenate[Any, _Arguments], PagedRequest[_Page]]) -> None:
        super().__init__(call, sync_method=_sync_pages(call), async_method=_async_pages(call))

    if TYPE_CHECKING:

        @overload
        def __get__(self, client: SyncClient, owner: type) -> Callable[_Arguments, Iterator[_Page]]: ...
        @overload
        def __get__(self, client: AsyncClient, owner: type) -> Callable[_Arguments, AsyncIterator[_Page]]: ...
        def __get__(self, client: Any, owner: type) -> Any: ...


def _calls_of(cls: type) -> Iterator[tuple[str, ApiCall]]:
    for name in dir(cls):
        call = inspect.getattr_static(cls, name)
        if isinstance(call, ApiCall):
            yield name, call


# The two loops below differ only in ``await``. An error is thrown into the generator, which may handle it.


def _sync_method(call: Callable[..., Steps[Any]]) -> Any:
    def method(client: SyncClient, /, *args: Any, **kwargs: Any) -> Any:
        steps = call(client, *args, **kwargs)
        try:
            request = next(steps)
            while True:
                try:
                    response = client.send(request)
                except Exception as error:  # noqa: BLE001, PERF203 - the call handles it or raises it
                    request = steps.throw(error)
                else:
                    request = steps.send(response)
        except StopIteration as end:
            return end.value

    return method


def _async_method(call: Callable[..., Steps[Any]]) -> Any:
    async def method(client: AsyncClient, /, *args: Any, **kwargs: Any) -> Any:
        steps = call(client, *args, **kwargs)
        try:
            request = next(steps)
            while True:
                try:
                    response = await client.send(request)
                except Exception as error:  # noqa: BLE001, PERF203 - as above; a cancellation is no Exception
                    request = steps.throw(error)
                else:
                    request = steps.send(response)
        except StopIteration as end:
            return end.value

    return method


def _sync_pages(call: Callable[..., PagedRequest[Any]]) -> Any:
    def method(client: SyncClient, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        paged = call(client, *args, **kwargs)
        for page in client.pages(paged.request):
            yield paged.parse(page)

    return method


def _async_pages(call: Callable[..., PagedRequest[Any]]) -> Any:
    async def method(client: AsyncClient, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        paged = call(client, *args, **kwargs)
        async for page in client.pages(paged.request):
            yield paged.parse(page)

    return method


def _with_signature_of(call: Callable[..., Any], method: Any) -> Any:
    functools.update_wrapper(method, call)
    method.__signature__ = inspect.signature(call)
    return method
