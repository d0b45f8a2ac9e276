"""The safety programme of the spray: the site is certified, patients are enrolled."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.intake.queries import facts_for
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.rems import queries, services
from openketamine.clinic.rems.models import Certification, Enrolment

SITE = {
    "kind": "outpatient",
    "reference": "REMS-0001",
    "setting_name": "Example Clinic",
    "address": "1 Example Street, Exampleton",
    "representative": "Dana Example",
}


def certify(director, **change):
    values = {**SITE, "certified_on": clock.today(), **change}
    return services.record_certification(director, **values)


def enrol(actor, person, prescriber, **change):
    values = {"enrolled_on": clock.today(), "counselled": True, **change}
    return services.enrol_patient(actor, person, prescriber=prescriber, **values)


@pytest.fixture
def on_the_spray(course, prescriber, signed_policy):
    intake.choose_programme(
        prescriber, course, condition="TRD", route="IN_ESKETAMINE", setting="clinic"
    )
    course.refresh_from_db()
    return course


def test_it_works(on_the_spray, director, nurse, prescriber):
    assert "not certified" in queries.what_is_missing(on_the_spray)
    certify(director)
    assert "not enrolled" in queries.what_is_missing(on_the_spray)
    enrol(nurse, on_the_spray.person, prescriber)
    assert queries.what_is_missing(on_the_spray) == ""
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"rems.site_certified", "rems.patient_enrolled"} <= kinds


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reference": " "}, "reference"),
        ({"setting_name": ""}, "setting_name"),
        ({"address": ""}, "address"),
        ({"representative": ""}, "representative"),
        ({"kind": "a shed"}, "kind"),
        ({"certified_on": "tomorrow"}, "certified_on"),
    ],
)
def test_a_certification_that_is_not_whole_is_refused(director, change, field):
    if change.get("certified_on"):
        change = {"certified_on": clock.today() + timedelta(days=1)}
    with pytest.raises(Refused) as refusal:
        certify(director, **change)
    assert refusal.value.field == field
    assert not Certification.objects.exists()
    assert not Event.objects.filter(kind="rems.site_certified").exists()


def test_only_the_director_certifies_and_once(director, nurse):
    with pytest.raises(Refused, match="medical director"):
        certify(nurse)
    site = certify(director)
    with pytest.raises(Refused, match="in force already"):
        certify(director)
    with pytest.raises(Refused, match="medical director"):
        services.end_certification(nurse, site, ended_on=clock.today(), reason="x")
    with pytest.raises(Refused, match="before it began"):
        services.end_certification(
            director, site, ended_on=clock.today() - timedelta(days=1), reason="x"
        )
    services.end_certification(director, site, ended_on=clock.today(), reason="Moved house.")
    assert queries.certification() is None
    certify(director, reference="REMS-0002")
    with pytest.raises(Refused, match="ended already"):
        services.end_certification(director, site, ended_on=clock.today(), reason="again")


def test_nobody_is_enrolled_without_counsel_certificate_or_prescriber(
    person, director, nurse, prescriber, therapist
):
    with pytest.raises(Refused, match="not certified"):
        enrol(nurse, person, prescriber)
    certify(director)
    for change, words in (
        ({"counselled": False}, "Counsel the patient first"),
        ({"enrolled_on": clock.today() + timedelta(days=1)}, "in the future"),
        ({"enrolled_on": person.birth_date - timedelta(days=1)}, "before the patient's birth"),
    ):
        with pytest.raises(Refused, match=words):
            enrol(nurse, person, prescriber, **change)
    with pytest.raises(Refused, match="Name the prescriber"):
        enrol(nurse, person, nurse)
    with pytest.raises(Refused, match="Your role does not"):
        enrol(therapist, person, prescriber)
    assert not Enrolment.objects.exists()
    enrol(nurse, person, prescriber)
    with pytest.raises(Refused, match="enrolled already"):
        enrol(nurse, person, prescriber)


def test_an_enrolment_ends_with_a_reason_and_can_be_made_anew(person, director, nurse, prescriber):
    certify(director)
    made = enrol(nurse, person, prescriber)
    with pytest.raises(Refused, match="Give the reason"):
        services.end_enrolment(nurse, made, ended_on=clock.today(), reason=" ")
    services.end_enrolment(nurse, made, ended_on=clock.today(), reason="Moved away.")
    assert queries.enrolment_of(person) is None
    enrol(nurse, person, prescriber)
    assert Enrolment.objects.count() == 2


def test_an_inpatient_unit_enrols_nobody_and_owes_no_forms(on_the_spray, director):
    certify(director, kind="inpatient")
    assert queries.what_is_missing(on_the_spray) == ""
    assert not queries.forms_are_due()


def test_the_programme_binds_the_united_states_and_the_spray_alone(on_the_spray, settings):
    settings.JURISDICTION = "US-CA"
    assert queries.what_is_missing(on_the_spray)
    settings.JURISDICTION = "GB"
    assert queries.what_is_missing(on_the_spray) == ""
    settings.JURISDICTION = "US"
    on_the_spray.route = "IN_RACEMIC"
    assert queries.what_is_missing(on_the_spray) == ""


def test_the_screening_knows_of_the_enrolment(on_the_spray, director, nurse, prescriber):
    assert "rems_enrolled" not in facts_for(on_the_spray)
    certify(director)
    enrol(nurse, on_the_spray.person, prescriber)
    fact = facts_for(on_the_spray)["rems_enrolled"]
    assert fact.value is True
    assert "enrolled" in fact.because


def test_the_pages_record_it(client, on_the_spray, director, nurse, prescriber):
    client.force_login(director)
    assert "Not certified" in client.get("/rems/").content.decode()
    day = clock.today().isoformat()
    assert client.post("/rems/certify/", {**SITE, "certified_on": ""}).status_code == 422
    assert client.post("/rems/certify/", {**SITE, "certified_on": day}).status_code == 302
    client.force_login(nurse)
    person = on_the_spray.person
    page = client.get("/rems/").content.decode()
    assert "not enrolled" in page
    assert str(person) in page
    url = f"/people/{person.pk}/rems/"
    form = {"prescriber": prescriber.pk, "enrolled_on": day, "reference": "P-1"}
    answer = client.post(url, form)
    assert answer.status_code == 422
    assert "Counsel the patient first" in answer.content.decode()
    assert client.post(url, {**form, "counselled": "on"}).status_code == 302
    assert "Enrolled" in client.get(url).content.decode()
    enrolment = Enrolment.objects.get()
    ended = client.post(
        f"/rems/enrolments/{enrolment.pk}/end/", {"ended_on": day, "reason": "Moved away."}
    )
    assert ended.status_code == 302
    client.force_login(director)
    site = Certification.objects.get()
    ended = client.post(
        f"/rems/certifications/{site.pk}/end/", {"ended_on": day, "reason": "Lapsed."}
    )
    assert ended.status_code == 302
    assert queries.certification() is None


def test_the_page_costs_the_same_for_one_and_for_many(
    client, on_the_spray, coordinator, nurse, django_assert_num_queries
):
    from openketamine.clinic.people import services as people

    from ..conftest import referral

    client.force_login(nurse)
    client.get("/rems/")
    with django_assert_num_queries(5):
        client.get("/rems/")
    for number in range(2, 7):
        other = people.receive_referral(
            coordinator, referral(number, given_name=f"N{number}"), origin="a test"
        ).person.courses.get()
        other.route = "IN_ESKETAMINE"
        other.save()
    with django_assert_num_queries(5):
        client.get("/rems/")
