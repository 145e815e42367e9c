"""The hook that makes this package's calls to AWS, and the same calls as coroutines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from typing import Any

from botocore.config import Config

from airflow_guardrails.aws import operations as op
from airflow_guardrails.aws.captures import S3Object
from airflow_guardrails.aws.endpoint import learn_time
from airflow_guardrails.aws.operations import Operation, Request
from airflow_guardrails.hooks._api_call import AsyncClient, SyncClient
from airflow_guardrails.hooks._calls import Calls
from airflow_guardrails.hooks._sessions import SharingHook, one_client_at_a_time, without_secret_url

# Bytes read at once from an S3 object.
_CHUNK_BYTES = 2**20


class GuardrailsHook(Calls, SyncClient, SharingHook):
    """
    Calls to SageMaker, CloudWatch and S3, which block; :meth:`asynchronous` has them as coroutines.

    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default credential chain.
    :param region_name: AWS region; default: the connection's.
    :param verify: False: do not verify TLS; a path: the CA bundle to verify with; default: the connection's.
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
        """Equal for hooks with the same connection, region and configuration; these can share clients."""
        config = self._connection["config"]
        # botocore has no public way to read what a Config was made of.
        options = config._user_provided_options if isinstance(config, Config) else config  # noqa: SLF001
        return json.dumps({**self._connection, "config": options}, sort_keys=True, default=str)

    def sibling(self, client_type: str) -> SharingHook:
        """Return a hook for another AWS service that uses this hook's connection and sessions."""
        return SharingHook(parent=self, client_type=client_type, **self._connection)

    def hook_for(self, service: str) -> SharingHook:
        """Return the hook for *service*: "sagemaker" (this one), "cloudwatch", "iam", "s3" or "sts"."""
        hook: SharingHook = self if service == "sagemaker" else getattr(self, f"_{service}")
        return hook

    @asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[AsyncCalls]:
        """Return the same calls as coroutines. Clients are built at their first use and closed at the end."""
        async with AsyncExitStack() as stack:
            yield AsyncCalls(self, stack)

    def send(self, request: Request) -> Any:
        """Send *request*, see :class:`SyncClient`."""
        client = self._client_for(request.operation)
        if request.paginated:
            return list(_paginate(client, request))
        response = getattr(client, request.operation.name)(**request.arguments)
        learn_time(response)
        return response

    def pages(self, request: Request) -> Iterator[Any]:
        """Yield the pages of *request*, see :class:`SyncClient`."""
        return iter(_paginate(self._client_for(request.operation), request))

    def list_objects(self, bucket: str, prefix: str) -> Iterator[S3Object]:
        """Yield all S3 objects below *prefix*."""
        for page in self.list_object_pages(bucket, prefix):
            yield from page

    def read_chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        """Yield an S3 object in chunks of 1 MiB. There is no async form of this."""
        body = self.send(op.GET_OBJECT(Bucket=bucket, Key=key))["Body"]
        yield from body.iter_chunks(chunk_size=_CHUNK_BYTES)

    def input_shape(self, operation_name: str) -> Any:
        """Return botocore's description of the request of a SageMaker operation, such as CreateModel."""
        return self.conn.meta.service_model.operation_model(operation_name).input_shape

    def _client_for(self, operation: Operation) -> Any:
        hook = self.hook_for(operation.service)
        return hook.conn_without_retries if operation.once else hook.conn

    @cached_property
    def _cloudwatch(self) -> SharingHook:
        return self.sibling("cloudwatch")

    @cached_property
    def _iam(self) -> SharingHook:
        return self.sibling("iam")

    @cached_property
    def _s3(self) -> SharingHook:
        return self.sibling("s3")

    @cached_property
    def _sts(self) -> SharingHook:
        return self.sibling("sts")


class AsyncCalls(Calls, AsyncClient):
    """The calls as coroutines. *stack* closes the clients."""

    def __init__(self, hook: GuardrailsHook, stack: AsyncExitStack) -> None:
        self._hook = hook
        self._stack = stack
        # By service; a client without retries has a name of its own.
        self._clients: dict[str, Any] = {}
        # Two tasks that need the same client at the same time build it once.
        self._opening = asyncio.Lock()

    async def send(self, request: Request) -> Any:
        """Send *request*, see :class:`AsyncClient`."""
        client = await self._client_for(request.operation)
        if request.paginated:
            return [page async for page in _paginate(client, request)]
        response = await getattr(client, request.operation.name)(**request.arguments)
        learn_time(response)
        return response

    async def pages(self, request: Request) -> AsyncIterator[Any]:
        """Yield the pages of *request*, see :class:`AsyncClient`."""
        async for page in _paginate(await self._client_for(request.operation), request):
            yield page

    async def _client_for(self, operation: Operation) -> Any:
        return await self._client(self._hook.hook_for(operation.service), retries=not operation.once)

    async def _client(self, hook: SharingHook, *, retries: bool = True) -> Any:
        name = str(hook.client_type) if retries else f"{hook.client_type} without retries"
        async with self._opening:
            if name not in self._clients:
                client = await hook.async_client(retries=retries)
                async with one_client_at_a_time():
                    with without_secret_url():
                        self._clients[name] = await self._stack.enter_async_context(client)
            return self._clients[name]


def _paginate(client: Any, request: Request) -> Any:
    return client.get_paginator(request.operation.name).paginate(**request.arguments)
