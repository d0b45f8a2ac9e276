"""Export, wipe, import: the same course, or nothing at all."""

import json
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command

from openketamine.cli import main
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.plans.models import Consent, Plan
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.sessions.queries import timeline_of
from openketamine.clinic.sites.models import Site
from openketamine.exchange.fhir import tables
from openketamine.exchange.fhir.kinds import KINDS
from openketamine.exchange.fhir.models import Resource
from openketamine.exchange.fhir.moving import Broken, export_whole, import_whole

from .server import Fhir, valid
from .test_bulk import at_once, begin, lines, manifest  # noqa: F401 - a fixture among them

wiped = pytest.mark.django_db(transaction=True)


@pytest.fixture
def whole(charted, treated, nurse):
    """A chart, a whole session with rates and a side effect, and an answered questionnaire."""
    intake.record_response(
        nurse,
        treated.course,
        instrument="phq9",
        answers={f"q{n}": 1 for n in range(1, 10)},
        occasion=intake.VISIT,
    )
    return treated


def wipe():
    call_command("flush", verbosity=0, interactive=False)
    assert not Person.objects.exists()
    assert not Event.objects.exists()


def told(folder: Path) -> dict[str, dict[str, dict]]:
    """Each kind's resources by id."""
    found: dict[str, dict[str, dict]] = {}
    for path in sorted(folder.glob("*.ndjson")):
        for line in path.read_text().splitlines():
            resource = json.loads(line)
            found.setdefault(resource["resourceType"], {})[resource["id"]] = resource
    return found


def without_chain(provenance: dict) -> dict:
    """A Provenance but for its place in the chain, which is made anew."""
    (extension,) = provenance["extension"]
    kept = [
        part
        for part in extension["extension"]
        if part["url"] not in {"hash", "previous-hash", "imported"}
    ]
    return {**provenance, "extension": kept}


def course_as_told() -> dict:
    """What a clinician asks of the course: what was given, what came out, what is planned."""
    return {
        "sessions": {str(s.pk): timeline_of(s) for s in Session.objects.all()},
        "scores": list(
            InstrumentResponse.objects.order_by("taken_at").values_list(
                "instrument", "total", "answers", "taken_at"
            )
        ),
        "plans": list(Plan.objects.order_by("pk").values()),
        "consents": list(Consent.objects.order_by("pk").values()),
        "courses": list(Course.objects.order_by("pk").values()),
        "people": list(Person.objects.order_by("pk").values()),
    }


@wiped
def test_export_wipe_import_gives_the_same_course(whole, tmp_path):
    before_course = course_as_told()
    export_whole(tmp_path / "one")
    before = told(tmp_path / "one")
    assert before.keys() >= {
        "Patient", "Condition", "AllergyIntolerance", "Consent", "CarePlan", "Encounter",
        "MedicationAdministration", "Observation", "QuestionnaireResponse", "AdverseEvent",
        "Procedure", "DocumentReference", "Provenance", "Basic",
    }  # fmt: skip

    wipe()
    taken = import_whole("command line", tmp_path / "one")
    assert (taken.people, taken.courses) == (1, 1)
    assert taken.events == len(before["Provenance"])
    assert record.verify().intact
    assert course_as_told() == before_course

    export_whole(tmp_path / "two")
    after = told(tmp_path / "two")
    for kind in KINDS:
        if kind in {"Provenance", "AuditEvent", "Questionnaire"}:  # told below, or of the library
            continue
        assert after.get(kind) == before.get(kind), kind  # to the version and the moment
    (news,) = after["Provenance"].keys() - before["Provenance"].keys()
    assert after["Provenance"][news]["activity"]["coding"][0]["code"] == "record.imported"
    for key, provenance in before["Provenance"].items():
        assert without_chain(after["Provenance"][key]) == without_chain(provenance)
    rows = {key: row for key, row in before["Basic"].items() if key != "contents"}
    assert {k: r for k, r in after["Basic"].items() if k != "contents"} == rows


@wiped
def test_what_was_imported_says_so_and_nobody_can_sign_in_by_it(whole, tmp_path, nurse):
    export_whole(tmp_path / "out")
    last = Event.objects.order_by("seq").last()
    wipe()
    import_whole("command line", tmp_path / "out")
    event = Event.objects.order_by("seq").last()
    assert (event.kind, event.source) == ("record.imported", "import")
    assert (event.data["last"], event.data["hash"]) == (last.seq, last.hash)
    assert apps.get_model("accounts.User").objects.count() > 1
    assert not any(u.has_usable_password() for u in type(nurse).objects.all())
    director = type(nurse).objects.get(role="director")
    fhir = Fhir(director)
    provenance = fhir.read(f"Provenance/event-{last.seq}")
    parts = {part["url"]: part for part in provenance["extension"][0]["extension"]}
    assert parts["imported"] == {"url": "imported", "valueBoolean": True}


@wiped
def test_an_event_that_does_not_travel_leaves_its_place(whole, director, tmp_path):
    record.append(director, "clinic", "chart.read", {"shown": "a list"})
    seq = Event.objects.order_by("seq").last().seq
    record.append(director, "clinic", "clinic.noted", {"said": "later"})
    export_whole(tmp_path / "out")
    wipe()
    taken = import_whole("command line", tmp_path / "out")
    assert taken.left_out >= 1
    assert Event.objects.get(seq=seq).kind == "record.left_out"
    assert record.verify().intact


@wiped
def test_a_service_that_may_read_everything_gets_what_comes_back(
    whole, at_once, director, tmp_path  # noqa: F811
):  # fmt: skip
    service = Fhir(director, scope="system/*.rs", name="Warehouse")
    kinds = [kind for kind in KINDS if kind != "AuditEvent"]
    answer = manifest(service, begin(service, f"$export?_type={','.join([*kinds, 'Basic'])}"))
    folder = tmp_path / "fetched"
    folder.mkdir()
    for entry in answer["output"]:
        found = lines(service, entry)
        assert all(valid(row) for row in found)
        name = entry["url"].rpartition("/")[2]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in found))
    before = course_as_told()
    wipe()
    import_whole("command line", folder)
    assert course_as_told() == before


def test_the_tables_are_for_nobody_less(whole, at_once, director):  # noqa: F811
    some = Fhir(director, scope="system/Patient.rs system/Provenance.rs", name="Narrow")
    asked = "$export?_type=Patient,Provenance,Basic"
    assert some.get(asked, Prefer="respond-async").status_code == 403
    service = Fhir(director, scope="system/*.rs", name="Wide")
    part = f"{asked}&_since=2026-01-01"
    assert service.get(part, Prefer="respond-async").status_code == 400
    told_kinds = {e["type"] for e in manifest(service, begin(service))["output"]}
    assert "Basic" not in told_kinds  # only where it is asked for by name


# What may befall an export: file, what is done to its text, and what the refusal names.


def _swap(old, new):
    return lambda text: text.replace(old, new, 1)


DAMAGE = {
    "a value in a resource": (
        "MedicationAdministration-1", _swap('"value":', '"value":9'), "does not follow",
    ),
    "a name": ("Patient-1", _swap('"family":"', '"family":"X'), "Patient-1.ndjson, line 1"),
    "an event's text": ("Provenance-1", _swap("rate_mg_per_h", "rate_mg_per_s"), "was altered"),
    "a row": ("Basic-1", _swap('\\"family_name\\": \\"', '\\"family_name\\": \\"X'), "Patient"),
    "a row of no known table": (
        "Basic-1", _swap('"code":"people.person"', '"code":"people.nobody"'), "rows of",
    ),
    "a file cut short": ("Observation-1", lambda text: text[: len(text) // 2], "no JSON"),
    "a line lost": ("Condition-1", lambda text: text.partition("\n")[2], "is missing"),
    "an event lost": ("Provenance-1", lambda text: text.partition("\n")[2], "events of"),
    "a line twice": (
        "Condition-1", lambda text: text + text.partition("\n")[0] + "\n", "comes twice",
    ),
    "a line of another kind": (
        "Condition-1", _swap('"resourceType":"Condition"', '"resourceType":"Patient"'),
        "a Condition is expected",
    ),
    "no text of its events": (
        "Provenance-1", _swap('"url":"body"', '"url":"bod"'), "not told whole",
    ),
    "the end is lost": (
        "Basic-1", lambda text: "\n".join(text.splitlines()[:-1]), "no Basic resources",
    ),
    "another release": ("Basic-1", _swap('\\"release\\": \\"', '\\"release\\": \\"9'), "release"),
}  # fmt: skip


@wiped
def test_a_broken_export_is_refused_whole_with_place_and_reason(whole, tmp_path):
    out = tmp_path / "out"
    export_whole(out)
    wipe()
    for name, (file, damage, reason) in DAMAGE.items():
        path = out / f"{file}.ndjson"
        sound = path.read_text()
        broken = damage(sound)
        assert broken != sound, name
        path.write_text(broken)
        with pytest.raises(Broken) as refusal:
            import_whole("command line", out)
        assert reason in refusal.value.message, (name, refusal.value.message)
        assert refusal.value.place
        path.write_text(sound)
        for model in (*tables.carried(), Event, Resource):
            rows = model._base_manager.count()
            assert rows == (model is Site), (name, model)  # the one that was there before
    import_whole("command line", out)  # and as it was, it comes in


def test_it_comes_into_an_empty_clinic_only(whole, tmp_path):
    export_whole(tmp_path / "out")
    with pytest.raises(Refused, match="not empty"):
        import_whole("command line", tmp_path / "out")


def test_a_folder_without_an_export_is_refused(db, tmp_path):
    with pytest.raises(Broken, match="no export here"):
        import_whole("command line", tmp_path / "nowhere")


def test_an_export_writes_over_nothing(db, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(Refused, match="not empty"):
        export_whole(tmp_path)


def test_no_secret_and_no_note_of_a_therapist_goes_along(db):
    going = {model._meta.label_lower for model in tables.carried()}
    assert "people.person" in going
    assert "plans.plan" in going
    assert not going & tables.STAYS.keys()
    assert {m._meta.label_lower for m in apps.get_models()} >= tables.STAYS.keys()
    suspicious = {"password", "secret", "token", "api_key", "private"}
    for model in tables.carried():
        names = {column.attname for column in tables.columns_of(model)}
        assert not names & suspicious, model


@wiped
def test_the_command_line_takes_a_clinic_out_and_in(whole, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["fhir-export", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["Patient"] == 1
    assert main(["fhir-export", out]) == 1
    assert "not empty" in capsys.readouterr().err
    assert main(["fhir-import", out]) == 1
    assert "nothing was written" in capsys.readouterr().err
    wipe()
    assert main(["fhir-import", out, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["people"] == 1
    assert "Nobody can sign in by it" in said.err
