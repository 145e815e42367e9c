"""The AWS operations that this package uses: service, boto3 name, and whether botocore retries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """
    An AWS operation. Calling it returns a :class:`Request`.

    :param service: boto3's name of the service.
    :param name: boto3's name of the operation.
    :param once: botocore never retries it, whatever the user configures. True for what is not worth the wait,
        and for each change that AWS refuses the second time ("in progress", "already exists"): after a lost
        response, a retry would turn the success into that error.
    """

    service: str
    name: str
    once: bool = False

    def __call__(self, **arguments: Any) -> Request:
        return Request(self, arguments)

    def pages(self, **arguments: Any) -> Request:
        """Return a request for all pages; the response is the list of them."""
        return Request(self, arguments, paginated=True)


@dataclass(frozen=True, slots=True)
class Request:
    """An operation with its arguments, for a boto3 or an aiobotocore client to send."""

    operation: Operation
    arguments: dict[str, Any]
    paginated: bool = False


# SageMaker.
DESCRIBE_ENDPOINT = Operation("sagemaker", "describe_endpoint")
LIST_ENDPOINTS = Operation("sagemaker", "list_endpoints")
UPDATE_ENDPOINT = Operation("sagemaker", "update_endpoint", once=True)
DESCRIBE_ENDPOINT_CONFIG = Operation("sagemaker", "describe_endpoint_config")
CREATE_ENDPOINT_CONFIG = Operation("sagemaker", "create_endpoint_config", once=True)
# Retried: an error that the configuration is gone only leads to a warning.
DELETE_ENDPOINT_CONFIG = Operation("sagemaker", "delete_endpoint_config")
CREATE_ENDPOINT = Operation("sagemaker", "create_endpoint", once=True)
CREATE_MODEL = Operation("sagemaker", "create_model", once=True)
DESCRIBE_MODEL = Operation("sagemaker", "describe_model")
DESCRIBE_MODEL_PACKAGE = Operation("sagemaker", "describe_model_package")
LIST_MODEL_PACKAGES = Operation("sagemaker", "list_model_packages")
UPDATE_MODEL_PACKAGE = Operation("sagemaker", "update_model_package")
LIST_TAGS = Operation("sagemaker", "list_tags")
ADD_TAGS = Operation("sagemaker", "add_tags")
DELETE_TAGS = Operation("sagemaker", "delete_tags")
# Retried, as DeleteEndpointConfig.
DELETE_MODEL = Operation("sagemaker", "delete_model")
LIST_ENDPOINT_CONFIGS = Operation("sagemaker", "list_endpoint_configs")
LIST_MODELS = Operation("sagemaker", "list_models")
DESCRIBE_EXPERIMENT = Operation("sagemaker", "describe_inference_experiment")
LIST_EXPERIMENTS = Operation("sagemaker", "list_inference_experiments")
CREATE_EXPERIMENT = Operation("sagemaker", "create_inference_experiment", once=True)
STOP_EXPERIMENT = Operation("sagemaker", "stop_inference_experiment", once=True)

# CloudWatch. All writes here can be repeated without harm.
DESCRIBE_ALARMS = Operation("cloudwatch", "describe_alarms")
DESCRIBE_ALARM_HISTORY = Operation("cloudwatch", "describe_alarm_history")
DELETE_ALARMS = Operation("cloudwatch", "delete_alarms")
PUT_METRIC_ALARM = Operation("cloudwatch", "put_metric_alarm")
PUT_METRIC_DATA = Operation("cloudwatch", "put_metric_data")
GET_METRIC_DATA = Operation("cloudwatch", "get_metric_data")
GET_METRIC_STATISTICS = Operation("cloudwatch", "get_metric_statistics")

# S3.
LIST_OBJECTS = Operation("s3", "list_objects_v2")
HEAD_OBJECT = Operation("s3", "head_object")
GET_OBJECT = Operation("s3", "get_object")

# IAM.
GET_ROLE = Operation("iam", "get_role")
# A plan does without it, and in a network without a way to IAM each attempt takes a minute.
SIMULATE_POLICY = Operation("iam", "simulate_principal_policy", once=True)

# STS. Not retried for the same reason.
GET_CALLER_IDENTITY = Operation("sts", "get_caller_identity", once=True)
