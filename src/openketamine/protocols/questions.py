"""What is asked of the published results: claims traced to their studies, rows of a forest plot.

A question names its rows in `evidence`; no figure is written twice. Everything is checked when it
is loaded: a row that is not there, or that is there twice, is a mistake of the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import Field, model_validator

from openketamine.words import _noop

from . import evidence
from .evidence import Caveat, Interval, Result
from .schema import Route, Strict

LANGUAGES = ("en", "es")


class Figure(Strict):
    """One row of the published results, with the arm that it is held against.

    `difference`: in points with its 95 % interval, as published. `pick`: which of two forms of the
    same figure is meant, where both were published.
    """

    trial: str
    arm: str
    instrument: str
    endpoint: evidence.Endpoint
    time_h: float | None = None
    control: str | None = None
    difference: tuple[float, float, float] | None = None
    pick: Literal["rounded"] | None = None

    @cached_property
    def result(self) -> Result:
        return self._find(self.arm)

    @cached_property
    def control_result(self) -> Result | None:
        return self._find(self.control) if self.control else None

    def _find(self, arm: str) -> Result:
        found = [
            row
            for row in evidence.results()
            if (row.trial, row.arm, row.instrument, row.endpoint, row.time_h)
            == (self.trial, arm, self.instrument, self.endpoint, self.time_h)
        ]
        if self.pick == "rounded":
            found = [row for row in found if row.certainty == "verified"]
        if len(found) != 1:
            raise ValueError(
                f"{len(found)} published results match {self.trial!r}, {arm!r}, "
                f"{self.instrument!r}, {self.endpoint}, {self.time_h}"
            )
        return found[0]

    @cached_property
    def gain(self) -> Interval | None:
        """The difference from the control in points: as published, or by Newcombe's method.

        None without a control, or where the numbers of people are unknown.
        """
        if self.difference:
            return Interval(self.difference[1], self.difference[2], "published")
        one, other = self.result, self.control_result
        if one.unit != "percent" or other is None or not (one.n_arm and other.n_arm):
            return None
        assert one.value is not None
        assert other.value is not None
        low, high = newcombe(one.value / 100, one.n_arm, other.value / 100, other.n_arm)
        return Interval(100 * low, 100 * high, _noop("Newcombe, from n"))

    @property
    def gain_points(self) -> float | None:
        """By how many points the arm differs from its control."""
        if self.difference:
            return self.difference[0]
        other = self.control_result
        if other is None or self.result.value is None or other.value is None:
            return None
        return round(self.result.value - other.value, 1)

    @property
    def study(self) -> str:
        """The study's name with its year."""
        year = self.result.year
        return self.trial if year is None or str(year) in self.trial else f"{self.trial}, {year}"

    @property
    def certainty(self) -> str:
        """The weaker of the two arms'."""
        rows = [row for row in (self.result, self.control_result) if row]
        return "recalled" if any(row.certainty == "recalled" for row in rows) else "verified"

    @model_validator(mode="after")
    def _is_there(self) -> Figure:
        value, other = self.result.value, self.control_result
        if other and not other.is_control:
            raise ValueError(f"{self.control!r} of {self.trial!r} is no control arm")
        if self.difference:
            points, low, high = self.difference
            if value is None or other is None or other.value is None or not low <= points <= high:
                raise ValueError("a difference needs its control, and lies in its interval")
            if abs(value - other.value - points) > 0.15:
                raise ValueError(f"{value} - {other.value} is not {points}")
        return self


def newcombe(share: float, n: int, other_share: float, other_n: int) -> tuple[float, float]:
    """The 95 % interval of a difference of two proportions (Newcombe 1998, method 10).

    Args:
        share, other_share: 0 to 1.

    Returns:
        (low, high) of `share - other_share`, each from -1 to 1.
    """
    low, high = evidence.wilson(share * n, n)
    other_low, other_high = evidence.wilson(other_share * other_n, other_n)
    difference = share - other_share
    return (
        difference - math.hypot(share - low, other_high - other_share),
        difference + math.hypot(high - share, other_share - other_low),
    )


class Traced(Strict):
    """A study from which a claim may come: which part of it fits, and its limits."""

    figure: Figure
    fits: str
    limits: tuple[str, ...] = Field(min_length=1)


class Row(Figure):
    """One line of a forest plot: the study's short name, and what the figure says."""

    label: str
    says: str


class Group(Strict):
    title: str
    rows: tuple[Row, ...] = Field(min_length=1)


class Question(Strict):
    """A question with the claim that raised it, the studies behind it and those beside it."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    claim: str
    answer: str
    traced: tuple[Traced, ...] = Field(min_length=1)
    groups: tuple[Group, ...] = Field(min_length=1)
    differ: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for group in self.groups for row in group.rows)

    @property
    def beside(self) -> tuple[Caveat, ...]:
        """The caveats that belong beside every comparison of these results."""
        return tuple(caveat for caveat in evidence.CAVEATS if caveat.id in self.caveats)

    @model_validator(mode="after")
    def _known(self) -> Question:
        known = {caveat.id for caveat in evidence.CAVEATS}
        if strange := sorted(set(self.caveats) - known):
            raise ValueError(f"there is no caveat {strange[0]!r}")
        if bad := [row.label for row in self.rows if row.result.unit != "percent"]:
            raise ValueError(f"{bad[0]!r} is no percentage and has no place on this axis")
        return self


class Headline(Strict):
    """A result that is shown for a route and a condition, and how it is said to a patient."""

    id: str
    routes: tuple[Route, ...] = Field(min_length=1)
    conditions: tuple[str, ...]
    near: tuple[str, ...] = ()
    figure: Figure
    said: Mapping[str, str]

    def in_words(self, language: str) -> str:
        """The sentence for a patient, its figures filled in."""
        one, other = self.figure.result, self.figure.control_result
        return self.said[language if language in self.said else "en"].format(
            value=_whole(one),
            control=_whole(other) if other else "",
            n=one.n_arm,
            n_control=other.n_arm if other else "",
        )

    @model_validator(mode="after")
    def _said_in_full(self) -> Headline:
        if missing := [code for code in LANGUAGES if code not in self.said]:
            raise ValueError(f"{self.id} is not said in {missing[0]!r}")
        for language in LANGUAGES:
            if "None" in self.in_words(language):
                raise ValueError(f"{self.id} speaks of a figure that was not published")
        return self


def _whole(result: Result) -> str:
    return "" if result.value is None else f"{abs(result.value):.0f}"


class QuestionsFile(Strict):
    reviewed_on: date
    questions: tuple[Question, ...]
    headlines: tuple[Headline, ...]


class PlainWords(Strict):
    """The printed sheet of the routes in a patient's words, by language."""

    reviewed_on: date
    labels: dict[str, dict[str, str]]
    routes: dict[Route, dict[str, str]]
    conditions: dict[str, dict[str, str]]
    cover: dict[str, dict[str, str]]
    status: dict[str, dict[str, str]]

    @model_validator(mode="after")
    def _in_every_language(self) -> PlainWords:
        english = self.labels["en"].keys()
        if wrong := [code for code in LANGUAGES if self.labels.get(code, {}).keys() != english]:
            raise ValueError(f"the labels in {wrong[0]!r} are not those in English")
        for group in (self.routes, self.conditions, self.cover, self.status):
            for name, words in group.items():
                if missing := [code for code in LANGUAGES if code not in words]:
                    raise ValueError(f"{name} is not said in {missing[0]!r}")
        return self


def _published(name: str) -> object:
    path = files("openketamine.protocols") / "published" / name
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def plain_words() -> PlainWords:
    """The sheet's words.

    Raises:
        pydantic.ValidationError: something is not said in every language.
    """
    return PlainWords.model_validate(_published("plain.yaml"))


@cache
def load() -> QuestionsFile:
    """The questions and headlines of the package.

    Raises:
        pydantic.ValidationError: the file names a result that is not there.
    """
    return QuestionsFile.model_validate(_published("questions.yaml"))


def question(question_id: str) -> Question:
    """One question.

    Raises:
        KeyError: there is none of that id.
    """
    for each in load().questions:
        if each.id == question_id:
            return each
    raise KeyError(question_id)


def headlines(route: str, condition: str) -> list[tuple[Headline, bool]]:
    """What was published for a route in a condition; True where it was only in one close to it."""
    found = [
        (each, condition not in each.conditions)
        for each in load().headlines
        if route in each.routes and condition in (*each.conditions, *each.near)
    ]
    return sorted(found, key=lambda pair: pair[1])
