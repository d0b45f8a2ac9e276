"""A clinic's overlay: entries changed, added and retired by id, always as clinic policy."""

import re
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import Overlay, ProtocolError, catalogue


def lay(text: str, name: str = "own.yaml") -> protocols.Library:
    return protocols.load(Overlay(((name, dedent(text)),)))


def refused(text: str, name: str = "own.yaml") -> tuple[int, str]:
    with pytest.raises(ProtocolError) as error:
        lay(text, name)
    return error.value.line, str(error.value)


CHANGE = """
    overlays: monitoring/iv.yaml
    thresholds:
      - id: IV-SYS-A
        at_least: 155
        statement: Systolic 155 mmHg or more
        because: Our patients are older than those of the trials
"""


def thresholds(library: protocols.Library):
    return {limit.id: limit for limit in library.monitoring["IV"].thresholds}


def test_it_changes_what_it_names_and_nothing_else(library):
    mine = lay(CHANGE)
    changed = thresholds(mine)["IV-SYS-A"]
    assert (changed.at_least, changed.priority) == (155, "amber")
    assert (changed.certainty, changed.authority) == ("DESIGN", "clinic policy")
    assert mine.source(changed.source).startswith("This clinic's own policy")
    rest = {key: limit for key, limit in thresholds(mine).items() if key != "IV-SYS-A"}
    assert rest == {k: limit for k, limit in thresholds(library).items() if k != "IV-SYS-A"}
    (change,) = catalogue.diff(library, mine)
    assert (change.entry, change.act) == ("IV-SYS-A", "changed")
    assert change.because == "Our patients are older than those of the trials"
    assert {(field.field, field.before, field.after) for field in change.fields} >= {
        ("at_least", 160.0, 155.0)
    }


def test_it_changes_version_digest_and_what_must_be_signed(library):
    mine = lay(CHANGE)
    assert mine.overlaid
    assert "+clinic" in mine.version
    assert mine.digest != library.digest
    assert mine.policy_digest != library.policy_digest
    # A word more in the overlay is another text, and another signature.
    assert lay(CHANGE + "    # agreed in November\n").policy_digest != mine.policy_digest


def test_the_library_itself_is_untouched(library):
    lay(CHANGE)
    lay("overlays: monitoring/iv.yaml\nretire: [{id: IV-NAU-A, because: We ask in words}]")
    assert thresholds(protocols.load())["IV-SYS-A"].at_least == 160
    assert "IV-NAU-A" in thresholds(protocols.load())
    assert protocols.load().digest == library.digest


def test_it_adds_an_entry_as_clinic_policy():
    mine = lay(
        """
        overlays: eligibility/contraindications.yaml
        rules:
          - id: OUR-CLAUSTROPHOBIA
            finding: caution
            statement: Fear of closed rooms
            explanation: Our treatment room has no window.
            patient: Our room has no window.
            when: {mania: true}
        """
    )
    (added,) = (r for f in mine.eligibility for r in f.rules if r.id == "OUR-CLAUSTROPHOBIA")
    (stance,) = added.stances
    assert stance.routes == ("all",)
    assert (stance.certainty, stance.authority) == ("DESIGN", "clinic policy")
    assert "OUR-CLAUSTROPHOBIA" in {entry.id for entry in mine.policy}


def test_it_changes_a_question_a_text_a_source_and_a_measurement():
    mine = lay(
        """
        overlays: facts.yaml
        because: Put in our patients' words
        facts:
          - {id: mania, question: "Ever had a high, with little sleep and much energy?"}
        ---
        overlays: sources.yaml
        sources: {our-audit: "Our audit of 2025, 40 sessions (unpublished)"}
        ---
        overlays: measurements.yaml
        occasions:
          - {id: 7d, after_hours: 144, because: Our follow-up calls are on day six}
        """
    )
    assert mine.facts["mania"].question.startswith("Ever had a high")
    assert mine.facts["mania"].kind == "boolean"
    assert mine.source("our-audit").startswith("Our audit")
    assert mine.occasion("7d").after_hours == 144


def test_it_retires_an_entry_and_the_director_signs_the_reason(library):
    mine = lay(
        """
        overlays: eligibility/contraindications.yaml
        retire:
          - {id: CI-6, because: Our cardiologist decides on each of these patients}
        """
    )
    assert "CI-6" not in {rule.id for file in mine.eligibility for rule in file.rules}
    (gone,) = (entry for entry in mine.policy if entry.id == "CI-6 (retired)")
    assert "cardiologist" in gone.statement
    assert "Cardiovascular event" in gone.statement


def test_a_new_instrument_of_the_clinic_is_a_file_of_its_own():
    mine = lay(
        """
        overlays: instruments/calm.yaml
        id: calm
        name: How calm
        short_name: Calm
        licence: {terms: OWN WORDING, statement: Its own, source: this-clinic, certainty: DESIGN}
        source: this-clinic
        certainty: DESIGN
        reviewed_on: 2026-11-24
        options: [{value: 0, label: "No"}, {value: 1, label: "Yes"}]
        items: [{id: c1, text: Are you calm?}]
        scoring: sum
        """
    )
    assert mine.instruments["calm"].name == "How calm"
    assert [(d.entry, d.act) for d in mine.departures] == [("instruments/calm.yaml", "added")]


REFUSED = [
    # what the overlay says, the text on the line that is named, words of the reason
    ("thresholds:\n  - {id: IV-SYS-A, priority: red}", "- {id", "Say why: `because"),
    ("thresholds:\n  - {id: IV-SYS-A, priority: red, because: no}", "because", "in words"),
    (
        "because: Our patients are older\nthresholds:\n  - id: IV-SYS-A\n    at_least: 155",
        "at_least",
        "the statement still names it",
    ),
    ("thresholds:\n  - {at_least: 155}", "at_least", "name the member of thresholds"),
    ("thresholds:\n  - id: NEW\n    at_least: 155", "id: NEW", "Field required"),
    ("thresholds: {id: IV-SYS-A}", "thresholds", "is a list"),
    ("because: It is ours now\nthreshold: []", "threshold:", "no key 'threshold'"),
    (
        "because: Ours is another\nthresholds:\n  - {id: IV-SYS-A, at_leest: 3}",
        "at_leest",
        "no key 'at_leest'",
    ),
    ("thresholds:\n  - {id: IV-A, authority: label}", "authority", "is clinic policy"),
    ("presession:\n  - {id: PRE-MEDS, certainty: verified, question: X}", "certainty", "Leave"),
    ("presession:\n  - {id: PRE-ID, authority: guideline}", "authority", "clinic policy"),
    ("retire: [{id: IV-SYS-A}]", "retire", "say why IV-SYS-A is retired"),
    ("retire:\n  - {id: IV-SYS, because: It is not needed}", "IV-SYS", "no entry 'IV-SYS'"),
    ("retire:\n  - {id: IV-SYS-A, reason: It is not needed}", "reason", "no key 'reason'"),
    ("retire: IV-SYS-A", "retire", "retire is a list"),
    ("medicines: 3", "medicines", "give them by name"),
    ("thresholds:\n  - id: IV-X\n    at_least: [", "", "expected"),
]


@pytest.mark.parametrize(("text", "there", "reason"), REFUSED)
def test_it_is_refused_with_its_line_and_the_reason(text, there, reason):
    whole = f"overlays: monitoring/iv.yaml\n{text}\n"
    line, said = refused(whole)
    assert said.startswith(f"own.yaml:{line}: ")
    assert reason in said
    assert there in [*whole.splitlines(), ""][line - 1]


def test_a_name_that_points_nowhere_is_refused_where_the_overlay_says_it():
    line, said = refused(
        """
        overlays: eligibility/contraindications.yaml
        rules:
          - id: OURS
            finding: caution
            statement: X
            explanation: X
            patient: X
            when: {psychos: true}
        """
    )
    assert (line, "no fact 'psychos'" in said) == (9, True)
    assert said.startswith("own.yaml:")


@pytest.mark.parametrize(
    "name", ["own.yaml", "overlays: ../../etc/passwd", "overlays: [a]", "overlays: eligibility"]
)
def test_it_says_which_file_it_is_about(name):
    _, said = refused(f"{name if 'overlays' in name else 'x: 1'}\nreviewed_on: 2026-11-24\n")
    assert "file of the library" in said


def test_in_a_folder_the_name_of_the_file_says_it(tmp_path):
    (tmp_path / "monitoring").mkdir()
    path = tmp_path / "monitoring" / "iv.yaml"
    path.write_text(dedent(CHANGE).replace("overlays: monitoring/iv.yaml\n", ""))
    assert thresholds(protocols.load(tmp_path))["IV-SYS-A"].at_least == 155
    path.write_text(path.read_text().replace("155", "150"))
    assert thresholds(protocols.load(tmp_path))["IV-SYS-A"].at_least == 150
    path.write_text("thresholds: [")
    with pytest.raises(ProtocolError, match=re.escape(f"{path}:")):
        protocols.load(tmp_path)


def test_an_empty_overlay_is_the_librarys_own(tmp_path, library):
    assert protocols.load(tmp_path) is protocols.load()


def _is_labelled(entry):
    stances = getattr(entry, "stances", ())
    return any(
        getattr(each, "authority", "clinic policy") != "clinic policy" for each in (entry, *stances)
    )


LABELLED = {
    (name, field): found
    for name, part in protocols.load().parts.items()
    for field in type(part).model_fields
    if isinstance(getattr(part, field), tuple)
    and (found := [entry for entry in getattr(part, field) if _is_labelled(entry)])
}


@pytest.mark.parametrize(("file", "field"), sorted(LABELLED))
def test_an_entry_with_an_authority_loses_it_when_the_clinic_changes_it(file, field):
    """The words are the label's, or the clinic's."""
    words = "question" if field == "presession" else "statement"
    keys = [
        ("id", entry.id) if hasattr(entry, "id") else ("fact", entry.fact)
        for entry in LABELLED[file, field]
    ]
    mine = lay(
        f"overlays: {file}\nbecause: We see this another way\n{field}:\n"
        + "".join(f"  - {{{by}: {key}, {words}: Something else}}\n" for by, key in keys)
    )
    # A rule has an entry for each of its stances, e.g. CI-1:IN_ESKETAMINE.
    changed: dict[str, list] = {}
    for each in catalogue.entries(mine):
        changed.setdefault(each.id.split(":")[0], []).append(each)
    signed = {each.id for each in mine.policy}
    for by, key in keys:
        found = changed[key if by == "id" else f"REQ-{key}"]
        assert found
        for each in found:
            assert each.statement == "Something else"
            assert (each.certainty, each.authority) == ("DESIGN", "clinic policy")
            assert each.source == "this-clinic"
            assert each.id in signed


def test_words_to_the_patient_may_be_the_clinics_and_the_rule_stay_the_labels():
    before = {r.id: r for f in protocols.load().eligibility for r in f.rules}
    mine = lay(
        """
        overlays: eligibility/contraindications.yaml
        because: Our patients asked for plainer words
        rules: [{id: CI-1, patient: We look at this with you first.}]
        """
    )
    (after,) = (r for f in mine.eligibility for r in f.rules if r.id == "CI-1")
    assert after.patient.startswith("We look")
    assert after.stances == before["CI-1"].stances
    assert {stance.authority for stance in after.stances} == {"label", "clinic policy"}


def test_a_changed_rule_keeps_its_finding_for_each_route_and_loses_its_authority():
    before = {r.id: r for f in protocols.load().eligibility for r in f.rules}
    mine = lay(
        """
        overlays: eligibility/precautions.yaml
        because: Our cardiologist asked for it
        rules:
          - id: PR-1
            statement: Resting pressure above 135 systolic
            when: {systolic_mmhg: {above: 135}}
        """
    )
    (after,) = (r for f in mine.eligibility for r in f.rules if r.id == "PR-1")
    assert [s.routes for s in after.stances] == [s.routes for s in before["PR-1"].stances]
    assert {(s.certainty, s.authority) for s in after.stances} == {("DESIGN", "clinic policy")}
    assert after.source == "this-clinic"


FILE = next(
    file for file in protocols.load().eligibility if any(rule.id == "CI-1" for rule in file.rules)
)
RULES = sorted(rule.id for rule in FILE.rules)


@settings(max_examples=30)
@given(st.sampled_from(["label", "guideline", "evidence"]), st.sampled_from(RULES))
def test_no_overlay_makes_anything_a_label_or_a_guideline(authority, rule_id):
    """Whatever rule it names and whatever it calls it, unless it repeats the library."""
    before = {r.id: r for f in protocols.load().eligibility for r in f.rules}
    text = (
        "overlays: eligibility/contraindications.yaml\nbecause: We see this another way\n"
        f"rules: [{{id: {rule_id}, explanation: Something else, stances: [{{routes: [all], "
        f"authority: {authority}, certainty: verified}}]}}]\n"
    )
    try:
        mine = lay(text)
    except ProtocolError:
        return
    after = {r.id: r for f in mine.eligibility for r in f.rules}
    assert after == before
