"""Collect the texts that people read and keep each room's Spanish beside it.

    python tools/translations.py [ROOM …]      such as clinic/sessions; all rooms without one

A room's catalogue is its `locale/es/LC_MESSAGES/django.po`. Texts that are new get an empty
translation there, texts that are no longer used go, what is translated stays, and the `.mo` is
made anew. What the site's own catalogue has need not stand in a room's. Ends with 1 while a text
lacks its Spanish.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polib
import yaml
from django.template import engines
from django.template.loader_tags import IncludeNode
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils.functional import Promise
from django.utils.translation import trim_whitespace

from openketamine.clinic.boot import start_django
from openketamine.protocols import evidence, questions

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "openketamine"
SITE = "site"
# The words in the scripts of the staff's pages: a catalogue of its own, which the browser fetches.
SCRIPTS = "scripts"
CATALOGUE = Path("locale", "es", "LC_MESSAGES", "django.po")
# How the texts are marked in Python, by the name that each function has where it is defined.
SINGLE = {"_", "gettext", "gettext_lazy", "gettext_noop"}
PLURAL = {"_n", "ngettext", "ngettext_lazy"}
IN_CONTEXT = {"pgettext", "pgettext_lazy"}
MARKING = {
    "django.utils.translation": SINGLE | PLURAL | IN_CONTEXT,
    "openketamine.words": {"_", "_n", "_noop"},
}
# Fields that hold words for people; their values may be lists or mappings.
WORDS = {
    "protocols": frozenset(
        {
            "statement", "explanation", "note", "question", "label", "name", "off_label", "review",
            "steps", "responses", "sections", "choices", "reason", "title", "measures", "says",
            "text", "advice", "hint", "help", "description", "summary", "heading", "why", "meaning",
            "demands", "missing", "otherwise", "topics", "sources", "classes", "outcomes", "bands",
            "points", "certainty", "authority", "standing", "drug", "unit", "setting", "settings",
            "rhythms", "kind", "patient", "usual", "warn", "purpose", "response", "until", "claim",
            "answer", "fits", "limits", "differ",
        }
    ),
    "pharmacology": frozenset({"title", "known_flaws", "certainty"}),
}  # fmt: skip
# Fields that hold none though they stand under one that does: names of things.
NAMES = frozenset(
    {
        "id", "ref", "source", "when", "facts", "item", "any_of", "asked_if", "route", "routes",
        "conditions", "instrument", "instruments", "quantity", "short_name", "side",
    }
)  # fmt: skip
# Fields whose keys are words.
KEYED = frozenset({"points"})
# What the library says in each language by itself, so the wording of a questionnaire, which is a
# published one or none; and the medicines, whose names are looked for as they are written.
ELSEWHERE = frozenset({"translations", "ingredients", "only_if"})
WORDING = frozenset({"text", "options"})
# What is shown of a published result, and what only of those that a question is answered by.
RESULT = (
    "arm", "population", "design", "condition", "endpoint", "route", "unit", "dose", "dose_unit",
)  # fmt: skip
RESULT_CITED = ("schedule", "notes", "instrument")
# Texts that patients get, which the package holds in each of their languages: of these the titles
# of the English ones head lists. And what no page shows.
FOR_PATIENTS = "education"
LEFT_OUT = {FOR_PATIENTS, "plain.yaml", "coverage.yaml", "effects"}
# The text, its plural or "", and the context that tells it from another use of the word, or "".
Text = tuple[str, str, str]


def rooms() -> list[str]:
    """Every part of the package that may have words of its own."""
    inner = [
        f"{area}/{path.name}"
        for area in ("clinic", "exchange")
        for path in sorted((PACKAGE / area).iterdir())
        if path.is_dir() and (path / "__init__.py").exists()
    ]
    return [*inner, "protocols", "pharmacology", SITE, SCRIPTS]


def texts_of(room: str) -> set[Text]:
    """Every text of a room that is marked for translation."""
    if room == SCRIPTS:
        return set(_in_scripts())
    folder = PACKAGE / room
    found: set[Text] = set()
    if room == SITE:  # what all rooms of the clinic share
        for path in sorted((PACKAGE / "clinic").glob("*.py")):
            found.update(_in_python(path))
    for path in sorted(folder.rglob("*.py")):
        if "migrations" not in path.parts:
            found.update(_in_python(path))
    for path in sorted(folder.rglob("*.html")):
        found.update(_in_template(path))
    if room in WORDS:
        for path in sorted(folder.rglob("*.yaml")):
            part = yaml.safe_load(path.read_text(encoding="utf-8"))
            if not LEFT_OUT & set(path.parts):
                over = ELSEWHERE | (WORDING if "instruments" in path.parts else frozenset())
                found.update((text, "", "") for text in in_library(part, WORDS[room], over))
            elif FOR_PATIENTS in path.parts:
                found.update(
                    (document["title"], "", "")
                    for document in part["documents"]
                    if "language" not in document
                )
    if room == "protocols":
        found.update((text, "", "") for text in _in_results())
    return {each for each in found if any(map(str.isalpha, each[0]))}


def in_library(
    part: Any, fields: frozenset[str], over: frozenset[str] = ELSEWHERE, inside: bool = False
) -> Iterator[str]:
    """The words for people in a file of the package.

    Args:
        fields: those that hold such words.
        over: fields that are passed over with all that stands under them.
        inside: whether this part stands under one of them.
    """
    if isinstance(part, str) and inside:
        yield part
    elif isinstance(part, list):
        for each in part:
            yield from in_library(each, fields, over, inside)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in KEYED and isinstance(value, dict):
                yield from (str(each) for each in value)
            if key not in over:
                under = key in fields or (inside and key not in NAMES)
                yield from in_library(value, fields, over, under)


def _in_results() -> Iterator[str]:
    asked = questions.load()
    figures = [each.figure for question in asked.questions for each in question.traced]
    figures += [
        row for question in asked.questions for group in question.groups for row in group.rows
    ]
    figures += [each.figure for each in asked.headlines]
    for caveat in evidence.CAVEATS:
        yield from (caveat.title, caveat.words)
    for result in evidence.results():
        yield from (getattr(result, name) for name in RESULT)
    for figure in figures:
        for result in filter(None, (figure.result, figure.control_result)):
            yield from (getattr(result, name) for name in RESULT_CITED)


def catalogue_of(room: str) -> Path:
    """Where the room keeps its Spanish."""
    if room == SCRIPTS:
        return (PACKAGE / SITE / CATALOGUE).with_name("djangojs.po")
    return PACKAGE / room / CATALOGUE


def read(room: str) -> polib.POFile:
    """The room's catalogue, or an empty one."""
    path = catalogue_of(room)
    if path.exists():
        return polib.pofile(str(path), wrapwidth=0)
    catalogue = polib.POFile(wrapwidth=0)
    catalogue.metadata = {
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Language": "es",
        "Plural-Forms": "nplurals=2; plural=(n != 1);",
    }
    return catalogue


def missing(room: str) -> list[str]:
    """The texts of a room that have no Spanish, neither in its own catalogue nor in the site's."""
    there = _translated(read(room)) | (_translated(read(SITE)) if room != SCRIPTS else set())
    return sorted(each[0] for each in texts_of(room) - there)


def bring_up_to_date(room: str) -> list[str]:
    """Write the room's catalogue and its compiled form.

    Returns:
        The texts that still lack their Spanish.
    """
    used = texts_of(room)
    catalogue = read(room)
    shared = _translated(read(SITE)) if room not in {SITE, SCRIPTS} else set()
    if room != SITE:  # the site's catalogue serves the other rooms as well
        for entry in [each for each in catalogue if _text(each) not in used]:
            catalogue.remove(entry)
    there = {_text(entry) for entry in catalogue}
    for text, plural, context in sorted(used - there - shared):
        catalogue.append(
            polib.POEntry(
                msgid=text,
                msgid_plural=plural,
                msgctxt=context or None,
                msgstr="",
                msgstr_plural={0: "", 1: ""} if plural else {},
                flags=["python-format"] if "%(" in text else [],
            )
        )
    catalogue.sort(key=_text)
    if catalogue:
        path = catalogue_of(room)
        path.parent.mkdir(parents=True, exist_ok=True)
        catalogue.save(str(path))
        catalogue.save_as_mofile(str(path.with_suffix(".mo")))
    return missing(room)


def _text(entry: polib.POEntry) -> Text:
    return entry.msgid, entry.msgid_plural or "", entry.msgctxt or ""


def _translated(catalogue: Iterable[polib.POEntry]) -> set[Text]:
    return {_text(entry) for entry in catalogue if entry.translated()}


def _in_python(path: Path) -> Iterator[Text]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    marks: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MARKING:
            for name in node.names:
                if name.name in MARKING[node.module]:
                    marks[name.asname or name.name] = name.name
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
        of_module = isinstance(called, ast.Attribute) and name in SINGLE | PLURAL | IN_CONTEXT
        if name not in marks and not of_module:
            continue
        mark = marks.get(name, name)
        said = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if mark in PLURAL and len(said) >= 2:
            yield str(said[0]), str(said[1]), ""
        elif mark in IN_CONTEXT and len(said) == 2:
            yield str(said[1]), "", str(said[0])
        elif mark not in IN_CONTEXT and said and isinstance(node.args[0], ast.Constant):
            yield str(said[0]), "", ""


def _in_template(path: Path) -> Iterator[Text]:
    template = engines["django"].from_string(path.read_text(encoding="utf-8")).template
    for node in template.nodelist.get_nodes_by_type(TranslateNode):
        literal = getattr(node.filter_expression.var, "literal", None)
        if isinstance(literal, str):
            text = literal.replace("%", "%%")  # as the template language looks for it
            yield text, "", _context_of(node)
    for node in template.nodelist.get_nodes_by_type(IncludeNode):
        # {% include … with label=_("…") %}
        for given in (getattr(value, "var", None) for value in node.extra_context.values()):
            if isinstance(given, Promise):
                yield str(given), "", ""
    for node in template.nodelist.get_nodes_by_type(BlockTranslateNode):
        single, _names = node.render_token_list(node.singular)
        plural = node.render_token_list(node.plural)[0] if node.plural else ""
        if node.trimmed:
            single, plural = trim_whitespace(single), trim_whitespace(plural)
        yield single, plural, _context_of(node)


def _context_of(node: TranslateNode | BlockTranslateNode) -> str:
    return str(node.message_context.resolve({})) if node.message_context else ""


_STRING = r'"((?:[^"\\]|\\.)*)"'
_ONE = re.compile(rf"\bgettext\(\s*{_STRING}")
_MANY = re.compile(rf"\bngettext\(\s*{_STRING},\s*{_STRING},")


def _in_scripts() -> Iterator[Text]:
    for path in sorted((PACKAGE / SITE / "static" / "openketamine" / "js").glob("*.js")):
        script = path.read_text(encoding="utf-8")
        for text in _ONE.findall(script):
            yield text, "", ""
        for single, plural in _MANY.findall(script):
            yield single, plural, ""


def main(names: list[str]) -> int:
    """Bring these rooms up to date, or all."""
    known = rooms()
    if unknown := [name for name in names if name not in known]:
        print(f"No such room: {', '.join(unknown)}. There are: {', '.join(known)}")
        return 2
    lacking = {room: bring_up_to_date(room) for room in names or known}
    for room, texts in lacking.items():
        print(f"{room}: {len(texts)} of {len(texts_of(room))} without Spanish")
        for text in texts:
            print("   ", text.replace("\n", "\\n"))
    return 1 if any(lacking.values()) else 0


start_django()
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
