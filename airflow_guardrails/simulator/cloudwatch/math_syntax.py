"""
The syntax of metric math, read with Python's parser.

An expression is first split into tokens and written as Python, and then only the nodes of metric math are
accepted. Nothing is ever executed as Python.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from airflow_guardrails.simulator.cloudwatch.math_functions import FUNCTIONS, WORDS
from airflow_guardrails.simulator.cloudwatch.math_values import ARITHMETIC, COMPARISONS, LOGIC, MathError

METRICS, BAND = "METRICS", "ANOMALY_DETECTION_BAND"

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
      | (?P<text>"[^"\\\n]*"|'[^'\\\n]*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/^<>(),\[\]])
    )""",
    re.VERBOSE,
)
_SIGNS = {"&&": "and", "||": "or", "^": "**", "AND": "and", "OR": "or"}
# Ids may be words of Python, so they get a prefix while Python parses them.
_PREFIX = "id_"
# The service model allows 2048 characters.
_LONGEST = 2048


def parse(expression: str) -> ast.expr:
    """
    Return the tree of an expression.

    :raises MathError: for anything that is not metric math, or uses a function that is not simulated.
    """
    if len(expression) > _LONGEST:
        raise MathError(f"the expression is longer than {_LONGEST} characters")
    try:
        tree = ast.parse(" ".join(_python(expression.strip())), mode="eval").body
        _check(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise error if isinstance(error, MathError) else MathError("the syntax is wrong") from None
    return tree


def query_id(node: ast.Name) -> str:
    """Return the id that a name in the tree stands for."""
    return node.id.removeprefix(_PREFIX)


def name(query_id: str) -> ast.Name:
    """Return the tree of an expression that is only the id of a query."""
    return ast.Name(id=_PREFIX + query_id, ctx=ast.Load())


def ids(tree: ast.expr) -> list[str]:
    """Return the ids of other queries in an expression, without those that METRICS finds."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return [query_id(name) for name in names if name.id.startswith(_PREFIX)]


def calls(tree: ast.AST, function: str) -> list[ast.Call]:
    """Return the calls of a function."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in found if isinstance(node.func, ast.Name) and node.func.id == function]


def text_of_metrics(call: ast.Call) -> str:
    """
    Return the text that METRICS looks for in ids, empty if there is none.

    :raises MathError: for other arguments.
    """
    if not call.args:
        return ""
    [*more, argument] = call.args
    if more or not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
        raise MathError("METRICS takes no argument, or a text that is part of ids")
    return argument.value


def _python(expression: str) -> Iterator[str]:
    here = 0
    while here < len(expression):
        token = _TOKEN.match(expression, here)
        if token is None:
            raise MathError(f"the syntax is wrong at '{expression[here : here + 20].strip()}'")
        here = token.end()
        text = token[token.lastgroup or 0]
        if token["number"]:
            yield repr(float(text))
        elif token["name"] and not text[0].isupper():
            yield _PREFIX + text
        else:
            yield _SIGNS.get(text, text)


_OPERATORS = {*ARITHMETIC, *COMPARISONS, *LOGIC, "USub"}
_NODES = (
    ast.BinOp,
    ast.BoolOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Call,
    ast.List,
    ast.Name,
    ast.Constant,
    ast.Load,
)


def _check(tree: ast.expr) -> None:
    # User guide, "Anomaly detection on metric math".
    if len(calls(tree, BAND)) > 1:
        raise MathError(f"{BAND} must not be used more than once in an expression")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            _check_call(node)
        elif isinstance(node, ast.Compare) and len(node.ops) > 1:
            raise MathError("comparisons must not be chained")
        elif isinstance(node, (ast.operator, ast.cmpop, ast.boolop, ast.unaryop)):
            if type(node).__name__ not in _OPERATORS:
                raise MathError("the operator is not supported")
        elif isinstance(node, ast.Name):
            _check_name(node)
        elif not isinstance(node, _NODES) or not isinstance(getattr(node, "value", ""), (float, str)):
            raise MathError("the syntax is wrong")


def _check_call(node: ast.Call) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS and name not in (METRICS, BAND):
        raise MathError(f"the function {name.removeprefix(_PREFIX)} is unknown or not simulated")


def _check_name(node: ast.Name) -> None:
    known = node.id.startswith(_PREFIX) or node.id in FUNCTIONS or node.id in WORDS
    if not known and node.id not in (METRICS, BAND):
        raise MathError(f"{node.id} is no function and no id; ids begin with a small letter")
