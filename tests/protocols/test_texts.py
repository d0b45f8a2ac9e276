"""What patients read: plain, versioned, and every sentence with its source."""

import pytest

from openketamine import protocols
from openketamine.protocols import reading

LIBRARY = protocols.load()
HIGHEST_GRADE = 8


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        # Counted by hand: words a sentence, syllables a word.
        ("The cat sat on the mat.", 0.39 * 6 + 11.8 * 6 / 6 - 15.59),
        (
            "Do not drive until the next day after a restful sleep.",
            0.39 * 11 + 11.8 * 14 / 11 - 15.59,
        ),
        ("Ketamine can help. Ask us first.", 0.39 * 6 / 2 + 11.8 * 8 / 6 - 15.59),
    ],
)
def test_the_grade_is_that_of_flesch_and_kincaid(text, grade):
    assert reading.grade([text]) == pytest.approx(grade)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("ketamine", 3),
        ("anxiety", 4),
        ("people", 2),
        ("suicide", 3),
        ("breathing", 2),
        ("needed", 2),
        ("used", 1),
        ("little", 2),
        ("emergency", 4),
        ("special", 2),
        ("idea", 3),
        ("pressure", 2),
        ("changes", 2),
    ],
)
def test_syllables_are_counted_as_spoken(word, count):
    assert reading.syllables(word) == count


def test_a_text_without_words_has_no_grade():
    with pytest.raises(ValueError, match="without words"):
        reading.grade(["988", "–"])


@pytest.mark.parametrize("document", LIBRARY.documents.values(), ids=lambda d: d.id)
def test_every_text_is_read_with_ease_at_grade_eight(document):
    for section in document.sections:
        assert reading.grade(point.text for point in section.points) <= HIGHEST_GRADE + 2, section
    points = [point.text for section in document.sections for point in section.points]
    assert reading.grade(points) <= HIGHEST_GRADE


def test_what_a_rule_says_to_patients_is_read_with_ease_too():
    for file in LIBRARY.eligibility:
        assert reading.grade(rule.patient for rule in file.rules) <= HIGHEST_GRADE


@pytest.mark.parametrize("document", LIBRARY.documents.values(), ids=lambda d: d.id)
def test_every_sentence_has_a_source_that_the_library_names(document):
    for section in document.sections:
        for point in section.points:
            assert LIBRARY.source(point.source)


def text_of(kind: str) -> str:
    document = LIBRARY.document(kind, "IV")
    return " ".join(point.text for section in document.sections for point in section.points)


def test_the_consent_says_what_must_not_be_left_out():
    text = text_of("consent")
    for words in (
        "off-label",
        "esketamine nasal spray",
        "Other treatments exist",
        "not been shown to prevent suicide",
        "bladder",
        "not drive",
        "take you home",
        "Touch during a session",
        "withdraw this consent",
    ):
        assert words in text


def test_what_to_expect_explains_how_it_works_and_that_depth_is_not_the_aim():
    text = text_of("education")
    for words in (
        "glutamate",
        "dissociation",
        "psychedelic threshold",
        "You do not need to cross it",
        "blurred sight",
        "Do not drive",
        "not approved for depression",
        "does not replace the advice of your doctor",
    ):
        assert words in text


def test_the_aftercare_sheet_says_until_when_and_whom_to_call():
    text = text_of("aftercare")
    for words in (
        "Do not drive",
        "No alcohol",
        "Chest pain",
        "Call the clinic",
        "killing yourself",
    ):
        assert words in text or any(
            words in section.title for section in LIBRARY.document("aftercare", "IV").sections
        )
    titles = [section.title for section in LIBRARY.document("aftercare", "IV").sections]
    assert "Until tomorrow, after a restful sleep" in titles


def test_a_text_that_changes_has_another_digest():
    document = LIBRARY.document("consent", "IV")
    changed = document.model_copy(update={"title": document.title + "."})
    assert LIBRARY.document_digest(changed) != LIBRARY.document_digest(document)
