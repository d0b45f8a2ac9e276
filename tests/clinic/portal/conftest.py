"""A patient at home after a session, a link that was handed over, and a browser at the page."""

import pytest

from openketamine.clinic.portal import services

from ..outcomes.conftest import discharged, form  # noqa: F401  (fixtures)
from ..therapy.conftest import accompanied, prepared  # noqa: F401  (fixtures)

BORN = {"day": "14", "month": "3", "year": "1983"}


@pytest.fixture
def at_home(discharged):  # noqa: F811
    return discharged.person


@pytest.fixture
def link(person, nurse):
    return services.make_link(nurse, person)


@pytest.fixture
def letters(settings):
    """A clinic that can write e-mails, and knows where it is reached."""
    settings.ORIGIN = "https://clinic.example"
    settings.EMAIL_IS_SET_UP = True


def address(link):
    return f"/p/{services.token_for(link)}/"


@pytest.fixture
def phone(client, link):
    """A phone on which the patient has opened the link."""
    response = client.post(address(link), BORN)
    assert response.url == "/me/"
    return client
