"""The screens: what they show, what they send, and that they cost the same for one as for many."""

import re
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from openketamine.clinic.intake import services as intake
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions import queries, screen, services
from openketamine.clinic.sessions.models import Phase
from openketamine.clinic.sessions.timeline import Reading

from ..conftest import CHECK, HOME, PHQ9, draw_up
from .test_timeline import START

HTMX = {"HX-Request": "true"}


@pytest.fixture
def at_work(client, nurse):
    client.force_login(nurse)
    return client


def enter(client, session, act, *, status=204, **data):
    response = client.post(
        reverse("session_enter", args=[session.pk, act]),
        {"client_id": str(uuid.uuid4()), **data},
        headers=HTMX,
    )
    assert response.status_code == status, response.content.decode()
    return response


def test_it_works(at_work, running):
    page = at_work.get(reverse("session", args=[running.pk])).content.decode()
    for words in ("Maria Example1", "41 mg / 40 min", "82 kg today", "Ines Example", "128/79"):
        assert words in page


def test_no_page_has_inline_script_or_style(at_work, running):
    for name in ("today", "session", "session_check", "session_discharge", "session_state"):
        arguments = [] if name == "today" else [running.pk]
        page = at_work.get(reverse(name, args=arguments)).content.decode()
        assert " style=" not in page
        assert not re.search(r"<script(?![^>]* src=)", page)
        assert " onclick=" not in page


def test_the_day_with_nobody_says_what_to_do_next(at_work):
    page = at_work.get(reverse("today")).content.decode()
    assert "Every chair is free" in page
    assert "policy is not signed" in page


def test_a_patient_arrives_is_checked_and_started(
    at_work, planned_course, chair, nurse, prescriber
):
    planned = planned_course.planned_sessions.get(number=1)
    assert planned.person.given_name in at_work.get(reverse("today")).content.decode()
    response = at_work.post(reverse("session_open", args=[planned.pk]), {"chair": chair.pk})
    planned.refresh_from_db()
    session = planned.session
    assert response.url == reverse("session_check", args=[session.pk])
    form = {
        **{f"{name}": "on" for name in ("identity", "fasting", "escort", "safety_question")},
        "no_plans": "on",
        "medicines_today_confirmed": "on",
        **CHECK["vitals"],
        "weight_kg": "82",
        "escort_name": "Ines Example",
        "medicines_today": "none",
        "client_id": str(uuid.uuid4()),
    }
    refused = at_work.post(response.url, {**form, "systolic_mmhg": "1200"})
    assert refused.status_code == 422
    assert "Systolic 1200 mmHg is not possible" in refused.content.decode()
    assert at_work.post(response.url, form).url == reverse("session", args=[session.pk])
    draw_up(session, nurse, prescriber)
    enter(at_work, session, "start")
    session.refresh_from_db()
    assert session.phase == Phase.INFUSION


def test_an_open_safety_review_leads_the_day_and_bars_the_chair(
    at_work, planned_course, chair, nurse
):
    intake.record_response(
        nurse, planned_course, instrument="phq9", answers={**PHQ9, "q9": 2}, occasion="intake"
    )
    page = at_work.get(reverse("today")).content.decode()
    assert "Safety reviews to record now" in page
    assert "Safety review open" in page
    planned = planned_course.planned_sessions.get(number=1)
    response = at_work.post(
        reverse("session_open", args=[planned.pk]), {"chair": chair.pk}, follow=True
    )
    assert "A safety review is open" in response.content.decode()
    assert not hasattr(planned, "session")


@pytest.mark.parametrize(
    ("act", "data", "words"),
    [
        ("vitals", {"systolic_mmhg": "1200"}, "Systolic 1200 mmHg is not possible"),
        ("vitals", {"systolic_mmhg": "120", "diastolic_mmhg": "130"}, "cannot be as high"),
        ("vitals", {"systolic_mmhg": "a lot"}, "Enter a number"),
        ("vitals", {}, "at least one vital sign"),
        ("side-effect", {"effect": "nausea"}, "This field is required"),
        ("rate", {"rate_mg_per_h": "600", "reason": "faster"}, "above the clinic"),
        ("stop", {}, "have not run in"),
        ("pause", {}, "This field is required"),
        ("medicine", {"medicine": "ondansetron", "dose": "40", "route": "IV", "reason": "n"},
         "above the clinic"),
        ("resume", {}, "Not possible"),
        ("cancel", {"reason": "fever"}, "has started"),
        ("go-on", {"reason": "fine"}, "role does not decide"),
    ],
)  # fmt: skip
def test_a_refusal_comes_back_with_its_reason_and_changes_nothing(
    at_work, running, unchanged, act, data, words
):
    with unchanged:
        response = enter(at_work, running, act, status=422, **data)
    assert words in response.content.decode()


def test_an_entry_sent_twice_counts_once(at_work, running):
    sent = {"client_id": str(uuid.uuid4()), "heart_rate_bpm": "77"}
    before = Event.objects.count()
    for _ in range(2):
        response = enter(at_work, running, "vitals", **sent)
        assert "session-changed" in response.headers["HX-Trigger"]
    assert Event.objects.count() == before + 1


def test_a_check_sent_twice_weighs_once(at_work, session):
    form = {
        **dict.fromkeys(("identity", "fasting", "escort", "safety_question", "no_plans"), "on"),
        "medicines_today_confirmed": "on",
        **CHECK["vitals"],
        "weight_kg": "82",
        "escort_name": "Ines Example",
        "medicines_today": "none",
        "client_id": str(uuid.uuid4()),
    }
    weights = session.person.measurements.filter(kind="weight_kg")
    before = weights.count()
    for _ in range(2):
        assert at_work.post(reverse("session_check", args=[session.pk]), form).status_code == 302
    assert weights.count() == before + 1


def test_an_entry_may_have_happened_earlier(at_work, running):
    moment = clock.now() - timedelta(minutes=3)
    if moment.date() != clock.now().date():
        pytest.skip("three minutes ago was another day")
    enter(at_work, running, "note", text="asked for water", at=f"{moment:%H:%M}")
    (note,) = queries.timeline_of(running).notes
    assert f"{note.at:%H:%M}" == f"{moment:%H:%M}"


def test_without_script_an_entry_is_a_page(at_work, running):
    address = reverse("session_enter", args=[running.pk, "note"])
    assert "<html" in at_work.get(address).content.decode()
    response = at_work.post(address, {"text": "calm"})
    assert response.url == reverse("session", args=[running.pk])
    refused = at_work.post(address, {"text": ""})
    assert refused.status_code == 422


def test_a_correction_strikes_the_entry_and_keeps_it(at_work, running, nurse):
    wrong = services.record_vitals(nurse, running, systolic_mmhg=214, diastolic_mmhg=90)
    address = reverse("event_correct", args=[running.pk, wrong.seq])
    assert "214/90" in at_work.get(address, headers=HTMX).content.decode()
    data = {"action": "retract", "reason": "wrong arm"}
    assert at_work.post(address, data, headers=HTMX).status_code == 204
    page = at_work.get(reverse("session", args=[running.pk])).content.decode()
    assert re.search(r'class="struck">Vital signs 214/90', page)
    assert "wrong arm" in page


def test_an_alert_is_unmistakable_and_names_its_authority(at_work, running, nurse):
    services.record_vitals(nurse, running, systolic_mmhg=185, diastolic_mmhg=90)
    page = at_work.get(reverse("session", args=[running.pk])).content.decode()
    assert 'class="alert red"' in page
    assert "Systolic 180 mmHg or more" in page
    assert "clinic policy" in page
    address = reverse("alert_acknowledge", args=[running.pk, "IV-SYS-R"])
    assert at_work.post(address, {"reason": ""}, headers=HTMX).status_code == 422
    assert at_work.post(address, {"reason": "paused, called"}, headers=HTMX).status_code == 204
    page = at_work.get(reverse("session", args=[running.pk])).content.decode()
    assert 'class="alert quiet red"' in page
    assert "paused, called" in page


def test_home_before_the_criteria_is_refused_on_screen(at_work, running, nurse, only_the_attempt):
    services.end_infusion(nurse, running, reason="panic")
    with only_the_attempt:
        response = at_work.post(
            reverse("session_discharge", args=[running.pk]),
            {**dict.fromkeys(HOME, "on"), "escort_name": "Ines", "client_id": uuid.uuid4()},
        )
    assert response.status_code == 422
    assert "At least 60 minutes since the end" in response.content.decode()


def test_the_chart_holds_what_the_record_holds(at_work, in_chair):
    session = in_chair(2)
    data = at_work.get(reverse("session_chart", args=[session.pk])).json()
    assert [value for _, value, _ in data["series"]["systolic_mmhg"]] == [128, 130, 130, 130]
    assert data["dose"][-1][1] == pytest.approx(10.25, abs=0.1)
    assert data["programmed_mg"] == 41.0
    assert [event["letter"] for event in data["events"]] == ["S"]
    assert all("clinic policy" in limit["label"] for limit in data["limits"])


def test_the_chair_that_needs_attention_comes_first(in_chair, nurse):
    calm, high, watch = in_chair(2), in_chair(3), in_chair(4)
    services.record_vitals(nurse, high, systolic_mmhg=190, diastolic_mmhg=90)
    services.record_vitals(nurse, watch, systolic_mmhg=162, diastolic_mmhg=90)
    assert [row.session for row in queries.todays_board()] == [high, watch, calm]


def counted(client, address):
    with CaptureQueriesContext(
        connection,
    ) as queries_made:
        assert client.get(address).status_code == 200
    return len(queries_made)


def test_the_day_costs_the_same_for_one_patient_as_for_many(at_work, arrive, in_chair, nurse):
    in_chair(2)
    arrive(3)
    services.add_chair(nurse, name="spare")
    pages = [reverse("today"), reverse("today_board")]
    for page in pages:
        at_work.get(page)
    before = [counted(at_work, page) for page in pages]
    for number in range(4, 7):
        in_chair(number)
        arrive(number + 10)
    assert [counted(at_work, page) for page in pages] == before
    assert before[1] == 4  # browser session, user, open sessions, their events


def test_a_session_costs_the_same_for_one_reading_as_for_many(at_work, in_chair, nurse):
    session = in_chair(2)
    pages = [reverse(f"session{part}", args=[session.pk]) for part in ("", "_state", "_chart")]
    for page in pages:
        at_work.get(page)
    before = [counted(at_work, page) for page in pages]
    for value in range(70, 90):
        services.record_vitals(nurse, session, heart_rate_bpm=value)
    in_chair(3)
    assert [counted(at_work, page) for page in pages] == before
    # browser session, user, session, allergies, events; the screens also look for safety reviews
    assert before == [6, 6, 5]


def test_a_session_that_does_not_exist_is_not_found(at_work):
    for name in ("session", "session_state", "session_chart", "session_check"):
        assert at_work.get(reverse(name, args=[uuid.uuid4()])).status_code == 404


def test_a_coordinator_looks_but_does_not_enter(client, coordinator, running):
    client.force_login(coordinator)
    page = client.get(reverse("session", args=[running.pk])).content.decode()
    assert "act-stop" not in page
    address = reverse("session_enter", args=[running.pk, "vitals"])
    assert client.post(address, {"heart_rate_bpm": "70"}).status_code == 403


def test_a_patient_sees_no_session_screen(client, patient_user, running):
    client.force_login(patient_user)
    for name in ("session", "session_state", "session_chart", "session_stream"):
        assert client.get(reverse(name, args=[running.pk])).status_code == 403


def test_a_monitor_does_not_flood_the_flow_sheet_but_every_crossed_limit_stands_in_it(
    at_work, in_chair, nurse
):
    session = in_chair(2)
    now = clock.now()
    for second in range(300, 0, -20):
        with clock.at(now - timedelta(seconds=second)):
            services.record_vitals(
                "monitor bed 3",
                session,
                source=Source.MONITOR,
                systolic_mmhg=165 if second == 100 else 140,
            )
    timeline = queries.timeline_of(session)
    rows = screen.flow_sheet(timeline, queries.protocol_of(session), now)
    monitored = [row for row in rows if row.line.source == Source.MONITOR]
    assert 1 <= len(monitored) <= 3
    assert [row.reading.values["systolic_mmhg"] for row in monitored if row.crossed] == [165]
    assert not [entry for entry in screen.log(timeline) if entry.line.source == Source.MONITOR]
    data = at_work.get(reverse("session_chart", args=[session.pk])).json()
    assert len(data["series"]["systolic_mmhg"]) == 4 + 15


def test_the_chart_of_a_long_session_keeps_every_peak_and_what_people_entered():
    def reading(second, value, source=Source.MONITOR):
        at = START + timedelta(seconds=second)
        return Reading(at, {"systolic_mmhg": value}, source, second)

    long = [reading(second, 130.0 + second % 7) for second in range(7200)]
    long[4001] = reading(4001, 212.0)
    long[5003] = reading(5003, 71.0)
    long[6000] = reading(6000, 133.0, Source.HAND)
    drawn = screen.thinned(long, "systolic_mmhg")
    assert len(drawn) <= screen.CHARTED_AT_MOST + 3
    assert {long[4001].seq, long[5003].seq, long[6000].seq, 7199} <= {r.seq for r in drawn}
    assert [r.seq for r in drawn] == sorted({r.seq for r in drawn})
    assert screen.thinned(long[:50], "systolic_mmhg") == long[:50]


def test_the_sheets_of_a_screen_come_in_one_answer(at_work, running):
    address = reverse("session_sheets", args=[running.pk])
    sheets = at_work.get(address, {"act": ["vitals", "note", "nonsense"]}).json()
    assert list(sheets) == ["vitals", "note"]
    for act, sheet in sheets.items():
        alone = at_work.get(
            reverse("session_enter", args=[running.pk, act]), headers={"HX-Request": "true"}
        ).content.decode()
        names = r'name="([a-z_0-9]+)"'
        assert re.findall(names, sheet) == re.findall(names, alone)
        assert reverse("session_enter", args=[running.pk, act]) in sheet
