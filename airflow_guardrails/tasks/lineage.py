"""The lineage of an update for OpenLineage: the artefacts of the models go in, the endpoint comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.tasks.aws_task import AwsTask

if TYPE_CHECKING:
    from airflow_guardrails.domain.rollout.report import RolloutReport

_S3_URI = re.compile(r"s3://([^/]+)/?(.*)")
_FACET = "airflow_guardrails_rollout"


class LineageTask(AwsTask):
    """
    Mixin of the tasks that update an endpoint.

    The methods are called by Airflow's OpenLineage provider, if it is installed, after the task has ended.
    Datasets are named as the amazon provider names objects in S3, and by the ARN without its last part for
    what is in SageMaker. Nothing here fails a task.
    """

    # The report of the update that this task has started or found; None before that.
    reported: RolloutReport | None = None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - the signature is OpenLineage's
        """Return the artefacts as inputs, the endpoint as output, and outcome and summary as a run facet."""
        from airflow.providers.common.compat.openlineage.facet import Dataset, RunFacet  # noqa: PLC0415 - optional
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

        if self.reported is None:
            return OperatorLineage()
        inputs, outputs = self._datasets(self.reported)
        facet = RunFacet().with_additional_properties(
            outcome=self.reported["outcome"], summary=self.reported["summary"]
        )
        return OperatorLineage(
            inputs=[Dataset(namespace=namespace, name=name) for namespace, name in inputs],
            outputs=[Dataset(namespace=namespace, name=name) for namespace, name in outputs],
            run_facets={_FACET: facet},
        )

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the same: after a rollback, the facet says so; without an update, there is nothing."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _datasets(self, report: RolloutReport) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return namespace and name of each input and output; none if AWS does not return them."""
        try:
            response = self.hook.describe_endpoint_config(report["endpoint_config_name"])
            if response is None:
                return [], []
            config = parse_endpoint_config(response)
            namespace = config.arn.rpartition(":")[0]
            models = {variant.model_name: None for variant in config.variants if variant.model_name}
            inputs = [each for model in models for each in self._artefacts(model, namespace)]
        except Exception as error:  # noqa: BLE001 - whatever AWS answers, the update is over
            self.log.warning("No datasets for OpenLineage (%s: %s)", type(error).__name__, error)
            return [], []
        return inputs, [(namespace, f"endpoint/{report['endpoint_name']}")]

    def _artefacts(self, model: str, namespace: str) -> Iterator[tuple[str, str]]:
        uris = self.hook.describe_model_artefacts(model)
        found = [match.groups() for match in map(_S3_URI.fullmatch, uris) if match]
        if not found:
            # For example, a version of the model registry.
            yield namespace, f"model/{model}"
        for bucket, key in found:
            yield f"s3://{bucket}", key
