"""Courses of earlier years, simulated in bulk by a seed, for the outcomes pages.

Everybody is invented and shows it by the name. Rows are written many at a time; the record gets an
event for each fact, marked as imported, so that its chain and every page that folds it hold. The
same seed, number and moment give the same courses.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.db import transaction

from openketamine import protocols
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people.models import Course, Measurement, Person, Stage
from openketamine.clinic.people.services import next_mrn
from openketamine.clinic.plans.models import GivenAs, Plan, PlannedSession
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.policy.queries import library, stamp
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source
from openketamine.clinic.sessions.models import Chair, Phase, Session

ACTOR = "simulation"
CHUNK = 200
_GIVEN = ("Alba", "Bruno", "Chloe", "Dario", "Edda", "Franz", "Gina", "Henri", "Ida", "Jens")


@dataclass(frozen=True)
class _Kind:
    """A kind of course, and how people fare in it."""

    share: float
    condition: str
    route: str
    regimen: str
    days: tuple[int, ...]  # of the sessions, from the first
    instrument: str
    highest: int
    baseline: tuple[float, float]  # mean and spread of the total before treatment
    improvement: tuple[float, float]  # of the share that goes, after the last session


_SIX = (0, 3, 7, 10, 14, 17)
KINDS = (
    _Kind(0.62, "TRD", "IV", "iv-depression", _SIX, "phq9", 24, (18, 3.2), (0.50, 0.30)),
    _Kind(0.16, "TRD", "IM", "im-depression", _SIX, "phq9", 24, (17.5, 3.2), (0.45, 0.30)),
    _Kind(0.12, "PTSD", "IV", "ptsd-series", _SIX, "pcl5", 76, (48, 9), (0.30, 0.24)),
    _Kind(0.10, "PAIN", "IV", "pain-iv", (0, 14, 28), "peg", 10, (7, 1.1), (0.25, 0.22)),
)
# Of a session: how often each side effect is noted, and how often it is more than mild.
_EFFECTS = (
    ("dissociation", 0.09, 0.25),
    ("dizziness", 0.07, 0.15),
    ("nausea", 0.06, 0.22),
    ("sedation", 0.05, 0.12),
    ("anxiety", 0.03, 0.35),
    ("headache", 0.04, 0.20),
    ("vomiting", 0.02, 0.60),
    ("blurred_vision", 0.02, 0.10),
)
_FOLLOWED_DAYS = (28, 42, 56, 84, 112, 140, 182)


@dataclass
class _Rows:
    """Everything that one chunk writes."""

    people: list[Person] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    planned: list[PlannedSession] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    responses: list[InstrumentResponse] = field(default_factory=list)
    forms: list[FormRequest] = field(default_factory=list)
    entries: list[Callable[[], record.Entry]] = field(default_factory=list)


class Simulation:
    """Writes courses that were begun and ended in the years before a moment.

    Args:
        until: the latest first dose lies 60 days before it.
        years: how far back the first one lies.
    """

    def __init__(self, seed: int, *, until: datetime, years: float = 2.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed, self.until, self.years = seed, until, years

    def run(self, number: int, report: Callable[[int], None] = lambda done: None) -> None:
        """Simulate so many courses. A policy must be signed.

        Raises:
            LookupError: there is no signed policy, under which a session could have been opened.
        """
        approval = Approval.objects.order_by("-pk").first()
        if approval is None:
            raise LookupError("Sign the policy first: every session is opened under one.")
        self.approval, self.library = approval, library()
        self.stamp = stamp(approval.pk)
        self.chair, _ = Chair.objects.get_or_create(name="Earlier years", defaults={"position": 90})
        self.prescribers = self._staff(Role.PRESCRIBER, 9, "MD")
        self.therapists = self._staff(Role.THERAPIST, 4, "LCSW")
        self.nurse = self._staff(Role.NURSE, 1, "RN")[0]
        self.next_mrn = int(next_mrn())
        for start in range(0, number, CHUNK):
            rows = _Rows()
            for i in range(start, min(start + CHUNK, number)):
                self._course(rows, i)
            self._write(rows)
            report(min(start + CHUNK, number))

    def _staff(self, role: Role, number: int, credentials: str) -> list[User]:
        """People who no longer work here: their accounts are shut and have no password."""
        found = []
        for i in range(1, number + 1):
            username = f"former-{role.value}-{i}"
            user = User.objects.filter(username=username).first()
            if user is None:
                user = User(
                    username=username,
                    role=role,
                    display_name=f"{role.name.capitalize()} Formerly {i}",
                    credentials=credentials,
                    is_active=False,
                )
                user.set_unusable_password()
                user.save()
            found.append(user)
        return found

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(bytes=self.rng.bytes(16), version=4)

    def _course(self, rows: _Rows, i: int) -> None:
        rng = self.rng
        kind = KINDS[int(rng.choice(len(KINDS), p=[k.share for k in KINDS]))]
        back_days = 60 + float(rng.uniform(0, 365 * self.years - 60))
        first = (self.until - timedelta(days=back_days)).replace(
            hour=9 + int(rng.integers(0, 7)),
            minute=int(rng.integers(0, 60)),
            second=0,
            microsecond=0,
        )
        age = int(np.clip(rng.normal(44, 14), 18, 94))
        person = Person(
            id=self._uuid(),
            mrn=f"{self.next_mrn:04d}",
            given_name=_GIVEN[i % len(_GIVEN)],
            family_name=f"Simulated {i + 1}",
            birth_date=date(first.year - age, 1 + i % 12, 1 + i % 28),
            sex="female" if rng.random() < 0.58 else "male",
            source_system="urn:openketamine:simulation",
            source_id=f"simulated-{self.seed}-{i + 1}",
            created_at=first - timedelta(days=21),
        )
        self.next_mrn += 1
        which = int(rng.integers(len(self.prescribers)))
        left_after = len(kind.days)
        if rng.random() < 0.13:
            left_after = int(rng.integers(1, len(kind.days)))
        # All are over: nothing of them waits on anybody's list.
        last_day = kind.days[left_after - 1]
        stayed_days = 20 if left_after < len(kind.days) else 200
        closed_at = min(
            first + timedelta(days=last_day + stayed_days), self.until - timedelta(days=1)
        )
        course = Course(
            id=self._uuid(),
            person=person,
            condition=kind.condition,
            route=kind.route,
            stage=Stage.CLOSED,
            prescriber=self.prescribers[which],
            therapist=self.therapists[int(rng.integers(len(self.therapists)))],
            opened_at=first - timedelta(days=21),
            closed_at=closed_at,
        )
        rows.people.append(person)
        rows.courses.append(course)
        weight = round(float(np.clip(rng.normal(80, 15), 45, 140)), 1)
        rows.measurements.append(
            Measurement(
                person=person, source_key="simulated", kind="weight_kg", value=weight,
                taken_at=first - timedelta(days=10),
            )
        )  # fmt: skip
        self._tell(
            rows, person.stream, "person.referred", {"origin": ACTOR, "changes": {}}, person.id,
            first - timedelta(days=21),
        )  # fmt: skip
        plan = self._plan(course, kind, weight, first)
        rows.plans.append(plan)
        # The second prescriber's people fare a little worse here, so that a funnel has something
        # to show; nobody real is meant.
        worse = 0.16 if which == 1 else 0.0
        for number, day in enumerate(kind.days, 1):
            at = first + timedelta(days=day)
            planned = PlannedSession(
                id=self._uuid(), plan=plan, course=course, person=person, number=number,
                planned_for=at,
            )  # fmt: skip
            rows.planned.append(planned)
            if number > left_after:
                planned.cancelled_at, planned.cancel_reason = closed_at, "Course ended early"
                continue
            planned.started_at, planned.done_at = at, at + timedelta(minutes=115)
            self._session(rows, planned, plan, at)
        self._scores(rows, course, kind, first, left_after, worse)

    def _plan(self, course: Course, kind: _Kind, weight_kg: float, first: datetime) -> Plan:
        pumped = kind.route == "IV"
        dose_mg = round(0.5 * weight_kg)
        concentration = 10.0 if pumped else 50.0
        return Plan(
            course=course,
            version=1,
            regimen=kind.regimen,
            route=kind.route,
            drug=self.library.regimens[kind.regimen].drug,
            given_as=GivenAs.INFUSION if pumped else GivenAs.AT_ONCE,
            arithmetic=[f"0.5 mg/kg of {weight_kg:g} kg is about {dose_mg:g} mg"],
            dose_mg_per_kg=0.5,
            weight_kg=weight_kg,
            weight_taken_at=first - timedelta(days=10),
            concentration_mg_per_ml=concentration,
            duration_min=40.0 if pumped else None,
            dose_mg=dose_mg,
            volume_ml=round(dose_mg / concentration, 2),
            rate_mg_per_h=dose_mg * 1.5 if pumped else None,
            rate_ml_per_h=dose_mg * 1.5 / concentration if pumped else None,
            sessions=len(kind.days),
            first_on=first.date(),
            library_version=self.library.version,
            ordered_by=course.prescriber,
            ordered_at=first - timedelta(days=3),
            verified_by=self.nurse,
            verified_at=first - timedelta(days=3),
        )

    def _session(self, rows: _Rows, planned: PlannedSession, plan: Plan, at: datetime) -> None:
        rng = self.rng
        session = Session(
            id=self._uuid(),
            planned=planned,
            course=planned.course,
            person=planned.person,
            chair=self.chair,
            approval=self.approval,
            phase=Phase.DISCHARGED,
            opened_at=at,
            closed_at=planned.done_at,
        )
        rows.sessions.append(session)

        def tell(minute: float, kind: str, data: dict[str, Any]) -> None:
            when = at + timedelta(minutes=minute)
            self._tell(rows, session.stream, kind, data, planned.person_id, when)

        vitals = {
            "systolic_mmhg": int(rng.integers(108, 140)),
            "diastolic_mmhg": int(rng.integers(64, 88)),
            "heart_rate_bpm": int(rng.integers(58, 90)),
            "spo2_percent": int(rng.integers(96, 100)),
        }
        # The plan has its number only once it is written.
        opened = {
            "chair": self.chair.name, "planned": str(planned.pk), "number": planned.number,
            "route": plan.route, "dose_mg": plan.dose_mg, "dose_mg_per_kg": plan.dose_mg_per_kg,
            "duration_min": plan.duration_min, "rate_mg_per_h": plan.rate_mg_per_h,
            "concentration_mg_per_ml": plan.concentration_mg_per_ml, **self.stamp,
        }  # fmt: skip
        rows.entries.append(
            lambda: record.Entry(
                ACTOR, session.stream, "session.opened", {**opened, "plan": plan.pk},
                planned.person_id, at, Source.IMPORT,
            )
        )  # fmt: skip
        tell(
            8,
            "session.check_completed",
            {
                "confirmed": [],
                "weight_kg": plan.weight_kg,
                "dose_mg_per_kg_today": round(plan.dose_mg / plan.weight_kg, 3),
                "vitals": vitals,
                "escort": {"name": "Somebody Simulated", "relation": "", "phone": ""},
                "medicines_today": "as usual",
                "asks_prescriber": "",
            },
        )
        if plan.route == "IV":
            tell(
                12,
                "session.infusion_started",
                {"programmed_mg": plan.dose_mg, "rate_mg_per_h": plan.rate_mg_per_h},
            )
        else:
            tell(
                12,
                "session.injection_given",
                {
                    "dose_mg": plan.dose_mg, "volume_ml": plan.volume_ml, "syringe": 0,
                    "lot": "SIM", "site": "deltoid left", "reason": "",
                },
            )  # fmt: skip
        for effect, often, graver in _EFFECTS:
            if rng.random() < often:
                degree = "mild"
                if rng.random() < graver:
                    degree = "severe" if rng.random() < 0.12 else "moderate"
                tell(
                    20 + float(rng.integers(0, 30)),
                    "session.side_effect_noted",
                    {"effect": effect, "label": effect.replace("_", " ").capitalize(),
                     "severity": degree, "note": ""},
                )  # fmt: skip
        if plan.route == "IV":
            tell(
                52,
                "session.infusion_ended",
                {"given_mg": plan.dose_mg, "wasted_mg": 0.0, "reason": "complete"},
            )
        if rng.random() < 0.002:
            session.phase = Phase.TRANSFERRED
            tell(
                115,
                "session.transferred",
                {"where": "Hospital", "why": "Observation", "accompanied_by": "Nurse",
                 "given_mg": plan.dose_mg},
            )  # fmt: skip
            return
        tell(
            115,
            "session.discharged",
            {
                "criteria": [], "escort_name": "Somebody Simulated", "given_mg": plan.dose_mg,
                "note": "", **self.stamp,
            },
        )  # fmt: skip

    def _scores(
        self,
        rows: _Rows,
        course: Course,
        kind: _Kind,
        first: datetime,
        left_after: int,
        worse: float,
    ) -> None:
        """The person's own path: down during the sessions, and for some slowly up again after."""
        rng = self.rng
        before = float(np.clip(rng.normal(*kind.baseline), 0.45 * kind.highest, kind.highest))
        reach = float(np.clip(rng.normal(*kind.improvement) - worse, -0.15, 0.95))
        reach *= left_after / len(kind.days)
        returns_after = float(rng.exponential(110)) if rng.random() < 0.7 else 1e9
        last_day = kind.days[left_after - 1]
        keen = float(rng.normal(1.3, 0.9))  # of answering

        def total_on(day: float) -> float:
            gained = reach * (1 - np.exp(-day / 8))
            since = day - last_day - returns_after
            if since > 0:
                gained *= np.exp(-since / 20)
            return float(before * (1 - gained) + rng.normal(0, 0.05 * kind.highest))

        if rng.random() > 0.03:
            self._answer(rows, course, kind, first - timedelta(days=8), before, "intake", None)
        asked: list[tuple[float, float, str, int | None]] = []
        for number, day in enumerate(kind.days[:left_after], 1):
            if kind.instrument == "phq9":
                asked.append((day + 1, day + 3, "24h", number))
            if kind.instrument != "pcl5":
                asked.append((day + 7, day + 14, "7d", number))
        asked += [
            (day, day + 10, "visit", None)
            for day in _FOLLOWED_DAYS
            if day > last_day and left_after == len(kind.days)
        ]
        for due, closes, occasion, number in asked:
            due_at = first + timedelta(days=due, hours=2)
            if due_at > self.until:
                continue
            total = total_on(due)
            # Who fares badly, and who is asked late, answers less: as in life.
            wish = keen - 1.2 * (total / before) - due / 110 + 1.0
            answered = rng.random() < 1 / (1 + np.exp(-wish))
            at = due_at + timedelta(hours=float(rng.uniform(0.5, 40)))
            response = None
            if answered and at < self.until:
                response = self._answer(rows, course, kind, at, total, occasion, number)
            rows.forms.append(
                FormRequest(
                    id=self._uuid(), course=course, person=course.person, session_number=number,
                    instrument=kind.instrument, occasion=occasion, due_at=due_at,
                    closes_at=first + timedelta(days=closes, hours=2),
                    completed_at=at if response else None, response=response,
                )
            )  # fmt: skip

    def _answer(
        self,
        rows: _Rows,
        course: Course,
        kind: _Kind,
        at: datetime,
        total: float,
        occasion: str,
        number: int | None,
    ) -> InstrumentResponse:
        instrument = self.library.instruments[kind.instrument]
        answers = _spread(instrument, total)
        scored = protocols.score(instrument, answers)
        response = InstrumentResponse(
            person=course.person,
            course=course,
            instrument=kind.instrument,
            answers=answers,
            total=scored.total,
            band=scored.band or "",
            subscores=dict(scored.subscores),
            result=scored.in_words(instrument),
            library_version=self.library.version,
            occasion=occasion,
            session_number=number,
            off_window=occasion == "24h",
            taken_at=at,
        )
        rows.responses.append(response)
        self._tell(
            rows,
            course.stream,
            "intake.questionnaire_answered",
            {
                "instrument": kind.instrument,
                "name": instrument.short_name,
                "answers": answers,
                "total": scored.total,
                "total_entered": False,
                "band": scored.band,
                "subscores": dict(scored.subscores),
                "result": response.result,
                "language": "en",
                "occasion": occasion,
                "session_number": number,
                "off_window": response.off_window,
                **self.stamp,
            },
            course.person_id,
            at,
        )
        return response

    def _tell(
        self,
        rows: _Rows,
        stream: str,
        kind: str,
        data: dict[str, Any],
        person_id: uuid.UUID,
        at: datetime,
    ) -> None:
        entry = record.Entry(ACTOR, stream, kind, data, person_id, at, Source.IMPORT)
        rows.entries.append(lambda: entry)

    @transaction.atomic
    def _write(self, rows: _Rows) -> None:
        Person.objects.bulk_create(rows.people)
        Course.objects.bulk_create(rows.courses)
        Measurement.objects.bulk_create(rows.measurements)
        Plan.objects.bulk_create(rows.plans)
        PlannedSession.objects.bulk_create(_with_keys(rows.planned, "plan"))
        Session.objects.bulk_create(rows.sessions)
        InstrumentResponse.objects.bulk_create(rows.responses)
        FormRequest.objects.bulk_create(_with_keys(rows.forms, "response"))
        record.append_many([make() for make in rows.entries])


def _with_keys(rows: Sequence[Any], name: str) -> Iterator[Any]:
    """Rows that refer to others which have only now been given their numbers."""
    for row in rows:
        if (other := getattr(row, name)) is not None:
            setattr(row, name, other)
        yield row


def _spread(instrument: Any, total: float) -> dict[str, int]:
    """Answers that come to a total, as evenly as may be; item 9 of the PHQ-9 stays at nothing."""
    items = [item for item in instrument.items if item.id != "q9" or instrument.id != "phq9"]
    tops = [max(option.value for option in instrument.options_of(item)) for item in items]
    whole = total * len(items) if instrument.scoring == "mean" else total
    left = int(np.clip(round(whole), 0, sum(tops)))
    answers = {item.id: 0 for item in instrument.items}
    for place, item in enumerate(items):
        share = min(-(-left // (len(items) - place)), tops[place])
        answers[item.id] = share
        left -= share
    return answers
