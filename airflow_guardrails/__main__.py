"""``python -m airflow_guardrails``."""

from __future__ import annotations

import sys

from airflow_guardrails.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
