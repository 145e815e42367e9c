"""The command line: ``python -m airflow_guardrails``. ``docs/cli.md`` describes its commands."""
