"""
The calls this package makes to SageMaker, CloudWatch and S3, each described once.

:class:`GuardrailsHook` makes them in a worker and :class:`AsyncCalls` on an event loop. A method here is a
description (see ``hooks.describing``): it yields requests and is sent their answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws import operations as op
from airflow_guardrails.aws.abort_switch import publish_request, put_switch_request, switch_target
from airflow_guardrails.aws.alarms import (
    describe_alarm_history_request,
    describe_alarms_request,
    describe_switches_request,
    parse_alarm_history,
    parse_alarms,
    unchanged_since,
)
from airflow_guardrails.aws.endpoint import (
    aws_time,
    list_endpoints_request,
    missing_endpoint,
    parse_endpoint,
    parse_endpoint_list,
    update_endpoint_request,
)
from airflow_guardrails.aws.endpoint_config import from_marketplace, parse_model
from airflow_guardrails.aws.experiment import (
    create_experiment_request,
    list_experiments_request,
    missing_experiment,
    parse_experiment,
    parse_experiment_list,
    stop_experiment_request,
)
from airflow_guardrails.aws.metrics import (
    metric_data_requests,
    parse_metric_data,
    parse_requests,
    requests_answered_request,
    requests_had_request,
)
from airflow_guardrails.aws.tags import parse_tags
from airflow_guardrails.domain.deployment.guardrails import NOTHING_RETAINED, Guardrails, RetainedProperties
from airflow_guardrails.domain.shadow.eligibility import ModelTraits
from airflow_guardrails.domain.shadow.stop import Action
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import Alarm, AlarmTransition
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook, EndpointStatus, ListedEndpoint
from airflow_guardrails.domain.snapshots.experiment import (
    PHASE_BY_STATUS,
    Experiment,
    ExperimentLook,
    ExperimentStatus,
    ListedExperiment,
)
from airflow_guardrails.domain.snapshots.metrics import MetricQuery
from airflow_guardrails.hooks._describing import Call, Listing, Pages, Steps


class Calls:
    """Each call once; see ``aws.operations`` for those that botocore never retries."""

    # Endpoints.

    @Call
    def look(self, endpoint_name: str) -> Steps[EndpointLook]:
        """
        Describe the endpoint; that there is none is an answer too.

        :raises aws.errors.UnexpectedAnswer: if SageMaker says a status this version does not know.
        """
        try:
            return parse_endpoint((yield op.DESCRIBE_ENDPOINT(EndpointName=endpoint_name)))
        except ClientError as error:
            if errors.is_missing_endpoint(error):
                return missing_endpoint(endpoint_name, error.response)
            raise

    @Pages
    def listed(self, status: EndpointStatus) -> Listing[list[ListedEndpoint]]:
        """Yield, page by page, all endpoints in *status*, as far as the list knows."""
        return Listing(op.LIST_ENDPOINTS(**list_endpoints_request(status)), parse_endpoint_list)

    @Call
    def update_endpoint(
        self,
        *,
        endpoint_name: str,
        endpoint_config_name: str,
        guardrails: Guardrails,
        retained: RetainedProperties = NOTHING_RETAINED,
    ) -> Steps[datetime]:
        """
        Ask for the update, once, and return the time on AWS's clock.

        botocore does not retry it: a second try would be refused because the first is in progress.
        """
        request = update_endpoint_request(
            endpoint_name=endpoint_name,
            endpoint_config_name=endpoint_config_name,
            guardrails=guardrails,
            retained=retained,
        )
        return aws_time((yield op.UPDATE_ENDPOINT(**request)))

    # Endpoint configurations and models.

    @Call
    def endpoint_config(self, name: str) -> Steps[dict[str, Any] | None]:
        """Return the endpoint configuration in the API's form; ``None`` if there is none."""
        try:
            answer: dict[str, Any] = yield op.DESCRIBE_ENDPOINT_CONFIG(EndpointConfigName=name)
        except ClientError as error:
            if errors.is_missing_endpoint_config(error):
                return None
            raise
        return answer

    @Call
    def create_endpoint_config(self, request: dict[str, Any]) -> Steps[None]:
        """
        Ask for an endpoint configuration, once.

        botocore does not retry it: a second try would be refused because the first has made it.
        """
        yield op.CREATE_ENDPOINT_CONFIG(**request)

    @Call
    def delete_endpoint_config(self, name: str) -> Steps[None]:
        yield op.DELETE_ENDPOINT_CONFIG(EndpointConfigName=name)

    @Call
    def tags(self, arn: str) -> Steps[dict[str, str]]:
        return {tag["Key"]: tag["Value"] for tag in (yield from _tags(arn))}

    @Call
    def add_tags(self, arn: str, tags: Mapping[str, str]) -> Steps[None]:
        yield op.ADD_TAGS(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    @Call
    def model(self, name: str, *, account_id: str) -> Steps[ModelTraits | None]:
        """Describe the model; ``None`` if there is none."""
        found = yield from _model(name)
        return None if found is None else parse_model(found, account_id=account_id)

    @Call
    def from_marketplace(self, model_names: Iterable[str], *, account_id: str) -> Steps[bool]:
        """Say whether any of the models is AWS Marketplace's; a model that is gone is not."""
        for name in model_names:
            found = yield from _model(name)
            if found is not None and from_marketplace(found, account_id=account_id):
                return True
        return False

    # Inference experiments.

    @Call
    def look_at_experiment(self, name: str) -> Steps[ExperimentLook]:
        """
        Describe the inference experiment; that there is none is an answer too.

        :raises aws.errors.UnexpectedAnswer: if SageMaker says a status this version does not know.
        """
        try:
            return parse_experiment((yield op.DESCRIBE_EXPERIMENT(Name=name)))
        except ClientError as error:
            if errors.is_missing_experiment(error):
                return missing_experiment(name, error.response)
            raise

    @Pages
    def listed_experiments(self, status: ExperimentStatus) -> Listing[list[ListedExperiment]]:
        """Yield, page by page, all inference experiments in *status*, as far as the list knows."""
        return Listing(op.LIST_EXPERIMENTS(**list_experiments_request(status)), parse_experiment_list)

    @Call
    def experiments_under_way(self) -> Steps[list[ListedExperiment]]:
        """List the inference experiments that are not over, those that wait for their start included."""
        pages = yield op.LIST_EXPERIMENTS.pages(PaginationConfig={"PageSize": 100})
        listed = [experiment for page in pages for experiment in parse_experiment_list(page)]
        return [experiment for experiment in listed if not PHASE_BY_STATUS[experiment.status].over]

    @Call
    def create_experiment(self, /, **wanted: Any) -> Steps[None]:
        """
        Ask for an inference experiment, once; *wanted* is as for ``aws.experiment``.

        botocore does not retry it: a second try would be refused because the first has made it.
        """
        yield op.CREATE_EXPERIMENT(**create_experiment_request(**wanted))

    @Call
    def stop_experiment(
        self, experiment: Experiment, action: Action, *, state: str, reason: str
    ) -> Steps[None]:
        """
        Ask for its end, once; *state* is ``Completed`` or ``Cancelled``.

        botocore does not retry it: a second try would be refused because the first is in progress.
        """
        request = stop_experiment_request(experiment, action, state=state, reason=reason)
        yield op.STOP_EXPERIMENT(**request)

    # Metrics.

    @Call
    def requests_answered(
        self,
        *,
        endpoint_name: str,
        variant_name: str,
        endpoint_config_name: str,
        start: datetime,
        end: datetime,
    ) -> Steps[float]:
        """Count the requests that a fleet answered; CloudWatch keeps its metrics after the fleet is gone."""
        request = requests_answered_request(
            endpoint_name=endpoint_name,
            variant_name=variant_name,
            endpoint_config_name=endpoint_config_name,
            start=start,
            end=end,
        )
        return parse_requests((yield op.GET_METRIC_STATISTICS(**request)))

    @Call
    def requests_had(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> Steps[dict[str, float]]:
        """Count the requests that variants of the endpoint had, by name."""
        had = {}
        for name in variant_names:
            request = requests_had_request(
                endpoint_name=endpoint_name, variant_name=name, start=start, end=end
            )
            had[name] = parse_requests((yield op.GET_METRIC_STATISTICS(**request)))
        return had

    @Call
    def metric_series(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> Steps[dict[MetricQuery, dict[datetime, float]]]:
        """Return each statistic by the beginning of its period of so many seconds, from *start* to *end*."""
        series = {}
        for some, request in metric_data_requests(queries, start=start, end=end, period=period):
            series.update(parse_metric_data((yield op.GET_METRIC_DATA.pages(**request)), some))
        return series

    # Alarms and the abort switch.

    @Call
    def alarms(self, names: Iterable[str]) -> Steps[tuple[Alarm, ...]]:
        """Return those of *names* that exist, metric and composite alarms alike."""
        return parse_alarms((yield op.DESCRIBE_ALARMS(**describe_alarms_request(names))))

    @Call
    def alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> Steps[tuple[AlarmTransition, ...]]:
        """Return the alarms' changes of state from *start* to *end*."""
        found: list[AlarmTransition] = []
        for name in names:
            request = describe_alarm_history_request(name, start=start, end=end)
            for page in (yield op.DESCRIBE_ALARM_HISTORY.pages(**request)):
                found.extend(parse_alarm_history(page.get("AlarmHistoryItems")))
        return tuple(found)

    @Call
    def create_switch(self, switch: AbortSwitch, *, target: str) -> Steps[None]:
        """Make the switch's alarm, or put it right; *target* is told to whoever sees it in the console."""
        yield op.PUT_METRIC_ALARM(**put_switch_request(switch, target=target))

    @Call
    def switch_target(self, switch: AbortSwitch) -> Steps[str | None]:
        """
        Return the configuration that the switch's rollout was to bring into service; None if there is none.
        """
        answer = yield op.DESCRIBE_ALARMS(**describe_alarms_request([switch.alarm_name]))
        return switch_target(answer)

    @Call
    def set_switch(self, switch: AbortSwitch, value: float) -> Steps[None]:
        """Publish *value*: ``THROWN`` puts the switch's alarm into ALARM, ``RESET`` back to OK."""
        yield op.PUT_METRIC_DATA(**publish_request(switch, value))

    @Call
    def delete_alarms(self, names: Iterable[str]) -> Steps[None]:
        yield op.DELETE_ALARMS(AlarmNames=list(names))

    @Call
    def delete_switches(self, endpoint_name: str, *, keep: Sequence[str], before: datetime) -> Steps[None]:
        """
        Delete the abort switches of earlier rollouts of the endpoint.

        :param keep: names of alarms that stay.
        :param before: those changed since then stay too, for they may be of a rollout that is about to begin.
        """
        for page in (yield op.DESCRIBE_ALARMS.pages(**describe_switches_request(endpoint_name))):
            # One at a time: CloudWatch deletes none of several where one of them is gone already.
            for name in unchanged_since(before, page):
                if name not in keep:
                    yield op.DELETE_ALARMS(AlarmNames=[name])

    # Captured data.

    @Pages
    def keys_by_page(self, bucket: str, prefix: str) -> Listing[list[str]]:
        """Yield, page by page, the keys of all S3 objects below *prefix*."""
        return Listing(op.LIST_OBJECTS(Bucket=bucket, Prefix=prefix), _keys)


def _tags(arn: str) -> Steps[list[dict[str, str]]]:
    return [tag for page in (yield op.LIST_TAGS.pages(ResourceArn=arn)) for tag in parse_tags(page)]


def _model(name: str) -> Steps[dict[str, Any] | None]:
    try:
        answer: dict[str, Any] = yield op.DESCRIBE_MODEL(ModelName=name)
    except ClientError as error:
        if errors.is_missing_model(error):
            return None
        raise
    return answer


def _keys(page: dict[str, Any]) -> list[str]:
    return [found["Key"] for found in page.get("Contents", ())]
