"""A small clinic: one person of each role, and a patient with an open course."""

from datetime import UTC, date, datetime

import pytest

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.people.referral import ReferralData, ReferredMeasurement


def make_user(role: Role, *, username: str | None = None) -> User:
    return User.objects.create_user(
        username=username or role.value,
        password="a long enough password",
        role=role,
        display_name=f"{role.label} Example",
        credentials={Role.PRESCRIBER: "MD", Role.NURSE: "RN"}.get(role, ""),
    )


@pytest.fixture
def coordinator(db) -> User:
    return make_user(Role.COORDINATOR)


@pytest.fixture
def prescriber(db) -> User:
    return make_user(Role.PRESCRIBER)


@pytest.fixture
def nurse(db) -> User:
    return make_user(Role.NURSE)


@pytest.fixture
def second_nurse(db) -> User:
    return make_user(Role.NURSE, username="nurse2")


@pytest.fixture
def therapist(db) -> User:
    return make_user(Role.THERAPIST)


@pytest.fixture
def director(db) -> User:
    return make_user(Role.DIRECTOR)


@pytest.fixture
def patient_user(db) -> User:
    return make_user(Role.PATIENT)


def referral(number: int = 1, **changes) -> ReferralData:
    """A synthetic referral; `number` makes it another person."""
    values = {
        "source_system": "https://referrer.example",
        "source_id": f"referral-{number}",
        "given_name": "Maria",
        "family_name": f"Example{number}",
        "birth_date": date(1983, 3, 14),
        "sex": "female",
        "measurements": (
            ReferredMeasurement("w", "weight_kg", 82.0, datetime(2026, 10, 1, 9, tzinfo=UTC)),
            ReferredMeasurement("h", "height_cm", 168.0, datetime(2026, 10, 1, 9, tzinfo=UTC)),
        ),
    }
    return ReferralData(**{**values, **changes})


@pytest.fixture
def person(coordinator) -> Person:
    return people.receive_referral(coordinator, referral(), origin="a test").person


@pytest.fixture
def course(person) -> Course:
    return person.courses.get()
