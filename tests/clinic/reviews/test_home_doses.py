"""A dose taken at home counts like one in the clinic, and what was lost is a sign."""

from openketamine.clinic.athome import services as athome
from openketamine.clinic.outcomes.given import doses_given
from openketamine.clinic.outcomes.lifeline import lifeline
from openketamine.clinic.reviews import queries

from ..athome.conftest import (  # noqa: F401
    enrolled,
    home_course,
    may_take,
    now,
    on,
    ready,
    session,
    supervised,
    taken,
)


def test_it_works(taken):  # noqa: F811
    doses = doses_given(taken.course)
    assert [(dose.dose_mg, dose.route, dose.at_home) for dose in doses][-1] == (150, "SL", True)
    assert "150 mg SL" in [mark.title for mark in lifeline(taken.course).marks]
    assert queries.review_page(taken.course).known.facts["doses_given"] == len(doses)


def test_what_was_reported_lost_is_a_sign_of_the_record(taken, nurse):  # noqa: F811
    assert queries.review_page(taken.course).shown == []
    athome.take_back(
        nurse, taken.enrolment, kind="lost", pieces={50: 1}, note="Not in the box on Monday."
    )
    page = queries.review_page(taken.course)
    assert [sign.id for sign in page.shown] == ["MU-COUNT"]
    assert page.known.facts["misuse_signs"] == 1
