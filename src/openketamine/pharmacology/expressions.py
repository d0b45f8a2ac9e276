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


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[CodeType, frozenset[str]]:
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"'{text}' is not an expression. Write one such as 'CL / V1'.") from error
    names = set()
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ValueError(
                f"'{text}' uses something other than arithmetic. Use numbers, names, + - * / **, "
                f"comparisons and the functions {', '.join(_FUNCTIONS)}."
            )
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS or node.keywords
        ):
            raise ValueError(
                f"'{text}' calls an unknown function. Those known are {', '.join(_FUNCTIONS)}."
            )
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
            raise ValueError(f"'{text}' holds a value that is not a number.")
        if isinstance(node, ast.Name) and node.id not in _FUNCTIONS:
            names.add(node.id)
    return compile(tree, "<model file>", "eval"), frozenset(names)


def names_in(text: str) -> frozenset[str]:
    """The names that an expression uses.

    Raises:
        ValueError: it is not plain arithmetic.
    """
    return _parse(text)[1]


def evaluate(text: str, values: Mapping[str, Array | float], people: int) -> Array:
    """The value of an expression for each person, shape (people,)."""
    code, _ = _parse(text)
    # The tree holds nothing but arithmetic on known names (see _parse), and no builtins.
    result = eval(code, {"__builtins__": {}, **_FUNCTIONS}, dict(values))  # noqa: S307
    return np.ascontiguousarray(np.broadcast_to(np.asarray(result, dtype=np.float64), (people,)))
