"""Read what a person is shown of an update: without a permission, less of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook
from airflow_guardrails.exceptions import EndpointConfigNotFound, EndpointNotFound

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

Result = TypeVar("Result")


class Reading:
    """
    Reads for people.

    :ivar unread: what could not be read and why, a line each.
    :ivar denied: actions of IAM that were denied.
    """

    def __init__(self, hook: GuardrailsHook) -> None:
        self.hook = hook
        self.unread: list[str] = []
        self.denied: list[str] = []

    def read(self, what: str, call: Callable[[], Result]) -> Result | None:
        """Return what *call* reads; None if AWS does not allow it."""
        try:
            return call()
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            denied = errors.denied_action(error)
            if denied:
                self.denied.append(denied)
            why = denied or errors.text_for_people(error)
            self.unread.append(f"{what} is not shown: access denied ({why})")
            return None

    def endpoint(self, name: str) -> EndpointLook | None:
        """Return the endpoint, or that it is missing."""
        return self.read("The endpoint", lambda: self.hook.describe_endpoint(name))

    def serving(self, name: str) -> dict[str, Any] | None:
        """Return DescribeEndpointConfig's response for the configuration in service."""
        found = self.read("The configuration in service", partial(self._config, name))
        if found is not None and not found:
            self.unread.append(f"Configuration {name} in service is not shown: it was deleted")
        return found or None

    def target(self, name: str) -> dict[str, Any] | None:
        """
        Return the same for the configuration to deploy; None if it may not be read.

        :raises EndpointConfigNotFound: if it does not exist.
        """
        found = self.read("The configuration to deploy", partial(self._config, name))
        if found is not None and not found:
            raise missing_config(name, self.hook)
        return found

    def _config(self, name: str) -> dict[str, Any]:
        return self.hook.describe_endpoint_config(name) or {}


def missing_endpoint(name: str, hook: GuardrailsHook) -> EndpointNotFound:
    """Return the error for an endpoint that does not exist."""
    return EndpointNotFound(
        f"Endpoint {name} does not exist in {hook.conn_region_name}: create it, or correct endpoint_name, "
        "region_name or aws_conn_id"
    )


def missing_config(name: str, hook: GuardrailsHook) -> EndpointConfigNotFound:
    """Return the error for a configuration to deploy that does not exist."""
    return EndpointConfigNotFound(
        f"Endpoint configuration {name} does not exist in {hook.conn_region_name}: create it before this "
        "task, or correct endpoint_config_name"
    )
