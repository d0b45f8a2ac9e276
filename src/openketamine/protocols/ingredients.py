"""Medicines by ingredient: from a name as a list writes it to what it holds.

"Acetaminophen 325 MG / Oxycodone Hydrochloride 10 MG Oral Tablet", "Percocet" and "oxycodone 10 mg
every 6 hours" all hold oxycodone. What is left over when every known word is taken away is shown to
a person: a name that is not known never passes.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .library import Library, words_of

_LONGEST_NAME = 4  # words
_APPLICATION = re.compile(r"a?nda\d+")  # "NDA020800", which some records put before the name


@dataclass(frozen=True)
class Recognised:
    """What a written name holds.

    `ingredients` in the order of the name; `classes` of all of them; `unknown` the words that name
    nothing known. A name in which no ingredient was found is `unknown` as a whole.
    """

    text: str
    ingredients: tuple[str, ...]
    classes: frozenset[str]
    unknown: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every word was understood and at least one ingredient found."""
        return bool(self.ingredients) and not self.unknown


def recognise(library: Library, text: str) -> Recognised:
    """The ingredients of one medicine, by its name as written.

    The name of a salt counts as a medicine only where nothing else does: the calcium of
    "atorvastatin calcium" is none, "calcium 500 mg" is.
    """
    file = library.ingredients
    words = words_of(text)
    found, unknown = _match(library, words, passing={*file.salts, *file.not_names})
    if not found and not unknown:
        found, unknown = _match(library, words, passing=set(file.not_names))
        unknown = tuple(word for word in unknown if word not in file.salts)
    if not found:
        unknown = unknown or (text.strip(),)
    of = {item.name: item.classes for item in file.ingredients}
    named = {name for ingredient in found for name in of[ingredient]}
    classes = frozenset(
        item.id
        for item in file.classes
        if item.id in named and (not item.only_if or not set(item.only_if).isdisjoint(words))
    )
    return Recognised(text, found, classes, unknown)


def _match(
    library: Library, words: tuple[str, ...], *, passing: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Known names, the longest first; and the words that are neither known nor to be passed."""
    found: dict[str, None] = {}
    unknown: list[str] = []
    names, at = library.medicine_names, 0
    while at < len(words):
        for length in range(min(_LONGEST_NAME, len(words) - at), 0, -1):
            name = words[at : at + length]
            held = names.get(name)
            if held and not (length == 1 and name[0] in passing):
                found.update(dict.fromkeys(held))
                at += length
                break
        else:
            word = words[at]
            if word not in passing and not _APPLICATION.fullmatch(word):
                unknown.append(word)
            at += 1
    return tuple(found), tuple(unknown)


def facts_of(library: Library, recognised: Iterable[Recognised]) -> dict[str, str]:
    """The facts that these medicines state, each with the first medicine that states it."""
    stated: dict[str, str] = {}
    for medicine in recognised:
        for item in library.ingredients.classes:
            if item.id in medicine.classes:
                for fact in item.facts:
                    stated.setdefault(fact, medicine.text)
    return stated
