"""Every page is whole in Spanish: what is marked has its Spanish, and nothing shown is unmarked."""

import contextlib
import json
import re
import runpy
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import polib
import pytest
import yaml
from django.apps import apps
from django.db import models
from django.utils import translation

from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import Role

from .test_nasty_input import LEFT_OUT, _addresses, clinic  # noqa: F401 - a fixture

pytestmark = pytest.mark.words
ROOT = Path(__file__).resolve().parents[2]
# What is written alike in both languages: units, abbreviations, names of scales and of programs.
ALIKE = frozenset(
    """OpenKetamine mg kg mcg ml mL ng min h s mmHg kPa bpm IV IM SC SL MOAA SpO2 PHQ GAD MADRS HAMD
    QIDS PCL CADSS BPI PEG WSAS AUDIT DAST SSRS BSS ICD SNOMED LOINC FHIR HL7 MLLP PDF CSV JSON REMS
    cm FDA EMA GB US USD EU AU ECG TSH ALT AST GGT ALP MRN URL ISO UTC ID MD RN English Español
    """.split()  # noqa: SIM905
)
WORD = re.compile(r"[^\W\d_]{2,}")
SAID_IN = {"aria-label", "title", "placeholder", "alt", "aria-description", "aria-valuetext"}
EMPTY = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


tool = SimpleNamespace(**runpy.run_path(str(ROOT / "tools/translations.py")))
ROOMS = tool.rooms()


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_that_is_marked_has_its_spanish(room):
    assert tool.missing(room) == []


@pytest.mark.parametrize("room", [room for room in ROOMS if tool.catalogue_of(room).exists()])
def test_a_catalogue_is_compiled_and_keeps_every_place_for_a_figure(room):
    catalogue = tool.read(room)
    compiled = polib.mofile(str(tool.catalogue_of(room).with_suffix(".mo")))
    said = {
        (entry.msgid, entry.msgid_plural, entry.msgctxt): entry.msgstr or dict(entry.msgstr_plural)
        for entry in catalogue.translated_entries()
    }
    assert {
        (entry.msgid, entry.msgid_plural or "", entry.msgctxt or None): (
            entry.msgstr or dict(entry.msgstr_plural)
        )
        for entry in compiled
    } == said, "run: python tools/translations.py " + room
    for entry in catalogue.translated_entries():
        # A singular may say "one" or give the count.
        english = [_places(text) for text in (entry.msgid, entry.msgid_plural) if text]
        for spanish in (entry.msgstr, *entry.msgstr_plural.values()):
            assert not spanish or _places(spanish) in english, entry.msgid


def test_what_is_shown_of_a_protocol_is_the_spanish_that_was_held_against_its_english():
    """All catalogues become one: a lone word of another would take the place of a protocol's."""
    with translation.override("es"):
        other = {
            entry.msgid: shown
            for entry in tool.read("protocols").translated_entries()
            if not entry.msgid_plural
            and (shown := translation.gettext(entry.msgid)) != entry.msgstr
        }
    assert not other


def test_no_text_has_one_spanish_here_and_another_there():
    """Of all catalogues but the scripts' Django makes one: which is shown would be chance."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for room in set(ROOMS) - {tool.SCRIPTS}:
        for entry in tool.read(room).translated_entries():
            key = (entry.msgctxt or "", entry.msgid)
            found.setdefault(key, {}).setdefault(entry.msgstr, room)
    assert not {key: spanish for key, spanish in found.items() if len(spanish) > 1}


def _places(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)", text)) | set(re.findall(r"\{(\w*)[^{}]*\}", text))


class _Bare(HTMLParser):
    """The texts of a page that did not go through translation.

    Translated texts stand in ⟦ ⟧. One may hold elements, so that its brackets are counted across
    them; an attribute stands for itself.
    """

    def __init__(self, data: re.Pattern[str]) -> None:
        super().__init__()
        self.data = data
        self.depth = 0
        self.bare: list[str] = []
        self.silent: list[str] = []  # open elements in which nothing is to be translated

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        quiet = tag in {"script", "style", "pre", "code"} or found.get("translate") == "no"
        if tag not in EMPTY and (self.silent or quiet or (found.get("lang") == "en")):
            self.silent.append(tag)
        if self.silent:
            return
        shown = [value for name, value in attributes if name in SAID_IN and value]
        if tag == "input" and found.get("type") in {"submit", "button"}:
            shown.append(found.get("value") or "")
        for text in shown:
            self._judge(_outside(text, 0)[0])

    def handle_endtag(self, tag: str) -> None:
        if self.silent and tag in self.silent:
            while self.silent.pop() != tag:
                pass

    def handle_data(self, text: str) -> None:
        outside, self.depth = _outside(text, self.depth)
        if not self.silent:
            self._judge(outside)

    def _judge(self, text: str) -> None:
        text = " ".join(text.split())
        left = WORD.findall(self.data.sub(" ", text))
        if [word for word in left if word not in ALIKE]:
            self.bare.append(text)


def _outside(text: str, depth: int) -> tuple[str, int]:
    kept = []
    for letter in text:
        if letter == "⟦":
            depth += 1
        elif letter == "⟧":
            depth = max(0, depth - 1)
        elif not depth:
            kept.append(letter)
    return "".join(kept), depth


NOTHING = re.compile(r"(?!)")
# What the template language itself says, and what goes through translation.
SAID_ELSEWHERE = re.compile(
    r"{% blocktranslate.*?%}.*?{% endblocktranslate %}|{% comment .*?%}.*?{% endcomment %}"
    r"|{% block (?:lang|main_class|body_attributes) %}.*?{% endblock %}|{%.*?%}|{{.*?}}|{#.*?#}",
    re.DOTALL,
)


@pytest.mark.parametrize("room", ROOMS)
def test_no_word_of_a_template_is_unmarked(room):
    left = {}
    for path in sorted((tool.PACKAGE / room).rglob("*.html")):
        page = _Bare(NOTHING)
        page.feed(SAID_ELSEWHERE.sub("", path.read_text(encoding="utf-8")))
        if page.bare:
            left[path.name] = page.bare
    assert not left, _told(left)


def _told(left: dict[str, list[str]]) -> str:
    places = (f"{where}:\n" + "\n".join(f"    {text}" for text in left[where]) for where in left)
    return "left in English\n" + "\n".join(places)


def _strings(part: object) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for each in part.values():
            yield from _strings(each)
    elif isinstance(part, list | tuple):
        for each in part:
            yield from _strings(each)


def _spanish(part: object, inside: bool = False) -> Iterator[str]:
    """What a file of the protocols says in Spanish itself."""
    if inside:
        yield from _strings(part)
    elif isinstance(part, list):
        for each in part:
            yield from _spanish(each)
    elif isinstance(part, dict):
        whole = part.get("language") == "es"
        for key, value in part.items():
            yield from _spanish(value, whole or key == "es")


@cache
def _of_the_library() -> frozenset[str]:
    found: set[str] = set()
    for path in (tool.PACKAGE / "protocols").rglob("*.yaml"):
        for text in _spanish(yaml.safe_load(path.read_text(encoding="utf-8"))):
            found.update(re.split(r"\{\w+\}", " ".join(text.split())))
    return frozenset(found)


def left_in_english(html: str, stored: re.Pattern[str]) -> list[str]:
    """The texts of a page, or of its own part, that did not go through translation.

    Args:
        stored: as `what_is_stored` gives it, while the page's patients are there.
    """
    page = _Bare(stored)
    page.feed(html)
    return list(dict.fromkeys(page.bare))


def what_is_stored() -> re.Pattern[str]:
    """What people wrote, and what the library says in Spanish itself: not for translation."""
    found: set[str] = set()
    for model in apps.get_models():
        fields = [
            field
            for field in model._meta.concrete_fields
            if isinstance(field, models.CharField | models.TextField | models.JSONField)
            and not field.choices
        ]
        for row in model._base_manager.values_list(*[field.attname for field in fields][:200]):
            for value in row:
                if isinstance(value, str) and value[:1] in "[{":
                    with contextlib.suppress(ValueError):
                        value = json.loads(value)
                found.update(_strings(value))
    found |= _of_the_library()
    words = {text.strip() for text in found if not re.fullmatch(r"[a-z0-9_.:/\- ]*", text)}
    words |= {line.strip() for text in words for line in text.splitlines()}
    ordered = sorted((word for word in words if len(word) > 2), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")


def _room_of(module: str) -> str:
    parts = module.split(".")[1:]
    return "/".join(parts[:2]) if parts[0] in {"clinic", "exchange"} else parts[0]


WALKED = sorted(
    {_room_of(pattern.callback.__module__) for _, pattern in access.every_pattern()
     if pattern.callback.__module__.startswith("openketamine")
     and "exchange.fhir.rest" not in pattern.callback.__module__}
)  # fmt: skip


@pytest.mark.parametrize("room", WALKED)
def test_nothing_that_a_page_shows_is_left_in_english(client, clinic, bracketed, room):  # noqa: F811
    roles = list(Role)
    for user in clinic.values():
        user.language = "es"
        user.save()
    client.cookies["django_language"] = "es"
    data = what_is_stored()
    left: dict[str, list[str]] = {}
    modules = {pattern.name: pattern.callback.__module__ for _, pattern in access.every_pattern()}
    for name, address, rule in _addresses():
        if name in LEFT_OUT or _room_of(modules[name]) != room:
            continue
        for role in [role for role in roles if rule.public or role in rule.roles]:
            client.force_login(clinic[role])
            answer = client.get(address)
            if answer.status_code == 405:
                break
            html = answer.get("Content-Type", "").startswith("text/html") and not answer.streaming
            if answer.status_code == 200 and html:
                if found := left_in_english(answer.content.decode(), data):
                    left[f"{name} ({role})"] = found
                break
    assert not left, _told(left)
