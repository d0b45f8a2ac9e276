"""Who is on call, and where nobody is."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.notices import queries, services
from openketamine.clinic.notices.models import Address, Line, Shift
from openketamine.clinic.record import clock

from .conftest import START, minutes

pytestmark = pytest.mark.django_db


def shift(actor, user, line=Line.FIRST, start=0, end=60):
    return services.add_shift(
        actor, user=user, line=line, starts_at=minutes(start), ends_at=minutes(end)
    )


@pytest.fixture(autouse=True)
def now():
    with clock.at(START):
        yield


def test_it_works(director, nurse):
    shift(director, nurse)
    assert services.on_call_at(START, Line.FIRST) == [nurse]
    assert services.on_call_at(minutes(60), Line.FIRST) == []  # the next one begins where it ends
    assert services.on_call_at(START, Line.SECOND) == []


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (60, 60, "ends after it starts"),
        (-60, 0, "over already"),
        (0, 15 * 24 * 60, "at most 14 days"),
    ],
)
def test_a_shift_that_cannot_be_is_refused(director, nurse, start, end, words):
    with pytest.raises(Refused, match=words):
        shift(director, nurse, start=start, end=end)
    assert not Shift.objects.exists()


def test_nobody_is_on_call_twice_at_once(director, nurse, second_nurse):
    shift(director, nurse)
    with pytest.raises(Refused, match="on call at that time already"):
        shift(director, nurse, line=Line.SECOND, start=30, end=90)
    shift(director, second_nurse)  # two people may share a line


def test_only_who_answers_calls_is_on_call_and_only_some_keep_the_rota(
    director, coordinator, therapist, nurse
):
    with pytest.raises(Refused, match="does not answer calls"):
        shift(director, coordinator)
    with pytest.raises(Refused, match="does not keep the rota"):
        shift(therapist, nurse)


def test_a_cancelled_shift_is_no_shift(director, nurse):
    made = shift(director, nurse)
    services.cancel_shift(director, made)
    assert services.on_call_at(START, Line.FIRST) == []
    with pytest.raises(Refused, match="cancelled"):
        services.cancel_shift(director, made)


def test_gaps_are_shown(director, nurse, second_nurse):
    shift(director, nurse, start=10, end=60)
    shift(director, second_nurse, start=50, end=120)
    found = queries.gaps(queries.coming_shifts(), days=1)
    assert [(gap.starts_at, gap.ends_at) for gap in found] == [
        (START, minutes(10)),
        (minutes(120), START + timedelta(days=1)),
    ]


def test_who_cannot_be_reached_is_named(director, nurse):
    shift(director, nurse)
    assert queries.without_address(queries.coming_shifts()) == [nurse]
    services.set_address(nurse, phone="+1 (555) 01-01", email="")
    assert Address.objects.get().phone == "+15550101"
    assert queries.without_address(queries.coming_shifts()) == []
    with pytest.raises(Refused, match="no e-mail address"):
        services.set_address(nurse, phone="", email="nobody")


def test_the_screens_can_be_used(client, director, nurse):
    client.force_login(director)
    answer = client.post(
        "/on-call/rota/",
        {
            "user": nurse.pk,
            "line": 1,
            "starts_at": "2026-11-25T14:00",
            "ends_at": "2026-11-26T08:00",
        },
    )
    assert answer.status_code == 302
    client.post("/on-call/rota/address/", {"phone": "+15550103", "email": ""})
    page = client.get("/on-call/rota/").content.decode()
    assert str(nurse) in page
    assert "CALL" not in page
    assert "clinic policy" in page  # the steps are shown as what they are
    made = Shift.objects.get()
    assert client.post("/on-call/rota/", {"user": nurse.pk, "line": 1}).status_code == 422
    client.post(f"/on-call/rota/{made.pk}/cancel/")
    made.refresh_from_db()
    assert made.cancelled_at
