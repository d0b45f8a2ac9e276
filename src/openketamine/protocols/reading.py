"""How hard a text is to read: the Flesch-Kincaid grade of US schools.

Kincaid JP, Fishburne RP, Rogers RL, Chissom BS. Derivation of new readability formulas for Navy
enlisted personnel. Research Branch Report 8-75, 1975. Syllables are counted by rule, not from a
dictionary, so a grade is good to about one school year.

For Spanish, the ease of Szigriszt-Pazos as the INFLESZ scale reads it: Szigriszt Pazos F, Sistemas
predictivos de legibilidad del mensaje escrito, Madrid 1993; Barrio-Cantalejo IM and others, An Sist
Sanit Navar 2008;31:135-152. Below 40 very hard, 40 to 55 somewhat hard, 55 to 65 normal, 65 to 80
quite easy, above 80 very easy. Formula and bands verified (secondary), on a page about legibility.
"""

import re
from collections.abc import Iterable

_WORD = re.compile(r"[a-z]+(?:['’][a-z]+)?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?]+(?:\s|$)")
_VOWELS = re.compile(r"[aeiouy]+")
# Neighbouring vowels of two syllables: anxiety, idea, area, video, suicide, being, manual, period;
# but nation, special, region and people have one there.
_TWO_SOUNDS = re.compile(r"(?<![tcsgx])i[ao](?!u)|xie|ea$|(?<!p)eo(?!u)|(?<!q)ui(?=c)|eing|[^qg]ua")


def syllables(word: str) -> int:
    """Syllables of an English word: groups of vowels, less a silent ending."""
    letters = re.sub(r"[^a-z]", "", word.lower())
    count = len(_VOWELS.findall(letters))
    silent_e = letters.endswith("e") and not re.search(r"[^aeiouy]le$|[aeiouy]e$", letters)
    silent_es = re.search(r"[^aeiouytd]ed$|[^aeiouysxzgc]es$", letters) is not None
    if (silent_e or silent_es) and count > 1:
        count -= 1
    count += len(_TWO_SOUNDS.findall(letters))
    return max(count, 1)


def _taken_apart(sentences: Iterable[str], word: re.Pattern[str]) -> tuple[list[str], int]:
    """The words of a text, and how many sentences they make."""
    words: list[str] = []
    ends = 0
    for part in sentences:
        found = word.findall(part)
        words += found
        ends += max(len(_SENTENCE_END.findall(part.rstrip() + ".")), 1) if found else 0
    if not words:
        raise ValueError("a text without words has no reading level")
    return words, ends


def grade(sentences: Iterable[str]) -> float:
    """The school grade at which a text is read with ease.

    Args:
        sentences: the text; each part ends a sentence even without a full stop.

    Raises:
        ValueError: the text has no words.
    """
    words, ends = _taken_apart(sentences, _WORD)
    count = sum(syllables(word) for word in words)
    return 0.39 * len(words) / ends + 11.8 * count / len(words) - 15.59


_SPANISH_WORD = re.compile(r"[a-záéíóúüñ]+", re.IGNORECASE)
# One sound each: a vowel with a weak one beside it, or a vowel alone; an accented weak one alone.
_SPANISH_SOUND = re.compile(r"(?:[iuü](?=[aeoáéó]))?[aeoáéó](?:[iuy](?![aeoáéó]))?|[íú]|[iuüy]+")


def spanish_syllables(word: str) -> int:
    """Syllables of a Spanish word: its sounds, by the rules of diphthong and hiatus."""
    letters = re.sub(r"(?<=[qg])u(?=[eiéí])", "", word.lower())
    letters = re.sub(r"y(?=[aeiouáéíóú])", "j", letters)  # a consonant there: a-yu-da
    return max(len(_SPANISH_SOUND.findall(letters)), 1)


def spanish_ease(sentences: Iterable[str]) -> float:
    """How easily a Spanish text is read, by Szigriszt-Pazos: higher is easier.

    Args:
        sentences: the text; each part ends a sentence even without a full stop.

    Raises:
        ValueError: the text has no words.
    """
    words, ends = _taken_apart(sentences, _SPANISH_WORD)
    count = sum(spanish_syllables(word) for word in words)
    return 206.835 - 62.3 * count / len(words) - len(words) / ends
