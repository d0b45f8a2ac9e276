"""The clinic's outcomes as tables to take elsewhere: CSV or Parquet, with their dictionary.

Two kinds. The clinic's own export has dates and keys, and is health data of identifiable people.
The registry extract is de-identified by the method that US law calls Safe Harbor (45 CFR
164.514(b)(2)): no names, numbers, dates but the year, places, or free text; ages over 89 are one;
people and clinicians stand under keyed pseudonyms that only this installation can make.
"""

import csv
import hashlib
import hmac
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from openketamine import __version__
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record

from . import summaries
from .cohort import Filters
from .models import CourseSummary, ScoreSummary

Kind = Literal["registry", "clinic"]
Format = Literal["csv", "parquet"]
# In English, as all of an export is; translated where a page shows them.
KINDS: dict[str, str] = {
    "registry": gettext_noop("De-identified registry extract"),
    "clinic": gettext_noop("The clinic's own export, with dates and keys"),
}
FORMATS: dict[str, str] = {"csv": "CSV", "parquet": "Parquet"}
OLDEST = 90  # everybody of 90 and more is 90


@dataclass(frozen=True)
class Column:
    """One column of a table: what the dictionary says of it, and how a value comes about."""

    name: str
    type: Literal["text", "integer", "number", "date and time"]
    unit: str
    about: str
    value: Callable[[Any, "_Keys"], Any]


class _Keys:
    """Pseudonyms: the same person has the same one in every extract of this installation.

    Made with a key of its own from the installation's secret and from a random identifier, not
    from anything that is known of the person; it cannot be undone without the key.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._key = hmac.digest(
            settings.SECRET_KEY.encode(), b"openketamine.outcomes.registry.1", "sha256"
        )

    def __call__(self, what: str, identifier: object) -> str:
        if identifier is None:
            return ""
        if self.kind == "clinic":
            return str(identifier)
        digest = hmac.digest(self._key, f"{what}:{identifier}".encode(), "sha256")
        return digest.hex()[:20]


def _age(summary: CourseSummary, keys: _Keys) -> int | None:
    age = summary.age_years
    return age if age is None or keys.kind == "clinic" else min(age, OLDEST)


def _moment(name: str) -> Callable[[CourseSummary, _Keys], str]:
    def value(summary: CourseSummary, keys: _Keys) -> str:
        moment: datetime | None = getattr(summary, name)
        return moment.isoformat(timespec="seconds") if moment else ""

    return value


def _closed_day(summary: CourseSummary, keys: _Keys) -> float | None:
    if summary.closed_at is None or summary.first_dose_at is None:
        return None
    return round((summary.closed_at - summary.first_dose_at).total_seconds() / 86_400, 1)


def _last_day(summary: CourseSummary, keys: _Keys) -> float | None:
    if summary.last_dose_at is None or summary.first_dose_at is None:
        return None
    return round((summary.last_dose_at - summary.first_dose_at).total_seconds() / 86_400, 1)


def _plain(name: str) -> Callable[[Any, _Keys], Any]:
    return lambda summary, keys: getattr(summary, name)


_COURSE_KEY = Column(
    "course", "text", "", "Key of the course, the same in every table",
    lambda s, k: k("course", s.pk),
)  # fmt: skip
_PERSON_KEY = Column(
    "person", "text", "", "Key of the person, the same in all of the person's courses",
    lambda s, k: k("person", s.course.person_id),
)  # fmt: skip
_COURSES = (
    _COURSE_KEY,
    _PERSON_KEY,
    Column("condition", "text", "", "Condition, as the protocols call it", _plain("condition")),
    Column("route", "text", "", "Route, as the protocols call it", _plain("route")),
    Column("regimen", "text", "", "Regimen of the last plan; empty: never planned",
           _plain("regimen")),
    Column("sex", "text", "", "Administrative sex: female, male, other, unknown", _plain("sex")),
    Column("age_years", "integer", "years", "Age at the first dose; in the registry extract 90 "
           "stands for 90 and more", _age),
    Column("first_dose_year", "integer", "", "Year of the first dose",
           lambda s, k: s.first_dose_at.year),
    Column("prescriber", "text", "", "Key of the prescriber; empty: nobody named",
           lambda s, k: k("user", s.prescriber_id)),
    Column("therapist", "text", "", "Key of the therapist; empty: none",
           lambda s, k: k("user", s.therapist_id)),
    Column("sessions_planned", "integer", "sessions", "Planned and not cancelled",
           _plain("sessions_planned")),
    Column("sessions_given", "integer", "sessions", "In the clinic, ended with the drug given",
           _plain("sessions_given")),
    Column("home_doses", "integer", "doses", "Taken at home, ended with the last call",
           _plain("home_doses")),
    Column("last_dose_day", "number", "days", "From the first dose to the last one so far",
           _last_day),
    Column("closed_day", "number", "days", "From the first dose to the end of the course; empty: "
           "open", _closed_day),
    Column("sessions_with_side_effect", "integer", "sessions", "With one noted, of any degree",
           _plain("sessions_with_effect")),
    Column("sessions_with_moderate", "integer", "sessions", "With a moderate or severe one noted",
           _plain("sessions_with_moderate")),
    Column("transfers", "integer", "sessions", "Ended with a transfer to a hospital",
           _plain("transfers")),
    Column("emergencies", "integer", "sessions", "In which an emergency was called, or "
           "its sign told from home",
           _plain("emergencies")),
)  # fmt: skip
_DATED = (
    Column("first_dose_at", "date and time", "", "First dose", _moment("first_dose_at")),
    Column("last_dose_at", "date and time", "", "Last dose so far", _moment("last_dose_at")),
    Column("closed_at", "date and time", "", "End of the course; empty: open",
           _moment("closed_at")),
)  # fmt: skip


@dataclass(frozen=True)
class _Score:
    pk: UUID
    instrument: str
    when: str
    day: float | None
    total: float


_SCORES = (
    _COURSE_KEY,
    Column("instrument", "text", "", "Questionnaire, as the protocols call it",
           _plain("instrument")),
    Column("when", "text", "", "before: the last score before the first dose; after: a later one "
           "within the questionnaire's window", _plain("when")),
    Column("day", "number", "days", "From the first dose, in tenths; empty before it",
           lambda s, k: None if s.day is None else round(s.day, 1)),
    Column("total", "number", "points", "Total of the questionnaire", _plain("total")),
)  # fmt: skip


@dataclass(frozen=True)
class _Form:
    pk: UUID
    instrument: str
    due_day: float
    closing_day: float
    answered: int


_FORMS = (
    _COURSE_KEY,
    Column("instrument", "text", "", "Questionnaire, as the protocols call it",
           _plain("instrument")),
    Column("due_day", "number", "days", "From the first dose to when it fell due",
           lambda s, k: round(s.due_day, 1)),
    Column("closing_day", "number", "days", "From the first dose to when it closed",
           lambda s, k: round(s.closing_day, 1)),
    Column("answered", "integer", "", "1 if it was answered, 0 if not", _plain("answered")),
)  # fmt: skip


@dataclass(frozen=True)
class _Effect:
    pk: UUID
    effect: str
    mild: int
    moderate: int
    severe: int


_EFFECTS = (
    _COURSE_KEY,
    Column("effect", "text", "", "Side effect, as the session's list calls it", _plain("effect")),
    *(
        Column(degree, "integer", "sessions", f"Sessions in which it was {degree} at its worst",
               _plain(degree))
        for degree in summaries.DEGREES
    ),
)  # fmt: skip


def tables(kind: Kind) -> dict[str, tuple[Column, ...]]:
    """The tables of an export and their columns."""
    dated = _DATED if kind == "clinic" else ()
    return {
        "courses": _COURSES + dated,
        "scores": _SCORES,
        "forms": _FORMS,
        "side_effects": _EFFECTS,
    }


def dictionary(kind: Kind) -> list[dict[str, str]]:
    """What every column means."""
    return [
        {
            "table": table,
            "column": column.name,
            "type": column.type,
            "unit": column.unit,
            "about": column.about,
        }
        for table, columns in tables(kind).items()
        for column in columns
    ]


@dataclass(frozen=True)
class Export:
    """A finished export: one ZIP archive in memory."""

    name: str
    content: bytes
    rows: dict[str, int]
    digest: str
    smallest_group: int


@transaction.atomic
def export(actor: User | str, *, kind: str, file_format: str, filters: Filters) -> Export:
    """Make an export of the courses that have begun, and write down who took what.

    Args:
        actor: a director for either kind; a researcher for the registry extract; or a program.

    Raises:
        Refused: an unknown kind or format, a kind that is not the actor's to take, nothing to take,
            or Parquet without its library.
    """
    if kind not in KINDS:
        raise Refused(
            _("There is no export %(kind)s: one of %(kinds)s.")
            % {"kind": repr(kind), "kinds": ", ".join(KINDS)},
            field="kind",
        )
    if file_format not in FORMATS:
        raise Refused(
            _("There is no format %(format)s: one of csv, parquet.")
            % {"format": repr(file_format)},
            field="format",
        )
    if isinstance(actor, User):
        allowed = {Role.DIRECTOR} if kind == "clinic" else {Role.DIRECTOR, Role.RESEARCHER}
        if actor.role not in allowed:
            raise Refused(
                _("Only the medical director takes data with dates and keys."), field="kind"
            )
    made_at = clock.now()
    rows = _rows(filters)
    if not rows["courses"]:
        raise Refused(_("No course of this kind has begun: there is nothing to take."))
    keys = _Keys(kind)  # type: ignore[arg-type]
    archive, counts = io.BytesIO(), {}
    smallest = _smallest_group(rows["courses"])
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        for table, columns in tables(kind).items():  # type: ignore[arg-type]
            records = [
                {column.name: column.value(row, keys) for column in columns} for row in rows[table]
            ]
            records.sort(key=lambda each: tuple(str(each[c.name]) for c in columns[:3]))
            counts[table] = len(records)
            content = (
                _as_csv(columns, records) if file_format == "csv" else _as_parquet(columns, records)
            )
            _write(files, f"{table}.{file_format}", content)
        words = dictionary(kind)  # type: ignore[arg-type]
        _write(files, "dictionary.csv", _lines(list(words[0]), words))
        _write(
            files,
            "about.json",
            json.dumps(
                {
                    "what": KINDS[kind],
                    "software": f"OpenKetamine {__version__}",
                    "protocols": library().version,
                    # The day of an export is none of a patient's days.
                    "made_at": made_at.isoformat(timespec="seconds"),
                    "rows": counts,
                    "chosen": {k: str(v) for k, v in asdict(filters).items() if v},
                    "smallest_group": smallest,
                    "smallest_group_is": "the fewest people who share condition, route, sex, age "
                    "in tens and year",
                },
                indent=2,
            ).encode(),
        )
    content = archive.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    record.append(
        actor,
        "clinic",
        "outcomes.exported",
        {
            "kind": kind,
            "format": file_format,
            "chosen": {k: str(v) for k, v in asdict(filters).items() if v},
            "rows": counts,
            "sha256": digest,
        },
    )
    name = f"openketamine-{kind}-{made_at:%Y%m%d-%H%M%S}-{file_format}.zip"
    return Export(name, content, counts, digest, smallest)


def _rows(filters: Filters) -> dict[str, list[Any]]:
    """Two queries."""
    begun = filters.narrow(CourseSummary.objects.filter(first_dose_at__isnull=False))
    courses = list(begun.select_related("course").order_by("pk"))
    scores: list[_Score] = []
    forms: list[_Form] = []
    effects: list[_Effect] = []
    for pk, instrument, baseline, points, asked in (
        filters.narrow(
            ScoreSummary.objects.filter(summary__first_dose_at__isnull=False), "summary__"
        )
        .order_by("summary", "instrument")
        .values_list("summary", "instrument", "baseline", "points", "asked")
    ):
        if baseline is not None:
            scores.append(_Score(pk, instrument, "before", None, baseline))
        scores += [_Score(pk, instrument, "after", day, total) for day, total in json.loads(points)]
        forms += [_Form(pk, instrument, *form) for form in json.loads(asked)]
    for course in courses:
        for effect, counts in json.loads(course.effects).items():
            effects.append(_Effect(course.pk, effect, *counts))
    return {"courses": courses, "scores": scores, "forms": forms, "side_effects": effects}


def _smallest_group(courses: Iterable[CourseSummary]) -> int:
    """Of people who share what somebody might know of them."""
    groups = Counter(
        (
            course.condition,
            course.route,
            course.sex,
            None if course.age_years is None else min(course.age_years, OLDEST) // 10,
            course.first_dose_at and course.first_dose_at.year,
        )
        for course in courses
    )
    return min(groups.values(), default=0)


def _write(files: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A fixed time, so that the same data make the same archive.
    files.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def _as_csv(columns: Sequence[Column], records: Sequence[dict[str, Any]]) -> bytes:
    return _lines([column.name for column in columns], records)


def _lines(names: Sequence[str], records: Iterable[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_safe(records))
    return text.getvalue().encode()


def _safe(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A spreadsheet takes text that begins so for a formula."""
    for each in records:
        yield {
            name: f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t" else value
            for name, value in each.items()
        }


def _as_parquet(columns: Sequence[Column], records: Sequence[dict[str, Any]]) -> bytes:
    try:
        import pandas as pd
        from fastparquet import write
    except ImportError as error:
        raise Refused(
            _(
                "Parquet needs pandas and fastparquet, which are not installed here: "
                "pip install 'openketamine[statistics]'. CSV needs neither."
            ),
            field="format",
        ) from error
    kinds = {"integer": "Int64", "number": "float64"}
    frame = pd.DataFrame(
        {
            column.name: pd.Series(
                [record[column.name] for record in records], dtype=kinds.get(column.type, "object")
            )
            for column in columns
        }
    )
    kept = _KeptOpen()
    write(
        "table.parquet",
        frame,
        open_with=lambda name, mode: kept,
        compression="GZIP",
        object_encoding="utf8",
        write_index=False,
    )
    return kept.getvalue()


class _KeptOpen(io.BytesIO):
    """A file in memory that outlives its closing by the library."""

    def close(self) -> None:
        pass
