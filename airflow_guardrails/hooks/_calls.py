"""
Every call of this package to SageMaker, CloudWatch, S3, IAM and STS, written once.

``GuardrailsHook`` has them as methods that block, ``AsyncCalls`` as coroutines; see ``hooks/_api_call.py``.
A method has the name of its AWS operation wherever it sends just that one.
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
    describe_rollout_alarms_requests,
    parse_alarm_history,
    parse_alarms,
    unchanged_since,
)
from airflow_guardrails.aws.captures import S3Object
from airflow_guardrails.aws.endpoint import (
    aws_time,
    list_endpoints_request,
    missing_endpoint,
    parse_endpoint,
    parse_endpoint_list,
    update_endpoint_request,
)
from airflow_guardrails.aws.endpoint_config import artefacts_of, from_marketplace, parse_model
from airflow_guardrails.aws.experiment import (
    create_experiment_request,
    list_experiments_request,
    missing_experiment,
    parse_experiment,
    parse_experiment_list,
    stop_experiment_request,
)
from airflow_guardrails.aws.guards import put_guard_request
from airflow_guardrails.aws.metrics import (
    first_request_windows,
    fleet_requests_request,
    metric_data_requests,
    parse_first_request,
    parse_metric_data,
    parse_requests,
    put_metric_data_requests,
    variant_requests_request,
)
from airflow_guardrails.aws.model_package import newest_approved_request, parse_model_package, parse_newest
from airflow_guardrails.aws.policy_simulation import parse_decisions, simulate_request
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
from airflow_guardrails.domain.snapshots.guard_alarms import GuardAlarm
from airflow_guardrails.domain.snapshots.metrics import MetricDatum, MetricQuery
from airflow_guardrails.domain.snapshots.model_package import NoModelPackage, PackageLook
from airflow_guardrails.hooks._api_call import Call, PagedCall, PagedRequest, Steps
from airflow_guardrails.hooks._inventory_calls import InventoryCalls, describe_model

# Limit of AlarmNames in one call of DeleteAlarms.
_MOST_NAMES = 100


class Calls(InventoryCalls):
    """The calls. ``aws/operations.py`` says which of them botocore never retries, and why."""

    # Endpoints.

    @Call
    def describe_endpoint(self, endpoint_name: str) -> Steps[EndpointLook]:
        """
        Return the endpoint, or a ``MissingEndpoint`` if SageMaker knows none of this name.

        :raises aws.errors.UnexpectedAnswer: if the endpoint has a status that this version does not know.
        """
        try:
            return parse_endpoint((yield op.DESCRIBE_ENDPOINT(EndpointName=endpoint_name)))
        except ClientError as error:
            # The API has no error of its own for this: it is a ValidationException, known by its text.
            if errors.is_missing_endpoint(error):
                return missing_endpoint(endpoint_name, error.response)
            raise

    @PagedCall
    def list_endpoints(self, status: EndpointStatus) -> PagedRequest[list[ListedEndpoint]]:
        """Yield the endpoints in *status*, a list for each page of up to 100. The list may lag behind."""
        return PagedRequest(op.LIST_ENDPOINTS(**list_endpoints_request(status)), parse_endpoint_list)

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
        Start the update; return AWS's time of the response.

        botocore does not retry this call: AWS would refuse the second one, because the first is in progress.
        """
        request = update_endpoint_request(
            endpoint_name=endpoint_name,
            endpoint_config_name=endpoint_config_name,
            guardrails=guardrails,
            retained=retained,
        )
        return aws_time((yield op.UPDATE_ENDPOINT(**request)))

    @Call
    def create_endpoint(self, request: dict[str, Any]) -> Steps[datetime]:
        """
        Create an endpoint from *request*, the arguments of CreateEndpoint; return AWS's time of the response.

        botocore does not retry this call: AWS would refuse the second one, because the name is then taken.
        """
        return aws_time((yield op.CREATE_ENDPOINT(**request)))

    # Endpoint configurations and models.

    @Call
    def describe_endpoint_config(self, name: str) -> Steps[dict[str, Any] | None]:
        """Return DescribeEndpointConfig's response as it is; None if there is no such configuration."""
        try:
            response: dict[str, Any] = yield op.DESCRIBE_ENDPOINT_CONFIG(EndpointConfigName=name)
        except ClientError as error:
            if errors.is_missing_endpoint_config(error):
                return None
            raise
        return response

    @Call
    def create_endpoint_config(self, request: dict[str, Any]) -> Steps[None]:
        """
        Create an endpoint configuration from *request*, the arguments of CreateEndpointConfig.

        botocore does not retry this call: AWS would refuse the second one, because the name is then taken.
        """
        yield op.CREATE_ENDPOINT_CONFIG(**request)

    @Call
    def delete_endpoint_config(self, name: str) -> Steps[None]:
        """Delete the endpoint configuration *name*."""
        yield op.DELETE_ENDPOINT_CONFIG(EndpointConfigName=name)

    @Call
    def list_tags(self, arn: str) -> Steps[dict[str, str]]:
        """Return all tags of the resource, by key."""
        pages = yield op.LIST_TAGS.pages(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in parse_tags(page)}

    @Call
    def add_tags(self, arn: str, tags: Mapping[str, str]) -> Steps[None]:
        """Add *tags* (key -> value) to the resource; a key that exists gets the new value."""
        yield op.ADD_TAGS(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    @Call
    def describe_model(self, name: str, *, account_id: str) -> Steps[ModelTraits | None]:
        """Return the model's traits that matter for shadow tests; None if there is no such model."""
        model = yield from describe_model(name)
        return None if model is None else parse_model(model, account_id=account_id)

    @Call
    def read_model(self, name: str) -> Steps[dict[str, Any] | None]:
        """Return DescribeModel's response as it is; None if there is no such model."""
        return (yield from describe_model(name))

    @Call
    def create_model(self, request: dict[str, Any]) -> Steps[None]:
        """
        Create a model from *request*, the arguments of CreateModel.

        botocore does not retry this call: AWS would refuse the second one, because the name is then taken.
        """
        yield op.CREATE_MODEL(**request)

    @Call
    def get_role_arn(self, name: str) -> Steps[str]:
        """Return the ARN of the IAM role *name*."""
        return str((yield op.GET_ROLE(RoleName=name))["Role"]["Arn"])

    @Call
    def get_caller_arn(self) -> Steps[str]:
        """Return the ARN of the caller: of an assumed role with its session, or of a user."""
        return str((yield op.GET_CALLER_IDENTITY())["Arn"])

    @Call
    def simulate_policy(
        self, principal: str, action: str, resources: Iterable[str], *, context: Mapping[str, str]
    ) -> Steps[dict[str, bool | None]]:
        """
        Return whether IAM allows *action* to a role or user on each of *resources*; None: undecided.

        :param principal: ARN of the role, with its path, or of the user.
        :param context: condition key -> value.
        """
        pages = yield op.SIMULATE_POLICY.pages(**simulate_request(principal, action, resources, context))
        return parse_decisions(pages)

    @Call
    def describe_model_artefacts(self, name: str) -> Steps[tuple[str, ...]]:
        """Return the S3 URIs of the model's artefacts; empty if it has none, or there is no such model."""
        model = yield from describe_model(name)
        return () if model is None else artefacts_of(model)

    @Call
    def uses_marketplace_model(self, model_names: Iterable[str], *, account_id: str) -> Steps[bool]:
        """Return whether any of the models comes from AWS Marketplace. A deleted model counts as not."""
        for name in model_names:
            model = yield from describe_model(name)
            if model is not None and from_marketplace(model, account_id=account_id):
                return True
        return False

    # Inference experiments.

    @Call
    def describe_inference_experiment(self, name: str) -> Steps[ExperimentLook]:
        """
        Return the inference experiment, or a ``MissingExperiment`` if SageMaker knows none of this name.

        :raises aws.errors.UnexpectedAnswer: if it has a status that this version does not know.
        """
        try:
            return parse_experiment((yield op.DESCRIBE_EXPERIMENT(Name=name)))
        except ClientError as error:
            if errors.is_missing_experiment(error):
                return missing_experiment(name, error.response)
            raise

    @PagedCall
    def list_inference_experiments(self, status: ExperimentStatus) -> PagedRequest[list[ListedExperiment]]:
        """Yield the experiments in *status*, a list for each page of up to 100. The list may lag behind."""
        return PagedRequest(op.LIST_EXPERIMENTS(**list_experiments_request(status)), parse_experiment_list)

    @Call
    def list_active_experiments(self) -> Steps[list[ListedExperiment]]:
        """Return the inference experiments that have not ended, also those that have not started yet."""
        # Without StatusEquals, which takes one status only: several statuses mean that a test has not ended.
        pages = yield op.LIST_EXPERIMENTS.pages(PaginationConfig={"PageSize": 100})
        listed = [experiment for page in pages for experiment in parse_experiment_list(page)]
        return [experiment for experiment in listed if not PHASE_BY_STATUS[experiment.status].over]

    @Call
    def create_inference_experiment(self, /, **arguments: Any) -> Steps[None]:
        """
        Create an inference experiment; the arguments are those of ``create_experiment_request``.

        botocore does not retry this call: AWS would refuse the second one, because the name is then taken.
        """
        yield op.CREATE_EXPERIMENT(**create_experiment_request(**arguments))

    @Call
    def stop_inference_experiment(
        self, experiment: Experiment, action: Action, *, state: str, reason: str
    ) -> Steps[None]:
        """
        Stop the experiment in *state*: ``Completed`` or ``Cancelled``.

        botocore does not retry this call: AWS would refuse the second one, because the first is in progress.
        """
        request = stop_experiment_request(experiment, action, state=state, reason=reason)
        yield op.STOP_EXPERIMENT(**request)

    # The model registry.

    @Call
    def describe_model_package(self, arn: str) -> Steps[PackageLook]:
        """
        Return the model package, or ``NoModelPackage`` if SageMaker knows none of this ARN.

        :raises aws.errors.UnexpectedAnswer: if it has a status that this version does not know.
        """
        try:
            return parse_model_package((yield op.DESCRIBE_MODEL_PACKAGE(ModelPackageName=arn)))
        except ClientError as error:
            if errors.is_missing_model_package(error):
                return NoModelPackage(arn, errors.text_for_people(error))
            raise

    @Call
    def describe_newest_approved(self, group: str) -> Steps[PackageLook]:
        """Return the newest approved version of the model package group, or ``NoModelPackage``."""
        try:
            listed = yield op.LIST_MODEL_PACKAGES(**newest_approved_request(group))
        except ClientError as error:
            if errors.is_missing_model_package(error):
                return NoModelPackage(group, errors.text_for_people(error))
            raise
        arn = parse_newest(listed)
        if arn is None:
            return NoModelPackage(group)
        return parse_model_package((yield op.DESCRIBE_MODEL_PACKAGE(ModelPackageName=arn)))

    @Call
    def update_model_package_metadata(self, arn: str, metadata: Mapping[str, str]) -> Steps[None]:
        """Add *metadata* (key -> value) to the package's CustomerMetadataProperties."""
        yield op.UPDATE_MODEL_PACKAGE(ModelPackageArn=arn, CustomerMetadataProperties=dict(metadata))

    # Metrics.

    @Call
    def count_fleet_requests(
        self,
        *,
        endpoint_name: str,
        variant_name: str,
        endpoint_config_name: str,
        start: datetime,
        end: datetime,
    ) -> Steps[float]:
        """Return how many requests the fleet of one configuration served. Works after the fleet is gone."""
        request = fleet_requests_request(
            endpoint_name=endpoint_name,
            variant_name=variant_name,
            endpoint_config_name=endpoint_config_name,
            start=start,
            end=end,
        )
        return parse_requests((yield op.GET_METRIC_STATISTICS(**request)))

    @Call
    def count_variant_requests(
        self, endpoint_name: str, variant_names: Iterable[str], *, start: datetime, end: datetime
    ) -> Steps[dict[str, float]]:
        """Return variant name -> number of requests, whichever configuration the variant was in."""
        counts = {}
        for name in variant_names:
            request = variant_requests_request(
                endpoint_name=endpoint_name, variant_name=name, start=start, end=end
            )
            counts[name] = parse_requests((yield op.GET_METRIC_STATISTICS(**request)))
        return counts

    @Call
    def find_first_request(
        self, endpoint_name: str, variant_name: str, *, start: datetime, end: datetime
    ) -> Steps[datetime | None]:
        """Return the minute of the first request to a variant from *start* to *end*; None without one."""
        for begins, ends in first_request_windows(start, end):
            request = variant_requests_request(
                endpoint_name=endpoint_name, variant_name=variant_name, start=begins, end=ends
            )
            if first := parse_first_request((yield op.GET_METRIC_STATISTICS(**request))):
                return first
        return None

    @Call
    def get_metric_data(
        self, queries: Sequence[MetricQuery], *, start: datetime, end: datetime, period: int
    ) -> Steps[dict[MetricQuery, dict[datetime, float]]]:
        """
        Return query -> (start of period -> value), from *start* to *end*.

        :param period: length of a period, in seconds.
        """
        series = {}
        for batch, request in metric_data_requests(queries, start=start, end=end, period=period):
            series.update(parse_metric_data((yield op.GET_METRIC_DATA.pages(**request)), batch))
        return series

    @Call
    def put_metric_data(self, namespace: str, data: Sequence[MetricDatum]) -> Steps[None]:
        """Publish *data* as metrics of *namespace*."""
        for request in put_metric_data_requests(namespace, data):
            yield op.PUT_METRIC_DATA(**request)

    # Alarms and the abort switch.

    @Call
    def describe_alarms(self, names: Iterable[str]) -> Steps[tuple[Alarm, ...]]:
        """Return the metric and composite alarms of these names; a name without an alarm is left out."""
        # An update has at most 10 alarms, so the first page has all of them.
        return parse_alarms((yield op.DESCRIBE_ALARMS(**describe_alarms_request(names))))

    @Call
    def describe_alarm_history(
        self, names: Iterable[str], *, start: datetime, end: datetime
    ) -> Steps[tuple[AlarmTransition, ...]]:
        """Return the state changes of the alarms from *start* to *end*, for each alarm the newest first."""
        transitions: list[AlarmTransition] = []
        # One request for each alarm, because DescribeAlarmHistory takes a single name.
        for name in names:
            request = describe_alarm_history_request(name, start=start, end=end)
            for page in (yield op.DESCRIBE_ALARM_HISTORY.pages(**request)):
                transitions.extend(parse_alarm_history(page.get("AlarmHistoryItems")))
        return tuple(transitions)

    @Call
    def put_abort_switch(self, switch: AbortSwitch, *, target: str) -> Steps[None]:
        """Create or overwrite the switch's alarm. Its description names *target*, the new configuration."""
        yield op.PUT_METRIC_ALARM(**put_switch_request(switch, target=target))

    @Call
    def put_guard_alarm(self, guard: GuardAlarm) -> Steps[None]:
        """Create or overwrite the alarm of a guard."""
        yield op.PUT_METRIC_ALARM(**put_guard_request(guard))

    @Call
    def get_abort_switch_target(self, switch: AbortSwitch) -> Steps[str | None]:
        """Return the target configuration that the switch's alarm names; None if there is no such alarm."""
        return switch_target((yield op.DESCRIBE_ALARMS(**describe_alarms_request([switch.alarm_name]))))

    @Call
    def set_abort_switch(self, switch: AbortSwitch, value: float) -> Steps[None]:
        """Publish *value*: ``THROWN`` puts the switch's alarm into ALARM, ``RESET`` puts it into OK."""
        yield op.PUT_METRIC_DATA(**publish_request(switch, value))

    @Call
    def delete_alarms(self, names: Iterable[str]) -> Steps[None]:
        """Delete up to 100 alarms. An error if one does not exist; the others are deleted all the same."""
        yield op.DELETE_ALARMS(AlarmNames=list(names))

    @Call
    def delete_rollout_alarms(
        self, endpoint_name: str, *, keep: Sequence[str], before: datetime
    ) -> Steps[None]:
        """
        Delete the abort switches and guards of earlier rollouts of the endpoint.

        :param keep: names of alarms to keep, and beginnings of names.
        :param before: keep alarms changed since then; they may belong to a rollout that is about to start.
        """
        found: list[str] = []
        for request in describe_rollout_alarms_requests(endpoint_name):
            for page in (yield op.DESCRIBE_ALARMS.pages(**request)):
                found += unchanged_since(before, page)
        old = [name for name in found if not name.startswith(tuple(keep))]
        for first in range(0, len(old), _MOST_NAMES):
            yield op.DELETE_ALARMS(AlarmNames=old[first : first + _MOST_NAMES])

    # Captured data.

    @PagedCall
    def list_object_pages(self, bucket: str, prefix: str) -> PagedRequest[list[S3Object]]:
        """Yield all S3 objects below *prefix*, a list for each page."""
        return PagedRequest(op.LIST_OBJECTS(Bucket=bucket, Prefix=prefix), _objects)


def _objects(page: dict[str, Any]) -> list[S3Object]:
    return [S3Object(found["Key"], found["Size"], found["ETag"]) for found in page.get("Contents", ())]
