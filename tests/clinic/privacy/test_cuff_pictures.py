"""A picture of a cuff is kept for a while after its figures were confirmed, and then deleted."""

from datetime import timedelta
from io import BytesIO

import pytest
from PIL import Image

from openketamine.clinic.athome import from_home, services
from openketamine.clinic.athome.models import CuffPhoto
from openketamine.clinic.privacy import keeping
from openketamine.clinic.privacy import services as privacy
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event

from ..athome.conftest import (  # noqa: F401
    START,
    WELL,
    enrolled,
    home_course,
    now,
    on,
    ready,
    session,
    supervised,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def pictured(session, nurse):  # noqa: F811
    """A session that was closed without a dose, with a picture of the cuff."""
    out = BytesIO()
    Image.new("RGB", (40, 30), "white").save(out, "JPEG")
    from_home.check_in(session, data=WELL, photo=out.getvalue())
    services.cancel_session(nurse, session, reason="The adult had to leave.")
    return session


def days(count: float):
    return START + timedelta(days=count)


def test_it_works(pictured):
    digest = CuffPhoto.objects.get().digest
    assert keeping.clear(days(29)) == 0
    assert keeping.clear(days(31)) == 1
    assert not CuffPhoto.objects.exists()
    event = Event.objects.get(kind="athome.photo_deleted")
    assert (event.data["digest"], event.data["rule"]) == (digest, "HOME-PHOTO")
    # What was read from it stays, and so does the digest of what was looked at.
    answered = Event.objects.get(kind="athome.check_in")
    assert answered.data["systolic_mmhg"] == WELL["systolic_mmhg"]
    assert answered.data["photo"] == digest
    assert record.verify().intact


def test_a_legal_hold_keeps_it_until_it_is_lifted(pictured, director):
    privacy.place_hold(director, pictured.person, reason="A complaint is being looked into.")
    assert keeping.clear(days(400)) == 0
    privacy.lift_hold(director, pictured.person, reason="The complaint was settled.")
    assert keeping.clear(days(400)) == 1


def test_a_picture_of_an_open_session_stays(session):  # noqa: F811
    CuffPhoto.objects.create(
        session=session, client_id=session.pk, jpeg=b"1", digest="d", kept_at=days(-40)
    )
    assert keeping.clear(clock.now()) == 0


def test_the_clinics_clock_does_it(pictured, monkeypatch):
    monkeypatch.setattr(keeping._round, "last", None)
    keeping.look_at_the_clock(None, days(31))
    assert not CuffPhoto.objects.exists()
