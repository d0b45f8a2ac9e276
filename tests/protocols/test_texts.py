"""What patients read: plain, versioned, and every sentence with its source."""

import re

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


ENGLISH = [d for d in LIBRARY.documents.values() if d.language == "en"]
SPANISH = [d for d in LIBRARY.documents.values() if d.language == "es"]
ROUTES = ("IV", "IM", "IN_ESKETAMINE", "IN_RACEMIC", "SL", "ORAL", "SC")
QUITE_EASY = 65  # on the INFLESZ scale, for which grade eight is "normal", 55


@pytest.mark.parametrize("document", ENGLISH, ids=lambda d: d.id)
def test_every_text_is_read_with_ease_at_grade_eight(document):
    for section in document.sections:
        assert reading.grade(point.text for point in section.points) <= HIGHEST_GRADE + 2, section
    points = [point.text for section in document.sections for point in section.points]
    assert reading.grade(points) <= HIGHEST_GRADE


@pytest.mark.parametrize("document", SPANISH, ids=lambda d: d.id)
def test_every_spanish_text_is_quite_easy(document):
    points = [point.text for section in document.sections for point in section.points]
    assert reading.spanish_ease(points) >= QUITE_EASY


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("ketamina", 4),
        ("corazón", 3),
        ("depresión", 3),
        ("náusea", 3),
        ("día", 2),
        ("ayuda", 3),
        ("aérea", 4),
        ("hoy", 1),
        ("guerra", 2),
        ("vergüenza", 3),
        ("llegue", 2),
        ("baúl", 2),
        ("quien", 1),
    ],
)
def test_spanish_syllables_are_counted_as_spoken(word, count):
    assert reading.spanish_syllables(word) == count


def test_the_spanish_ease_is_that_of_szigriszt_pazos():
    # Six words, ten syllables, two sentences, counted by hand.
    assert reading.spanish_ease(["No conduzca hoy. Llame a alguien."]) == pytest.approx(
        206.835 - 62.3 * 10 / 6 - 6 / 2
    )
    with pytest.raises(ValueError, match="without words"):
        reading.spanish_ease(["988"])


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", ["education", "aftercare"])
def test_both_languages_say_the_same_things_with_the_same_sources(kind, route):
    english, spanish = (LIBRARY.document(kind, route, language) for language in ("en", "es"))
    assert (english.language, spanish.language) == ("en", "es")
    for one, other in zip(spanish.sections, english.sections, strict=True):
        assert one.emergency == other.emergency
        if route != "IV":
            marks = [(point.source, point.certainty, point.ref) for point in one.points]
            assert marks == [(point.source, point.certainty, point.ref) for point in other.points]


@pytest.mark.parametrize("english", [d for d in ENGLISH if d.kind == "consent"], ids=lambda d: d.id)
def test_a_consent_in_spanish_is_the_whole_of_the_english_point_by_point(english):
    spanish = LIBRARY.document("consent", english.route, "es")
    assert spanish.language == "es"
    for one, other in zip(spanish.sections, english.sections, strict=True):
        for point, source in zip(one.points, other.points, strict=True):
            assert (point.source, point.certainty, point.ref) == (
                source.source,
                source.certainty,
                source.ref,
            )
            assert re.findall(r"\d+", point.text) == re.findall(r"\d+", source.text)


def test_a_language_that_the_library_has_not_is_answered_in_english():
    assert LIBRARY.document("education", "SL", "fr").language == "en"


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_is_explained_from_the_switch_to_the_way_home(route):
    document = LIBRARY.document("education", route)
    text = " ".join(point.text for section in document.sections for point in section.points)
    for words in (
        "glutamate",
        "mend the links",
        "called dissociation",
        "psychedelic threshold",
        "You do not need to cross it",
        "Do not drive",
        "No alcohol",
        "bladder",
        "next day",
        "not approved for depression",
        "not been shown to prevent suicide",
        "does not replace the advice of your doctor",
    ):
        assert words in text, words


@pytest.mark.parametrize("route", ["SL", "SC", "ORAL"])
def test_what_is_mixed_to_order_carries_the_warning_of_the_fda(route):
    text = " ".join(p.text for s in LIBRARY.document("education", route).sections for p in s.points)
    for words in ("In 2023 the FDA", "breathing slowed down", "knows of no proof"):
        assert words in text


def test_only_the_spray_is_told_of_its_label():
    (hold,) = [
        point
        for section in LIBRARY.document("education", "IN_ESKETAMINE").sections
        for point in section.points
        if "at least two hours" in point.text
    ]
    assert (hold.source, hold.certainty) == ("esketamine-rems", "verified")
    for route in set(ROUTES) - {"IV", "IN_ESKETAMINE"}:
        for section in LIBRARY.document("education", route).sections:
            for point in section.points:
                if "Do not drive" in point.text or "No alcohol" in point.text:
                    assert point.certainty == "DESIGN"


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
