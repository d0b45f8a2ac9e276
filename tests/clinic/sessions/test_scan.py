"""What the code on a package says, and what is no such code."""

from datetime import date

import pytest
from biip.checksums import gs1_standard_check_digit
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.sessions.scan import Package, UnreadableCodeError, read

GTIN = "00350458028003"
WHOLE = Package(GTIN, "21LK001", date(2028, 1, 31), "S123")


@pytest.mark.parametrize(
    "text",
    [
        f"01{GTIN}1728013110" + "21LK001\x1d21S123",
        f"]d201{GTIN}1728013110" + "21LK001\x1d21S123",
        f"]d2\x1d01{GTIN}1728013121S123\x1d1021LK001",
        f"01{GTIN}21S123~1728013110" + "21LK001",
        f"01{GTIN}21S123<GS>1728013110" + "21LK001",
        f"01{GTIN}21S123|1728013110" + "21LK001",
        f"(01){GTIN}(17)280131(10)21LK001(21)S123",
        f" (01) {GTIN} (21) S123 (17) 280131 (10) 21LK001 ",
    ],
)
def test_it_works(text):
    assert read(text) == WHOLE


def test_the_drug_code_is_read_off_the_product_number():
    assert WHOLE.ndc == "5045802800"
    assert Package(gtin="04012345678901").ndc == ""


def test_day_zero_is_the_last_of_the_month():
    assert read(f"01{GTIN}172802001021LK").expires_on == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "not the code of a package"),
        ("9" * 250, "longer than the code"),
        ("(01)0035045802800", "not the code of a package"),
        (f"01{GTIN[:-1]}4172801311021LK", "does not add up"),
        (f"01{GTIN}172899311021LK", "not the code of a package"),
        (f"01{GTIN}01{GTIN}", "stands in it twice"),
        ("(99)", "not the code of a package"),
    ],
)
def test_what_is_no_code_is_refused_in_words(text, words):
    with pytest.raises(UnreadableCodeError, match=words):
        read(text)


@given(st.text(max_size=220))
def test_any_text_is_read_or_refused_and_never_breaks(text):
    try:
        found = read(text)
    except UnreadableCodeError:
        return
    assert isinstance(found, Package)


LOTS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=1, max_size=20)


@given(
    st.integers(min_value=0, max_value=10**12 - 1),
    LOTS,
    LOTS,
    st.dates(date(2020, 1, 1), date(2049, 12, 31)),
    st.permutations(["01", "17", "10", "21"]),
)
def test_whatever_a_printer_prints_is_read_back(number, lot, serial, expires_on, order):
    payload = f"0{number:012d}"
    gtin = f"{payload}{gs1_standard_check_digit(payload)}"
    values = {"01": gtin, "17": f"{expires_on:%y%m%d}", "10": lot, "21": serial}
    text = "".join(f"{ai}{values[ai]}" + ("\x1d" if ai in ("10", "21") else "") for ai in order)
    assert read(text) == Package(gtin, lot, expires_on, serial)
