"""Who is counted: the courses that began, as arrays, in two queries however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import Count, F, QuerySet
from django.utils import timezone

from openketamine.clinic.accounts.models import User

from .models import CourseSummary, ScoreSummary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.int64]
    Mask = NDArray[np.bool_]


# A course counts for the site to which its patient belongs now.
SITE = "course__person__site"


@dataclass(frozen=True)
class Filters:
    """Which courses: an empty value asks nothing. Days are those of the first dose."""

    condition: str = ""
    route: str = ""
    regimen: str = ""
    prescriber: int | None = None
    begun_from: date | None = None
    begun_to: date | None = None
    site: int | None = None

    def narrow(self, rows: QuerySet[Any], prefix: str = "") -> QuerySet[Any]:
        wanted: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("condition", "route", "regimen", "prescriber")
            if getattr(self, name)
        }
        if self.site:
            wanted[SITE] = self.site
        if self.begun_from:
            wanted["first_dose_at__gte"] = _start_of(self.begun_from)
        if self.begun_to:
            wanted["first_dose_at__lt"] = _start_of(self.begun_to + timedelta(days=1))
        return rows.filter(**{prefix + key: value for key, value in wanted.items()})

    def without(self, *names: str) -> Filters:
        """The wider cohort that comes of leaving some of them out."""
        return replace(self, **{name: getattr(Filters(), name) for name in names})

    def wider(self) -> list[Filters]:
        """Every cohort that comes of leaving out one of those that are set."""
        period = ("begun_from", "begun_to")
        singles = [(f.name,) for f in fields(self) if f.name not in period]
        return [
            self.without(*names)
            for names in (*singles, period)
            if any(getattr(self, name) for name in names)
        ]


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


@dataclass(frozen=True)
class Cohort:
    """Courses that began, in columns of shape (n,). Days count from each one's first dose.

    `closed_day` is NaN while a course is open; `followed_days` is how long ago the first dose was.
    """

    ids: tuple[Any, ...]
    followed_days: Floats
    closed_day: Floats
    prescribers: Places  # 0: none
    therapists: Places
    sessions: Places  # in the clinic and at home
    with_effect: Places
    with_moderate: Places
    transfers: Places
    emergencies: Places
    effects: tuple[str, ...]  # JSON, see CourseSummary

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, mask: Mask) -> Cohort:
        """Only some of them."""
        values: dict[str, Any] = {}
        for field in fields(self):
            column = getattr(self, field.name)
            if isinstance(column, tuple):
                values[field.name] = tuple(v for v, keep in zip(column, mask, strict=True) if keep)
            else:
                values[field.name] = column[mask]
        return Cohort(**values)


def load(filters: Filters, now: datetime) -> Cohort:
    """The courses that began. One query."""
    rows = list(
        filters.narrow(CourseSummary.objects.filter(first_dose_at__isnull=False))
        .order_by("first_dose_at", "pk")
        .values_list(
            "pk", "first_dose_at", "closed_at", "prescriber", "therapist",
            F("sessions_given") + F("home_doses"),
            "sessions_with_effect", "sessions_with_moderate", "transfers", "emergencies", "effects",
        )
    )  # fmt: skip
    columns = list(zip(*rows, strict=True)) if rows else [()] * 11
    first = _days(columns[1])

    def whole(column: Iterable[int | None]) -> Places:
        return np.array([value or 0 for value in column], dtype=np.int64)

    return Cohort(
        ids=tuple(columns[0]),
        followed_days=now.timestamp() / 86_400 - first,
        closed_day=_days(columns[2]) - first,
        prescribers=whole(columns[3]),
        therapists=whole(columns[4]),
        sessions=whole(columns[5]),
        with_effect=whole(columns[6]),
        with_moderate=whole(columns[7]),
        transfers=whole(columns[8]),
        emergencies=whole(columns[9]),
        effects=tuple(columns[10]),
    )


def _days(moments: Sequence[datetime | None]) -> Floats:
    return np.array([np.nan if m is None else m.timestamp() / 86_400 for m in moments], np.float64)


@dataclass(frozen=True)
class Scores:
    """The scores of one questionnaire in a cohort of n.

    `baseline` has shape (n,), NaN where there is none. The points and the forms lie one after the
    other, ordered by owner and day; an owner is a place in the cohort.
    """

    baseline: Floats
    owner: Places
    day: Floats
    total: Floats
    asked_owner: Places
    due_day: Floats
    closing_day: Floats
    answered: Mask


def load_scores(filters: Filters, cohort: Cohort, instrument: str) -> Scores:
    """The scores of a cohort. One query."""
    place = {pk: i for i, pk in enumerate(cohort.ids)}
    rows = [
        row
        for row in filters.narrow(
            ScoreSummary.objects.filter(instrument=instrument), "summary__"
        ).values_list("summary_id", "baseline", "points", "asked")
        if row[0] in place
    ]
    baseline = np.full(len(cohort), np.nan)
    owners = np.array([place[row[0]] for row in rows], dtype=np.int64)
    if rows:
        baseline[owners] = [np.nan if row[1] is None else row[1] for row in rows]
    owner, point = _flat(owners, [row[2] for row in rows], 2)
    asked_owner, form = _flat(owners, [row[3] for row in rows], 3)
    return Scores(
        baseline=baseline,
        owner=owner,
        day=point[:, 0],
        total=point[:, 1],
        asked_owner=asked_owner,
        due_day=form[:, 0],
        closing_day=form[:, 1],
        answered=form[:, 2] == 1,
    )


_BRACKETS = str.maketrans("", "", "[]")


def _flat(owners: Places, texts: Sequence[str], width: int) -> tuple[Places, Floats]:
    """Lists of JSON rows in one array, with the owner of each row, by owner and first column.

    The texts are those of the summaries, numbers in brackets and nothing else: read in one piece,
    without a hundred thousand small lists in between.
    """
    lengths = [text.count("[") - 1 for text in texts]
    numbers = ",".join(text for text in texts if text != "[]").translate(_BRACKETS)
    flat = np.fromstring(numbers, sep=",") if numbers else np.zeros(0)
    values = flat.reshape(-1, width)
    owner = np.repeat(owners, lengths) if lengths else np.zeros(0, np.int64)
    order = np.lexsort((values[:, 0], owner))
    return owner[order], values[order]


def answered_instruments(filters: Filters) -> dict[str, int]:
    """In how many courses of a cohort each questionnaire was answered or asked. One query."""
    return dict(
        filters.narrow(
            ScoreSummary.objects.filter(summary__first_dose_at__isnull=False), "summary__"
        )
        .values("instrument")
        .annotate(n=Count("pk"))
        .values_list("instrument", "n")
    )


@dataclass(frozen=True)
class Sizes:
    """How many courses began, by each thing that a cohort can be chosen by."""

    condition: dict[str, int]
    route: dict[str, int]
    regimen: dict[str, int]
    prescriber: dict[int, int]
    year: dict[int, int]
    site: dict[int, int]


def sizes(filters: Filters, *, with_sites: bool = False) -> Sizes:
    """Counts for the choices of each filter, the others as they are chosen.

    Five queries; one more with the sites.
    """

    def counted(name: str, path: str = "") -> dict[Any, int]:
        path = path or name
        return dict(
            filters.without(name)
            .narrow(CourseSummary.objects.filter(first_dose_at__isnull=False))
            .values(path)
            .annotate(n=Count("pk"))
            .values_list(path, "n")
        )

    years = (
        filters.without("begun_from", "begun_to")
        .narrow(CourseSummary.objects.filter(first_dose_at__isnull=False))
        .values("first_dose_at__year")
        .annotate(n=Count("pk"))
        .values_list("first_dose_at__year", "n")
    )
    return Sizes(
        **{name: counted(name) for name in ("condition", "route", "regimen", "prescriber")},
        year=dict(years),
        site=counted("site", SITE) if with_sites else {},
    )


def size(filters: Filters) -> int:
    """How many courses began. One query."""
    return filters.narrow(CourseSummary.objects.filter(first_dose_at__isnull=False)).count()


def sites_of(filters: Filters, cohort: Cohort) -> Places:
    """The site of each course of a cohort, shape (n,). One query."""
    rows = filters.narrow(CourseSummary.objects.filter(first_dose_at__isnull=False))
    site = dict(rows.values_list("pk", SITE))
    return np.array([site.get(pk, 0) for pk in cohort.ids], dtype=np.int64)


def names_of(users: Iterable[int]) -> dict[int, str]:
    """One query."""
    return {user.pk: str(user) for user in User.objects.filter(pk__in=[u for u in users if u])}
