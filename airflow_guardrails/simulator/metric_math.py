"""The part of metric math that is arithmetic: ``100 * errors / requests``, over the ids of other queries."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

from airflow_guardrails.simulator.cloudwatch_errors import ValidationError

Points = Mapping[int, float]
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def calculate(query_id: str, expression: str, series: Mapping[str, Points]) -> Points:
    """
    Return an expression's points: where every id it names has one and nothing is divided by zero.

    :raises ValidationError: for functions and everything else that is not + - * / ( ), numbers and known ids.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise _refused(query_id, expression) from None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not names or not names <= set(series) or not _is_arithmetic(tree):
        raise _refused(query_id, expression)
    common = set.intersection(*(set(series[name]) for name in names))
    points = {at: _value(tree, {name: series[name][at] for name in names}) for at in sorted(common)}
    return {at: value for at, value in points.items() if value is not None}


def _is_arithmetic(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return type(node.op) in _OPERATORS and _is_arithmetic(node.left) and _is_arithmetic(node.right)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and _is_arithmetic(node.operand)
    return isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and type(node.value) in (int, float))


def _value(node: ast.expr, values: Mapping[str, float]) -> float | None:
    try:
        return _calculated(node, values)
    except ArithmeticError:
        return None


def _calculated(node: ast.expr, values: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_calculated(node.left, values), _calculated(node.right, values))
    if isinstance(node, ast.UnaryOp):
        return -_calculated(node.operand, values)
    return values[node.id] if isinstance(node, ast.Name) else float(ast.literal_eval(node))


def _refused(query_id: str, expression: str) -> ValidationError:
    return ValidationError(
        f"Error in expression '{query_id}': {expression} is not simulated; "
        "use + - * / and parentheses over numbers and the ids of other queries"
    )
