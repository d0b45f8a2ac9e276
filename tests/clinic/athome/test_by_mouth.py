"""Swallowed at home: possible only by figures that the clinic has set itself."""

import re
from pathlib import Path

import pytest

from openketamine import protocols
from openketamine.clinic.athome import expected, from_home, links, queries, services
from openketamine.clinic.athome.models import Phase
from openketamine.clinic.errors import Refused
from openketamine.clinic.plans import queries as plan_queries
from openketamine.clinic.plans import services as plans
from openketamine.clinic.policy import services as policy
from openketamine.clinic.record import clock

from .conftest import WELL, admitted, go, line_of, minutes, open_today

pytestmark = pytest.mark.django_db
PAGE = Path(__file__).parents[3] / "docs" / "at-home.md"


def documented() -> str:
    """The example of a clinic's own text, as the documentation prints it."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    return next(block for block in blocks if "oral-home" in block)


def signed(director, text: str) -> None:
    version = policy.propose_overlay(director, text=text, note="By mouth.")
    digest = protocols.load(version.overlay).policy_digest
    policy.sign_policy(director, digest=digest, version=version)


def test_it_works(now, course, nurse, prescriber, director, client):
    signed(director, documented())
    admitted(course, nurse, prescriber, route="ORAL")
    plan = plans.order_plan(
        prescriber, course, regimen="oral-home", dose_mg=75, sessions=4, first_on=clock.today()
    )
    plans.verify_plan(nurse, plan, dose_mg=75, count=2)
    course.refresh_from_db()
    services.switch_on(
        director, signed_name=director.display_name, digest=services.warnings_digest()
    )
    services.sign_home_screening(prescriber, course, how="video")
    with pytest.raises(Refused, match="swallowed at once: 0 minutes"):
        services.enrol(prescriber, course, doctor=prescriber, hold_min=5, after_hold="swallow")
    enrolment = services.enrol(
        prescriber, course, doctor=prescriber, hold_min=0, after_hold="swallow"
    )
    services.dispense(nurse, enrolment, pieces={50: 1, 25: 1}, counted={}, lot="C1")
    session = open_today(nurse, course, watched_live=True)
    from_home.check_in(session, data={**WELL, "counted": [[50.0, 1], [25.0, 1]]})
    go(nurse, session)
    from_home.adult_here(session)
    page = client.get(f"/h/{links.token_for(session, 'patient')}/").content.decode()
    assert "Swallow it with a sip of water." in page
    assert "under the tongue" not in page
    from_home.take_dose(session, pieces={50: 1, 25: 1})
    assert (line_of(session).phase, line_of(session).dose_mg) == (Phase.REST, 75)
    session.refresh_from_db()
    expected.keep(session.pk)
    session.refresh_from_db()
    assert (session.expected["dose_mg"], session.expected["readings"]) == (75, 0)
    with clock.at(minutes(5)), pytest.raises(Refused, match="Never take a second one"):
        from_home.take_dose(session, pieces={25: 1})


def test_without_the_clinics_own_figures_nobody_can_be_planned(
    now, course, nurse, prescriber, signed_policy
):
    admitted(course, nurse, prescriber, route="ORAL")
    regimen = protocols.load().regimens["oral-home"]
    assert {each.quantity for each in regimen.unset} == {"dose", "schedule"}
    assert (regimen.dose, regimen.units_mg, regimen.certainty) == (None, (), "DESIGN")
    assert plan_queries.plannable(course) == []
    with pytest.raises(Refused, match="no regimen 'oral-home' by which"):
        plans.order_plan(
            prescriber, course, regimen="oral-home", dose_mg=75, sessions=4, first_on=clock.today()
        )


def test_the_regimens_of_the_clinic_are_never_taken_home(
    now, course, nurse, prescriber, signed_policy
):
    admitted(course, nurse, prescriber, route="ORAL")
    with pytest.raises(Refused, match="no regimen 'oral-trd-fixed' by which"):
        plans.order_plan(
            prescriber, course, regimen="oral-trd-fixed", dose_mg_per_kg=1.0, first_on=clock.today()
        )
    assert queries.enrolment_of(course) is None
