"""Conditions over signals, like `gopher_word_count < 50 or fineweb_list_ratio > .3`: parsed strictly, carried out on columns, never evaluated.

Allowed are names of signals, numbers, + - * /, abs, min, max, log, comparisons, and, or, not, brackets; everything else is refused. A comparison
with a value that is null is neither true nor false (Kleene's logic), so such a document is hit only where the rest decides.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crawlmill.errors import UserError
from crawlmill.recipes.recipe_file import suggestion

LONGEST, MOST_NODES = 500, 120
Column = Any  # numpy array of float64, one number a document, NaN for null
Truth = tuple[Any, Any]  # numpy arrays of bool: surely true, surely false

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide,
}  # fmt: skip
_FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs), "log": (1, np.log), "min": (2, np.minimum), "max": (2, np.maximum),
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A parsed condition; `signals` are the columns that it reads."""

    text: str
    tree: ast.expr
    signals: frozenset[str]

    def hits(self, columns: Mapping[str, Column], rows: int) -> Any:
        """A numpy array of bool: the documents of which it is true."""
        with np.errstate(all="ignore"):
            true, _ = _truth(self.tree, columns, rows)
        return true

    def terms(self) -> list[tuple[str, str, float]]:
        """As rules of the gate: (signal, op, limit), of which a document is rejected where it breaks one.

        Raises UserError where the gate has no such rule: it knows single signals and limits, joined by `or`.
        """
        parts = self.tree.values if isinstance(self.tree, ast.BoolOp) and isinstance(self.tree.op, ast.Or) else [self.tree]
        return [_term(part) for part in parts]


def parse(text: str, known: Collection[str]) -> Condition:
    """Read a condition over known signals. Raises UserError with the place and the remedy."""
    if len(text) > LONGEST:
        raise UserError(f"the expression has {len(text)} characters, more than {LONGEST}: write a shorter one")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise UserError(f"{text!r} is no expression: write a comparison, like gopher_word_count < 50") from None
    nodes = list(ast.walk(tree))
    if len(nodes) > MOST_NODES:
        raise UserError(f"the expression has more than {MOST_NODES} parts: write a shorter one")
    signals: set[str] = set()
    if not _check(tree, known, signals):
        raise UserError(f"{text!r} is a number, not a condition: compare it, like {text.strip()[:60]} > 0.1")
    if not signals:
        raise UserError(f"{text!r} reads no signal: name one, see the table signals")
    return Condition(text.strip(), tree, frozenset(signals))


def _check(node: ast.expr, known: Collection[str], signals: set[str]) -> bool:
    """Whether a node is a condition (else it is a number); everything that is not allowed is refused here."""
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool) and _finite(value):
            return False
        case ast.Name() | ast.Attribute():
            name = ast.unparse(node)
            if name not in known:
                raise UserError(f"there is no signal {name!r}{suggestion(name, known)}")
            signals.add(name)
            return False
        case ast.BinOp(left=left, right=right, op=op) if type(op) in _BINARY:
            _need(False, (left, right), known, signals)
            return False
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _need(False, (operand,), known, signals)
            return False
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and len(args) == _FUNCTIONS[name][0]:
            _need(False, args, known, signals)
            return False
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _need(True, (operand,), known, signals)
            return True
        case ast.BoolOp(values=values):
            _need(True, values, known, signals)
            return True
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARE for op in ops):
            _need(False, (left, *others), known, signals)
            return True
    raise UserError(
        f"{ast.unparse(node)[:60]!r} is not allowed: use signals, numbers, + - * /, abs, min, max, log, comparisons, and, or, not"
    )


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _need(condition: bool, nodes: Collection[ast.expr], known: Collection[str], signals: set[str]) -> None:
    for node in nodes:
        if _check(node, known, signals) != condition:
            words = ("is a number where a condition is needed: compare it with one" if condition else
                     "is a condition where a number is needed: put brackets around comparisons")  # fmt: skip
            raise UserError(f"{ast.unparse(node)[:60]!r} {words}")


def _number(node: ast.expr, columns: Mapping[str, Column]) -> Any:
    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]  # `_check` has seen that it is a number
        case ast.Name() | ast.Attribute():
            return columns[ast.unparse(node)]
        case ast.BinOp(left=left, right=right, op=op):
            return _BINARY[type(op)](_number(left, columns), _number(right, columns))
        case ast.UnaryOp(op=op, operand=operand):
            value = _number(operand, columns)
            return -value if isinstance(op, ast.USub) else value
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name][1](*(_number(one, columns) for one in args))
    raise AssertionError(ast.dump(node))


def _truth(node: ast.expr, columns: Mapping[str, Column], rows: int) -> Truth:
    match node:
        case ast.UnaryOp(operand=operand):
            true, false = _truth(operand, columns, rows)
            return false, true
        case ast.BoolOp(op=op, values=values):
            sides = [_truth(one, columns, rows) for one in values]
            every, some = np.logical_and.reduce, np.logical_or.reduce
            both = ([true for true, _ in sides], [false for _, false in sides])
            return (every(both[0]), some(both[1])) if isinstance(op, ast.And) else (some(both[0]), every(both[1]))
        case ast.Compare(left=left, ops=ops, comparators=others):
            numbers = [np.broadcast_to(np.asarray(_number(one, columns)), (rows,)) for one in (left, *others)]
            true, known = np.ones(rows, dtype=bool), ~np.logical_or.reduce([np.isnan(one) for one in numbers])
            for sign, one, two in zip(ops, numbers[:-1], numbers[1:], strict=True):
                true = true & _COMPARE[type(sign)](one, two)
            return true & known, ~true & known
    raise AssertionError(ast.dump(node))


def _term(node: ast.expr) -> tuple[str, str, float]:
    turned = {ast.Lt: ast.Gt, ast.Gt: ast.Lt}
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in turned:
        left, op, right = node.left, type(node.ops[0]), node.comparators[0]
        if isinstance(right, ast.Name | ast.Attribute):
            left, op, right = right, turned[op], left
        if isinstance(left, ast.Name | ast.Attribute) and not any(
            isinstance(n, ast.Name | ast.Attribute) for n in ast.walk(right)
        ):
            return ast.unparse(left), "min" if op is ast.Lt else "max", float(_number(right, {}))
    raise UserError(
        f"{ast.unparse(node)[:80]!r} is no rule of a recipe: one rejects by a signal below or above a number (`<`, `>`), several are "
        "joined by `or`"
    )
