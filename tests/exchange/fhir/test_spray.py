"""A course by nasal spray as other systems read it."""

import json

from openketamine.clinic.sessions import queries
from openketamine.exchange.fhir.resources import courses, sessions


def test_an_order_in_devices_and_each_device_taken_are_resources(spray_taken):
    made = [*courses.drafts([spray_taken.course_id]), *sessions.drafts([spray_taken.pk])]
    by_kind: dict[str, list] = {}
    for one in made:
        by_kind.setdefault(one.kind, []).append(one.content)
    (order,) = by_kind["MedicationRequest"]
    text = order["dosageInstruction"][0]["text"]
    assert text.startswith("56 mg IN_ESKETAMINE in 2 devices of 28 mg, from ")
    assert "None" not in json.dumps(order)
    given = by_kind["MedicationAdministration"]
    assert [g["dosage"]["dose"]["value"] for g in given] == [28, 28]
    assert {g["medicationCodeableConcept"]["text"] for g in given} == {"Esketamine"}
    assert queries.timeline_of(spray_taken).units_taken == len(given)
    assert len(by_kind["Procedure"]) == 1
