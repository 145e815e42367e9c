"""Write the reference pages: all arguments of what a DAG uses, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from airflow_guardrails import exceptions
from airflow_guardrails.domain.text import duration_in_words
from airflow_guardrails.provider_info import get_provider_info

# Page -> title, introduction, modules.
_PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "operators": ("Operators", "What a DAG does to an endpoint.", ()),
    "sensors": ("Sensors", "Waits for what something else has started.", ()),
    "triggers": (
        "Triggers",
        "What operators and sensors defer to. You need them only for a deferrable operator of your own.",
        (),
    ),
    "values": (
        "Strategies, guards and rules",
        "Values that operators take. Each may also be a dict. A wrong value fails the import of the DAG.",
        (
            "airflow_guardrails.strategies",
            "airflow_guardrails.guards",
            "airflow_guardrails.rules",
        ),
    ),
    "groups": (
        "Task groups, assets, notifications, names",
        "What is built of the operators, and around them.",
        (
            "airflow_guardrails.task_groups",
            "airflow_guardrails.assets",
            "airflow_guardrails.notifications",
            "airflow_guardrails.names",
        ),
    ),
}
_FIELD = re.compile(r"^:(param|raises|ivar|return|returns)\s*([\w, ]*):\s*", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]*)`")


def write(folder: Path) -> None:
    """Write a page for each kind into *folder*; unchanged pages are left alone."""
    folder.mkdir(exist_ok=True)
    info = get_provider_info()
    for name, (title, introduction, modules) in _PAGES.items():
        paths = modules or tuple(path for kind in info[name] for path in kind["python-modules"])
        parts = [f"# {title}", introduction]
        items = {item: path for path in reversed(paths) for item in reversed(_public(path))}
        parts += [_item(path, item) for item, path in reversed(items.items())]
        _replace(folder / f"{name}.md", parts)
    _replace(folder / "errors.md", ["# Errors", _ERRORS, *_errors()])


_ERRORS = (
    "A task fails with one of these. The text begins with outcome and cause, and says what to do. "
    "[Outcomes](../outcomes.md#errors) says which error follows from which outcome."
)


def _replace(path: Path, parts: list[str]) -> None:
    text = "\n\n".join(parts) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _public(path: str) -> list[Any]:
    """Return the classes and functions that a module offers."""
    module = import_module(path)
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    found = [getattr(module, name) for name in names]
    return [
        each
        for each in found
        if (inspect.isclass(each) or inspect.isfunction(each))
        and each.__doc__
        and (each.__module__ == path or hasattr(module, "__all__"))
        # They have no arguments.
        and not (inspect.isclass(each) and issubclass(each, Enum | Exception))
    ]


def _item(path: str, item: Any) -> str:
    text, fields = _parsed(item)
    rows = list(_rows(item, fields))
    table = (
        "\n".join(["| argument | type | default | meaning |", "| --- | --- | --- | --- |", *rows])
        if rows
        else ""
    )
    raised = [f"- `{name}`: {meaning}" for kind, name, meaning in fields if kind == "raises"]
    returned = [meaning for kind, _, meaning in fields if kind.startswith("return")]
    parts = [
        f"## {item.__name__}",
        f"```python\nfrom {path} import {item.__name__}\n```",
        text,
        table,
        *(f"Returns {meaning}" for meaning in returned),
        "Raises:" if raised else "",
        "\n".join(raised),
    ]
    return "\n\n".join(part for part in parts if part)


def _rows(item: Any, fields: list[tuple[str, str, str]]) -> Iterator[str]:
    parameters = _parameters(item)
    templated = set(getattr(item, "template_fields", ()))
    for kind, names, meaning in fields:
        if kind != "param":
            continue
        for name in names.split(","):
            parameter = parameters.get(name.strip())
            written = meaning.replace("(templated)", "").strip()
            written = written[:1].upper() + written[1:].removesuffix("; or") + "."
            written = re.sub(r"[.;,]+$", ".", written)
            if name.strip() in templated:
                written += " Templated."
            cells = (f"`{name.strip()}`", _type(item, parameter), _default(parameter), _cell(written))
            yield f"| {' | '.join(cells)} |"


def _parameters(item: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function, or of the constructors of a class and its bases."""
    if inspect.isfunction(item):
        return dict(inspect.signature(item).parameters)
    found: dict[str, inspect.Parameter] = {}
    for each in reversed(item.__mro__):
        if each.__module__.startswith("airflow_guardrails") and "__init__" in vars(each):
            found |= inspect.signature(each.__init__).parameters
    return found


def _type(item: Any, parameter: inspect.Parameter | None) -> str:
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return ""
    text = str(parameter.annotation)
    # Of a choice, its values.
    choices = get_args(_named(item, text.removesuffix(" | str")))
    if choices and all(isinstance(choice, str) for choice in choices):
        return _cell(" | ".join(f'`"{choice}"`' for choice in choices))
    return f"`{_cell(text)}`"


def _named(item: Any, name: str) -> Any:
    """Return what *name* means where *item*, or a base of it, is defined."""
    owners = item.__mro__ if inspect.isclass(item) else [item]
    modules = [vars(import_module(owner.__module__)) for owner in owners]
    return next((module[name] for module in modules if name in module), None)


def _default(parameter: inspect.Parameter | None) -> str:
    if parameter is None:
        return ""
    if parameter.default is inspect.Parameter.empty:
        return "required"
    if isinstance(parameter.default, timedelta):
        return duration_in_words(parameter.default)
    if isinstance(parameter.default, Enum):
        return f'`"{parameter.default.value}"`'
    shown = repr(parameter.default)
    return "" if shown == "<not given>" else f"`{_cell(re.sub(r' at 0x[0-9a-f]+', '', shown))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _parsed(item: Any) -> tuple[str, list[tuple[str, str, str]]]:
    """Return the text of a docstring, and its fields as kind, name and meaning."""
    plain = _markdown(inspect.cleandoc(item.__doc__ or ""))
    pieces = _FIELD.split(plain)
    fields = [
        (pieces[at], pieces[at + 1], " ".join(pieces[at + 2].split())) for at in range(1, len(pieces), 3)
    ]
    return pieces[0].strip(), fields


def _markdown(text: str) -> str:
    """Return reStructuredText, as docstrings use it here, as Markdown."""
    text = _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    # Examples of the doctest form are code.
    text = re.sub(r"((?:^(?:>>>|\.\.\.) .*\n?)+)", r"```python\n\1```\n", text, flags=re.MULTILINE)
    return _escaped(text.replace("``", "`").replace("```python", "```python"))


def _escaped(text: str) -> str:
    """Escape what looks like HTML, outside of code."""
    parts = re.split(r"(```.*?```|`[^`]*`)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def _errors() -> Iterator[str]:
    found = [
        each
        for each in vars(exceptions).values()
        if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == exceptions.__name__
    ]
    rows = []
    for each in sorted(found, key=lambda each: each.__name__):
        retried = "no" if any(base.__name__ == "AirflowFailException" for base in each.__mro__) else "yes"
        rows.append(f"| `{each.__name__}` | {retried} | {_cell(_parsed(each)[0])} |")
    yield "\n".join(["| error | retried | meaning |", "| --- | --- | --- |", *rows])
