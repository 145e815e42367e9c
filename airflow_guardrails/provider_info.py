"""The metadata that Airflow reads through the entry point ``apache_airflow_provider``."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Amazon SageMaker guarded deployments"


def get_provider_info() -> dict[str, Any]:
    """Return the metadata in the form of Airflow's ``provider_info`` schema."""
    return {
        "package-name": "airflow-guardrails",
        "name": "SageMaker Guardrails",
        "description": "Guarded updates of SageMaker endpoints that tell the truth about rollbacks.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html",
                "tags": ["aws"],
            }
        ],
        "operators": [
            _modules(
                "airflow_guardrails.operators.rollout",
                "airflow_guardrails.operators.abort",
                "airflow_guardrails.operators.preflight",
                "airflow_guardrails.operators.rollback",
                "airflow_guardrails.operators.clean_up",
                "airflow_guardrails.operators.conclude",
                "airflow_guardrails.operators.shadow_test",
                "airflow_guardrails.operators.stop_shadow_test",
                "airflow_guardrails.operators.shadow_variant",
                "airflow_guardrails.operators.judge",
                "airflow_guardrails.operators.approval",
                "airflow_guardrails.operators.predictions",
            )
        ],
        "sensors": [
            _modules(
                "airflow_guardrails.sensors.rollout",
                "airflow_guardrails.sensors.shadow_test",
                "airflow_guardrails.sensors.model_package",
            )
        ],
        "hooks": [_modules("airflow_guardrails.hooks.guardrails")],
        "triggers": [
            _modules(
                "airflow_guardrails.triggers.rollout",
                "airflow_guardrails.triggers.shadow_test",
                "airflow_guardrails.triggers.model_package",
            )
        ],
        "notifications": ["airflow_guardrails.notifications.RolloutNotifier"],
        "extra-links": [
            "airflow_guardrails.links.sagemaker.SageMakerEndpointLink",
            "airflow_guardrails.links.sagemaker.CloudWatchAlarmLink",
            "airflow_guardrails.links.rollout_page.RolloutPageLink",
        ],
        "config": {
            "airflow_guardrails": {
                "description": "Options of the provider SageMaker Guardrails.",
                "options": {
                    "page": {
                        "description": "Whether Airflow's UI has the page Rollouts.",
                        "version_added": "0.2.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    }
                },
            }
        },
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": _INTEGRATION, "python-modules": list(names)}
