"""
Links from a task to what it changes, in the AWS console; shown on the task's Details tab, also while it is
deferred.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

FACTS_KEY = "console_links"

ConsoleLinkData = dict[str, Any]


def console_link_data(
    *, region_name: str, partition: str, endpoint_name: str, alarms: Iterable[str]
) -> ConsoleLinkData:
    """What the links need to know; the operator pushes it as XCom under ``FACTS_KEY`` once it knows it."""
    return {
        "region": region_name,
        "domain": BaseAwsLink.get_aws_domain(partition),
        "endpoint_name": endpoint_name,
        "alarms": list(alarms),
    }


class ConsoleLink(BaseOperatorLink):
    """
    A place in the AWS console; empty until the task has reached AWS, and in partitions without a known
    console.
    """

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        facts = XCom.get_value(key=FACTS_KEY, ti_key=ti_key)
        place = self.place(facts) if facts and facts["domain"] else None
        return f"https://console.{facts['domain']}{place}" if place else ""

    @abstractmethod
    def place(self, facts: ConsoleLinkData) -> str | None:
        """Path and fragment in the console, or None if there is nothing to show."""


class SageMakerEndpointLink(ConsoleLink):
    """The endpoint in the SageMaker console."""

    @property
    def name(self) -> str:
        return "SageMaker endpoint"

    def place(self, facts: ConsoleLinkData) -> str:
        return (
            f"/sagemaker/home?region={_quoted(facts['region'])}#/endpoints/{_quoted(facts['endpoint_name'])}"
        )


class CloudWatchAlarmLink(ConsoleLink):
    """
    One of the alarms that guard the update, in the CloudWatch console.

    :param number: 1 for the first alarm of the update.
    :param alarm_name: its name, if it is known when the DAG is parsed; the button shows it.
    """

    def __init__(self, number: int, alarm_name: str | None = None) -> None:
        self.number = number
        self.alarm_name = alarm_name

    @property
    def name(self) -> str:
        return f"CloudWatch alarm {self.alarm_name or self.number}"

    @property
    def xcom_key(self) -> str:
        # The inherited key is the class's, and a task has one of these for each alarm.
        return f"_link_CloudWatchAlarmLink_{self.number}"

    def place(self, facts: ConsoleLinkData) -> str | None:
        if self.number > len(facts["alarms"]):
            return None
        alarm = facts["alarms"][self.number - 1]
        return f"/cloudwatch/home?region={_quoted(facts['region'])}#alarmsV2:alarm/{_quoted(alarm)}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
