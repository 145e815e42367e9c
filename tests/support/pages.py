"""Pages of the documentation, and the tables in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    """The text of a page in ``docs``."""
    return (DOCS / f"{name}.md").read_text()


def section(text: str, title: str) -> str:
    """What stands under the heading *title*, which must be there."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {title!r}"
    return found[2]


def first_column(text: str) -> list[str]:
    """The words in code font with which the rows of the tables in *text* begin."""
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
