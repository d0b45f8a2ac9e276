"""The demonstration clinic: the same invented people every time, at every step of care."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from django.utils import translation

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.intake.models import SafetyReview
from openketamine.clinic.people.models import Course, Person, Stage
from openketamine.clinic.portal import queries as portal
from openketamine.clinic.record import clock, services
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sessions.models import MonitoringForm, Phase, Session
from openketamine.clinic.therapy import queries as therapy
from openketamine.demo import cast, clinic, feed, physiology
from openketamine.exchange.fhir import projection
from openketamine.exchange.fhir.models import Resource
from openketamine.exchange.hl7v2 import intake

SATURDAY_NIGHT = datetime(2026, 11, 28, 0, 7, tzinfo=UTC)


def test_the_same_seed_gives_the_same_people():
    day = date(2026, 11, 24)
    assert cast.characters(40, today=day) == cast.characters(40, today=day)
    assert cast.characters(40, today=day)[:10] == cast.characters(10, today=day)


def test_everybody_is_obviously_invented():
    for who in cast.characters(40, today=date(2026, 11, 24)):
        assert who.family_name in cast._FAMILY
        assert who.systolic_mmhg > who.diastolic_mmhg + 15
        assert who.weight_kg > 40


def test_the_effect_of_a_standard_infusion_is_one_at_its_end():
    assert physiology.effect([(0, 40, 60.0)], 40, 60.0) == pytest.approx(1.0)
    assert physiology.effect([(0, 40, 60.0)], 140, 60.0) < 0.05
    assert physiology.effect([], 10, 60.0) == 0


@pytest.mark.parametrize("day", range(24, 31))
@pytest.mark.parametrize("hour", [0, 12, 23])
def test_a_course_can_be_begun_so_that_it_stands_as_told_on_any_day(day, hour, db):
    with clock.at(datetime(2026, 11, day, hour, 38, tzinfo=UTC)):
        builder = clinic._Builder()
        who = cast.characters(1, today=clock.today())[0]
        for done in range(7):
            for today in (True, False):
                assert builder._first_day(who, done=done, today=today) <= clock.today()


def test_a_demonstration_of_another_day_is_discarded(tmp_path, monkeypatch):
    (tmp_path / "demo.sqlite3").write_text("old")
    (tmp_path / "openketamine.sqlite3").write_text("a real clinic")
    (tmp_path / "demo-built").write_text(clinic._made_by())
    clinic.discard_stale(tmp_path)
    assert (tmp_path / "demo.sqlite3").exists()
    later = clinic.STALE_AFTER.total_seconds() + 60
    now = clinic.stopwatch.time()
    monkeypatch.setattr(clinic.stopwatch, "time", lambda: now + later)
    clinic.discard_stale(tmp_path)
    assert not (tmp_path / "demo.sqlite3").exists()
    assert (tmp_path / "openketamine.sqlite3").exists()


def test_a_demonstration_of_another_version_is_discarded(tmp_path):
    (tmp_path / "demo.sqlite3").write_text("its policy is no longer the one that was signed")
    (tmp_path / "demo-built").write_text("0.0.1 0000\n")
    clinic.discard_stale(tmp_path)
    assert not (tmp_path / "demo.sqlite3").exists()


@pytest.mark.parametrize(
    ("moment", "language"),
    [(datetime(2026, 11, 24, 10, 30, tzinfo=UTC), "en"), (SATURDAY_NIGHT, "es")],
    ids=["a Tuesday morning", "just after midnight on a Saturday, in Spanish"],
)
def test_forty_people_at_every_step_with_a_session_in_progress(
    db, moment, language, settings, tmp_path, bracketed
):
    settings.HOME = tmp_path
    with clock.at(moment), translation.override(language):
        clinic.build(report=lambda line: None)
        assert Person.objects.count() == clinic.NUMBER + clinic.EARLIER
        present = set(Course.objects.values_list("stage", flat=True))
        assert present >= {
            Stage.REFERRED,
            Stage.SCREENING,
            Stage.CONSENT,
            Stage.PLANNING,
            Stage.TREATMENT,
            Stage.FOLLOW_UP,
            Stage.DECLINED,
        }
        running = Session.objects.get(phase=Phase.INFUSION)
        assert Session.objects.filter(phase=Phase.RECOVERY).count() == 1
        assert Session.objects.filter(phase=Phase.CHECK).count() == 1
        assert Session.objects.filter(phase=Phase.SPRAYING).count() == 1
        owed = MonitoringForm.objects.order_by("due_on")
        assert [form.sent_on is not None for form in owed] == [True, True, False]
        assert SafetyReview.objects.filter(closed_at=None).count() == 1
        assert {user.role for user in User.objects.all()} == set(Role)
        assert services.verify().intact
        if language != "en":  # whoever acts, the record and what programs read are in English
            projection.catch_up()
            assert Resource.objects.filter(kind="Encounter", deleted_at=None).count() > 50
            assert not Event.objects.filter(body__contains="⟦").exists()
            assert not Resource.objects.filter(content__contains="⟦").exists()

        therapist = User.objects.get(username="therapist")
        states = {row.state for row in therapy.due_visits(therapist=therapist)}
        assert states & {"due", "overdue"}, "the therapist has something to do"
        patient = Person.objects.get(user__username="patient")
        page = portal.home(patient, patient.courses.get())
        assert page.forms
        assert page.homework_open == 1
        assert len(page.moods) > 5
        assert [row.person for row in portal.waiting_messages()] == [patient]

        before = Event.objects.count()
        clinic.build(report=lambda line: None)
        assert Event.objects.count() == before

    with clock.at(moment + timedelta(seconds=20)):
        monitors = feed.Monitors(np.random.default_rng(1))
        hear = lambda raw: intake.take([(raw, clock.now())])[0].reply  # noqa: E731
        assert feed.read_all(monitors, hear) == 3
    reading = Event.objects.filter(stream=running.stream).last()
    assert (reading.kind, reading.source) == ("session.vitals_recorded", Source.MONITOR)
