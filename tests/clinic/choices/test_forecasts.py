"""The forecast of every route for one person, on one scale; without a known dose there is none."""

import pytest

from openketamine.clinic.choices import multiples, queries
from openketamine.clinic.choices.outlook import small_multiples
from openketamine.clinic.people import services as people


@pytest.fixture
def weighed(course, nurse, settings):
    settings.FORECASTS = True
    people.record_measurements(nurse, course.person, {"weight_kg": 82.0, "systolic_mmhg": 128})
    return course


def told(course, route):
    patient = multiples.patient_of(course)
    return multiples.told(patient, route, queries.regimen_for(course, route))


def test_it_works(weighed):
    found = told(weighed, "IN_ESKETAMINE")
    assert found.basis.in_words == "56 mg, 2 devices 5 min apart"
    assert len(found.strength) == 5
    assert len(found.strength[0]) == len(found.times_min) == 49
    low, median, high = (max(found.strength[n]) for n in (0, 2, 4))
    assert 0 < low < median < high
    assert 0 < found.felt_most <= 100


def test_all_routes_are_drawn_on_one_scale_and_the_rest_say_why_not(weighed):
    found = small_multiples(weighed)
    assert {route.id for route, _, _ in found["multiples"]} == {
        "IV",
        "IM",
        "IN_ESKETAMINE",
        "IN_RACEMIC",
        "SL",
        "ORAL",
    }
    ((route, why),) = found["not_drawn"]
    assert route.id == "SC"
    assert "No dose is published" in why
    peaks = [max(each.strength[-1]) for _, each, _ in found["multiples"]]
    assert max(peaks) <= found["scale"].highest
    for _, _, small in found["multiples"]:
        heights = [float(pair.split(",")[1]) for pair in small.outer.split()]
        assert min(heights) >= multiples.TOP
        assert max(heights) <= found["scale"].bottom


def test_without_a_weight_nothing_is_forecast(course):
    course.person.measurements.all().delete()
    assert told(course, "IV") == "The weight is unknown."


def test_what_is_ordered_is_what_is_drawn(planned_course):
    found = told(planned_course, "IV")
    assert found.basis.why == "as ordered"
    assert found.basis.in_words == "41 mg over 40 min"


def test_the_same_patient_gets_the_same_forecast(weighed):
    assert told(weighed, "IM") == told(weighed, "IM")


def test_the_fragment_shows_every_figure_in_its_table(client, weighed, nurse):
    client.force_login(nurse)
    page = client.get(f"/courses/{weighed.pk}/routes/forecasts/").content.decode()
    assert page.count("<figure") == 6
    assert "ng/mL" in page
    assert "The figures as a table" in page


def test_a_clinic_without_forecasts_says_so(client, weighed, nurse, settings):
    settings.FORECASTS = False
    client.force_login(nurse)
    page = client.get(f"/courses/{weighed.pk}/routes/forecasts/").content.decode()
    assert "turned off" in page
