"""
A call to AWS described once, for a hook that blocks and for an event loop.

A description sends nothing: it yields requests and is sent their answers. A :class:`Blocking` gets a method
of it that returns the result, an :class:`Awaiting` one that is awaited.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from airflow_guardrails.aws.operations import Request

Arguments = ParamSpec("Arguments")
Page = TypeVar("Page")
Result = TypeVar("Result")

# What a description yields, is sent and returns.
Steps = Generator[Request, Any, Result]


class Blocking:
    """Whoever sends requests and waits for their answers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, described in _descriptions(cls):
            setattr(cls, name, described.blocking)

    def send(self, request: Request) -> Any:
        """Return the answer, or the list of all pages."""
        raise NotImplementedError

    def pages(self, request: Request) -> Iterator[Any]:
        raise NotImplementedError


class Awaiting:
    """The same on an event loop."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, described in _descriptions(cls):
            setattr(cls, name, described.awaited)

    async def send(self, request: Request) -> Any:
        """Return the answer, or the list of all pages."""
        raise NotImplementedError

    def pages(self, request: Request) -> AsyncIterator[Any]:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Listing(Generic[Page]):
    """A request whose pages are read one by one: each is what *parse* makes of it."""

    request: Request
    parse: Callable[[Any], Page]


class Described:
    """A description and its two forms, as functions that take the caller first."""

    def __init__(self, describe: Callable[..., Any], *, blocking: Any, awaited: Any) -> None:
        self.blocking = _like(describe, blocking)
        self.awaited = _like(describe, awaited)
        self.__doc__ = describe.__doc__


class Call(Described, Generic[Arguments, Result]):
    """
    Decorates a description of a call.

    :param describe: a generator that yields requests and returns the result. Errors of AWS are raised at its
        ``yield``.
    """

    def __init__(self, describe: Callable[Concatenate[Any, Arguments], Steps[Result]]) -> None:
        super().__init__(describe, blocking=_blocking(describe), awaited=_awaited(describe))

    if TYPE_CHECKING:

        @overload
        def __get__(self, caller: Blocking, owner: type) -> Callable[Arguments, Result]: ...
        @overload
        def __get__(
            self, caller: Awaiting, owner: type
        ) -> Callable[Arguments, Coroutine[Any, Any, Result]]: ...
        def __get__(self, caller: Any, owner: type) -> Any: ...


class Pages(Described, Generic[Arguments, Page]):
    """
    Decorates a description of a call whose pages are wanted one by one.

    :param describe: returns the :class:`Listing`.
    """

    def __init__(self, describe: Callable[Concatenate[Any, Arguments], Listing[Page]]) -> None:
        super().__init__(describe, blocking=_pages(describe), awaited=_awaited_pages(describe))

    if TYPE_CHECKING:

        @overload
        def __get__(self, caller: Blocking, owner: type) -> Callable[Arguments, Iterator[Page]]: ...
        @overload
        def __get__(self, caller: Awaiting, owner: type) -> Callable[Arguments, AsyncIterator[Page]]: ...
        def __get__(self, caller: Any, owner: type) -> Any: ...


def _descriptions(cls: type) -> Iterator[tuple[str, Described]]:
    for name in dir(cls):
        described = inspect.getattr_static(cls, name)
        if isinstance(described, Described):
            yield name, described


def _blocking(describe: Callable[..., Steps[Any]]) -> Any:
    def call(caller: Blocking, /, *args: Any, **kwargs: Any) -> Any:
        steps = describe(caller, *args, **kwargs)
        try:
            request = next(steps)
            while True:
                request = _resume(steps, *_outcome(caller, request))
        except StopIteration as end:
            return end.value

    return call


def _awaited(describe: Callable[..., Steps[Any]]) -> Any:
    async def call(caller: Awaiting, /, *args: Any, **kwargs: Any) -> Any:
        steps = describe(caller, *args, **kwargs)
        try:
            request = next(steps)
            while True:
                request = _resume(steps, *await _awaited_outcome(caller, request))
        except StopIteration as end:
            return end.value

    return call


def _outcome(caller: Blocking, request: Request) -> tuple[Any, Exception | None]:
    try:
        return caller.send(request), None
    except Exception as error:  # noqa: BLE001 - the description decides
        return None, error


async def _awaited_outcome(caller: Awaiting, request: Request) -> tuple[Any, Exception | None]:
    try:
        return await caller.send(request), None
    except Exception as error:  # noqa: BLE001 - the description decides; a cancellation is none of these
        return None, error


def _resume(steps: Steps[Any], answer: Any, error: Exception | None) -> Request:
    return steps.send(answer) if error is None else steps.throw(error)


def _pages(describe: Callable[..., Listing[Any]]) -> Any:
    def call(caller: Blocking, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        listing = describe(caller, *args, **kwargs)
        for page in caller.pages(listing.request):
            yield listing.parse(page)

    return call


def _awaited_pages(describe: Callable[..., Listing[Any]]) -> Any:
    async def call(caller: Awaiting, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        listing = describe(caller, *args, **kwargs)
        async for page in caller.pages(listing.request):
            yield listing.parse(page)

    return call


def _like(describe: Callable[..., Any], call: Any) -> Any:
    """Give *call* the name, text and arguments of its description."""
    functools.update_wrapper(call, describe)
    call.__signature__ = inspect.signature(describe)
    return call
