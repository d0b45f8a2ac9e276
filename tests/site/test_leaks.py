"""Nothing of a patient of one site reaches anybody who works at another, by no address."""

import json
import re

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.people.models import Person
from openketamine.clinic.portal import services as portal
from openketamine.clinic.privacy.access import SiteMiddleware
from openketamine.clinic.privacy.subjects import CHARTS
from openketamine.clinic.record.models import Event
from openketamine.clinic.sites import separation, services
from openketamine.clinic.sites.models import FIRST, Membership, Site
from openketamine.clinic.sites.scope import EVERYTHING, UNKNOWN, Scope, of_person, within
from openketamine.exchange.fhir.kinds import KINDS
from openketamine.exchange.fhir.projection import catch_up
from openketamine.exchange.smart import services as smart
from tests.clinic.conftest import make_user
from tests.exchange.fhir.conftest import charted, treated  # noqa: F401
from tests.exchange.fhir.server import Fhir

from .test_access import SAMPLES

STAFF = sorted(set(Role) - {Role.PATIENT})
# A name that no page has by itself.
GIVEN, FAMILY, BORN = "Zenobia", "Farshore", "Quillfeather"


@pytest.fixture
def across(director, treated, charted, nurse, therapist, coordinator) -> Site:  # noqa: F811
    """The whole course of one patient, at a site across the river, and staff at the first only."""
    site = services.open_site(director, name="Across the River", short_name="River")
    person = treated.person
    Person.objects.filter(pk=person.pk).update(
        given_name=GIVEN, family_name=FAMILY, address=BORN, site=site
    )
    treated.chair.site = site
    treated.chair.save()
    portal.make_link(coordinator, Person.objects.get())
    Membership.objects.filter(site=site).exclude(user=director).delete()
    return site


@pytest.fixture
def here(across) -> dict[Role, Client]:
    """A browser of one of each role who works at the first site alone."""
    browsers = {}
    for role in STAFF:
        user = make_user(role, username=f"here-{role}")
        Membership.objects.create(user=user, site_id=FIRST)
        browsers[role] = Client(raise_request_exception=False)
        browsers[role].force_login(user)
    return browsers


def _ids(name: str) -> list[str]:
    """What a parameter may name, of the other site where it names a chart."""
    found = []
    for label in CHARTS.get(name, {}):
        model = apps.get_model(label)
        row = model._base_manager.order_by("pk").first()
        found += [str(row.pk)] if row else []
    return found


def addresses() -> list[tuple[str, str, access.Rule, bool]]:
    """Every address with ids of the other site, its rule, and whether it names a chart."""
    walked = []
    for route, pattern in access.every_pattern():
        charts = []

        def fill(match: re.Match[str], charts: list[str] = charts) -> str:
            ids = _ids(match[2])
            charts += ids
            return ids[0] if ids else SAMPLES[match[1] or "str"]

        address = re.sub(r"<(?:(\w+):)?(\w+)>", fill, route)
        address = re.sub(r"\(\?P<\w+>[^)]*\)", "1-sample", address)
        address = "/" + address.replace("^", "").replace("$", "").replace("\\", "")
        rule = access.rule_of(pattern.callback, pattern.name)
        walked.append((address, pattern.name or "", rule, bool(charts)))
    return walked


def shows(response) -> bool:
    content = b"".join(response) if response.streaming else response.content
    text = content.decode(errors="replace") + str(dict(response.headers))
    return any(word in text for word in (GIVEN, FAMILY, BORN))


@pytest.mark.parametrize("guarded", [True, False], ids=["at the door", "past the door"])
def test_no_address_tells_of_another_sites_patient(across, here, guarded, monkeypatch):
    """Past the door, too: each view keeps to the sites for itself."""
    if not guarded:
        monkeypatch.setattr(SiteMiddleware, "process_view", lambda *a, **k: None)
    before = Event.objects.filter(person_id__isnull=False).count()
    charts = 0
    for address, name, rule, about_a_chart in addresses():
        role = next((each for each in STAFF if each in rule.roles), None)
        if role is None or name == "account_logout":
            continue
        for method in ("get", "post"):
            response = getattr(here[role], method)(address)
            if response.streaming and response.is_async:
                continue  # a live stream, see below
            assert response.status_code < 500, f"{method} {address}"
            assert not shows(response), f"{role}: {method} {address} names another site's patient"
            if about_a_chart:
                charts += 1
                refused = {404} if guarded else {400, 403, 404, 405, 422}
                assert response.status_code in refused, f"{method} {address}"
    assert charts > 100
    assert Event.objects.filter(person_id__isnull=False).count() == before


def test_the_walk_would_see_it(across, director):
    """The same pages do name the patient to somebody who works there."""
    client = Client()
    client.force_login(director)
    wanted = {"people", "person", "record_of", "team", "plan", "therapy", "thread", "chart_privacy"}
    seen = {
        name for address, name, _, _ in addresses() if name in wanted and shows(client.get(address))
    }
    assert seen >= wanted - {"thread"}


@pytest.fixture
def program(director, across):
    """A service that is bound to the first site."""
    made = Fhir(director, name="First house")
    made.app.sites.set([FIRST])
    return made


def test_a_program_of_one_site_reads_nothing_of_another(across, program, director):
    catch_up()
    person = Person.objects.get()
    whole = Fhir(director, name="Both")
    whole.app.sites.set([FIRST, across.pk])
    told = 0
    for kind in KINDS:
        for path in (kind, f"{kind}?_id={person.pk}"):
            far, near = whole.get(path), program.get(path)
            told += shows(far)
            assert not shows(near), path
            if b"entry" in far.content:
                for entry in json.loads(far.content)["entry"]:
                    resource = entry["resource"]
                    if str(person.pk) in json.dumps(resource):
                        key = f"{resource['resourceType']}/{resource['id']}"
                        assert program.get(key).status_code in {404, 410}, key
                        assert program.get(f"{key}/_history").status_code >= 400
    assert told >= 2
    for path in (
        f"Patient/{person.pk}/$everything",
        f"Patient?family={FAMILY}",
        f"Patient?_revinclude=Observation:subject&name={GIVEN}",
        f"Observation?patient={person.pk}",
        f"Encounter?patient.name={GIVEN}&_include=Encounter:patient",
    ):
        answer = program.get(path)
        told = json.loads(answer.content)
        assert not told.get("entry"), path
        assert BORN not in answer.content.decode(), path
    observation = {
        "resourceType": "Observation", "status": "final",
        "subject": {"reference": f"Patient/{person.pk}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "valueQuantity": {
            "value": 80, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg",
        },
        "effectiveDateTime": "2026-11-01T09:00:00Z",
    }  # fmt: skip
    assert program.post("Observation", observation).status_code >= 400
    assert whole.post("Observation", observation).status_code == 201


def test_a_bulk_export_holds_the_charts_of_the_programs_sites(across, program, settings, tmp_path):
    from openketamine.exchange.fhir import bulk
    from openketamine.exchange.fhir.models import Export

    settings.HOME = tmp_path
    made = Export.objects.create(client=program.app, request="x", kinds=list(KINDS))
    bulk.run(made.pk)
    made.refresh_from_db()
    assert made.state == Export.State.DONE
    written = "".join(path.read_text() for path in bulk.folder().rglob("*.ndjson"))
    assert "Practitioner" in written
    assert str(Person.objects.get().pk) not in written
    assert FAMILY not in written


def test_an_app_behind_a_user_reaches_the_sites_of_both(across, director, here, nurse):
    person = Person.objects.get()
    catch_up()
    app = Fhir(director, scope="user/*.rs", user=director)
    app.app.sites.set([FIRST, across.pk])
    assert app.get(f"Patient/{person.pk}").status_code == 200
    app.token = smart.issue_token(app.app, scope="user/*.rs", user=nurse)
    assert app.get(f"Patient/{person.pk}").status_code == 404


def test_the_patient_reaches_the_own_page_by_link_and_nothing_else(across, coordinator):
    link = Person.objects.get().links.get()
    client = Client()
    address = reverse("patient_link", args=[portal.token_for(link)])
    born = {"day": 14, "month": 3, "year": 1983}
    assert client.post(address, born).status_code == 302
    assert GIVEN in client.get("/me/").content.decode()


@pytest.mark.parametrize("path", ["/people/", "/today/", "/follow-ups/", "/outcomes/"])
def test_a_page_costs_the_same_with_more_sites(across, here, director, path):
    client = here[Role.DIRECTOR]
    client.get(path)
    with CaptureQueriesContext(connection) as before:
        client.get(path)
    for number in range(5):
        services.open_site(director, name=f"House {number}", short_name=f"H{number}")
    client.get(path)
    with CaptureQueriesContext(connection) as after:
        client.get(path)
    assert len(after) == len(before)


def test_outside_a_request_the_clinic_works_for_all_sites(across):
    assert Person.objects.count() == 1
    with within(Scope(frozenset({FIRST}))):
        assert not Person.objects.exists()
        with within(EVERYTHING):
            assert Person.objects.exists()
    with within(UNKNOWN):
        assert not Person.objects.exists()
    with within(of_person(Person.objects.get().pk)):
        assert Person.objects.exists()
        assert Event.objects.exclude(person_id=None).exists()


def test_every_model_that_names_a_patient_is_separated():
    """A new one with a reference to a person, however far away, or a `person_id`, is found."""
    person = apps.get_model("people.Person")
    reached, models = {person}, apps.get_models(include_auto_created=True)
    while True:
        more = {
            model
            for model in models
            if any(
                (field.is_relation and field.related_model in reached)
                or (field.name in {"person_id", "person_uuid", "patient_id"}
                and not field.is_relation and model._meta.app_label != "devices")
                for field in model._meta.concrete_fields
            )
        } - reached  # fmt: skip
        if not more:
            break
        reached |= more
    missing = reached - separation.hangs().keys()
    assert not missing
    for model in separation.hangs():
        assert isinstance(model._default_manager, separation.SeparateManager)
