"""A referral makes a person with an open course, once."""

from datetime import date, timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.people import services
from openketamine.clinic.people.models import Course, Person, Stage
from openketamine.clinic.people.referral import Coded, ReferredCondition, ReferredMeasurement
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from ..conftest import referral

DEPRESSION = ReferredCondition(
    "c1", Coded("http://snomed.info/sct", "370143000", "Major depression"), "active", "disorder"
)


def test_it_works(coordinator):
    outcome = services.receive_referral(
        coordinator, referral(conditions=(DEPRESSION,)), origin="maria.json"
    )
    person = outcome.person
    assert outcome.status == "created"
    assert person.mrn == "0001"
    assert person.courses.get().stage == Stage.REFERRED
    assert str(person.conditions.get()) == "Major depression"
    event = Event.objects.get()
    assert event.kind == "person.referred"
    assert event.actor == coordinator
    assert event.data["origin"] == "maria.json"


def test_the_same_referral_twice_changes_nothing(coordinator):
    services.receive_referral(coordinator, referral(), origin="a")
    outcome = services.receive_referral(coordinator, referral(), origin="b")
    assert outcome.status == "unchanged"
    assert (Person.objects.count(), Course.objects.count(), Event.objects.count()) == (1, 1, 1)


def test_a_newer_referral_of_the_same_person_says_what_changed(coordinator):
    services.receive_referral(coordinator, referral(), origin="a")
    outcome = services.receive_referral(
        coordinator, referral(phone="555-0100", conditions=(DEPRESSION,)), origin="b"
    )
    assert outcome.status == "updated"
    assert outcome.changes == {"demographics": 1, "conditions": 1}
    assert Person.objects.get().phone == "555-0100"


def test_each_person_gets_the_next_number(coordinator):
    numbers = [
        services.receive_referral(coordinator, referral(n), origin="x").person.mrn for n in (1, 2)
    ]
    assert numbers == ["0001", "0002"]


def test_a_minor_is_refused(coordinator):
    young = clock.today() - timedelta(days=365 * 17)
    with pytest.raises(Refused, match="adults of 18"):
        services.receive_referral(coordinator, referral(birth_date=young), origin="x")
    assert not Person.objects.exists()
    assert not Event.objects.exists()


def test_an_impossible_weight_is_refused_with_the_bounds(coordinator):
    item = ReferredMeasurement("w", "weight_kg", 7.0, clock.now())
    with pytest.raises(Refused, match="Weight 7 kg is not possible for an adult"):
        services.receive_referral(coordinator, referral(measurements=(item,)), origin="x")
    assert not Person.objects.exists()


def test_only_a_prescriber_can_answer_for_a_course(coordinator, nurse, course):
    with pytest.raises(Refused, match="not a prescriber"):
        services.assign_team(coordinator, course, prescriber=nurse)
    course.refresh_from_db()
    assert course.prescriber is None


@pytest.mark.parametrize(
    ("born", "on", "age"),
    [
        (date(2000, 2, 29), date(2026, 2, 28), 25),
        (date(2000, 2, 29), date(2026, 3, 1), 26),
        (date(1983, 3, 14), date(2026, 3, 14), 43),
    ],
)
def test_age_counts_completed_years(born, on, age):
    assert Person(birth_date=born).age_years(on) == age
