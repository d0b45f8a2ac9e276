"""Finding resources: every parameter, page by page, with a fixed number of queries."""

import json
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.people import services as people
from openketamine.clinic.people.referral import ReferredMeasurement
from openketamine.clinic.record.models import Source
from openketamine.exchange.fhir import index, search
from openketamine.exchange.fhir.kinds import KINDS
from openketamine.exchange.fhir.outcomes import Problem
from openketamine.exchange.smart.scopes import EVERYONE
from tests.clinic.conftest import referral


@pytest.fixture
def crowd(coordinator):
    """Twelve people with names that sort, fold and collide."""
    made = []
    for number in range(12):
        said = referral(
            number,
            given_name="José" if number % 3 == 0 else "Maria",
            birth_date=date(1960 + number, 1 + number, 10),
            sex="male" if number % 3 == 0 else "female",
            phone=f"555-01{number:02d}",
        )
        made.append(people.receive_referral(coordinator, said, origin="a test").person)
    return made


def keys(rows):
    return [row["id"] for row in rows]


def test_it_works(fhir, crowd):
    assert keys(fhir.found("Patient")) == [str(person.pk) for person in crowd]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("gender=male", {0, 3, 6, 9}),
        ("gender=male,unknown", {0, 3, 6, 9}),
        ("gender:not=male", {1, 2, 4, 5, 7, 8, 10, 11}),
        ("given=jose", {0, 3, 6, 9}),
        ("given:exact=JOSÉ", {0, 3, 6, 9}),
        ("name:contains=ample1", {1, 10, 11}),
        ("family=example1", {1, 10, 11}),
        ("family:exact=example1", {1}),
        ("identifier=https://referrer.example|referral-4", {4}),
        ("identifier=referral-4", {4}),
        ("identifier=urn:openketamine:mrn|referral-4", set()),
        ("birthdate=1964-05-10", {4}),
        ("birthdate=1964", {4}),
        ("birthdate=ge1970", {10, 11}),
        ("birthdate=lt1961-02", {0}),
        ("birthdate=gt1960-01-10&birthdate=le1962-12", {1, 2}),
        ("birthdate=ne1964&gender=male", {0, 3, 6, 9}),
        ("phone=555-0103", {3}),
        ("gender=male&given=jose&birthdate=sa1965", {6, 9}),
        ("given=", set(range(12))),
    ],
)
def test_people_are_found(fhir, crowd, query, numbers):
    assert keys(fhir.found(f"Patient?{query}")) == [str(crowd[n].pk) for n in sorted(numbers)]


def test_a_page_leads_to_the_next_and_newcomers_move_nothing(fhir, crowd, coordinator):
    first = fhir.read("Patient?_count=5&_total=accurate")
    assert first["total"] == 12
    assert keys(e["resource"] for e in first["entry"]) == [str(p.pk) for p in crowd[:5]]
    people.receive_referral(coordinator, referral(99, family_name="Aaa"), origin="a test")
    following = next(x["url"] for x in first["link"] if x["relation"] == "next")
    second = fhir.read(following.partition("/fhir/")[2])
    assert keys(e["resource"] for e in second["entry"]) == [str(p.pk) for p in crowd[5:10]]


def test_only_the_count_is_told_where_that_is_asked(fhir, crowd):
    answer = fhir.read("Patient?gender=male&_summary=count")
    assert answer["total"] == 4
    assert "entry" not in answer
    assert fhir.read("Patient?_count=0")["total"] == 12


def test_what_changed_since_is_found_and_sorted(fhir, crowd, director):
    before = datetime.now(UTC)
    patient = fhir.read(f"Patient/{crowd[3].pk}")
    patient["telecom"] = [{"system": "phone", "value": "555-0199"}]
    assert fhir.put(f"Patient/{crowd[3].pk}", patient, If_Match='W/"1"').status_code == 200
    moment = quote(before.isoformat())
    assert keys(fhir.found(f"Patient?_lastUpdated=ge{moment}")) == [str(crowd[3].pk)]
    assert keys(fhir.found("Patient?_sort=-_lastUpdated&_count=5"))[0] == str(crowd[3].pk)


def test_readings_are_found_by_code_date_and_visit(fhir, charted, treated):
    patient = f"patient={treated.person_id}"
    rates = fhir.found(f"Observation?{patient}&code=http://loinc.org|8867-4")
    assert [row["valueQuantity"]["value"] for row in rates] == [72, 80, 72]
    newest = fhir.found(f"Observation?{patient}&code=8867-4&_sort=-date&_count=1")
    assert newest[0]["effectiveDateTime"] == max(row["effectiveDateTime"] for row in rates)
    assert fhir.found(f"Observation?{patient}&category=laboratory&code=1742-6")
    assert not fhir.found(f"Observation?{patient}&category=laboratory&date=lt2026-11-01")
    visit = fhir.found(f"Observation?encounter={treated.pk}&category=vital-signs")
    assert {row["encounter"]["reference"] for row in visit} == {f"Encounter/{treated.pk}"}
    high = fhir.found(f"Observation?{patient}&component-value-quantity=gt140|http://x|mm[Hg]")
    assert len(high) == 1
    assert high[0]["component"][0]["valueQuantity"]["value"] == 141
    assert fhir.found("Observation?combo-code=8480-6") == fhir.found("Observation?code=85354-9")


def test_doses_bring_their_patient_and_visit_along(fhir, treated):
    bundle = fhir.read(
        f"MedicationAdministration?context={treated.pk}"
        "&_include=MedicationAdministration:context&_include=MedicationAdministration:patient"
        "&_revinclude=Provenance:target"
    )
    modes = {}
    for entry in bundle["entry"]:
        modes.setdefault(entry["search"]["mode"], []).append(entry["resource"]["resourceType"])
    assert set(modes["match"]) == {"MedicationAdministration"}
    assert {"Encounter", "Patient", "Provenance"} <= set(modes["include"])
    targets = [
        target["reference"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Provenance"
        for target in entry["resource"]["target"]
    ]
    assert f"MedicationAdministration/{treated.pk.hex}-infusion" in targets


def test_a_dose_is_told_with_its_changes_of_rate_and_counted_once(fhir, treated):
    doses = fhir.found(f"MedicationAdministration?context={treated.pk}&code:not=x")
    whole = next(row for row in doses if row["id"].endswith("-infusion"))
    parts = [row for row in doses if "partOf" in row]
    rates = [row["dosage"]["rateQuantity"]["value"] for row in parts]
    assert rates == [61.5, 30, 30]
    assert whole["dosage"]["dose"] == {
        "value": whole["dosage"]["dose"]["value"], "unit": "mg", "code": "mg",
        "system": "http://unitsofmeasure.org",
    }  # fmt: skip
    assert whole["dosage"]["dose"]["value"] == pytest.approx(41, abs=0.2)
    assert sum("dose" in row["dosage"] for row in doses if row is whole or row in parts) == 1


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("Patient?shoe-size=9", "shoe-size"),
        ("Patient?birthdate=yesterday", "birthdate"),
        ("Patient?birthdate=2024-13-45", "birthdate"),
        ("Patient?_count=many", "_count"),
        ("Patient?_sort=weather", "_sort"),
        ("Patient?_include=Patient:mother", "_include"),
        ("Patient?_revinclude=Claim:patient", "_revinclude"),
        ("Patient?_summary=short", "_summary"),
        ("Patient?_after=zzz", "_after"),
        ("Patient?_lastUpdated=soon", "_lastUpdated"),
        ("Observation?value-quantity=heavy", "value-quantity"),
        ("Patient?family:missing=true", "family:missing"),
        ("Patient?family=a%00b", "family"),
        ("Provenance?patient=nobody", "patient"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused_with_its_place(fhir, person, query, place):
    answer = fhir.read(query, status=400)
    assert answer["resourceType"] == "OperationOutcome"
    assert answer["issue"][0]["expression"] == [place]


def test_an_unknown_parameter_is_let_be_where_that_is_asked(fhir, crowd):
    bundle = fhir.read("Patient?shoe-size=9", Prefer="handling=lenient")
    assert len(bundle["entry"]) == 12


def test_a_search_by_post_keeps_names_out_of_addresses(fhir, crowd):
    answer = fhir.http.post(
        "/fhir/Patient/_search",
        "family=Example4",
        content_type="application/x-www-form-urlencoded",
        headers=fhir.headers({}),
    )
    assert keys(e["resource"] for e in json.loads(answer.content)["entry"]) == [str(crowd[4].pk)]


def test_elements_are_cut_and_the_cut_is_marked(fhir, crowd):
    (entry,) = fhir.read("Patient?identifier=referral-4&_elements=birthDate")["entry"]
    assert entry["resource"]["birthDate"] == "1964-05-10"
    assert "telecom" not in entry["resource"]
    assert entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"


def test_everything_of_a_chart_comes_in_pages(fhir, charted, treated):
    path = f"Patient/{treated.person_id}/$everything?_count=10"
    rows, pages = fhir.found(path), 0
    assert {row["resourceType"] for row in rows} >= {
        "Patient", "Condition", "Observation", "Encounter", "MedicationAdministration", "Consent",
        "CarePlan", "QuestionnaireResponse", "AdverseEvent", "DocumentReference", "Procedure",
    }  # fmt: skip
    assert len(set(keys(rows))) == len(keys(rows)) or pages == 0
    only = fhir.found(f"{path}&_type=Condition,AllergyIntolerance")
    assert {row["resourceType"] for row in only} == {"Condition", "AllergyIntolerance"}
    assert not fhir.found(f"{path}&_since=2999-01-01")


@pytest.mark.parametrize(
    "path",
    [
        "Patient?_count={n}",
        "Observation?code=29463-7&_count={n}&_include=Observation:patient",
        "Observation?_sort=-date&_count={n}&_revinclude=Provenance:target",
        "Patient?name=maria&_count={n}&_total=accurate",
        "Provenance?_count={n}",
    ],
)
def test_a_page_costs_the_same_queries_however_many_rows(fhir, crowd, path):
    fhir.read("Patient")  # catch up, and note the program's use
    costs = []
    for count in (1, 8):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            fhir.read(path.format(n=count))
        costs.append(len(captured))
    assert costs[0] == costs[1] <= 14


def test_a_read_costs_three_queries_and_what_was_read_is_noted(
    fhir, person, django_assert_num_queries
):
    fhir.read(f"Patient/{person.pk}")
    # The token, whether anything happened since, the row; then two writes in a transaction.
    with django_assert_num_queries(3 + 5):
        fhir.read(f"Patient/{person.pk}")


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NAMES = st.sampled_from(
    sorted(
        {param.name for kind in KINDS.values() for param in kind.params}
        | {"_id", "_lastUpdated", "_sort", "_count", "_include", "_after", "date", "patient"}
    )
)


@given(
    kind=st.sampled_from([kind for kind in KINDS.values() if not kind.live]),
    pairs=st.lists(st.tuples(st.one_of(_NAMES, _WORDS), _WORDS), max_size=4),
)
def test_any_words_are_a_search_or_are_refused(kind, pairs):
    try:
        query = search.read(kind, pairs, EVERYONE)
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017
    else:
        assert 0 <= query.count <= search.MOST


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.times(), st.integers(4, 6))
def test_a_date_spans_what_it_leaves_open(day, time, length):
    moment = datetime.combine(day, time, UTC)
    first, last = index.span_of(day.isoformat()[: {4: 4, 5: 7, 6: 10}[length]])
    assert first <= moment <= last
    assert last - first < timedelta(366)
    exact = index.span_of(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert exact[0] == moment.replace(microsecond=0)


@given(_WORDS)
def test_a_text_is_found_by_its_own_beginning(words):
    folded = index.folded(words)
    assert folded.startswith(index.folded(words)[:3])
    assert index.folded(folded) == folded


def test_a_reading_taken_twice_is_two_readings(fhir, person, nurse):
    taken = [ReferredMeasurement("same", "weight_kg", 80.0, datetime(2026, 1, 1, tzinfo=UTC))]
    for _ in range(2):
        people.take_statements(
            nurse, person, measurements=taken, origin="a test", source=Source.HAND
        )
    assert len(fhir.found(f"Observation?patient={person.pk}&code=29463-7&date=2026-01-01")) == 2


@given(
    st.one_of(
        st.sampled_from(
            ["9999", "9999-12", "9999-12-31", "0001", "0001-01-01T00:00:00+14:00",
             "9999-12-31T23:59:59-12:00"]
        ),
        st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()[:33]),
        st.text("0123456789-T:Z+.", max_size=30),
    )
)  # fmt: skip
def test_any_date_has_a_span_or_is_refused(text):
    try:
        first, last = index.span_of(text)
    except ValueError:
        return
    assert index.FAR_PAST <= first <= last or last == index.FAR_PAST
    assert last <= index.FAR_FUTURE
