"""Arithmetic in model files: parsed once, checked name by name, evaluated over arrays."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_FUNCTIONS = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "min": np.minimum,
    "max": np.maximum,
    "where": np.where,
}
# NumPy would take one argument more as the place to write the result to.
_ARGUMENTS = {"exp": 1, "log": 1, "sqrt": 1, "min": 2, "max": 2, "where": 3}
#: Names that no parameter may have.
FUNCTIONS = frozenset(_FUNCTIONS)
_ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.Pow,
    ast.USub,
    ast.UAdd,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
)
# Longer than any relation that one can still hold against a paper; keeps the parser's stack safe.
_LONGEST = 500


class _Floats(ast.NodeTransformer):
    """Whole numbers as floats, so that a huge power is infinite and not a computation for ever."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.copy_location(ast.Constant(float(node.value)), node)  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[CodeType, frozenset[str]]:
    if len(text) > _LONGEST:
        raise ValueError(f"an expression of {len(text)} characters is too long; {_LONGEST} at most")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"'{text}' is not an expression. Write one such as 'CL / V1'.") from error
    names = set()
    functions = set()
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(
                f"'{text}' uses something other than arithmetic. Use numbers, names, + - * / **, "
                f"comparisons and the functions {', '.join(_FUNCTIONS)}."
            )
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
                raise ValueError(
                    f"'{text}' calls an unknown function. Those known are {', '.join(_FUNCTIONS)}."
                )
            wanted = _ARGUMENTS[node.func.id]
            if node.keywords or len(node.args) != wanted:
                raise ValueError(f"'{text}': {node.func.id} takes {wanted} value(s).")
            functions.add(id(node.func))
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            raise ValueError(f"'{text}' compares more than two values at once. Use two wheres.")
        if isinstance(node, ast.Constant):
            if not isinstance(node.value, int | float) or isinstance(node.value, bool):
                raise ValueError(f"'{text}' holds a value that is not a number.")
            if abs(node.value) > 1e300:
                raise ValueError(f"'{text}' holds a number that is too large.")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in functions:
            if node.id in _FUNCTIONS:
                raise ValueError(f"'{text}' uses the function {node.id} without its values.")
            names.add(node.id)
    fixed = ast.fix_missing_locations(_Floats().visit(tree))
    return compile(fixed, "<model file>", "eval"), frozenset(names)


def names_in(text: str) -> frozenset[str]:
    """The names that an expression uses.

    Raises:
        ValueError: it is not plain arithmetic.
    """
    return _parse(text)[1]


def evaluate(text: str, values: Mapping[str, Array | float], people: int) -> Array:
    """The value of an expression for each person, shape (people,).

    What cannot be computed (a division by zero, a power too large) is not a number or infinite; the
    caller, who knows what the value stands for, refuses it.
    """
    code, _ = _parse(text)
    # The tree holds nothing but arithmetic on known names (see _parse), and no builtins.
    with np.errstate(all="ignore"):
        try:
            result = eval(code, {"__builtins__": {}, **_FUNCTIONS}, dict(values))  # noqa: S307
        except (ZeroDivisionError, OverflowError):
            result = np.nan
        if isinstance(result, complex):
            result = np.nan
        wide = np.broadcast_to(np.asarray(result, dtype=np.float64), (people,))
    return np.ascontiguousarray(wide)
