"""The site of the documentation: ``make docs`` builds it into ``docs/_build/html``."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import reference  # noqa: E402 - beside this file

import airflow_guardrails  # noqa: E402

_REPOSITORY = "https://github.com/airflow-guardrails/airflow-guardrails/blob/main"

project = "airflow-guardrails"
author = "The airflow-guardrails developers"
copyright = author  # noqa: A001 - Sphinx's name
release = version = airflow_guardrails.__version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4
# The mathematics of the judge has indices and stars in code, which are no emphasis.
myst_enable_extensions = ["dollarmath"]
html_theme = "furo"
html_title = f"airflow-guardrails {version}"
html_copy_source = False
html_show_sphinx = False
# Code samples are DAGs, answers and logs; some of them are abbreviated.
suppress_warnings = ["misc.highlighting_failure"]


def setup(app: Any) -> None:
    """Connect what this site does beside Sphinx."""
    app.connect("builder-inited", lambda _: reference.write(HERE / "reference"))
    app.connect("source-read", _link_to_repository)
    app.connect("build-finished", _copy_pictures)


def _link_to_repository(_app: Any, _name: str, source: list[str]) -> None:
    """Links to files outside of the pages work on GitHub; on the site they lead there."""
    source[0] = re.sub(r"\]\(\.\./", f"]({_REPOSITORY}/", source[0])


def _copy_pictures(app: Any, error: Exception | None) -> None:
    # The pages show them by HTML, which Sphinx does not look into.
    if error is None and app.builder.format == "html":
        shutil.copytree(HERE / "img", Path(app.outdir) / "img", dirs_exist_ok=True)
