"""The arguments of a task as its DAG file gives them, and the names in them as patterns of IAM."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from airflow_guardrails.names import LONGEST_PREFIX

# Any text, in a policy of IAM.
ANY = "*"

_PARAM = re.compile(r"\{\{\s*params(?:\.(\w+)|\[(['\"])([^'\"]+)\2\])\s*\}\}")
# From the first tag to the last one: what stands between two tags may not be rendered.
_BLOCKS = re.compile(r"\{%.*%\}", re.DOTALL)
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
_MANY = re.compile(r"\*{2,}")
# Characters with a meaning in a policy, which alarm names may contain.
_SPECIAL = re.compile(r"[*?$]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    A name as a pattern of IAM.

    :param text: the name, with ``*`` for each part that is known only when the task runs.
    :param note: what the pattern was made of; None if it is a plain name.
    """

    text: str
    note: str | None = None


class TaskArguments:
    """
    The arguments of *task*, which may be mapped.

    An argument of a mapped task may have several values. An argument that Airflow knows only when the task
    runs has its ``XComArg`` as value.
    """

    def __init__(self, task: Any) -> None:
        self.task_id: str = task.task_id
        self.dag_id: str = task.dag_id
        self._task = task
        self.is_mapped = hasattr(task, "operator_class") and hasattr(task, "partial_kwargs")
        self.kind: type = task.operator_class if self.is_mapped else type(task)
        self._params = _defaults_of(task)

    def values(self, name: str) -> list[Any]:
        """Return every value that the argument *name* may have."""
        if not self.is_mapped:
            return [getattr(self._task, name, None)]
        if (expanded := self._expanded(name)) is not None:
            return expanded
        if name in self._task.partial_kwargs:
            return [self._task.partial_kwargs[name]]
        return [_default_of(self.kind, name)]

    def value(self, name: str) -> Any:
        """Return the value of the argument *name*; of several, the first that is not empty."""
        return next((value for value in self.values(name) if value is not None), None)

    def sibling(self, name: str) -> TaskArguments | None:
        """Return the task of the same DAG whose ID is the argument *name*; None if it is not known."""
        task_id = self.value(name)
        dag = self._task.dag if self._task.has_dag() else None
        if dag is None or not isinstance(task_id, str) or not dag.has_task(task_id):
            return None
        return TaskArguments(dag.get_task(task_id))

    def may_be_true(self, name: str) -> bool:
        """Whether a value of the argument is, or may be, true."""
        return any(self.values(name))

    def patterns(self, name: str) -> tuple[Pattern, ...]:
        """Return the names that the argument may have; the pattern of any name if it has none."""
        return self.patterns_of(name, self.values(name))

    def patterns_of(self, name: str, values: Iterable[Any]) -> tuple[Pattern, ...]:
        """Return *values* of the argument *name* as patterns."""
        return tuple(dict.fromkeys(self._pattern(name, value) for value in values))

    def _pattern(self, name: str, value: Any) -> Pattern:
        if value is None or value == "":
            return Pattern(ANY)
        if not isinstance(value, str):
            return Pattern(ANY, f"{name}: known only when the task runs")
        text, notes = self._with_params(value)
        pattern = _MANY.sub(ANY, _escaped_outside_templates(text))
        if pattern != text:
            notes.append("* is what is known only when the task runs")
        return Pattern(pattern, f"{name}={value!r}: {'; '.join(notes)}" if notes else None)

    def _with_params(self, text: str) -> tuple[str, list[str]]:
        """Replace params by their defaults; return the text, and which were replaced."""
        used: dict[str, str] = {}

        def default(found: re.Match[str]) -> str:
            name = found[1] or found[3]
            value = self._params.get(name)
            if not isinstance(value, str) or "{" in value:
                return found[0]
            used[name] = value
            return value

        replaced = _PARAM.sub(default, text)
        return replaced, [f"params.{name} has its default {value!r}" for name, value in used.items()]

    def _expanded(self, name: str) -> list[Any] | None:
        given = self._task._get_specified_expand_input().value  # noqa: SLF001 - Airflow has no public name
        if isinstance(given, Mapping):
            if name not in given:
                return None
            values = given[name]
            return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
        if isinstance(given, Sequence):  # expand_kwargs with a list of dicts
            found = [one[name] for one in given if isinstance(one, Mapping) and name in one]
            return found or None
        # expand_kwargs with the result of a task may set any argument that is not set already.
        return [given] if name not in self._task.partial_kwargs else None


def made_name(prefix: Pattern, *, suffix: str = "") -> Pattern:
    """Return the names that ``names.guarded_name`` makes, from the patterns of its prefix."""
    known, unknown, _ = f"{prefix.text}{suffix}".partition(ANY)
    if unknown:
        return Pattern(f"{known[:LONGEST_PREFIX]}{ANY}", prefix.note)
    return Pattern(f"{known[:LONGEST_PREFIX].rstrip('-')}-{ANY}", prefix.note)


def _escaped_outside_templates(text: str) -> str:
    parts: list[str] = []
    position = 0
    text = _BLOCKS.sub("{{ }}", text)
    for found in _EXPRESSION.finditer(text):
        parts += [_escaped(text[position : found.start()]), ANY]
        position = found.end()
    return "".join([*parts, _escaped(text[position:])])


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"${{{found[0]}}}", text)


def _defaults_of(task: Any) -> dict[str, Any]:
    """Return the params of the task and its DAG, name -> default."""
    defaults: dict[str, Any] = {}
    dag = task.dag if task.has_dag() else None
    for params in (getattr(dag, "params", None), getattr(task, "params", None)):
        if params:
            defaults.update(params.dump())
    return defaults


def _default_of(kind: type, name: str) -> Any:
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        found = signature(vars(base)["__init__"]).parameters.get(name)
        if found is not None:
            return None if found.default is Parameter.empty else found.default
    return None
