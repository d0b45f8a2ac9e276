"""Arithmetic in model files: what it computes, and what it will not."""

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.pharmacology.expressions import evaluate, names_in

VALUES = {"a": np.array([1.0, 2.0]), "b": 4.0}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a + b * 2", [9, 10]),
        ("-a ** 2", [-1, -4]),
        ("sqrt(b) / 2", [1, 1]),
        ("where(a > 1, b, 0.5)", [0.5, 4]),
        ("min(a, 1.5) + max(b, 5)", [6, 6.5]),
        ("exp(log(b))", [4, 4]),
        ("7", [7, 7]),
    ],
)
def test_it_computes_for_each_person(text: str, wanted: list[float]) -> None:
    np.testing.assert_allclose(evaluate(text, VALUES, 2), wanted, rtol=1e-14)


def test_names_are_those_of_values_and_not_of_functions() -> None:
    assert names_in("exp(CL / V1) * where(age_years > 60, 2, 1)") == {"CL", "V1", "age_years"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CL /", "is not an expression"),
        ("", "is not an expression"),
        ("__import__('os')", "unknown function"),
        ("(1).__class__", "other than arithmetic"),
        ("[1][0]", "other than arithmetic"),
        ("a if b else 1", "other than arithmetic"),
        ("'text'", "not a number"),
        ("True", "not a number"),
        ("1j", "not a number"),
        ("min(a)", "min takes 2"),
        ("exp(a, b)", "exp takes 1"),
        ("min(a, b, a)", "min takes 2"),
        ("exp(x=1)", "exp takes 1"),
        ("min + 1", "without its values"),
        ("0 < a < 2", "more than two values"),
        ("1e400", "too large"),
        ("1" + "0" * 400, "too large"),
        ("a + " * 200 + "a", "too long"),
        ("(" * 240 + "a" + ")" * 240, "is not an expression"),
    ],
)
def test_anything_but_arithmetic_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        names_in(text)


@pytest.mark.parametrize("text", ["9 ** 9 ** 9 ** 9", "1 / 0", "1 / (b - 4)", "(-8) ** 0.5"])
def test_what_cannot_be_computed_is_no_number_and_takes_no_time(text: str) -> None:
    assert not np.isfinite(evaluate(text, VALUES, 2)).any()


def test_values_are_never_written_to() -> None:
    before = VALUES["a"].copy()
    evaluate("a * 2 + exp(a)", VALUES, 2)
    np.testing.assert_array_equal(VALUES["a"], before)


numbers = st.floats(-50, 50).map(lambda x: round(x, 3))
trees = st.recursive(
    numbers.map(lambda x: (f"({x!r})", x)),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda t: (
            f"({t[0][0]} {t[1]} {t[2][0]})",
            {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y}[t[1]](
                t[0][1], t[2][1]
            ),
        )
    ),
    max_leaves=8,
)


@given(trees)
def test_it_agrees_with_the_arithmetic_written_out(tree: tuple[str, float]) -> None:
    text, wanted = tree
    assert math.isclose(evaluate(text, {}, 1)[0], wanted, rel_tol=1e-12, abs_tol=1e-12)


@given(st.text(max_size=40))
def test_any_text_is_either_arithmetic_or_refused_in_words(text: str) -> None:
    # Any other exception fails the test.
    with contextlib.suppress(ValueError):
        evaluate(text, dict.fromkeys(names_in(text), 1.5), 3)
