"""A bundle is read whole, or refused whole with the place and the reason."""

import contextlib
import copy
import json
import random
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine.clinic.people.referral import ReferralData
from openketamine.exchange.fhir import bundle as reader
from openketamine.exchange.fhir.bundle import BundleError, read_bundle

from .conftest import PATIENT, about_her, bundle, observation, raw, real

DEPRESSION = about_her(
    "Condition",
    code={
        "coding": [
            {"system": "http://snomed.info/sct", "code": "370143000", "display": "Depression"}
        ]
    },
    clinicalStatus={"coding": [{"code": "active"}]},
    onsetDateTime="2021",
)


def test_it_works():
    referral = read_bundle(raw(bundle(DEPRESSION, observation("29463-7", 82, "kg"))))
    assert (referral.given_name, referral.family_name) == ("Maria", "Example")
    assert referral.birth_date == date(1983, 3, 14)
    (condition,) = referral.conditions
    assert (condition.coded.code, condition.status) == ("370143000", "active")
    assert condition.onset == date(2021, 1, 1)
    (weight,) = referral.measurements
    assert (weight.kind, weight.value) == ("weight_kg", 82)


def test_every_real_bundle_reads_as_its_raw_document_says(real_bundles):
    """Counted again by a reader that knows nothing of ours."""
    assert len(real_bundles) == 38
    for path in real_bundles:
        document, referral = real(path)
        resources = [entry["resource"] for entry in document["entry"]]

        def of(kind, resources=resources):
            return [r for r in resources if r["resourceType"] == kind]

        (patient,) = of("Patient")
        assert referral.birth_date.isoformat() == patient["birthDate"], path.name
        assert referral.family_name == patient["name"][0]["family"]
        assert len(referral.conditions) == len(of("Condition"))
        assert len(referral.medications) == len(of("MedicationRequest"))
        assert len(referral.allergies) == len(of("AllergyIntolerance"))
        assert len(referral.history) == len(of("Procedure"))
        for code, kind in (("29463-7", "weight_kg"), ("8302-2", "height_cm")):
            seen = [
                (o["effectiveDateTime"], o["valueQuantity"]["value"])
                for o in of("Observation")
                if o["code"]["coding"][0]["code"] == code
            ]
            found = [m.value for m in referral.measurements if m.kind == kind]
            assert found == ([max(seen)[1]] if seen else []), path.name
        pressures = [
            (o["effectiveDateTime"], component["valueQuantity"]["value"])
            for o in of("Observation")
            for component in o.get("component", [])
            if component["code"]["coding"][0]["code"] == "8480-6"
        ]
        found = [m.value for m in referral.measurements if m.kind == "systolic_mmhg"]
        assert found == ([max(pressures)[1]] if pressures else []), path.name


def test_circumstances_of_life_stay_apart_from_disorders():
    social = copy.deepcopy(DEPRESSION)
    social["code"]["coding"][0]["display"] = "Full-time employment (finding)"
    referral = read_bundle(raw(bundle(social)))
    assert referral.conditions[0].category == "social"


@pytest.mark.parametrize(
    ("code", "value", "unit", "kind", "expected"),
    [
        ("29463-7", 180, "[lb_av]", "weight_kg", 81.6466),
        ("8302-2", 66, "[in_i]", "height_cm", 167.64),
        ("1975-2", 1.0, "mg/dL", "bilirubin_umol_per_l", 17.104),
        ("1751-7", 4.2, "g/dL", "albumin_g_per_l", 42.0),
    ],
)
def test_units_are_converted(code, value, unit, kind, expected):
    (found,) = read_bundle(raw(bundle(observation(code, value, unit)))).measurements
    assert (found.kind, found.value) == (kind, pytest.approx(expected))


def test_a_unit_that_is_not_known_is_left_out_and_not_guessed():
    assert read_bundle(raw(bundle(observation("29463-7", 12, "stone")))).measurements == ()


def test_the_newest_value_counts_and_an_erroneous_one_does_not():
    referral = read_bundle(
        raw(
            bundle(
                observation("29463-7", 82, "kg", at="2026-10-01T09:00:00Z"),
                observation("29463-7", 70, "kg", at="2019-10-01"),
                {**observation("29463-7", 7, "kg", at="2026-11-01"), "status": "entered-in-error"},
            )
        )
    )
    assert [m.value for m in referral.measurements] == [82]


@pytest.mark.parametrize(
    "denied",
    [
        {"status": "entered-in-error"},
        {"status": "not-done"},
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}},
    ],
)
def test_what_the_sender_denies_is_not_taken_for_true(denied):
    kind = "Procedure" if "status" in denied else "Condition"
    named = {"code": {"text": "Aneurysm of the aorta"}}
    status = {"status": "completed"} if kind == "Procedure" else {}
    entry = about_her(kind, **status, **named)
    found = read_bundle(raw(bundle(entry)))
    assert [item.coded.display for item in (*found.conditions, *found.history)] == [
        "Aneurysm of the aorta"
    ]
    found = read_bundle(raw(bundle({**entry, **denied})))
    assert (found.conditions, found.history) == ((), ())


def changed(**fields):
    return {**PATIENT, **fields}


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        (b"{", "line 1, column 2", "not JSON"),
        (b'{"a": "\xff"}', "byte 7", "not UTF-8"),
        (b'{"resourceType": "Bundle\\u0000"}', "bundle", "no text"),
        (b'{"resourceType": "Bundle\\ud800"}', "bundle", "no text"),
        (b"[" * 100_000, "bundle", "nested too deeply"),
        (raw({"resourceType": "Patient"}), "resourceType", "a Bundle is expected, not Patient"),
        (raw([1, 2]), "resourceType", "a Bundle is expected"),
        (raw(bundle(patient=None)), "Bundle.entry", "found none"),
        (raw(bundle(PATIENT)), "Bundle.entry", "found 2"),
        (raw(bundle(patient=changed(birthDate="19x"))), "entry 0 (Patient) birthDate", ""),
        (raw(bundle(patient=changed(birthDate="1983"))), "Patient p1", "full date of birth"),
        (raw(bundle(patient=changed(name=[]))), "entry 0", ""),
        (raw(bundle(patient=changed(name=[{"family": "E"}]))), "Patient p1", "given and a family"),
        (raw(bundle(patient=changed(deceasedBoolean=True))), "Patient p1", "deceased"),
        (
            raw(bundle({**DEPRESSION, "subject": {"reference": "urn:uuid:99"}})),
            "entry 1 (Condition x1)",
            "not in this bundle",
        ),
        (
            raw(
                bundle(
                    about_her(
                        "MedicationRequest",
                        status="active",
                        intent="order",
                        medicationReference={"reference": "Medication/none"},
                    )
                )
            ),
            "entry 1 (MedicationRequest x1)",
            "is not in the bundle",
        ),
    ],
)
def test_a_broken_bundle_is_refused_with_its_place_and_reason(document, place, reason):
    with pytest.raises(BundleError) as refusal:
        read_bundle(document)
    assert place in refusal.value.place
    assert reason in refusal.value.reason


def test_a_bundle_beyond_the_bound_is_refused(monkeypatch):
    monkeypatch.setattr(reader, "MAX_BYTES", 10)
    with pytest.raises(BundleError, match="more than"):
        read_bundle(raw(bundle()))


WRONG = st.sampled_from(
    [
        None,
        True,
        -1,
        1e400,
        2**70,
        "",
        "x",
        "\x00",
        "\ud800",
        [],
        [None],
        {},
        {"a": 1},
        "9999-99-99",
    ]
)


def _nodes(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from _nodes(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from _nodes(value[index], (*path, index))


WHOLE = bundle(
    DEPRESSION,
    observation("29463-7", 82, "kg"),
    about_her(
        "MedicationRequest",
        id="m1",
        status="active",
        intent="order",
        medicationCodeableConcept={"text": "Sertraline 100 MG"},
        authoredOn="2026-01-02",
    ),
    {
        "resourceType": "AllergyIntolerance",
        "id": "a1",
        "patient": {"reference": "urn:uuid:0"},
        "code": {"text": "Penicillin"},
        "reaction": [{"manifestation": [{"text": "Rash"}]}],
    },
    about_her("Procedure", id="o1", status="completed", code={"text": "ECT"}),
)
PATHS = [path for path in _nodes(WHOLE) if path]


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), WRONG, st.booleans()), min_size=1, max_size=3))
def test_a_mutated_bundle_is_read_or_refused_and_nothing_else(mutations):
    document = copy.deepcopy(WHOLE)
    for path, wrong, delete in mutations:
        parent = document
        try:
            for key in path[:-1]:
                parent = parent[key]
            if delete:
                del parent[path[-1]]
            else:
                parent[path[-1]] = wrong
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took this place away
    content = json.dumps(document).encode("utf-8", "surrogatepass")
    with contextlib.suppress(BundleError):
        assert isinstance(read_bundle(content), ReferralData)


def test_real_bundles_with_bytes_knocked_out_are_read_or_refused(real_bundles):
    rng = random.Random(7)
    content = min(real_bundles, key=lambda path: path.stat().st_size).read_bytes()
    for _ in range(25):
        broken = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        with contextlib.suppress(BundleError):
            read_bundle(bytes(broken))


def test_a_minor_reads_but_is_refused_by_the_clinic():
    young = date.today() - timedelta(days=17 * 365)  # noqa: DTZ011 - any day near today will do
    referral = read_bundle(raw(bundle(patient=changed(birthDate=young.isoformat()))))
    assert referral.birth_date == young
