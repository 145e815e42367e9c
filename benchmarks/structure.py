"""
How easy the code is to read: sizes of folders, public names, docstrings, comments, depth of calls.

    python benchmarks/structure.py            # of this checkout
    python benchmarks/structure.py --root DIR # of another one, for example of an older commit
    python benchmarks/structure.py --stack    # also print the deepest stack of calls

The depth is that of ``SageMakerGuardedUpdateOperator.execute()`` for one plain canary against the simulator,
see ``call_depth.py``. Exits with 1 if a figure is not as wanted.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

PACKAGE = "airflow_guardrails"
# The names in these folders are shared between our own modules only.
INTERNAL = ("domain", "aws", "tasks")
NOT_PROVIDER = ("simulator", "demo")
# The one module of an internal folder that other programs may import.
PUBLIC_INSIDE = ("airflow_guardrails.domain.judge",)
LARGEST_FOLDERS = 3

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the output: a measured number, and the range in which it should be, if there is one."""

    name: str
    value: float
    least: float = -inf
    most: float = inf
    form: str = ",.0f"

    @property
    def is_met(self) -> bool:
        """Whether the value is in its range; a figure without a range always is."""
        return self.least <= self.value <= self.most

    def __str__(self) -> str:
        verdict = "" if not self._wanted else "yes" if self.is_met else "NO"
        return f"{self.name:52}{format(self.value, self.form):>8}  {self._wanted:10}{verdict}".rstrip()

    @property
    def _wanted(self) -> str:
        least, most = format(self.least, self.form), format(self.most, self.form)
        if self.least == -inf:
            return "" if self.most == inf else f"<= {most}"
        return f">= {least}" if self.most == inf else f"{least} to {most}"


def main() -> int:
    """Print all figures of a checkout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="a checkout")
    parser.add_argument("--stack", action="store_true", help="print the deepest stack of calls")
    options = parser.parse_args()
    root = options.root.resolve()
    modules = [Module(path, root) for path in sorted((root / PACKAGE).rglob("*.py"))]
    calls = depth_of_calls(root)
    figures = [*sizes(modules, root), *names(modules), *texts(modules), *depths(calls)]
    print(f"{'':52}{'':>8}  {'wanted':10}met")
    for figure in figures:
        print(figure)
    if options.stack:
        print("\n".join(["", *calls["deepest"]]))
    return int(not all(figure.is_met for figure in figures))


def sizes(modules: Sequence[Module], root: Path) -> Iterator[Figure]:
    """Count lines, modules, and the files in the largest folders."""
    provider = sum(module.lines for module in modules if module.is_provider)
    yield Figure("lines of the provider", provider)
    yield Figure("lines of simulator and demo", sum(module.lines for module in modules) - provider)
    yield Figure("modules", len(modules))
    folders = Counter(module.path.parent for module in modules if module.path.name != "__init__.py")
    for folder, count in folders.most_common(LARGEST_FOLDERS):
        yield Figure(f"files in {folder.relative_to(root)}", count, most=15)


def names(modules: Sequence[Module]) -> Iterator[Figure]:
    """Count top-level names without a leading underscore."""
    public = sum(len(module.names) for module in modules if module.is_public)
    yield Figure("names in public modules", public, most=250)
    provider = sum(len(module.names) for module in modules if module.is_provider)
    yield Figure("names without underscore, provider", provider)
    yield Figure("names without underscore, all", sum(len(module.names) for module in modules))


def texts(modules: Sequence[Module]) -> Iterator[Figure]:
    """Measure docstrings of public functions, and comments."""
    provider = [module for module in modules if module.is_provider]
    for label, chosen in (("provider", provider), ("all", modules)):
        functions = [function for module in chosen for function in module.functions]
        documented = sum(ast.get_docstring(function) is not None for function in functions)
        share = documented / len(functions)
        yield Figure(f"public functions with a docstring, {label}", share, least=0.9, form=".0%")
        comments, lines = sum(module.comments for module in chosen), sum(module.lines for module in chosen)
        yield Figure(f"comments per 100 lines, {label}", 100 * comments / lines, 3, 5, form=".1f")


def depths(calls: dict[str, Any]) -> Iterator[Figure]:
    """Return what ``call_depth.py`` has measured."""
    yield Figure("depth of our frames, execute() of one canary", calls["depth"], most=12)
    yield Figure("files that it enters", calls["files"])


def depth_of_calls(root: Path) -> dict[str, Any]:
    """Run ``call_depth.py`` with the package of *root*."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, str(Path(__file__).with_name("call_depth.py"))],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"call_depth.py failed:\n{done.stderr[-4000:]}")
    # Airflow logs to stdout, too; the figures are the last line.
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


class Module:
    """One file of the package."""

    def __init__(self, path: Path, root: Path) -> None:
        parts = path.relative_to(root).with_suffix("").parts
        self.path = path
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.is_provider = parts[1] not in NOT_PROVIDER
        self.is_internal = parts[1] in INTERNAL or any(part.startswith("_") for part in self.name.split("."))
        self.source = path.read_text()
        self.lines = self.source.count("\n")

    @property
    def is_public(self) -> bool:
        """Whether users may import from it."""
        return self.name in PUBLIC_INSIDE or (self.is_provider and not self.is_internal)

    @property
    def comments(self) -> int:
        """Number of comments; those for ruff alone do not count."""
        tokens = tokenize.generate_tokens(io.StringIO(self.source).readline)
        found = [token.string for token in tokens if token.type == tokenize.COMMENT]
        return sum(not comment.startswith("# noqa") for comment in found)

    @property
    def names(self) -> list[str]:
        """Top-level names without a leading underscore; imported names do not count."""
        return [name for name in _defined(self.tree) if not name.startswith("_")]

    @property
    def functions(self) -> list[FunctionNode]:
        """Public functions, and public methods of public classes."""
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        bodies = [self.tree.body, *(node.body for node in classes if not node.name.startswith("_"))]
        found = [node for body in bodies for node in body if isinstance(node, FunctionNode)]
        return [node for node in found if not node.name.startswith("_")]

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of the file."""
        return ast.parse(self.source)


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, FunctionNode | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


if __name__ == "__main__":
    sys.exit(main())
