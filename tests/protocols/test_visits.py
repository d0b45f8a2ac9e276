"""How long a visit takes follows from the regimen and the rules of leaving, and nothing else."""

import pytest

from openketamine.protocols import load
from openketamine.protocols.visits import visit


@pytest.mark.parametrize(
    ("route", "regimen", "giving", "least", "sessions"),
    [
        ("IV", "iv-depression", 40, 100, 6),
        ("IM", "im-depression", 0, 120, 1),
        ("IN_ESKETAMINE", "esketamine-trd-us", 5, 125, 8),
        ("ORAL", "oral-trd-fixed", 0, 120, 12),
        ("SL", "sl-home-tablet", 0, 120, 4),
    ],
)
def test_it_works(route, regimen, giving, least, sessions):
    library = load()
    found = visit(library, route, library.regimens[regimen])
    assert (found.giving_min, found.least_min, found.sessions) == (giving, least, sessions)
    assert all(part.source and part.certainty for part in found.parts)


def test_three_devices_take_ten_minutes_to_give():
    library = load()
    found = visit(library, "IN_ESKETAMINE", library.regimens["esketamine-mdsi-us"])
    assert (found.giving_min, found.least_min) == (10, 130)


def test_without_a_regimen_the_rule_of_leaving_is_all_that_is_known():
    found = visit(load(), "IM", None)
    assert (found.least_min, found.sessions, found.total_min) == (120, None, None)


def test_a_course_of_infusions_takes_its_visits_together():
    library = load()
    assert visit(library, "IV", library.regimens["iv-depression"]).total_hours == 10
