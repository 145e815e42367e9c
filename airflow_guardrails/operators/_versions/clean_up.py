"""Find and delete what this package made for an endpoint and nothing needs any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.versions.cleaning import Found, Kind, deletable
from airflow_guardrails.exceptions import EndpointNotFound
from airflow_guardrails.operators._versions.inventory import InventoryReader

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.domain.versions.cleaning import Inventory
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


class CleanUp:
    """
    The clean-up of one endpoint.

    :param sleep: sleeps for a number of seconds: calls are paced, because AWS limits them for the account.
    :ivar warnings: what could not be read, for the report.
    """

    def __init__(
        self, hook: GuardrailsHook, endpoint_name: str, *, sleep: Callable[[float], object], log: Any
    ) -> None:
        self.warnings: list[str] = []
        self._hook = hook
        self._name = endpoint_name
        self._sleep = sleep
        self._log = log
        self._inventory: Inventory | None = None
        self._looked: tuple[str | None, str | None, bool] = (None, None, False)

    def find(self, *, keep: int) -> tuple[Found, ...]:
        """
        Return all that this package made, and why what is needed must stay.

        :raises EndpointNotFound: if there is no such endpoint.
        """
        endpoint = self._describe()
        self._looked = (endpoint.endpoint_config_name, endpoint.pending_config_name, endpoint.changing)
        reader = InventoryReader(self._hook, endpoint, sleep=self._sleep)
        self._inventory = reader.read()
        self.warnings = reader.warnings
        for warning in self.warnings:
            self._log.warning(warning)
        return deletable(self._inventory, keep=keep)

    def delete(self, found: Iterable[Found]) -> tuple[Found, ...]:
        """Delete what :meth:`find` found to be unneeded; return all as it is now, with why it stayed."""
        done: list[Found] = []
        for each in found:
            why = each.why or self._why_now(each, done)
            done.append(replace(each, why=why) if why else self._deleted(each))
        return tuple(done)

    def _why_now(self, found: Found, done: Iterable[Found]) -> str | None:
        """Return why *found* must stay by now; None if it may still go."""
        assert self._inventory is not None
        stayed = {each.name for each in done if each.kind is Kind.CONFIG and each.why}
        for config in self._inventory.configs:
            if found.kind is Kind.MODEL and config.name in stayed and found.name in config.models:
                return f"used by configuration {config.name}"
        endpoint = self._describe()
        if (endpoint.endpoint_config_name, endpoint.pending_config_name, endpoint.changing) == self._looked:
            return None
        # Whatever began, its alarms and what it may go back to have to stay.
        return f"endpoint {self._name} has changed meanwhile: it is {endpoint.status.value}"

    def _deleted(self, found: Found) -> Found:
        try:
            if found.kind is Kind.CONFIG:
                self._hook.delete_endpoint_config(found.name)
            elif found.kind is Kind.MODEL:
                self._hook.delete_model(found.name)
            else:
                self._hook.delete_alarms([found.name])
        except ClientError as error:
            if errors.is_missing_endpoint_config(error) or errors.is_missing_model(error):
                return found  # somebody else has deleted it
            return self._failed(found, error)
        except BotoCoreError as error:
            return self._failed(found, error)
        self._log.info("Deleted %s %s", found.kind.value, found.name)
        return found

    def _failed(self, found: Found, error: Exception) -> Found:
        why = f"it could not be deleted: {errors.text_for_people(error)}"
        self._log.warning("%s %s stays: %s", found.kind.value, found.name, why)
        return replace(found, why=why)

    def _describe(self) -> Endpoint:
        endpoint = self._hook.describe_endpoint(self._name)
        if not isinstance(endpoint, Endpoint):
            raise EndpointNotFound(
                f"Endpoint {self._name} does not exist in {self._hook.conn_region_name}: it is not known "
                "what a rollback needs, so nothing was deleted"
            )
        return endpoint
