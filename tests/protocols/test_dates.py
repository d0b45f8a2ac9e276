"""Where and when an entry holds. A law that has lapsed no longer speaks."""

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from openketamine.protocols import schema

LAW = {
    "id": "US-LAW",
    "statement": "An example of a law that lapses",
    "source": "clinic",
    "certainty": "DESIGN",
    "authority": "clinic policy",
    "jurisdiction": "US",
    "effective_from": date(2026, 1, 1),
    "effective_to": date(2026, 12, 31),
}


def test_an_entry_holds_from_its_first_day_to_its_last():
    law = schema.Guidance(**LAW)
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1)]
    assert [law.in_force(day) for day in days] == [False, True, True, False]


def test_an_entry_without_dates_holds_always():
    assert schema.Guidance(**{**LAW, "effective_from": None, "effective_to": None}).in_force(
        date.max
    )


@pytest.mark.parametrize(
    ("holds_in", "place", "applies"),
    [
        ("any", "GB", True),
        ("US", "US", True),
        ("US", "US-CA", True),
        ("US-CA", "US", False),
        ("US-CA", "US-CO", False),
        ("US-C", "US-CA", False),
        ("GB", "US", False),
    ],
)
def test_a_law_of_the_country_holds_in_its_states_and_not_the_reverse(holds_in, place, applies):
    assert schema.Guidance(**{**LAW, "jurisdiction": holds_in}).applies_in(place) is applies


@pytest.mark.parametrize("place", ["usa", "California", "US-", ""])
def test_a_place_is_written_as_its_code(place):
    with pytest.raises(ValidationError, match="jurisdiction"):
        schema.Guidance(**{**LAW, "jurisdiction": place})


def test_an_entry_cannot_end_before_it_begins():
    with pytest.raises(ValidationError, match="effective_to lies before effective_from"):
        schema.Guidance(**{**LAW, "effective_to": date(2025, 1, 1)})


def test_a_limit_cannot_lapse_and_leave_a_dose_without_one():
    limit = {
        "quantity": "dose_mg_per_kg",
        "label": "Dose",
        "unit": "mg/kg",
        "minimum": 0.1,
        "maximum": 0.5,
    }
    with pytest.raises(ValidationError, match="date the entry that it belongs to"):
        schema.Limit(**LAW, **limit)


def test_a_file_is_due_for_review_a_year_after_the_last_one_or_when_it_says():
    reviewed = date(2026, 11, 24)
    file = schema.LibraryFile(reviewed_on=reviewed)
    assert file.review_due == reviewed + timedelta(days=365)
    assert schema.LibraryFile(reviewed_on=reviewed, review_by=date(2027, 1, 15)).review_due == date(
        2027, 1, 15
    )
