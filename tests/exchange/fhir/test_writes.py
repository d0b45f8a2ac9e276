"""Creating through the interface: the act it stands for is done, or nothing is."""

import pytest

from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.people.models import Allergy, Condition, Measurement, Person
from openketamine.clinic.privacy import services as privacy
from openketamine.clinic.record.models import Event
from tests.clinic.conftest import PHQ9

from .conftest import raw
from .server import Fhir, valid

NEW_PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "https://hospital.example", "value": "H-7"}],
    "name": [{"use": "official", "family": "Sample", "given": ["Nora"]}],
    "gender": "female",
    "birthDate": "1980-02-03",
    "telecom": [{"system": "phone", "value": "555-0123"}],
}


def weight(person, value=81.5, unit="kg", **content):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": f"Patient/{person.pk}"},
        "effectiveDateTime": "2026-11-20T09:00:00Z",
        "valueQuantity": {"value": value, "unit": unit, "code": unit},
        **content,
    }


def made(answer):
    assert answer.status_code == 201, answer.content
    resource = valid(answer.json())
    kind, key = answer["Location"].split("/fhir/")[1].split("/")[:2]
    assert (kind, key) == (resource["resourceType"], resource["id"])
    assert answer["ETag"] == f'W/"{resource["meta"]["versionId"]}"'
    return resource


def refused(answer, status):
    assert answer.status_code == status, answer.content
    outcome = valid(answer.json())
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome["issue"][0]


def test_it_works(fhir, director):
    patient = made(fhir.post("Patient", NEW_PATIENT))
    person = Person.objects.get(pk=patient["id"])
    assert str(person) == "Nora Sample"
    assert person.courses.get().stage == "referred"
    assert Event.objects.get(kind="person.referred").actor_name == "Tester (program)"


def test_a_patient_who_is_in_care_is_not_made_again(fhir):
    made(fhir.post("Patient", NEW_PATIENT))
    assert refused(fhir.post("Patient", NEW_PATIENT), 409)["code"] == "duplicate"
    again = fhir.post(
        "Patient", NEW_PATIENT, If_None_Exist="identifier=https://hospital.example|H-7"
    )
    assert again.status_code == 200
    other = {**NEW_PATIENT, "identifier": [{"system": "https://x.example", "value": "1"}]}
    assert "is in care already" in refused(fhir.post("Patient", other), 422)["diagnostics"]
    assert Person.objects.count() == 1


def test_a_weight_stands_in_the_chart_and_says_who_sent_it(fhir, person):
    observation = made(fhir.post("Observation", weight(person)))
    row = Measurement.objects.get(kind="weight_kg", value=81.5)
    assert observation["id"] == f"m-{row.pk}"
    (provenance,) = fhir.found(f"Provenance?target=Observation/{observation['id']}")
    assert provenance["agent"][0]["who"]["display"] == "Tester (program)"


def test_a_blood_pressure_is_one_observation_of_two_values(fhir, person):
    body = weight(person)
    del body["valueQuantity"]
    body["code"] = {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}
    body["component"] = [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "code": "mm[Hg]"},
        }
        for code, value in (("8480-6", 131), ("8462-4", 82))
    ]
    observation = made(fhir.post("Observation", body))
    values = [part["valueQuantity"]["value"] for part in observation["component"]]
    assert values == [131, 82]


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"value": 0.8}, 422, "not possible for an adult"),
        ({"unit": "stone"}, 422, "No value in it that is charted"),
        ({"status": "preliminary"}, 422, "final"),
        ({"status": "weird"}, 422, ""),
        ({"effectiveDateTime": "2999-01-01T00:00:00Z"}, 422, "future"),
        ({"subject": {"reference": "Patient/nobody"}}, 422, "whom it is about"),
        (
            {"subject": {"reference": "Patient/00000000-0000-4000-8000-000000000000"}},
            422,
            "There is no Patient",
        ),
        ({"resourceType": "Condition"}, 400, "expected"),
    ],
)
def test_a_reading_that_cannot_be_true_is_refused_whole(fhir, person, changes, status, says):
    events, rows = Event.objects.count(), Measurement.objects.count()
    issue = refused(fhir.post("Observation", weight(person, **changes)), status)
    assert says in issue["diagnostics"]
    assert (Event.objects.count(), Measurement.objects.count()) == (events, rows)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b" ", 400),
        (b"{", 400),
        (b"[1]", 400),
        (b'"Observation"', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"resourceType":"Observation","x":"\\u0000"}', 400),
        (b'{"a":"' + b"x" * 1_100_000 + b'"}', 413),
    ],
    ids=["empty", "cut off", "list", "text", "no UTF-8", "deep", "NUL", "huge"],
)
def test_what_is_no_document_is_refused(fhir, person, body, status):
    refused(fhir.post("Observation", body), status)


def test_a_problem_and_an_allergy_are_added(fhir, person):
    about = {"reference": f"Patient/{person.pk}"}
    code = {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}], "text": "High BP"}
    active = {"coding": [{"code": "active"}]}
    condition = made(
        fhir.post(
            "Condition",
            {
                "resourceType": "Condition",
                "identifier": [{"system": "https://h.example", "value": "c-9"}],
                "clinicalStatus": active,
                "code": code,
                "subject": about,
                "onsetDateTime": "2020",
            },
        )
    )
    assert condition["identifier"] == [{"system": "https://h.example", "value": "c-9"}]
    assert Condition.objects.get(person=person).display == "High BP"
    assert fhir.found("Condition?identifier=https://h.example|c-9") == [condition]
    allergy = made(
        fhir.post(
            "AllergyIntolerance",
            {
                "resourceType": "AllergyIntolerance",
                "clinicalStatus": active,
                "code": {"text": "Latex"},
                "patient": about,
                "criticality": "high",
            },
        )
    )
    assert Allergy.objects.get(person=person).display == allergy["code"]["text"] == "Latex"


def phq9(person, answers=PHQ9):
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": "urn:openketamine:questionnaire:phq9",
        "status": "completed",
        "subject": {"reference": f"Patient/{person.pk}"},
        "item": [
            {"linkId": name, "answer": [{"valueCoding": {"code": str(value)}}]}
            for name, value in answers.items()
        ],
    }


def test_a_questionnaire_is_scored_and_an_alarm_opens_a_review(fhir, course):
    response = made(fhir.post("QuestionnaireResponse", phq9(course.person)))
    assert response["item"][-1] == {"linkId": "total", "answer": [{"valueDecimal": 16}]}
    (score,) = fhir.found(f"Observation?derived-from=QuestionnaireResponse/{response['id']}")
    assert score["valueQuantity"]["value"] == 16
    assert not course.safety_reviews.exists()
    made(fhir.post("QuestionnaireResponse", phq9(course.person, {**PHQ9, "q9": 2})))
    assert course.safety_reviews.get().closed_at is None


def test_an_unanswered_or_impossible_questionnaire_is_refused_whole(fhir, course):
    few = {name: value for name, value in PHQ9.items() if name != "q3"}
    refused(fhir.post("QuestionnaireResponse", phq9(course.person, few)), 422)
    refused(fhir.post("QuestionnaireResponse", phq9(course.person, {**PHQ9, "q3": 9})), 422)
    refused(fhir.post("QuestionnaireResponse", phq9(course.person, {**PHQ9, "q3": "x"})), 422)
    assert not InstrumentResponse.objects.exists()


@pytest.mark.parametrize(
    "kind", ["MedicationRequest", "MedicationAdministration", "Consent", "Encounter", "CarePlan",
             "Provenance", "AuditEvent", "Practitioner", "Questionnaire"]
)  # fmt: skip
def test_what_no_act_stands_for_cannot_be_created(fhir, kind):
    issue = refused(fhir.post(kind, {"resourceType": kind}), 405)
    assert issue["code"] == "not-supported"
    entry = next(r for r in fhir.read("metadata")["rest"][0]["resource"] if r["type"] == kind)
    assert "create" not in {i["code"] for i in entry["interaction"]}


def test_nothing_that_happened_can_be_deleted_or_overwritten(fhir, person):
    observation = made(fhir.post("Observation", weight(person)))
    path = f"/fhir/Observation/{observation['id']}"
    for method in ("put", "delete", "patch"):
        answer = getattr(fhir.http, method)(
            path, raw(observation), content_type="application/fhir+json", headers=fhir.headers({})
        )
        refused(answer, 405)
    assert fhir.read(f"Observation/{observation['id']}") == observation


def test_demographics_are_corrected_only_by_who_has_seen_the_latest(fhir, person):
    patient = fhir.read(f"Patient/{person.pk}")
    patient["name"] = [{"use": "official", "family": "Married", "given": ["Maria", "Anna"]}]
    path = f"Patient/{person.pk}"
    refused(fhir.put(path, patient), 428)
    refused(fhir.put(path, patient, If_Match='W/"7"'), 412)
    answer = fhir.put(path, patient, If_Match='W/"1"')
    assert answer.status_code == 200
    assert answer["ETag"] == 'W/"2"'
    person.refresh_from_db()
    assert str(person) == "Maria Anna Married"
    assert Event.objects.get(kind="person.demographics_corrected").data["before"] == {
        "given_name": "Maria",
        "family_name": "Example1",
    }
    refused(fhir.put(path, patient, If_Match='W/"1"'), 412)


def test_a_version_that_is_held_is_not_sent_again(fhir, person):
    path = f"Patient/{person.pk}"
    answer = fhir.get(path)
    again = fhir.get(path, If_None_Match=answer["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert fhir.get(path, If_None_Match='W/"9"').status_code == 200
    assert fhir.get(path, If_Modified_Since=answer["Last-Modified"]).status_code == 304
    assert fhir.get(path, If_Modified_Since="Mon, 01 Jan 2001 00:00:00 GMT").status_code == 200
    assert fhir.get(path, If_Modified_Since="once upon a time").status_code == 200


def test_the_asker_may_prefer_less(fhir, person):
    minimal = fhir.post("Observation", weight(person), Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    told = fhir.post("Observation", weight(person), Prefer="return=OperationOutcome")
    assert told.json()["resourceType"] == "OperationOutcome"


def test_if_none_exist_that_finds_several_is_refused(fhir, person):
    for _ in range(2):
        made(fhir.post("Observation", weight(person)))
    condition = f"patient={person.pk}&code=29463-7&date=2026-11-20"
    answer = fhir.post("Observation", weight(person), If_None_Exist=condition)
    assert refused(answer, 412)["code"] == "multiple-matches"


def test_a_referral_comes_in_as_a_bundle(fhir, real_bundles):
    content = real_bundles[0].read_bytes()
    answer = fhir.post("$import-referral", content)
    patient = made(answer)
    again = fhir.post("$import-referral", content)
    assert again.status_code == 200
    assert again.json()["id"] == patient["id"]
    assert fhir.found(f"Condition?patient={patient['id']}")


@pytest.mark.parametrize("path", ["Claim", "Claim/1", "Patient/1/2/3", "", "$weird", "Patient/no"])
def test_every_wrong_address_is_answered_in_fhirs_words(fhir, path):
    assert refused(fhir.get(path), 404)["code"] in {"not-found", "not-supported"}


def test_xml_is_not_spoken(fhir, person):
    answer = fhir.http.post(
        "/fhir/Patient", b"<Patient/>", content_type="application/fhir+xml",
        headers=fhir.headers({}),
    )  # fmt: skip
    refused(answer, 415)


def test_who_has_no_token_sees_nothing(client, person, fhir):
    for path in ("Patient", f"Patient/{person.pk}", "Patient?name=Maria"):
        answer = client.get(f"/fhir/{path}")
        assert refused(answer, 401)["code"] == "login"
        assert answer["WWW-Authenticate"].startswith("Bearer")
    assert client.get("/fhir/metadata").status_code == 200


def test_a_token_for_one_patient_writes_about_nobody_else(director, nurse, course, fhir):
    other = made(fhir.post("Patient", NEW_PATIENT))
    narrow = Fhir(
        director, scope="patient/*.cruds", user=nurse, person=course.person, name="Narrow"
    )
    made(narrow.post("Observation", weight(course.person)))
    body = weight(course.person, subject={"reference": f"Patient/{other['id']}"})
    refused(narrow.post("Observation", body), 403)


def test_a_chart_of_its_own_team_stays_shut_to_the_others_programs(director, nurse, course):
    theirs = Fhir(director, scope="user/*.cruds", user=nurse, name="App")
    assert theirs.found(f"Patient?_id={course.person_id}")
    privacy.restrict_chart(director, course.person, reason="a colleague of ours")
    assert not theirs.found("Patient")
    assert not theirs.found(f"Observation?patient={course.person_id}")
    assert not theirs.found(f"Provenance?patient={course.person_id}")
    theirs.read(f"Patient/{course.person_id}", status=403)
    theirs.read(f"Patient/{course.person_id}/$everything", status=403)
    refused(theirs.post("Observation", weight(course.person)), 403)
    privacy.break_glass(nurse, course.person, purpose="emergency", reason="collapsed in the hall")
    assert theirs.read(f"Patient/{course.person_id}")
