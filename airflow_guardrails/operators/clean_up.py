"""Delete what this package made for an endpoint and nothing needs any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_guardrails.domain.arguments import Check, check_name
from airflow_guardrails.links.sagemaker import SageMakerEndpointLink
from airflow_guardrails.tasks.aws_task import AwsTask
from airflow_guardrails.tasks.validation import check_count, check_flag


class CleanUpReport(TypedDict):
    """
    What went and what stayed.

    *deleted* has ``kind`` and ``name`` of each, *kept* also *why*. With *dry_run*, *deleted* would go.
    """

    endpoint_name: str
    dry_run: bool
    deleted: list[dict[str, str]]
    kept: list[dict[str, str]]
    warnings: list[str]


class SageMakerCleanUpOperator(AwsTask):
    """
    Delete endpoint configurations, models, guards and abort switches that this package made for the endpoint.

    Only what nothing needs is deleted. These stay: what serves, what the endpoint is being updated to, what a
    rollback would go back to, the newest *keep* configurations that served well, what another endpoint,
    configuration or inference experiment uses, the alarms of the last update or of one in flight, and what is
    younger than an hour. What people made is never touched. If a permission is missing to find out what is
    used, that kind stays, and the report says why.

    Returns a report of what was deleted and what stayed and why; see ``docs/versions.md``.

    :param endpoint_name: name of the endpoint, which must exist. (templated)
    :param keep: how many of the newest configurations that served well stay, besides what serves and what a
        rollback would go back to: 1 or more.
    :param dry_run: whether to report only what would be deleted.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :raises EndpointNotFound: if there is no such endpoint; nothing is deleted.
    """

    template_fields: Sequence[str] = ("endpoint_name", *AwsTask.template_fields)
    rendered_checks: ClassVar[Mapping[str, Check]] = {"endpoint_name": check_name, **AwsTask.rendered_checks}
    operator_extra_links: Sequence[BaseOperatorLink] = (SageMakerEndpointLink(),)
    ui_color = "#e6e6ee"

    def __init__(self, *, endpoint_name: str, keep: int = 5, dry_run: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count("keep", keep)
        check_flag("dry_run", dry_run)
        self.endpoint_name = endpoint_name
        self.keep = keep
        # BaseOperator.dry_run is a method, which prints the rendered fields.
        self.only_report = dry_run

    def execute(self, context: Any) -> CleanUpReport:
        """Find what nothing needs, delete it, and return the report."""
        from airflow_guardrails.operators._versions.clean_up import CleanUp  # noqa: PLC0415 - not in every DAG file

        self.check_rendered()
        clean_up = CleanUp(self.hook, self.endpoint_name, sleep=self.sleep, log=self.log)
        found = clean_up.find(keep=self.keep)
        self.push_endpoint_links(context, self.endpoint_name)
        if not self.only_report:
            found = clean_up.delete(found)
        deleted = [{"kind": each.kind.value, "name": each.name} for each in found if each.why is None]
        kept = [
            {"kind": each.kind.value, "name": each.name, "why": each.why}
            for each in found
            if each.why is not None
        ]
        self.log.info(
            "%s %d, kept %d", "Would delete" if self.only_report else "Deleted", len(deleted), len(kept)
        )
        return {
            "endpoint_name": self.endpoint_name,
            "dry_run": self.only_report,
            "deleted": deleted,
            "kept": kept,
            "warnings": clean_up.warnings,
        }
