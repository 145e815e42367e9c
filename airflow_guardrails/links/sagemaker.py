"""
Links from a task to its endpoint and alarms in the AWS console.

Airflow shows them on the task's Details tab, also while the task is deferred.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from airflow_guardrails.domain.snapshots.console import alarm_page, endpoint_page

# The XCom with the data of the links; the operator pushes it.
LINK_DATA_KEY = "console_links"

_ConsoleLinkData = dict[str, Any]


def console_link_data(
    *, region_name: str, partition: str, endpoint_name: str, alarms: Iterable[str]
) -> _ConsoleLinkData:
    """Return the data of all links of a task; the operator pushes it as XCom ``LINK_DATA_KEY``."""
    return {
        "region": region_name,
        "domain": BaseAwsLink.get_aws_domain(partition),
        "endpoint_name": endpoint_name,
        "alarms": list(alarms),
    }


class _ConsoleLink(BaseOperatorLink):
    """
    A page of the AWS console.

    The link is empty until the task has called AWS, and in partitions without a known console.
    """

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL; "" if there is nothing to link to."""
        # Airflow calls this in the worker, also at a deferral, and stores the URL for the UI.
        data = XCom.get_value(key=LINK_DATA_KEY, ti_key=ti_key)
        page = self.page(data) if data and data["domain"] else None
        return f"https://console.{data['domain']}{page}" if page else ""

    @abstractmethod
    def page(self, data: _ConsoleLinkData) -> str | None:
        """Return the path and fragment of the page; None if there is nothing to link to."""


class SageMakerEndpointLink(_ConsoleLink):
    """The endpoint in the SageMaker console."""

    @property
    def name(self) -> str:
        """The text of the button."""
        return "SageMaker endpoint"

    def page(self, data: _ConsoleLinkData) -> str:
        """Return the page of the endpoint."""
        return endpoint_page(data["region"], data["endpoint_name"])


class CloudWatchAlarmLink(_ConsoleLink):
    """
    One of the alarms that guard the update, in the CloudWatch console.

    :param number: position among the alarms of the update, from 1.
    :param alarm_name: shown on the button; None: not known when the DAG is parsed.
    """

    def __init__(self, number: int, alarm_name: str | None = None) -> None:
        self.number = number
        self.alarm_name = alarm_name

    @property
    def name(self) -> str:
        """The text of the button; Airflow needs a different one for each link."""
        return f"CloudWatch alarm {self.alarm_name or self.number}"

    @property
    def xcom_key(self) -> str:
        """The XCom key of the link, with the number: a task has one link for each alarm."""
        return f"_link_CloudWatchAlarmLink_{self.number}"

    def page(self, data: _ConsoleLinkData) -> str | None:
        """Return the page of the alarm; None if the update has fewer alarms."""
        if self.number > len(data["alarms"]):
            return None
        return alarm_page(data["region"], data["alarms"][self.number - 1])
