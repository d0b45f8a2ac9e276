"""A course is ordered by any route: by weight, in devices, in sprays, in pieces."""

from datetime import timedelta

import pytest
from django.utils import timezone

from openketamine.clinic.errors import Refused
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.plans import queries, services
from openketamine.clinic.plans.models import Consent, GivenAs, Plan, PlannedSession
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

ALL = frozenset({"IV", "IM", "IN_ESKETAMINE", "IN_RACEMIC", "SL", "ORAL"})


@pytest.fixture
def by(course, nurse, signed_policy, monkeypatch):
    """Makes the course one of a route, consented and ready to be ordered."""
    monkeypatch.setattr(queries, "RUN", {"clinic": ALL, "home": ALL})

    def make(route: str, condition: str = "TRD", setting: str = "clinic") -> Course:
        course.route, course.condition, course.setting = route, condition, setting
        course.stage = Stage.PLANNING
        course.save()
        Consent.objects.create(
            course=course,
            document_id="a-test",
            document_version="1",
            document_digest="0" * 64,
            document={},
            signed_name=str(course.person),
            presented_by=nurse,
        )
        return course

    return make


def order(prescriber, course, **values) -> Plan:
    return services.order_plan(prescriber, course, **{"first_on": clock.today(), **values})


def weigh(course, nurse):
    people.record_measurement(nurse, course.person, kind="weight_kg", value=82)


def test_the_spray_is_ordered_in_devices_without_a_weight(by, prescriber, nurse):
    course = by("IN_ESKETAMINE")
    plan = order(prescriber, course, regimen="esketamine-trd-us", dose_mg=56)
    assert (plan.given_as, plan.drug, plan.units) == (GivenAs.DEVICES, "esketamine", [[28, 2]])
    assert (plan.dose_mg, plan.unit_count, plan.weight_kg, plan.sessions) == (56, 2, None, None)
    assert plan.arithmetic[0] == "56 mg ÷ 28 mg a device = 2 devices"
    assert str(plan) == "56 mg in 2 devices of 28 mg"
    with pytest.raises(Refused, match=r"56 mg, 3 pieces\) is not the ordered one"):
        services.verify_plan(nurse, plan, dose_mg=56, count=3)
    assert not PlannedSession.objects.exists()
    services.verify_plan(nurse, plan, dose_mg=56, count=2)
    course.refresh_from_db()
    assert course.stage == Stage.TREATMENT


def test_a_compounded_spray_is_ordered_by_what_one_spray_holds(by, prescriber, nurse):
    course = by("IN_RACEMIC")
    asked = {"regimen": "in-racemic-depression", "dose_mg": 50, "sessions": 1}
    with pytest.raises(Refused, match="what one spray of this bottle holds"):
        order(prescriber, course, **asked)
    with pytest.raises(Refused, match="not a whole number of sprays of 7 mg") as refusal:
        order(prescriber, course, **asked, mg_per_spray=7)
    assert refusal.value.field == "mg_per_spray"
    plan = order(prescriber, course, **asked, mg_per_spray=10)
    assert (plan.given_as, plan.units, plan.drug) == (GivenAs.SPRAYS, [[10, 5]], "racemic")
    assert services.verify_plan(nurse, plan, dose_mg=50, count=5).is_verified


def test_what_is_swallowed_is_ordered_by_weight_and_the_strength_on_the_label(
    by, prescriber, nurse
):
    course = by("ORAL", "SUI")
    asked = {"regimen": "oral-suicidality", "dose_mg_per_kg": 0.5, "sessions": 6}
    with pytest.raises(Refused, match="before this course began"):
        order(prescriber, course, **asked, concentration_mg_per_ml=20)
    weigh(course, nurse)
    with pytest.raises(Refused, match="strength that stands on the label"):
        order(prescriber, course, **asked)
    plan = order(prescriber, course, **asked, concentration_mg_per_ml=20)
    assert (plan.given_as, plan.dose_mg, plan.volume_ml) == (GivenAs.AT_ONCE, 41.0, 2.05)
    assert (plan.duration_min, plan.rate_mg_per_h) == (None, None)


def test_pieces_are_counted_out(by, prescriber, nurse, monkeypatch):
    course = by("SL", setting="home")
    lozenge = library().regimens["sl-home-lozenge"]
    schedule = library().regimens["sl-home-tablet"].phases
    limits = (
        *lozenge.limits,
        lozenge.limits[0].model_copy(
            update={"quantity": "sessions", "minimum": 1, "maximum": 6, "unit": "sessions"}
        ),
    )
    whole = lozenge.model_copy(update={"unset": (), "phases": schedule, "limits": limits})
    monkeypatch.setitem(library().regimens, "sl-home-lozenge", whole)
    asked = {"regimen": "sl-home-lozenge", "sessions": 4}
    with pytest.raises(Refused, match="cannot be made of whole pieces"):
        order(prescriber, course, **asked, dose_mg=130)
    plan = order(prescriber, course, **asked, dose_mg=250)
    assert (plan.given_as, plan.units) == (GivenAs.PIECES, [[100, 2], [50, 1]])
    assert plan.how == "in 2 pieces of 100 mg and 1 piece of 50 mg"
    services.verify_plan(nurse, plan, dose_mg=250, count=3)
    assert course.planned_sessions.count() == 4


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dose_mg": None}, "dose_mg"),
        ({"dose_mg": 28}, "dose_mg"),
        ({"dose_mg": 70}, "dose_mg"),
        ({"dose_mg": 112}, "dose_mg"),
        ({"dose_mg": 84}, "dose_mg"),  # never on day 1 of treatment-resistant depression
        ({"dose_mg_per_kg": 0.5}, "dose_mg_per_kg"),
        ({"duration_min": 40}, "duration_min"),
        ({"sessions": 8}, "sessions"),
        ({"concentration_mg_per_ml": 10}, "concentration_mg_per_ml"),
        ({"rhythms": {"induction": "weekly"}}, "rhythm_induction"),
        ({"rhythms": {"a strange phase": "weekly"}}, "rhythm_a strange phase"),
    ],
)
def test_an_order_that_the_label_does_not_know_is_refused_whole(by, prescriber, change, field):
    course = by("IN_ESKETAMINE")
    before = Event.objects.count()
    with pytest.raises(Refused) as refusal:
        order(prescriber, course, **{"regimen": "esketamine-trd-us", "dose_mg": 56, **change})
    assert refusal.value.field == field
    assert not Plan.objects.exists()
    assert Event.objects.count() == before


def test_only_the_regimens_of_this_place_and_age_are_offered(by, settings):
    course = by("IN_ESKETAMINE")
    assert [r.id for r in queries.plannable(course)] == ["esketamine-trd-us"]
    settings.JURISDICTION = "EU"
    assert [r.id for r in queries.plannable(course)] == ["esketamine-trd-eu"]
    course.person.birth_date = course.person.birth_date.replace(year=1950)
    assert [r.id for r in queries.plannable(course)] == ["esketamine-trd-eu-65"]


def test_what_the_program_cannot_run_is_not_offered(by, monkeypatch):
    course = by("ORAL", "SUI")
    assert queries.plannable(course)
    monkeypatch.setattr(queries, "RUN", {"clinic": frozenset({"IV"})})
    assert queries.plannable(course) == []


@pytest.fixture
def spray_course(by, prescriber, nurse) -> Course:
    course = by("IN_ESKETAMINE")
    plan = order(prescriber, course, regimen="esketamine-trd-us", dose_mg=56)
    services.verify_plan(nurse, plan, dose_mg=56, count=2)
    course.refresh_from_db()
    return course


def given(course, number: int) -> PlannedSession:
    """One planned session counts as given."""
    item = course.planned_sessions.get(number=number, cancelled_at=None)
    item.started_at = item.done_at = item.planned_for
    item.save()
    return item


def test_a_changed_dose_leaves_the_days_alone(spray_course, prescriber, nurse):
    given(spray_course, 1)
    moved = spray_course.planned_sessions.get(number=2)
    services.reschedule(nurse, moved, planned_for=moved.planned_for + timedelta(hours=3))
    days = list(spray_course.planned_sessions.values_list("number", "planned_for"))
    asked = {"regimen": "esketamine-trd-us", "dose_mg": 84}
    with pytest.raises(Refused, match=r"Whether 56 mg was tolerated is not known: no rise"):
        order(prescriber, spray_course, **asked)
    with pytest.raises(Refused, match=r"56 mg was not tolerated: no rise"):
        order(prescriber, spray_course, **asked, tolerated=False)
    plan = order(prescriber, spray_course, **asked, tolerated=True)
    services.verify_plan(nurse, plan, dose_mg=84, count=3)
    assert list(spray_course.planned_sessions.values_list("number", "planned_for")) == days
    assert {p.plan_id for p in spray_course.planned_sessions.filter(started_at=None)} == {plan.pk}
    assert spray_course.planned_sessions.get(number=1).plan.dose_mg == 56


def test_a_session_is_missed_only_after_its_time(spray_course, nurse):
    second = spray_course.planned_sessions.get(number=2)
    with pytest.raises(Refused, match="time has not come"):
        services.mark_missed(nurse, second)
    with clock.at(second.planned_for + timedelta(hours=2)):
        services.mark_missed(nurse, second, reason="Had a cold.")
        second.refresh_from_db()
        assert (second.missed, second.cancel_reason) == (True, "Had a cold.")
        assert queries.has_missed_lately(spray_course)


def test_the_days_are_laid_out_anew_by_the_prescriber_alone(spray_course, nurse, prescriber):
    second = given(spray_course, 1) and spray_course.planned_sessions.get(number=2)
    with clock.at(second.planned_for + timedelta(hours=2)):
        services.mark_missed(nurse, second)
        tomorrow = clock.today() + timedelta(days=1)
        with pytest.raises(Refused, match="Only a prescriber"):
            services.plan_again(nurse, spray_course, from_on=tomorrow)
        with pytest.raises(Refused, match="into the past"):
            services.plan_again(prescriber, spray_course, from_on=tomorrow - timedelta(days=2))
        services.plan_again(prescriber, spray_course, from_on=tomorrow)
        assert not queries.has_missed_lately(spray_course)
        waiting = spray_course.planned_sessions.filter(cancelled_at=None, started_at=None)
        assert min(timezone.localtime(p.planned_for).date() for p in waiting) >= tomorrow
        assert sorted(p.number for p in waiting)[0] == 2


def test_a_plan_whose_regimen_has_no_schedule_is_shown_and_not_laid_out(
    client, spray_course, prescriber
):
    plan = queries.plan_in_force(spray_course)
    plan.regimen = "pain-iv"
    plan.save()
    client.force_login(prescriber)
    page = client.get(f"/courses/{spray_course.pk}/plan/again/")
    assert "End the treatment" in page.content.decode()
    before = list(spray_course.planned_sessions.values())
    with pytest.raises(Refused, match=r"cannot be filled: .* has no schedule"):
        services.plan_again(prescriber, spray_course, from_on=clock.today() + timedelta(days=1))
    assert list(spray_course.planned_sessions.values()) == before


def test_the_prescriber_ends_a_course_that_has_no_end(spray_course, prescriber, nurse):
    given(spray_course, 1)
    assert queries.is_open_ended(queries.plan_in_force(spray_course))
    with pytest.raises(Refused, match="Only a prescriber"):
        services.end_treatment(nurse, spray_course, reason="x")
    with pytest.raises(Refused, match="Give the reason"):
        services.end_treatment(prescriber, spray_course, reason=" ")
    services.end_treatment(prescriber, spray_course, reason="No benefit at the end of week 4.")
    spray_course.refresh_from_db()
    assert spray_course.stage == Stage.FOLLOW_UP
    assert not spray_course.planned_sessions.filter(cancelled_at=None, done_at=None).exists()


def test_the_pages_of_a_plan_speak_of_devices(client, spray_course, prescriber, nurse):
    client.force_login(prescriber)
    page = client.get(f"/courses/{spray_course.pk}/plan/").content.decode()
    assert "in 2 devices of 28 mg" in page
    assert "Assess the benefit at the end of week 4" in page
    again = client.get(f"/courses/{spray_course.pk}/plan/again/").content.decode()
    assert "A session missed in weeks 1 to 4" in again
    response = client.post(
        f"/courses/{spray_course.pk}/plan/",
        {"dose_mg": "56", "first_on": clock.today().isoformat(), "rhythm_maintenance": "weekly"},
    )
    assert response.status_code == 302
    waiting = spray_course.plans.get(version=2)
    assert waiting.rhythms["maintenance"] == "weekly"
    client.force_login(nurse)
    page = client.get(f"/plans/{waiting.pk}/verify/").content.decode()
    assert "Devices" in page
    assert "Vial" not in page
    response = client.post(f"/plans/{waiting.pk}/verify/", {"dose_mg": "56", "count": "2"})
    assert response.status_code == 302
    waiting.refresh_from_db()
    assert waiting.is_verified
