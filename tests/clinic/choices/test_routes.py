"""The routes side by side: information for a choice that people make."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest

from openketamine.clinic.choices import queries, services
from openketamine.clinic.choices.models import RouteCoverage, RoutePrice
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.protocols import questions


def by_route(course):
    return {choice.route.id: choice for choice in queries.choices(course)}


def test_it_works(client, course, nurse):
    client.force_login(nurse)
    page = client.get(f"/courses/{course.pk}/routes/").content.decode()
    assert "The software recommends no route" in page
    assert "ESCAPE-TRD" in page
    assert "nobody has asked" in page
    assert "not filled in" in page


def test_approval_is_said_as_the_regulators_say_it(course):
    found = by_route(course)
    assert [s.standing for s in found["IV"].standing] == ["off-label"]
    assert [s.id for s in found["IN_ESKETAMINE"].standing] == ["STATUS-US-TRD-ALONE"]


def test_what_was_published_stands_beside_the_route_and_its_silence_too(course):
    found = by_route(course)
    assert len(found["IV"].evidence) >= 4
    assert found["IN_RACEMIC"].evidence == []
    assert all(near for _, near in found["IM"].evidence)


def test_a_row_of_findings_has_a_cell_for_every_route(course):
    listed = queries.choices(course)
    for first, cells in queries.rows_of(listed):
        assert len(cells) == len(listed)
        assert first in cells


def test_the_price_is_the_clinics_own_and_its_history_is_kept(coordinator, course):
    services.set_price(coordinator, route="IV", offered=True, price_per_visit=Decimal("450.00"))
    services.set_price(coordinator, route="IV", offered=True, price_per_visit=Decimal("475.50"))
    assert RoutePrice.objects.get(route="IV").price_per_visit == Decimal("475.50")
    kept = [e.data["price_per_visit"] for e in Event.objects.filter(kind="choices.price_set")]
    assert kept == ["450.00", "475.50"]
    assert by_route(course)["IV"].price.price_per_visit == Decimal("475.50")


def test_what_is_not_said_stays_unknown(coordinator):
    price = services.set_price(coordinator, route="SC", offered=None, price_per_visit=None)
    assert price.offered is None
    assert price.price_per_visit is None


def test_coverage_belongs_to_one_patient_and_one_route(nurse, course):
    said = {"cover": "approval", "asked_on": clock.today(), "payer": "Example Mutual"}
    services.set_coverage(nurse, course, route="IN_ESKETAMINE", **said)
    services.set_coverage(
        nurse,
        course,
        route="IN_ESKETAMINE",
        **{**said, "cover": "partly", "patient_pays_per_visit": Decimal("60")},
    )
    row = RouteCoverage.objects.get(course=course)
    assert (row.cover, row.patient_pays_per_visit) == ("partly", Decimal("60"))
    assert (
        Event.objects.filter(kind="choices.coverage_set", person_id=course.person_id).count() == 2
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"route": "XX"}, "no such route"),
        ({"cover": "perhaps"}, "one of the answers"),
        ({"asked_on": "tomorrow"}, "the day on which"),
        ({"patient_pays_per_visit": Decimal("-1")}, "zero or more"),
    ],
)
def test_a_coverage_that_cannot_be_is_refused_whole(nurse, course, changes, message):
    said = {"route": "IV", "cover": "covered", "asked_on": clock.today(), **changes}
    if said["asked_on"] == "tomorrow":
        said["asked_on"] = clock.today() + timedelta(days=1)
    with pytest.raises(Refused, match=message):
        services.set_coverage(nurse, course, **said)
    assert not RouteCoverage.objects.exists()
    assert not Event.objects.filter(kind="choices.coverage_set").exists()


def test_only_those_who_run_the_office_say_a_price(nurse, therapist, course):
    with pytest.raises(Refused, match="coordinator"):
        services.set_price(nurse, route="IV", offered=True, price_per_visit=None)
    with pytest.raises(Refused, match="Your role"):
        services.set_coverage(
            therapist, course, route="IV", cover="covered", asked_on=clock.today()
        )


def test_prices_and_coverage_are_filled_in_on_their_pages(client, coordinator, course):
    client.force_login(coordinator)
    shown = {"offered": "yes", "price_per_visit": "410", "note": "with the nurse's time"}
    assert client.post("/routes/prices/IV/", shown).url == "/routes/prices/"
    assert "410.00 USD" in client.get("/routes/prices/").content.decode()
    address = f"/courses/{course.pk}/routes/IV/cover/"
    bad = client.post(address, {"cover": "covered", "asked_on": "2999-01-01"})
    assert bad.status_code == 422
    assert "the day on which" in bad.content.decode()
    good = {"cover": "not_covered", "asked_on": clock.today().isoformat(), "payer": "Example"}
    assert client.post(address, good).url == f"/courses/{course.pk}/routes/"
    page = client.get(f"/courses/{course.pk}/routes/").content.decode()
    assert "410.00 USD" in page
    assert "Not covered" in page
    assert client.get("/routes/prices/NONE/").status_code == 404


def test_the_page_costs_the_same_however_much_is_filled_in(
    client, coordinator, nurse, course, django_assert_max_num_queries
):
    client.force_login(nurse)
    client.get(f"/courses/{course.pk}/routes/")
    with django_assert_max_num_queries(18):
        client.get(f"/courses/{course.pk}/routes/")
    for route in ("IV", "IM", "SL", "ORAL"):
        services.set_price(coordinator, route=route, offered=True, price_per_visit=Decimal(1))
        services.set_coverage(nurse, course, route=route, cover="asked", asked_on=clock.today())
    with django_assert_max_num_queries(18):
        client.get(f"/courses/{course.pk}/routes/")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["off-label", "since January 2025 also on its own", "It recommends none"]),
        ("es", ["fuera de indicación", "desde enero de 2025", "No recomienda ninguna"]),
    ],
)
def test_the_sheet_for_the_patient_is_in_the_patients_language(
    client, nurse, course, language, words, settings
):
    settings.FORECASTS = False
    client.force_login(nurse)
    address = f"/courses/{course.pk}/routes.pdf?language={language}"
    page = client.get(f"{address}&format=html").content.decode()
    assert f'<html lang="{language}"' in page
    assert all(word in page for word in words)
    assert len(re.findall(r'class="route"', page)) == 7
    label = questions.plain_words().labels[language]
    assert label["no_price"] in page
    assert label["no_studies"] in page
    pdf = client.get(address)
    assert pdf["Content-Type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF")
