"""Pages of the AWS console."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from airflow_guardrails.domain.snapshots.arn import Place

# Partitions whose console is known. https://docs.aws.amazon.com/general/latest/gr/rande.html
_DOMAINS = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}


def console_url(place: Place, page: Callable[[str, str], str], name: str) -> str | None:
    """
    Return the URL of a page; None in a partition whose console is unknown.

    :param page: one of the functions below.
    :param name: of the resource.
    """
    domain = _DOMAINS.get(place.partition or "")
    if domain is None or place.region is None:
        return None
    return f"https://console.{domain}{page(place.region, name)}"


def endpoint_page(region: str, endpoint_name: str) -> str:
    """Return path and fragment of the page of an endpoint."""
    return _page("sagemaker", region, f"/endpoints/{_quoted(endpoint_name)}")


def shadow_test_page(region: str, name: str) -> str:
    """Return path and fragment of the page of a shadow test."""
    return _page("sagemaker", region, f"/shadow-tests/{_quoted(name)}")


def alarm_page(region: str, alarm_name: str) -> str:
    """Return path and fragment of the page of an alarm."""
    return _page("cloudwatch", region, f"alarmsV2:alarm/{_quoted(alarm_name)}")


def _page(service: str, region: str, fragment: str) -> str:
    return f"/{service}/home?region={_quoted(region)}#{fragment}"


def _quoted(text: str) -> str:
    # An alarm's name may have any character, also "/" and "#".
    return quote(text, safe="")
