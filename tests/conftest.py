"""What holds for every test: nothing is written into the home of whoever runs it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Where threads outnumber cores, those that wait by spinning take a hundred times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if "AIRFLOW_HOME" not in os.environ:
    # Airflow writes there as soon as it is imported.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
