"""Consent, order, double-check and calendar."""

import json
from datetime import time, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from openketamine.clinic.errors import Refused
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Stage
from openketamine.clinic.plans import queries, services
from openketamine.clinic.plans.models import Consent, Plan, PlannedSession
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import services as sessions

from ..conftest import ORDER, consent


def order(prescriber, course, **changes):
    values = {**ORDER, "first_on": clock.today(), **changes}
    return services.order_plan(prescriber, course, **values)


@pytest.fixture
def consented(screened, nurse):
    consent(screened, nurse)
    screened.refresh_from_db()
    return screened


def test_it_works(planned_course):
    plan = queries.plan_in_force(planned_course)
    assert (plan.dose_mg, plan.volume_ml, plan.rate_mg_per_h) == (41.0, 4.1, 61.5)
    days = [p.planned_for.date() for p in planned_course.planned_sessions.all()]
    assert len(days) == 6
    assert all(day.weekday() < 5 for day in days)
    assert timedelta(days=10) <= days[-1] - days[0] <= timedelta(days=21)
    assert planned_course.stage == Stage.TREATMENT


def test_the_consent_keeps_its_exact_text(consented):
    given = Consent.objects.get()
    document = library().document("consent", "IV")
    assert given.document == document.model_dump(mode="json")
    assert given.document_digest == library().document_digest(document)


def test_who_reads_spanish_signs_the_spanish_text_and_no_other(screened, nurse, client):
    screened.person.language = "es-MX"
    screened.person.save()
    client.force_login(nurse)
    page = client.get(reverse("consent", args=[screened.pk]))
    spanish = library().document("consent", "IV", "es")
    assert page.context["document"] == spanish
    body = page.content.decode()
    assert f'<h1 lang="es">{spanish.title}</h1>' in body
    assert "He leído" in body  # what is agreed to, beside the text
    assert client.get(f"{page.request['PATH_INFO']}?language=en").context["document"] == (
        library().document("consent", "IV")
    )
    signed = client.post(
        reverse("sign_consent", args=[screened.pk]),
        {
            "digest": page.context["digest"],
            "language": "es",
            "agrees": "on",
            "signed_name": str(screened.person),
        },
    )
    assert signed.status_code == 302
    given = Consent.objects.get()
    assert given.document_id == "consent-iv-es"
    assert given.document == spanish.model_dump(mode="json")
    assert given.document_digest == library().document_digest(spanish)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signed_name": "Somebody Else"}, "full name as it stands"),
        ({"agrees": False}, "if you agree"),
        ({"document_digest": "0" * 64}, "changed since it was opened"),
    ],
)
def test_a_consent_that_is_none_is_refused(screened, nurse, change, message):
    document = library().document("consent", "IV")
    values = {
        "signed_name": str(screened.person),
        "agrees": True,
        "document_digest": library().document_digest(document),
        **change,
    }
    before = Event.objects.count()
    with pytest.raises(Refused, match=message):
        services.sign_consent(nurse, screened, **values)
    assert not Consent.objects.exists()
    assert Event.objects.count() == before


def test_without_consent_nothing_is_ordered_or_started(planned_course, nurse, prescriber, chair):
    services.withdraw_consent(nurse, Consent.objects.get(), reason="")
    with pytest.raises(Refused, match="No consent is in force"):
        order(prescriber, planned_course)
    with pytest.raises(Refused, match="No consent is in force"):
        sessions.open_session(nurse, planned_course.planned_sessions.first(), chair)


def test_a_withdrawn_consent_can_be_given_anew(consented, nurse):
    services.withdraw_consent(nurse, Consent.objects.get(), reason="Wants to think.")
    consent(consented, nurse)
    assert Consent.objects.count() == 2
    assert queries.consent_in_force(consented)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"dose_mg_per_kg": 2.0}, "dose_mg_per_kg", "outside the clinic's policy of 0.1 to 0.75"),
        ({"duration_min": 5}, "duration_min", "outside the clinic's policy"),
        ({"sessions": 30}, "sessions", "outside the clinic's policy"),
        ({"concentration_mg_per_ml": 7.0}, "concentration_mg_per_ml", "vial that exists"),
    ],
)
def test_an_order_outside_policy_is_refused(consented, prescriber, change, field, message):
    with pytest.raises(Refused, match=message) as refusal:
        order(prescriber, consented, **change)
    assert refusal.value.field == field
    assert not Plan.objects.exists()


def test_an_order_in_the_past_is_refused(consented, prescriber):
    with pytest.raises(Refused, match="in the past"):
        order(prescriber, consented, first_on=clock.today() - timedelta(days=1))


def test_a_weight_from_before_the_course_is_not_dosed_by(consented, prescriber):
    consented.person.measurements.update(taken_at=consented.opened_at - timedelta(days=400))
    with pytest.raises(Refused, match="before this course began"):
        order(prescriber, consented)


def test_an_impossible_weight_is_refused(nurse, course):
    with pytest.raises(Refused, match="Weight 7 kg is not possible for an adult"):
        people.record_measurement(nurse, course.person, kind="weight_kg", value=7)


def test_only_a_prescriber_orders(consented, nurse):
    with pytest.raises(Refused, match="Only a prescriber orders"):
        order(nurse, consented)


def test_whoever_ordered_cannot_check(consented, prescriber):
    plan = order(prescriber, consented)
    with pytest.raises(Refused, match="second person"):
        services.verify_plan(prescriber, plan, dose_mg=41, volume_ml=4.1)


def test_another_result_puts_nothing_in_force_and_is_recorded(consented, prescriber, nurse):
    plan = order(prescriber, consented)
    with pytest.raises(Refused, match="is not the ordered one"):
        services.verify_plan(nurse, plan, dose_mg=41, volume_ml=0.41)
    plan.refresh_from_db()
    assert not plan.is_verified
    assert not PlannedSession.objects.exists()
    assert Event.objects.filter(kind="plans.plan_check_failed").count() == 1


def test_the_volume_is_hidden_from_whoever_checks(client, consented, prescriber, nurse):
    order(prescriber, consented)
    client.force_login(nurse)
    page = client.get(f"/courses/{consented.pk}/plan/").content.decode()
    assert "4.1 mL" not in page
    assert "shown once checked" in page


def test_amending_a_plan_leaves_a_session_in_progress_alone(running, nurse, prescriber):
    course = running.course
    plan = order(prescriber, course, dose_mg_per_kg=0.4)
    services.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
    running.planned.refresh_from_db()
    assert running.planned.cancelled_at is None
    standing = course.planned_sessions.filter(cancelled_at=None).order_by("number")
    assert [p.number for p in standing] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(Refused, match="has begun"):
        services.cancel_planned(nurse, running.planned, reason="x")


def test_a_session_moves_but_not_past_its_neighbours(planned_course, nurse):
    first, second, third, *_ = planned_course.planned_sessions.order_by("number")
    services.reschedule(nurse, second, planned_for=second.planned_for + timedelta(hours=2))
    with pytest.raises(Refused, match="on that day already"):
        services.reschedule(nurse, second, planned_for=third.planned_for)
    with pytest.raises(Refused, match="out of order with session 3"):
        services.reschedule(nurse, second, planned_for=third.planned_for + timedelta(days=1))
    with pytest.raises(Refused, match="past"):
        services.reschedule(nurse, first, planned_for=clock.now() - timedelta(days=2))


def test_a_cancelled_session_keeps_its_reason(planned_course, nurse):
    last = planned_course.planned_sessions.last()
    with pytest.raises(Refused, match="Give the reason"):
        services.cancel_planned(nurse, last, reason=" ")
    services.cancel_planned(nurse, last, reason="On holiday.")
    last.refresh_from_db()
    assert last.cancel_reason == "On holiday."


def test_the_calendar_keeps_clear_of_closed_days_and_says_why(
    consented, prescriber, nurse, settings
):
    first = clock.today()
    settings.OPEN_WEEKDAYS = frozenset(range(7))
    settings.CLOSED_ON = frozenset({first, first + timedelta(days=3)})
    plan = order(prescriber, consented)
    services.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
    days = [p.planned_for.date() for p in consented.planned_sessions.order_by("number")]
    assert days[0] == first + timedelta(days=1)
    assert not set(days) & settings.CLOSED_ON
    event = Event.objects.filter(kind="plans.sessions_planned").latest("pk")
    because = json.loads(event.body)["because"]
    assert len(because) == len(days)
    assert all("Three sessions a week" in words for words in because)


def test_a_clinic_that_never_opens_plans_nothing_and_says_so(
    consented, prescriber, nurse, settings
):
    settings.OPEN_WEEKDAYS = frozenset()
    plan = order(prescriber, consented)
    with pytest.raises(Refused, match="calendar cannot be filled"):
        services.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
    assert not consented.planned_sessions.exists()
    plan.refresh_from_db()
    assert not plan.is_verified


def test_a_condition_has_the_regimen_that_fits_it(consented, prescriber):
    consented.condition = "PTSD"
    consented.save()
    assert [r.id for r in queries.plannable(consented)] == ["ptsd-series"]
    with pytest.raises(Refused, match="by which this course can be planned"):
        order(prescriber, consented, regimen="iv-depression")
    assert order(prescriber, consented, regimen="ptsd-series").regimen == "ptsd-series"


def test_a_route_that_cannot_be_planned_shows_what_is_unset(client, consented, prescriber):
    consented.route = "SL"
    consented.save()
    client.force_login(prescriber)
    page = client.get(f"/courses/{consented.pk}/plan/")
    text = page.content.decode()
    assert page.status_code == 200
    assert "No regimen of the library can be planned here" in text
    assert "No dose: The table of doses of the programme was not seen" in text
    assert "the FDA warned of compounded ketamine at home" in text


def test_no_two_people_are_asked_to_come_at_the_same_time_of_a_day(planned_course):
    days = [s.planned_for.date() for s in planned_course.planned_sessions.order_by("number")]
    hours = [
        timezone.localtime(s.planned_for).time() for s in planned_course.planned_sessions.all()
    ]
    assert set(hours) == {time(9, 0)}
    assert {timezone.localtime(at).time() for at in queries.free_arrivals(days)} == {time(9, 30)}
    assert queries.free_arrivals([]) == []


def test_on_a_full_day_the_emptiest_time_is_taken(planned_course):
    first = planned_course.planned_sessions.order_by("number")[0]
    day = first.planned_for.date()
    PlannedSession.objects.bulk_create(
        PlannedSession(
            plan=first.plan,
            course=first.course,
            person_id=first.person_id,
            number=20 + n,
            planned_for=first.planned_for + timedelta(minutes=30 * n),
        )
        for n in range(13)
        if n != 4
    )
    assert queries.free_arrivals([day]) == [first.planned_for + timedelta(hours=2)]
