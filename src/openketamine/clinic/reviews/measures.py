"""What a course has come to: each questionnaire judged by its own published rules, and the facts.

A fact that the record does not settle is None, and nothing is concluded from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from openketamine.clinic.athome.models import Movement
from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.intake.queries import facts_for
from openketamine.clinic.outcomes.given import Given, doses_given
from openketamine.clinic.outcomes.queries import Point, Trajectory, trajectories
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.instruments import has_responded, is_important_change, is_remission
from openketamine.protocols.schema import InstrumentFile

RECENT = timedelta(days=28)
OFTEN = timedelta(days=84)


@dataclass(frozen=True)
class Outcome:
    """One questionnaire over a course. What its rules do not settle is None.

    Attributes:
        change_percent: fall from intake; negative where it rose.
        responded, remitted, changed: at the last in-window score.
        worsened: above intake by an important change.
        onset_days: from the first dose to the first in-window response.
        held_days: from that response to its loss, or to the last score that still holds it.
        lost: a response was reached, and the last score no longer is one.
    """

    instrument: InstrumentFile
    baseline: float | None
    last: float | None
    last_on: date | None
    change_percent: float | None
    responded: bool | None
    remitted: bool | None
    changed: bool | None
    worsened: bool | None
    onset_days: int | None
    held_days: int | None
    lost: bool | None


def outcome_of(trajectory: Trajectory, first_dose: datetime | None) -> Outcome:
    """Hold every in-window score after the first dose against the one at intake."""
    instrument = trajectory.instrument
    baseline = next(
        (p.total for p in trajectory.points if p.occasion == "intake" and p.total is not None), None
    )
    judged = [
        p
        for p in trajectory.points
        if p.total is not None
        and p.occasion != "intake"
        and not p.off_window
        and (first_dose is None or p.at > first_dose)
    ]
    last = judged[-1] if judged else None
    if baseline is None or last is None or last.total is None:
        return Outcome(
            instrument,
            baseline,
            last.total if last else None,
            timezone.localdate(last.at) if last else None,
            *(None,) * 8,
        )
    response, change = instrument.response is not None, instrument.important_change is not None

    def responds(point: Point) -> bool:
        assert point.total is not None
        assert baseline is not None
        return has_responded(instrument, baseline=baseline, total=point.total)

    first = next((p for p in judged if responds(p)), None) if response else None
    held, lost = None, None
    if response:
        lost = bool(first) and not responds(last)
        if first:
            after = [p for p in judged if p.at >= first.at]
            end = next((p for p in after if not responds(p)), last)
            held = (end.at - first.at).days
    return Outcome(
        instrument=instrument,
        baseline=baseline,
        last=last.total,
        last_on=timezone.localdate(last.at),
        change_percent=round(100 * (baseline - last.total) / baseline, 1) if baseline else None,
        responded=responds(last) if response else None,
        remitted=is_remission(instrument, last.total) if instrument.remission else None,
        changed=is_important_change(instrument, baseline=baseline, total=last.total)
        if change
        else None,
        worsened=is_important_change(instrument, baseline=last.total, total=baseline)
        if change
        else None,
        onset_days=(first.at - first_dose).days if first and first_dose else None,
        held_days=held,
        lost=lost,
    )


@dataclass(frozen=True)
class Tolerated:
    """How the sessions were borne."""

    sessions: int
    with_effect: int
    with_moderate: int
    transfers: int
    emergencies: int
    effects: tuple[tuple[str, int], ...]  # by name, the most frequent first

    @property
    def well(self) -> bool | None:
        """Not well: moderate or severe in half of the sessions, a transfer, an emergency."""
        if not self.sessions:
            return None
        return not (self.transfers or self.emergencies or 2 * self.with_moderate >= self.sessions)


@dataclass(frozen=True)
class Known:
    """All that a review knows of a course, with the facts that its rules read."""

    outcomes: list[Outcome]
    tolerated: Tolerated
    first_dose: datetime | None
    last_dose: datetime | None
    facts: dict[str, Any]


def known_of(course: Course, *, noted_signs: int) -> Known:
    """Read a course. A number of queries that does not grow with it."""
    given = doses_given(course)
    now = clock.now()
    effects: dict[str, int] = {}
    for dose in given:
        for name in {effect.label for effect in dose.effects}:
            effects[name] = effects.get(name, 0) + 1
    tolerated = Tolerated(
        sessions=len(given),
        with_effect=sum(bool(dose.effects) for dose in given),
        with_moderate=sum(
            any(effect.severity in {"moderate", "severe"} for effect in dose.effects)
            for dose in given
        ),
        transfers=sum(dose.transferred for dose in given),
        emergencies=sum(dose.emergency for dose in given),
        effects=tuple(sorted(effects.items(), key=lambda pair: (-pair[1], pair[0]))),
    )
    first, last = (given[0].at, given[-1].at) if given else (None, None)
    outcomes = [outcome_of(each, first) for each in trajectories(course)]
    facts = _facts(course, outcomes, tolerated, given, now)
    facts["misuse_signs"] = noted_signs
    return Known(outcomes, tolerated, first, last, facts)


def leading(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The first questionnaire of the plan that can say whether somebody is better."""
    judged = [each for each in outcomes if each.instrument.response or each.changed is not None]
    return next((each for each in judged if each.changed is not None), next(iter(judged), None))


def _facts(
    course: Course,
    outcomes: Sequence[Outcome],
    tolerated: Tolerated,
    doses: Sequence[Given],
    now: datetime,
) -> dict[str, Any]:
    lead = leading(outcomes)
    answers = list(
        InstrumentResponse.objects.filter(
            course=course, instrument__in=("bladder", "side-effects")
        ).order_by("taken_at")
    )
    newest = {each.instrument: each for each in answers}
    same_route = [dose.dose_mg for dose in doses if dose.route == doses[-1].route]
    flagged = course.safety_reviews.filter(
        opened_at__gte=now - RECENT, response__instrument__in=_about_suicide()
    ).exists()
    return {
        "route": course.route,
        "doses_given": len(doses),
        "doses_84_days": sum(dose.at >= now - OFTEN for dose in doses),
        "days_since_first_dose": (now - doses[0].at).days if doses else None,
        "days_since_last_dose": (now - doses[-1].at).days if doses else None,
        "responded": lead.responded if lead else None,
        "remitted": lead.remitted if lead else None,
        "important_change": lead.changed if lead else None,
        "worsened": lead.worsened if lead else None,
        "response_lost": lead.lost if lead else None,
        "tolerated": tolerated.well,
        "urinary_symptoms": _urinary(newest),
        "craving": newest["side-effects"].answers.get("craving")
        if "side-effects" in newest
        else None,
        "liver_risk": _liver_risk(course),
        "dose_rise_percent": round(100 * (same_route[-1] / same_route[0] - 1), 1)
        if len(same_route) > 1 and same_route[0]
        else None,
        "pieces_lost": Movement.objects.filter(
            enrolment__course=course, kind=Movement.Kind.LOST, at__gte=now - OFTEN
        ).aggregate(pieces=Sum("pieces"))["pieces"]
        or 0,
        "suicidal_flag": flagged,
    }


def _urinary(newest: dict[str, InstrumentResponse]) -> bool | None:
    """Frequent or alarming symptoms in the bladder checklist, or trouble in the weekly one."""
    bladder, effects = newest.get("bladder"), newest.get("side-effects")
    signs = []
    if bladder:
        graver = library().instruments["bladder"].levels[:2]
        signs.append(
            any(
                bladder.answers.get(item, 0) >= level.at_least
                for level in graver
                for item in level.any_of
            )
        )
    if effects and "urine" in effects.answers:
        signs.append(effects.answers["urine"] >= 2)
    return any(signs) if signs else None


def _about_suicide() -> list[str]:
    """The questionnaires with an answer that alarms about suicide."""
    return [
        name
        for name, instrument in library().instruments.items()
        if any(rule.concern == "suicide" for rule in instrument.red_flags)
    ]


def _liver_risk(course: Course) -> bool | None:
    """Liver disease, or alcohol use disorder; unknown where neither is settled."""
    facts = {name: fact.value for name, fact in facts_for(course).items()}
    hepatic, alcohol = facts.get("hepatic_impairment"), facts.get("alcohol_use_disorder")
    if (hepatic not in (None, "none", False)) or alcohol is True:
        return True
    return None if hepatic is None or alcohol is None else False


def last_checks(course: Course) -> dict[str, date]:
    """By the check's id, the day of its newest result: form, measurement, test or note."""
    rules = library().reviews.checks
    found: dict[str, date] = {}

    def take(check: str, day: date) -> None:
        found[check] = max(found.get(check, day), day)

    responses = dict(
        InstrumentResponse.objects.filter(course=course, complete=True)
        .order_by("taken_at")
        .values_list("instrument", "taken_at")
    )
    measured = dict(course.person.measurements.order_by("taken_at").values_list("kind", "taken_at"))
    tested = dict(course.person.test_results.order_by("done_on").values_list("fact", "done_on"))
    noted = dict(course.check_results.order_by("done_on").values_list("check_id", "done_on"))
    for check in rules:
        if check.instrument in responses:
            take(check.id, timezone.localdate(responses[check.instrument]))
        for fact in check.facts:
            if fact in measured:
                take(check.id, timezone.localdate(measured[fact]))
            if fact in tested:
                take(check.id, tested[fact])
        if check.id in noted:
            take(check.id, noted[check.id])
    return found
