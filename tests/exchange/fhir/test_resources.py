"""Each kind of resource: valid by FHIR's rules, and with what its profile must have."""

from openketamine.exchange.fhir.kinds import KINDS

from .server import valid

MUST_HAVE = {
    "Patient": {"identifier", "name", "gender"},
    "Practitioner": {"identifier", "name"},
    "Organization": {"active", "name"},
    "Condition": {"category", "code", "subject"},
    "AllergyIntolerance": {"code", "patient", "clinicalStatus"},
    "MedicationRequest": {"status", "intent", "subject", "medicationCodeableConcept"},
    "MedicationAdministration": {"status", "subject", "medicationCodeableConcept", "context"},
    "Observation": {"status", "category", "code", "subject", "effectiveDateTime"},
    "Questionnaire": {"status", "url"},
    "QuestionnaireResponse": {"status", "questionnaire", "subject", "authored"},
    "Consent": {"status", "scope", "category", "patient", "policyRule"},
    "CarePlan": {"status", "intent", "category", "subject", "text"},
    "Encounter": {"status", "class", "type", "subject"},
    "Procedure": {"status", "code", "subject"},
    "AdverseEvent": {"actuality", "subject", "event", "date"},
    "DocumentReference": {"status", "type", "category", "subject", "content"},
    "Provenance": {"target", "recorded", "agent"},
    "AuditEvent": {"type", "recorded", "agent", "source"},
}


def test_it_works(fhir, person):
    patient = fhir.read(f"Patient/{person.pk}")
    assert patient["name"] == [{"use": "official", "family": "Example1", "given": ["Maria"]}]
    assert patient["identifier"][0]["value"] == person.mrn
    assert patient["meta"]["versionId"] == "1"


def test_every_resource_of_a_treated_course_is_valid_and_has_what_its_profile_asks(
    fhir, charted, treated
):
    for name in KINDS:
        rows = fhir.found(f"{name}?_count=500")
        assert rows, f"no {name}"
        for row in rows:
            valid(row)
            missing = MUST_HAVE[name] - row.keys()
            assert not missing, f"{name}/{row['id']} lacks {missing}"
