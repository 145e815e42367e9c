"""The hook that makes this package's calls to AWS, and the same calls for an event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import Any

from botocore.config import Config

from airflow_guardrails.aws import operations as op
from airflow_guardrails.aws.operations import Operation, Request
from airflow_guardrails.hooks._calls import Calls
from airflow_guardrails.hooks._describing import Awaiting, Blocking
from airflow_guardrails.hooks._sessions import SharingHook, building, without_secret_url

# Bytes of an S3 object that are read at once.
_CHUNK = 2**20


class GuardrailsHook(Calls, Blocking, SharingHook):
    """
    SageMaker endpoints and the alarms that guard them.

    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default credential chain.
    :param region_name: AWS region; default: the connection's.
    :param verify: whether, or with which certificates, TLS is verified.
    :param config: arguments of ``botocore.config.Config``.
    """

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        config: Config | dict[str, Any] | None = None,
    ) -> None:
        connection: dict[str, Any] = {
            "aws_conn_id": aws_conn_id,
            "region_name": region_name,
            "verify": verify,
            "config": config,
        }
        super().__init__(client_type="sagemaker", **connection)
        self._connection = connection

    @property
    def key(self) -> str:
        """The same for hooks of the same connection, region and configuration; they may share clients."""
        config = self._connection["config"]
        options = config._user_provided_options if isinstance(config, Config) else config  # noqa: SLF001
        return json.dumps({**self._connection, "config": options}, sort_keys=True, default=str)

    def sibling(self, client_type: str) -> SharingHook:
        """Return a hook of the same connection for another service of AWS."""
        return SharingHook(parent=self, client_type=client_type, **self._connection)

    def serving(self, service: str) -> SharingHook:
        """Return the hook for *service*: this one, or its sibling."""
        found: SharingHook = self if service == "sagemaker" else getattr(self, f"_{service}")
        return found

    @asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[AsyncCalls]:
        """
        Open the same calls for an event loop; clients are built when first needed and closed at the end.
        """
        async with AsyncExitStack() as stack:
            yield AsyncCalls(self, stack)

    def send(self, request: Request) -> Any:
        client = self._client_for(request.operation)
        if request.paginated:
            return list(_paginate(client, request))
        return getattr(client, request.operation.name)(**request.arguments)

    def pages(self, request: Request) -> Iterator[Any]:
        return iter(_paginate(self._client_for(request.operation), request))

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys of all S3 objects below *prefix*."""
        for page in self.keys_by_page(bucket, prefix):
            yield from page

    def lines(self, bucket: str, key: str) -> Iterator[bytes]:
        """Yield the lines of an S3 object, which is never held whole. Only a worker reads objects."""
        body = self.send(op.GET_OBJECT(Bucket=bucket, Key=key))["Body"]
        yield from body.iter_lines(chunk_size=_CHUNK)

    def _client_for(self, operation: Operation) -> Any:
        hook = self.serving(operation.service)
        return hook._conn_without_retries if operation.once else hook.conn  # noqa: SLF001 - a sibling's

    @cached_property
    def _cloudwatch(self) -> SharingHook:
        return self.sibling("cloudwatch")

    @cached_property
    def _s3(self) -> SharingHook:
        return self.sibling("s3")


class AsyncCalls(Calls, Awaiting):
    """The calls of *hook* for an event loop, by clients that *stack* closes."""

    def __init__(self, hook: GuardrailsHook, stack: AsyncExitStack) -> None:
        self._hook = hook
        self._stack = stack
        # By service; those without retries have a name of their own.
        self._clients: dict[str, Any] = {}
        self._opening = asyncio.Lock()

    async def send(self, request: Request) -> Any:
        client = await self._client_for(request.operation)
        if request.paginated:
            return [page async for page in _paginate(client, request)]
        return await getattr(client, request.operation.name)(**request.arguments)

    async def pages(self, request: Request) -> AsyncIterator[Any]:
        async for page in _paginate(await self._client_for(request.operation), request):
            yield page

    async def _client_for(self, operation: Operation) -> Any:
        return await self._client(self._hook.serving(operation.service), retries=not operation.once)

    async def _client(self, hook: SharingHook, *, retries: bool = True) -> Any:
        name = str(hook.client_type) if retries else f"{hook.client_type} without retries"
        async with self._opening:
            if name not in self._clients:
                connecting = await hook.connecting(retries=retries)
                async with building():
                    with without_secret_url():
                        self._clients[name] = await self._stack.enter_async_context(connecting)
            return self._clients[name]


def _paginate(client: Any, request: Request) -> Any:
    return client.get_paginator(request.operation.name).paginate(**request.arguments)
