"""After the dose: check-ins, what alarms, who is called while nobody answers, and the end."""

import io

import pytest
from PIL import Image

from openketamine.clinic.athome import from_home, links, queries, services
from openketamine.clinic.athome.models import CuffPhoto, HomeSession, Phase
from openketamine.clinic.errors import Refused
from openketamine.clinic.notices import runner
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices.models import Call, Notice
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.therapy import services as therapy

from .conftest import DOSE, START, WELL, line_of, minutes, open_today

pytestmark = pytest.mark.django_db

FINE = {"feeling": "fine"}
MEASURED = {"systolic_mmhg": 132.0, "diastolic_mmhg": 80.0, "heart_rate_bpm": 75.0}


def tick(minute: float) -> None:
    with clock.at(minutes(minute)):
        runner.run_once()


def names(call: Call) -> list[str]:
    return [each.user.username for each in call.reached.select_related("user")]


def test_it_works(taken):
    with clock.at(minutes(10)):
        from_home.end_hold(taken, after_hold="spit")
    for minute in (30, 60, 120):
        with clock.at(minutes(minute)):
            from_home.how(taken, by="patient", data=FINE)
    tick(126)
    assert not Call.objects.filter(answered_at=None).exists()
    line = line_of(taken)
    assert [line.minutes(each.at) for each in line.check_ins] == [30, 60, 120]
    assert line.after_hold == "spit"


def test_a_missed_check_in_calls_and_climbs_until_the_last_step(taken, on_call, director, nurse):
    tick(34)
    assert not Call.objects.filter(headline__startswith="No check-in").exists()
    tick(36)
    call = Call.objects.get(headline__startswith="No check-in")
    assert call.priority == "red"
    assert "12 Example Street" in call.detail
    assert "+15550150" in call.detail
    assert names(call) == ["nurse", "prescriber"]  # on call first, and the assigned doctor
    for minute in range(37, 50):
        tick(minute)
    assert "director" in names(call)
    before = Event.objects.filter(stream=call.stream, kind="notices.call_reached").count()
    tick(56)  # the last step was taken, and it rings again
    assert Event.objects.filter(stream=call.stream, kind="notices.call_reached").count() > before
    assert Call.objects.filter(headline__startswith="No check-in").count() == 1
    with clock.at(minutes(56)):
        (row,) = queries.todays_rows()
    assert row.urgency == 0
    tick(66)  # the next one is missed as well: a call of its own
    assert Call.objects.filter(headline__startswith="No check-in").count() == 2
    taken.refresh_from_db()
    assert taken.missed == 2


def test_a_runner_that_was_down_calls_when_it_is_back(taken):
    tick(300)
    missed = Event.objects.filter(stream=taken.stream, kind="athome.check_in_missed")
    assert [event.data["at_min"] for event in missed] == [30, 60, 120]
    tick(301)
    assert missed.count() == 3


def test_a_check_in_made_in_time_and_come_late_counts_when_it_was_made(taken):
    tick(36)
    with clock.at(minutes(50)):
        from_home.how(taken, by="patient", data=FINE, made_at=minutes(31))
    line = line_of(taken)
    assert line.check_ins[0].at == minutes(31)
    with clock.at(minutes(51)):
        assert [each.at_min for each in queries.wanting(taken, line, clock.now())] == [60]
    assert Call.objects.filter(closed_at=None, headline__startswith="No check-in").exists()


@pytest.mark.parametrize(
    ("data", "priority", "words"),
    [
        ({"feeling": "bad"}, "red", "Says: I am not well"),
        ({"signs": ["chest_pain"]}, "red", "Chest pain"),
        ({"awake": "hard to wake"}, "red", "Hard to wake"),
        ({"systolic_mmhg": 185.0, "diastolic_mmhg": 90.0}, "red", "Systolic 180 mmHg or more"),
        ({"systolic_mmhg": 162.0, "diastolic_mmhg": 90.0}, "amber", "Systolic 160 mmHg or more"),
        ({"effects": [["panic", "mild"]]}, "red", "Panic or severe agitation, mild"),
        ({"effects": [["nausea", "severe"]]}, "amber", "Nausea, severe"),
    ],
)
def test_what_alarms_calls_the_clinic_at_once(taken, prescriber, data, priority, words):
    with clock.at(minutes(20)):
        from_home.how(taken, by="adult", data=data)
    call = Call.objects.get(headline__startswith="At home")
    assert call.priority == priority
    assert words in call.headline
    assert call.responsible == prescriber


def test_what_is_well_calls_nobody(taken):
    with clock.at(minutes(20)):
        from_home.how(taken, by="adult", data={"awake": "sleepy", **MEASURED})
    assert not Call.objects.filter(headline__startswith="At home").exists()


def test_nothing_said_or_impossible_is_refused(taken):
    for data, words in (
        ({}, "Say how you are"),
        ({"systolic_mmhg": 1200.0}, "1200 cannot be right"),
        ({"feeling": "splendid"}, "Choose one"),
    ):
        with pytest.raises(Refused, match=words):
            from_home.how(taken, by="patient", data=data)
    assert line_of(taken).check_ins == []


def test_help_is_a_red_call_at_any_time(session):
    from_home.ask_for_help(session, by="adult", words="She is afraid.")
    call = Call.objects.get()
    assert (call.priority, call.detail) == ("red", "She is afraid.")


def test_help_is_heard_after_the_session_too(may_take, nurse):
    services.cancel_session(nurse, may_take, reason="The adult had to leave.")
    from_home.ask_for_help(may_take, by="patient")
    assert Call.objects.filter(headline__contains="Help is asked").exists()


def test_a_resend_counts_once(taken):
    import uuid

    key = uuid.uuid4()
    for _ in range(3):
        from_home.how(taken, by="patient", data=FINE, client_id=key)
    assert len(line_of(taken).check_ins) == 1
    key = uuid.uuid4()
    for _ in range(2):
        with pytest.raises(Refused, match="Never take a second one"):
            from_home.take_dose(taken, pieces=DOSE, client_id=key)
    assert Event.objects.filter(kind="athome.refused", client_id=key).count() == 1


def test_texts_go_out_at_each_check_in_and_are_taken_back_when_it_comes(
    ready, home_course, nurse, monkeypatch
):
    home_course.person.phone = "+1 555 0160"
    home_course.person.save()
    session = open_today(nurse, home_course)
    assert set(Notice.objects.values_list("wording", flat=True)) == {"home_page", "adult_page"}
    from_home.check_in(session, data=WELL)
    services.decide(
        nurse, session, go=True, confirmed={"identity": True, "clinician_contact": True}
    )
    from_home.adult_here(session)
    from_home.take_dose(session, pieces=DOSE)
    planned = Notice.objects.filter(wording="home_check_in")
    assert sorted({n.due_at for n in planned}) == [minutes(30), minutes(60), minutes(120)]
    assert planned.count() == 6
    with clock.at(minutes(27)):
        from_home.how(session, by="patient", data=FINE)
    assert planned.filter(state="withdrawn").count() == 2


def test_a_session_that_nobody_closes_calls(taken):
    for minute in (30, 60, 120):
        with clock.at(minutes(minute)):
            from_home.how(taken, by="patient", data=FINE)
    tick(179)
    assert not Call.objects.filter(headline__contains="still open").exists()
    tick(180)
    assert Call.objects.get(headline__contains="still open").priority == "amber"


def answers(session: HomeSession) -> dict[str, bool]:
    criteria = queries.library_of(session).discharge[queries.PROTOCOL].criteria
    return {each.fact: True for each in criteria if each.question}


def test_it_ends_when_the_clinic_has_spoken_with_the_patient(taken, nurse, coordinator):
    with clock.at(minutes(90)), pytest.raises(Refused, match="too early"):
        from_home.finish(taken, data={"mood_0_10": 6, "dissociation_0_10": 4, "nausea_0_10": 0})
    with clock.at(minutes(121)):
        from_home.how(taken, by="adult", data={"awake": "awake", **MEASURED})
        from_home.finish(taken, data={"mood_0_10": 6, "dissociation_0_10": 4, "nausea_0_10": 0})
        said = {"answers": answers(taken), "outcome": "well", "words": "Well and calm at home."}
        with pytest.raises(Refused, match="nurse or a prescriber"):
            services.close_session(coordinator, taken, **said)
        with pytest.raises(Refused, match="Not met: A clinician has spoken"):
            services.close_session(
                nurse, taken, **{**said, "answers": {**answers(taken), "clinician_spoke": False}}
            )
        with pytest.raises(Refused, match="in a sentence"):
            services.close_session(nurse, taken, **{**said, "words": "ok"})
        services.close_session(nurse, taken, **said)
    taken.refresh_from_db()
    assert (taken.phase, taken.look_at) == (Phase.CLOSED, None)
    assert taken.planned.done_at == minutes(121)
    assert FormRequest.objects.filter(course=taken.course, session_number=1).exists()
    assert record.verify().intact
    tick(500)
    assert not Call.objects.filter(raised_at__gt=minutes(121)).exists()


def test_no_session_is_closed_before_two_hours_but_a_handover(taken, nurse):
    with clock.at(minutes(40)):
        services.note_check_in(nurse, taken, data=MEASURED, words="Ambulance is there.")
        said = {"answers": answers(taken), "words": "Taken to hospital, chest pain."}
        with pytest.raises(Refused, match="At least 2 hours since the dose"):
            services.close_session(nurse, taken, outcome="well", **said)
        services.close_session(nurse, taken, outcome="handed over", **said)
    assert line_of(taken).phase == Phase.CLOSED


def test_a_first_dose_watched_by_video_counts_as_supervised(
    on, enrolled, home_course, nurse, prescriber
):
    services.dispense(nurse, enrolled, pieces=DOSE, counted={}, lot="L7")
    session = open_today(nurse, home_course, watched_live=True)
    from_home.check_in(session, data={**WELL, "counted": [[100.0, 1], [50.0, 1]]})
    services.decide(
        nurse, session, go=True, confirmed={"identity": True, "clinician_contact": True}
    )
    from_home.adult_here(session)
    from_home.take_dose(session, pieces=DOSE)
    with clock.at(minutes(121)):
        services.note_check_in(nurse, session, data=MEASURED)
        services.close_session(
            nurse,
            session,
            answers=answers(session),
            outcome="well",
            words="Watched by video throughout, well.",
        )
    enrolled.refresh_from_db()
    assert (enrolled.supervised_how, enrolled.supervised_at) == ("video", START)


def picture(**info) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (2400, 1200), "white").save(out, "JPEG", **info)
    return out.getvalue()


def test_a_picture_of_the_cuff_is_kept_small_and_without_where_it_was_taken(session, nurse, client):
    exif = Image.Exif()
    exif[0x010E] = "12 Example Street"
    from_home.check_in(session, data=WELL, photo=picture(exif=exif))
    photo = CuffPhoto.objects.get()
    kept = Image.open(io.BytesIO(bytes(photo.jpeg)))
    assert max(kept.size) == 1600
    assert not kept.getexif()
    assert Event.objects.get(kind="athome.check_in").data["photo"] == photo.digest
    client.force_login(nurse)
    answer = client.get(f"/home-sessions/{session.pk}/photos/{photo.pk}/")
    assert answer["Content-Type"] == "image/jpeg"
    client.logout()
    assert client.get(f"/home-sessions/{session.pk}/photos/{photo.pk}/").status_code == 302


def test_what_is_no_picture_is_refused(session):
    with pytest.raises(Refused, match="cannot be read"):
        from_home.check_in(session, data=WELL, photo=b"<svg onload=alert(1)>")
    assert not CuffPhoto.objects.exists()


def test_more_sessions_cost_no_more_queries(taken, nurse, client):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(nurse)

    def cost() -> int:
        with CaptureQueriesContext(connection) as caught:
            assert client.get("/home-sessions/").status_code == 200
        return len(caught)

    one = cost()
    second = taken.course.planned_sessions.order_by("planned_for")[1]
    HomeSession.objects.filter(pk=taken.pk).update(closed_at=START)
    HomeSession.objects.create(
        planned=second,
        course=taken.course,
        person=taken.person,
        enrolment=taken.enrolment,
        approval=taken.approval,
        adult_name="Ines Example",
        adult_phone="+15550150",
        opened_at=START,
    )
    assert cost() == one


def test_the_links_open_their_own_page_alone(taken, client):
    patient, adult = (links.token_for(taken, who) for who in ("patient", "adult"))
    assert client.get(f"/h/{patient}/").status_code == 200
    assert client.get(f"/a/{adult}/").status_code == 200
    assert client.get(f"/h/{adult}/").status_code == 404
    assert client.get(f"/a/{patient}/").status_code == 404
    sent = client.post(
        f"/a/{adult}/enter/",
        {
            "kind": "dose",
            "client_id": "0c1b2a39-4857-4665-8473-829100000001",
            "made_at": START.isoformat(),
            "data": {"pieces_100": 1},
        },
        content_type="application/json",
    )
    assert sent.status_code == 400  # the adult takes no dose
    for body in ("", "[]", '{"kind": 1}', "{", '{"kind": "how", "client_id": "x"}'):
        answer = client.post(f"/h/{patient}/enter/", body, content_type="application/json")
        assert answer.status_code == 400


def test_the_on_call_screen_names_the_home_session(taken, nurse, client, on_call):
    tick(36)
    client.force_login(nurse)
    with clock.at(minutes(36)):
        page = client.get("/on-call/").content.decode()
    assert "No check-in from home 30 minutes after the dose" in page
    call = Call.objects.get(headline__startswith="No check-in")
    notices.answer_call(nurse, call)
    notices.close_call(nurse, call, words="She slept; the adult woke her, she is well.")
    assert not Call.objects.get(pk=call.pk).is_open


def test_an_integration_falls_due_after_a_session_at_home_too(taken, nurse, therapist):
    taken.course.therapist = therapist
    taken.course.save()
    with clock.at(minutes(60)):
        assert therapy.is_dosed(taken.course), "nothing is asked, and no touch agreed to, meanwhile"
    with clock.at(minutes(121)):
        from_home.how(taken, by="adult", data={"awake": "awake", **MEASURED})
        from_home.finish(taken, data={"mood_0_10": 6, "dissociation_0_10": 4, "nausea_0_10": 0})
        services.close_session(
            nurse, taken, answers=answers(taken), outcome="well", words="Well and calm at home."
        )
    (visit,) = taken.course.therapy_visits.all()
    assert (visit.kind, visit.after) == ("integration", taken.planned)
    assert not therapy.is_dosed(taken.course)
