"""Every phrase that a patient reads is there in Spanish; a new one without fails here."""

import ast
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.translation.template import templatize

import openketamine
from openketamine.clinic.portal import services
from openketamine.clinic.portal.queries import FORM_TITLES
from openketamine.clinic.portal.templatetags.portal import _LABELS
from openketamine.clinic.record import clock
from openketamine.clinic.therapy.content import INTEGRATION, PREPARATION
from openketamine.protocols import load

from .conftest import BORN, address

PACKAGE = Path(openketamine.__file__).parent
STAFF_TEMPLATES = {"_waiting", "inbox", "patient_page", "thread"}
PATIENT_TEMPLATES = sorted(
    [
        *(
            path
            for path in PACKAGE.glob("clinic/portal/templates/portal/*.html")
            if path.stem not in STAFF_TEMPLATES
        ),
        *PACKAGE.glob("clinic/outcomes/templates/outcomes/form_*.html"),
        *(
            PACKAGE / "clinic/outcomes/templates/outcomes" / f"_{name}.html"
            for name in ("crisis", "help", "language")
        ),
    ]
)
_CALL = re.compile(
    r"""\b(n?gettext)\(u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""(?:,\s*u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))?"""
)
_ONE, _MANY = {"_", "_lazy", "gettext", "gettext_lazy"}, {"ngettext", "ngettext_lazy"}


def phrases() -> set[tuple[str, ...]]:
    """Everything that templates and modules ask the catalogue for; with a plural, both forms."""
    found: set[tuple[str, ...]] = set()
    for path in PACKAGE.rglob("templates/**/*.html"):
        source = templatize(path.read_text(encoding="utf-8"), origin=str(path))
        for name, one, many in _CALL.findall(source):
            both = (ast.literal_eval(one), ast.literal_eval(many)) if name[0] == "n" else ()
            found.add(both or (ast.literal_eval(one),))
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
            count = 1 if name in _ONE else 2 if name in _MANY else 0
            said = node.args[:count]
            if said and all(isinstance(each, ast.Constant) for each in said):
                found.add(tuple(str(each.value) for each in said))
    return found


def test_it_works():
    found = phrases()
    assert len(found) > 150
    assert ("How are you today?",) in found
    assert ("One short question.", "%(number)s short questions.") in found


def test_every_phrase_has_its_spanish():
    missing = []
    with translation.override("es"):
        for phrase in phrases():
            if len(phrase) == 1:
                untranslated = translation.gettext(phrase[0]) == phrase[0]
            else:
                untranslated = any(translation.ngettext(*phrase, n) in phrase for n in (1, 5))
            if untranslated:
                missing.append(phrase)
    assert not missing, f"not in the Spanish catalogue: {sorted(missing)}"


def test_no_translation_loses_what_is_filled_in():
    with translation.override("es"):
        for phrase in phrases():
            for number in (1, 5):
                said = phrase[min(number - 1, len(phrase) - 1)]
                meant = (
                    translation.gettext(said)
                    if len(phrase) == 1
                    else translation.ngettext(*phrase, number)
                )
                open_ = set(re.findall(r"%\((\w+)\)", meant))
                assert open_ <= set(re.findall(r"%\((\w+)\)", " ".join(phrase))), phrase


class _Bare(HTMLParser):
    """Collects the words that stand in a template outside of what is translated."""

    SPOKEN = ("aria-label", "title", "placeholder", "alt")

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.words += [value for name, value in attrs if name in self.SPOKEN and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


# The product's name, and marks that are the same in every language.
_SAME = re.compile(r"OpenKetamine|[^\w]|\d")


@pytest.mark.parametrize("path", PATIENT_TEMPLATES, ids=lambda path: path.stem)
def test_no_word_stands_in_a_patients_template_untranslated(path):
    source = path.read_text(encoding="utf-8")
    source = re.sub(
        r"{% blocktranslate.*?%}.*?{% endblocktranslate %}", "", source, flags=re.DOTALL
    )
    source = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}", "", source, flags=re.DOTALL)
    bare = _Bare()
    bare.feed(source)
    left = [words.strip() for words in bare.words if _SAME.sub("", words)]
    assert not left, f"{path.name} says {left} in English only"


def test_every_word_of_the_library_that_a_patient_reads_has_its_spanish():
    therapy = load().therapy
    for each in (*therapy.touch.kinds, *therapy.goals):
        assert each.in_language("es") != each.label, each.id


def test_every_field_that_can_be_shared_has_a_heading_for_the_patient():
    shareable = {field.name for field in (*PREPARATION, *INTEGRATION) if field.shareable}
    assert shareable == set(_LABELS)


def test_every_form_that_a_patient_answers_has_a_title_of_its_own():
    library = load()
    asked = {
        name
        for occasion in library.measurements.occasions
        for name in occasion.every_instrument
        if library.instruments[name].by_patient
    }
    assert asked <= set(FORM_TITLES)


@pytest.fixture
def spanish(client):
    client.post("/language/", {"language": "es", "next": "/"})
    return client


def test_the_pages_speak_spanish(spanish, at_home, nurse):
    with clock.at(at_home.sessions.get().closed_at + timedelta(hours=25)):
        page = spanish.get(address(services.make_link(nurse, at_home))).content.decode()
        assert "¿Es usted?" in page
        spanish.post(address(services.make_link(nurse, at_home)), BORN)
        expected = {
            "/me/": "¿Cómo está hoy?",
            "/me/expect/": "Qué puede esperar",
            "/me/goals/": "Mis objetivos",
            "/me/messages/": "No es para emergencias.",
            "/me/documents/": "Mi consentimiento, firmado el",
            "/me/documents/aftercare/": "Después de su sesión",
            "/me/reminders/": "Todavía no ha elegido",
        }
        for where, words in expected.items():
            page = spanish.get(where).content.decode()
            assert '<html lang="es"' in page, where
            assert words in page, where
        assert "Su ánimo en las últimas dos semanas" in spanish.get("/me/").content.decode()
        spanish.post("/me/mood/", {"mood": "6"})
        assert "Hoy: 6 de 10" in spanish.get("/me/").content.decode()
        refused = spanish.post("/me/messages/", {"text": " "}).content.decode()
        assert "Este campo es obligatorio" in refused


def test_what_to_expect_is_that_of_the_patients_own_route(phone, planned_course):
    planned_course.route = "IN_ESKETAMINE"
    planned_course.save()
    page = phone.get("/me/expect/").content.decode()
    assert "One device holds two sprays" in page
    assert "The drip runs" not in page
