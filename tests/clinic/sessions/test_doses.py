"""Doses compared for one patient: a trade-off to look at, and nothing that is ordered."""

import threading

import pytest
from django.urls import reverse

from openketamine.clinic.plans import queries as plans
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import doses, forecasts

ASKED = {
    "duration_min": 40.0,
    "systolic_limit_mmhg": 180.0,
    "systolic_at_most": 5.0,
    "dissociation_at_least": 50.0,
    "strong_at_most": None,
}


@pytest.fixture
def compared(planned_course):
    regimen = plans.plannable(planned_course)[0]

    def compare(**changes):
        return doses.compare(planned_course, regimen, {**ASKED, **changes})

    return compare


def test_it_works(compared):
    found = compared()
    amounts = [row.option.dose_mg for row in found.rows]
    assert amounts == sorted(amounts)
    (ordered,) = [row for row in found.rows if row.ordered]
    assert ordered.option.dose_mg == pytest.approx(41.0)
    assert ordered.option.rate_mg_per_h == pytest.approx(61.5)
    assert ordered.inside


def test_more_of_the_drug_does_more_of_everything(compared):
    rows = compared().rows
    for effect in ("dissociation", "strong", "sedation", "systolic"):
        chances = [row.chance[effect] for row in rows]
        assert chances[-1] > chances[0]
    peaks = [row.option.peak_ng_per_ml[1] for row in rows]
    assert peaks == sorted(peaks)


def test_a_tighter_target_leaves_less_room(compared):
    wide, tight = compared(systolic_at_most=50.0), compared(systolic_at_most=1.0)
    assert len(tight.guidance.meeting) <= len(wide.guidance.meeting)
    assert wide.low_mg is not None


def test_doses_outside_the_clinic_s_policy_are_said_to_be(compared):
    rows = compared().rows
    assert any(not row.inside for row in rows)
    assert all(row.inside == (0.1 <= round(row.option.dose_mg_per_kg, 2) <= 0.75) for row in rows)


def test_the_page_says_what_it_is_and_orders_nothing(client, prescriber, planned_course):
    client.force_login(prescriber)
    before = Event.objects.count()
    page = client.get(reverse("doses_compare", args=[planned_course.pk]))
    words = page.content.decode()
    assert page.status_code == 200
    assert "information, never an order" in words
    assert "ordered now" in words
    assert Event.objects.count() == before
    plan = client.get(reverse("plan", args=[planned_course.pk])).content.decode()
    assert reverse("doses_compare", args=[planned_course.pk]) in plan


def test_while_the_forecast_is_made_ready_the_page_says_so_and_does_not_wait(
    client, prescriber, planned_course, monkeypatch
):
    monkeypatch.setattr(forecasts, "_ready", threading.Event())
    client.force_login(prescriber)
    page = client.get(reverse("doses_compare", args=[planned_course.pk]))
    assert page.status_code == 200
    assert "being made ready" in page.content.decode()


def test_a_limit_that_cannot_be_is_refused_in_words(client, prescriber, planned_course):
    client.force_login(prescriber)
    asked = {**{k: v for k, v in ASKED.items() if v is not None}, "systolic_limit_mmhg": 30}
    page = client.get(reverse("doses_compare", args=[planned_course.pk]), asked)
    assert page.status_code == 422
    assert "greater than or equal to 60" in page.content.decode()
