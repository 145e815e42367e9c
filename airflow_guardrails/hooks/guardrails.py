"""The calls this package makes to SageMaker and CloudWatch, sync and async."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.abort_switch import drift, publish_request, put_switch_request
from airflow_guardrails.aws.alarms import (
    describe_alarm_history_request,
    describe_alarms_request,
    parse_alarm_history,
    parse_alarms,
)
from airflow_guardrails.aws.endpoint import (
    aws_time,
    list_endpoints_request,
    missing_endpoint,
    parse_endpoint,
    parse_endpoint_list,
    update_endpoint_request,
)
from airflow_guardrails.aws.events import endpoint_of_event, receive_request
from airflow_guardrails.aws.experiment import (
    create_experiment_request,
    list_experiments_request,
    missing_experiment,
    parse_experiment,
    parse_experiment_list,
    stop_experiment_request,
)
from airflow_guardrails.aws.intent import intent_tags, parse_intent
from airflow_guardrails.aws.metric_data import metric_data_requests, parse_metric_data
from airflow_guardrails.aws.metrics import parse_requests, requests_answered_request, requests_had_request
from airflow_guardrails.aws.model import from_marketplace, parse_model
from airflow_guardrails.aws.tags import parse_tags
from airflow_guardrails.domain.abort_switch import AbortSwitch
from airflow_guardrails.domain.alarms import Alarm, AlarmTransition
from airflow_guardrails.domain.endpoint import EndpointLook, EndpointStatus, Listed
from airflow_guardrails.domain.experiment import (
    PHASE_BY_STATUS,
    Experiment,
    ExperimentLook,
    ExperimentStatus,
    ListedExperiment,
)
from airflow_guardrails.domain.guardrails import Guardrails
from airflow_guardrails.domain.intent import Intent
from airflow_guardrails.domain.metric_query import MetricQuery
from airflow_guardrails.domain.retaining import NOTHING_RETAINED, RetainedProperties
from airflow_guardrails.domain.shadow_hosts import ModelFacts
from airflow_guardrails.domain.shadow_stop import Action
from airflow_guardrails.hooks.sessions import SharingHook, building, without_secret_url

# Bytes of an S3 object that are read at once.
_CHUNK = 2**20


class GuardrailsHook(SharingHook):
    """
    SageMaker endpoints and the alarms that guard them.

    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's own ways.
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
        return SharingHook(kin=self, client_type=client_type, **self._connection)

    def look(self, endpoint_name: str) -> EndpointLook:
        """
        Describe the endpoint; that there is none is an answer too.

        :raises aws.errors.UnexpectedAnswer: if SageMaker says a status this version does not know.
        """
        try:
            return parse_endpoint(self.conn.describe_endpoint(EndpointName=endpoint_name))
        except ClientError as error:
            return _missing_or_raise(endpoint_name, error)

    def endpoint_config(self, name: str) -> dict[str, Any] | None:
        """Return the endpoint configuration in the API's form; ``None`` if there is none."""
        try:
            answer: dict[str, Any] = self.conn.describe_endpoint_config(EndpointConfigName=name)
        except ClientError as error:
            if errors.is_missing_endpoint_config(error):
                return None
            raise
        return answer

    def create_endpoint_config(self, request: dict[str, Any]) -> None:
        """
        Ask for an endpoint configuration, once.

        botocore does not retry it: a second try would meet the first one and be refused as existing.
        """
        self._conn_without_retries.create_endpoint_config(**request)

    def delete_endpoint_config(self, name: str) -> None:
        self.conn.delete_endpoint_config(EndpointConfigName=name)

    def from_marketplace(self, model_names: Iterable[str], *, account_id: str) -> bool:
        """Say whether any of the models is AWS Marketplace's; a model that is gone is not."""
        return any(self._from_marketplace(name, account_id) for name in model_names)

    def _from_marketplace(self, model_name: str, account_id: str) -> bool:
        try:
            return from_marketplace(self.conn.describe_model(ModelName=model_name), account_id=account_id)
        except ClientError as error:
            if errors.is_missing_model(error):
                return False
            raise

    def tags(self, arn: str) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self._tags(arn)}

    def intent(self, arn: str) -> Intent | None:
        """Read the intent that the tags of an endpoint configuration hold."""
        return parse_intent(self._tags(arn))

    def _tags(self, arn: str) -> Iterator[dict[str, str]]:
        for page in self.conn.get_paginator("list_tags").paginate(ResourceArn=arn):
            yield from parse_tags(page)

    def write_intent(self, arn: str, intent: Intent) -> None:
        self.conn.add_tags(ResourceArn=arn, Tags=intent_tags(intent))

    def update_endpoint(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        guardrails: Guardrails,
        retained: RetainedProperties = NOTHING_RETAINED,
    ) -> datetime:
        """
        Ask for the update, once, and return the time on AWS's clock.

        botocore does not retry it: a second try would meet the first one and be refused as in progress.
        """
        request = update_endpoint_request(
            endpoint_name=endpoint_name,
            endpoint_config_name=endpoint_config_name,
            guardrails=guardrails,
            retained=retained,
        )
        return aws_time(self._conn_without_retries.update_endpoint(**request))

    def requests_answered(
        self,
        *,
        endpoint_name: str,
        variant_name: str,
        endpoint_config_name: str,
        start: datetime,
        end: datetime,
    ) -> float:
        """Count the requests that a fleet answered; CloudWatch keeps its metrics after the fleet is gone."""
        request = requests_answered_request(
            endpoint_name=endpoint_name,
            variant_name=variant_name,
            endpoint_config_name=endpoint_config_name,
            start=start,
            end=end,
        )
        answer = self._cloudwatch.conn.get_metric_statistics(**request)
        return parse_requests(answer)

    def look_at_experiment(self, name: str) -> ExperimentLook:
        """
        Describe the inference experiment; that there is none is an answer too.

        :raises aws.errors.UnexpectedAnswer: if SageMaker says a status this version does not know.
        """
        try:
            return parse_experiment(self.conn.describe_inference_experiment(Name=name))
        except ClientError as error:
            return _missing_experiment_or_raise(name, error)

    def experiments_under_way(self) -> list[ListedExperiment]:
        """List the inference experiments that are not over, those that wait for their start included."""
        pages = self.conn.get_paginator("list_inference_experiments").paginate(
            PaginationConfig={"PageSize": 100}
        )
        listed = [experiment for page in pages for experiment in parse_experiment_list(page)]
        return [experiment for experiment in listed if not PHASE_BY_STATUS[experiment.status].over]

    def create_experiment(self, **wanted: Any) -> None:
        """
        Ask for an inference experiment, once; *wanted* is as for ``aws.experiment``.

        botocore does not retry it: a second try would meet the first one and be refused as in use.
        """
        self._conn_without_retries.create_inference_experiment(**create_experiment_request(**wanted))

    def stop_experiment(self, experiment: Experiment, action: Action, *, state: str, reason: str) -> None:
        """Ask for its end, once; *state* is ``Completed`` or ``Cancelled``."""
        request = stop_experiment_request(experiment, action, state=state, reason=reason)
        self._conn_without_retries.stop_inference_experiment(**request)

    def model(self, name: str, *, account_id: str) -> ModelFacts | None:
        """Describe the model; ``None`` if there is none."""
        try:
            return parse_model(self.conn.describe_model(ModelName=name), account_id=account_id)
        except ClientError as error:
            if errors.is_missing_model(error):
                return None
            raise

    def requests_had(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> dict[str, float]:
        """Count the requests that variants of the endpoint had, by name."""
        span: dict[str, Any] = {"endpoint_name": endpoint_name, "start": start, "end": end}
        ask = self._cloudwatch.conn.get_metric_statistics
        return {
            name: parse_requests(ask(**requests_had_request(variant_name=name, **span)))
            for name in variant_names
        }

    def metric_series(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> dict[MetricQuery, dict[datetime, float]]:
        """Return each statistic by the beginning of its period of so many seconds, from *start* to *end*."""
        pages = self._cloudwatch.conn.get_paginator("get_metric_data")
        series = {}
        for some, request in metric_data_requests(queries, start=start, end=end, period=period):
            series.update(parse_metric_data(pages.paginate(**request), some))
        return series

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys of all S3 objects below *prefix*."""
        pages = self._s3.conn.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                yield found["Key"]

    def lines(self, bucket: str, key: str) -> Iterator[bytes]:
        """Yield the lines of an S3 object, which is never held whole."""
        body = self._s3.conn.get_object(Bucket=bucket, Key=key)["Body"]
        yield from body.iter_lines(chunk_size=_CHUNK)

    def switch_drift(self, switch: AbortSwitch) -> list[str] | None:
        """Say how the switch's alarm differs from what it must be; ``None`` if there is no such alarm."""
        request = describe_alarms_request([switch.alarm_name])
        found = self._cloudwatch.conn.describe_alarms(**request)
        alarms = (*found.get("MetricAlarms", ()), *found.get("CompositeAlarms", ()))
        return drift(switch, alarms[0]) if alarms else None

    def create_switch(self, switch: AbortSwitch) -> None:
        self._cloudwatch.conn.put_metric_alarm(**put_switch_request(switch))

    def set_switch(self, switch: AbortSwitch, value: float) -> None:
        """Publish *value*: ``THROWN`` puts the switch's alarm into ALARM, ``RESET`` back to OK."""
        self._cloudwatch.conn.put_metric_data(**publish_request(switch, value))

    def alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]:
        """Return those of *names* that exist, metric and composite alarms alike."""
        return parse_alarms(self._cloudwatch.conn.describe_alarms(**describe_alarms_request(names)))

    def alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> tuple[AlarmTransition, ...]:
        """Return the alarms' changes of state from *start* to *end*."""
        pages = self._cloudwatch.conn.get_paginator("describe_alarm_history")
        return tuple(
            transition
            for name in names
            for page in pages.paginate(**describe_alarm_history_request(name, start=start, end=end))
            for transition in parse_alarm_history(page.get("AlarmHistoryItems"))
        )

    @cached_property
    def _s3(self) -> SharingHook:
        return self.sibling("s3")

    @cached_property
    def _sqs(self) -> SharingHook:
        return self.sibling("sqs")

    @asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[AsyncCalls]:
        """
        Open the same calls for an event loop; clients are built when first needed and closed at the end.
        """
        async with AsyncExitStack() as stack:
            yield AsyncCalls(self, stack)

    @cached_property
    def _conn_without_retries(self) -> Any:
        config = self.config.merge(Config(retries={"total_max_attempts": 1}))
        return self.get_client_type(region_name=self.region_name, config=config)

    @cached_property
    def _cloudwatch(self) -> SharingHook:
        return self.sibling("cloudwatch")


class AsyncCalls:
    """What of :class:`GuardrailsHook` following a rollout takes, for an event loop."""

    def __init__(self, hook: GuardrailsHook, stack: AsyncExitStack) -> None:
        self._hook = hook
        self._stack = stack
        self._clients: dict[str, Any] = {}
        self._opening = asyncio.Lock()

    async def look(self, endpoint_name: str) -> EndpointLook:
        client = await self._client(self._hook)
        try:
            return parse_endpoint(await client.describe_endpoint(EndpointName=endpoint_name))
        except ClientError as error:
            return _missing_or_raise(endpoint_name, error)

    async def listed(self, status: EndpointStatus) -> AsyncIterator[list[Listed]]:
        """Yield, page by page, all endpoints in *status*, as far as the list knows."""
        client = await self._client(self._hook)
        pages = client.get_paginator("list_endpoints").paginate(**list_endpoints_request(status))
        async for page in pages:
            yield parse_endpoint_list(page)

    async def look_at_experiment(self, name: str) -> ExperimentLook:
        client = await self._client(self._hook)
        try:
            return parse_experiment(await client.describe_inference_experiment(Name=name))
        except ClientError as error:
            return _missing_experiment_or_raise(name, error)

    async def listed_experiments(self, status: ExperimentStatus) -> AsyncIterator[list[ListedExperiment]]:
        """Yield, page by page, all inference experiments in *status*, as far as the list knows."""
        client = await self._client(self._hook)
        pages = client.get_paginator("list_inference_experiments")
        async for page in pages.paginate(**list_experiments_request(status)):
            yield parse_experiment_list(page)

    async def requests_had(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> dict[str, float]:
        span: dict[str, Any] = {"endpoint_name": endpoint_name, "start": start, "end": end}
        ask = (await self._cloudwatch()).get_metric_statistics
        return {
            name: parse_requests(await ask(**requests_had_request(variant_name=name, **span)))
            for name in variant_names
        }

    async def stop_experiment(
        self, experiment: Experiment, action: Action, *, state: str, reason: str
    ) -> None:
        client = await self._client(self._hook)
        request = stop_experiment_request(experiment, action, state=state, reason=reason)
        await client.stop_inference_experiment(**request)

    async def endpoints_in_events(self, queue_url: str) -> list[str]:
        """
        Wait for SageMaker's events in a queue, take them from it, and name the endpoints that they are about.

        Messages that are no such events are left to whom they belong.
        """
        client = await self._client(self._hook._sqs)  # noqa: SLF001
        answer = await client.receive_message(**receive_request(queue_url))
        names = {
            message["ReceiptHandle"]: name
            for message in answer.get("Messages", ())
            if (name := endpoint_of_event(message["Body"])) is not None
        }
        if names:
            entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(names)]
            await client.delete_message_batch(QueueUrl=queue_url, Entries=entries)
        return list(names.values())

    async def set_switch(self, switch: AbortSwitch, value: float) -> None:
        client = await self._cloudwatch()
        await client.put_metric_data(**publish_request(switch, value))

    async def alarms(self, names: Iterable[str]) -> tuple[Alarm, ...]:
        client = await self._cloudwatch()
        return parse_alarms(await client.describe_alarms(**describe_alarms_request(names)))

    async def alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> tuple[AlarmTransition, ...]:
        client = await self._cloudwatch()
        pages = client.get_paginator("describe_alarm_history")
        return tuple(
            [
                transition
                for name in names
                async for page in pages.paginate(**describe_alarm_history_request(name, start=start, end=end))
                for transition in parse_alarm_history(page.get("AlarmHistoryItems"))
            ]
        )

    async def metric_series(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> dict[MetricQuery, dict[datetime, float]]:
        """Return each statistic by the beginning of its period of so many seconds, from *start* to *end*."""
        paginator = (await self._cloudwatch()).get_paginator("get_metric_data")
        series = {}
        for some, request in metric_data_requests(queries, start=start, end=end, period=period):
            pages = [page async for page in paginator.paginate(**request)]
            series.update(parse_metric_data(pages, some))
        return series

    async def _cloudwatch(self) -> Any:
        return await self._client(self._hook._cloudwatch)  # noqa: SLF001 - one class in two halves

    async def _client(self, hook: SharingHook) -> Any:
        service = str(hook.client_type)
        async with self._opening:
            if service not in self._clients:
                connecting = await _connect(hook)
                async with building():
                    with without_secret_url():
                        self._clients[service] = await self._stack.enter_async_context(connecting)
            return self._clients[service]


async def _connect(hook: SharingHook) -> Any:
    return await hook.get_async_conn()  # type: ignore[no-untyped-call]


def _missing_experiment_or_raise(name: str, error: ClientError) -> ExperimentLook:
    if errors.is_missing_experiment(error):
        return missing_experiment(name, error.response)
    raise error


def _missing_or_raise(endpoint_name: str, error: ClientError) -> EndpointLook:
    if errors.is_missing_endpoint(error):
        return missing_endpoint(endpoint_name, error.response)
    raise error
