"""The protocols in Spanish: the same figures, the marks with their meaning, and English signed."""

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import get_args

import polib
import pytest

import openketamine
from openketamine import protocols, words
from openketamine.protocols import calendar, catalogue, discharge, eligibility, monitoring, schema
from openketamine.protocols.words import condition, value

PACKAGE = Path(openketamine.__file__).parent
LIBRARY = protocols.load()
CATALOGUES = {
    room: polib.pofile(str(path))
    for room in ("protocols", "pharmacology")
    if (path := PACKAGE / room / "locale/es/LC_MESSAGES/django.po").exists()
}
SAID = {
    entry.msgid: entry.msgstr
    for catalogue_ in CATALOGUES.values()
    for entry in catalogue_
    if entry.msgstr
}
FIGURE = re.compile(r"\d+(?:[.,/:]\d+)*")
PLACE = re.compile(r"%\(\w+\)[0-9]*[a-z]|\{\w*\}")


def _figures(text: str) -> Counter[str]:
    return Counter(FIGURE.findall(PLACE.sub(" ", text)))


def _pairs(entry: polib.POEntry) -> list[tuple[str, str]]:
    if not entry.msgid_plural:
        return [(entry.msgid, entry.msgstr)]
    return list(zip((entry.msgid, entry.msgid_plural), entry.msgstr_plural.values(), strict=True))


@pytest.mark.parametrize("room", CATALOGUES)
def test_every_figure_of_an_english_text_stands_in_its_spanish_and_no_other(room):
    wrong = [
        f"{entry.msgid}\n    {spanish}"
        for entry in CATALOGUES[room].translated_entries()
        for english, spanish in (
            [(entry.msgid, entry.msgstr)]
            if not entry.msgid_plural
            else [
                (entry.msgid, entry.msgstr_plural[0]),
                (entry.msgid_plural, entry.msgstr_plural[1]),
            ]
        )
        if _figures(english) != _figures(spanish)
    ]
    assert not wrong, "\n".join(wrong)


UNITS = re.compile(
    r"(?<![\w/])(?:mg/kg/h|mg/kg|mg/mL|mg/h|mL/h|L/min|ng/mL|mmHg|µmol/L|U/L|g/L|/min|mg|mL|%)(?!\w)"
)


@pytest.mark.parametrize("room", CATALOGUES)
def test_every_unit_stands_beside_its_figure_as_often_as_in_english(room):
    wrong = [
        f"{entry.msgid}\n    {entry.msgstr}"
        for entry in CATALOGUES[room].translated_entries()
        if not entry.msgid_plural
        and Counter(UNITS.findall(PLACE.sub(" ", entry.msgid)))
        != Counter(UNITS.findall(PLACE.sub(" ", entry.msgstr)))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", LIBRARY.monitoring.values(), ids=str)
def test_a_limit_is_crossed_on_the_same_side_in_spanish(file):
    for limit in (*file.thresholds, *file.before):
        spanish = SAID[limit.statement]
        higher = limit.above is not None or limit.at_least is not None
        higher = higher or limit.above_baseline_by is not None
        assert ("por encima" in spanish or "o más" in spanish) is higher, spanish
        assert ("por debajo" in spanish or "o menos" in spanish) is not higher, spanish


def test_certainty_keeps_its_meaning():
    assert SAID["recalled"] == "recordado (sin comprobar)"
    assert SAID["DESIGN"] == "norma propia"
    assert SAID["label"] == "ficha técnica"
    assert SAID["clinic policy"] == "norma de la clínica"
    marks = [*get_args(schema.Certainty), *get_args(schema.Authority)]
    assert len({SAID[mark] for mark in marks}) == len(marks)
    assert all(SAID[mark].startswith("verificado") for mark in marks if mark.startswith("verified"))


@pytest.fixture
def spanish():
    """Sentences of one message, as the site would say them to a reader of Spanish."""
    words.speak_by(lambda text: SAID.get(text, text), lambda one, many, n: one if n == 1 else many)
    yield
    words.speak_by(*BEFORE)


BEFORE = (words._one, words._many or (lambda one, many, n: one if n == 1 else many))


def test_what_is_signed_is_the_english_whoever_reads(spanish):
    with words.in_english():
        english = replace(LIBRARY).policy_digest
    fresh = replace(LIBRARY)
    assert fresh.policy_digest == english
    assert all("Antes del" not in entry.statement for entry in fresh.policy)
    read = fresh.policy_in_words()
    assert [entry.id for entry in read] == [entry.id for entry in fresh.policy]
    assert any(entry.statement.startswith("Antes del medicamento: ") for entry in read)
    assert {entry.content for entry in read} == {entry.content for entry in fresh.policy}


def test_an_entry_is_listed_in_english_whoever_reads(spanish):
    read = [entry.statement for entry in catalogue.entries(LIBRARY)]
    with words.in_english():
        assert read == [entry.statement for entry in catalogue.entries(replace(LIBRARY))]


def test_a_condition_is_read_in_spanish(spanish):
    rule = next(e.item for e in LIBRARY.screening if e.item.key == "PR-1")
    assert condition(LIBRARY.facts, rule.when) == (
        "Presión sistólica por encima de 140 mmHg o Presión diastólica por encima de 90 mmHg"
    )
    assert value(LIBRARY.facts, "", True) == "sí"


def test_an_old_measurement_says_its_day_in_spanish(spanish):
    found = eligibility.screen(
        LIBRARY,
        {"weight_kg": 70},
        route="IV",
        condition="TRD",
        on=date(2026, 11, 25),
        dates={"weight_kg": date(2026, 3, 5)},
    )
    weight = next(finding for finding in found if finding.missing == ("weight_kg",))
    assert weight.explanation == "Peso: del 5 de marzo de 2026, hace más de 90 días. Repetir."


def test_a_value_that_cannot_be_is_refused_in_spanish(spanish):
    assert monitoring.impossible(LIBRARY.monitoring["IV"], "spo2_percent", 120) == (
        "SpO2 120 % no es posible. Anote un valor de 50 a 100."
    )


def test_a_criterion_says_in_spanish_how_it_stands(spanish):
    results = discharge.assess(LIBRARY.discharge["IV"], {"oriented": True}).results
    assert {result.because for result in results} == {"sí", "aún no se sabe"}


def test_a_closed_day_is_named_in_spanish(spanish):
    assert calendar.OpenDays().why_closed(date(2026, 11, 28)) == "la clínica cierra el sábado"
