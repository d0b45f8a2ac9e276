"""Reads for screening: what is known of a person, why, and what the rules make of it."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from openketamine import protocols
from openketamine.clinic.people.models import Course, Person, Setting
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.rems import queries as rems
from openketamine.protocols import eligibility, staging
from openketamine.protocols.schema import InstrumentFile

from .models import FindingDecision, InstrumentResponse, SafetyReview

_ACTIVE = {"active", "recurrence", "relapse", "on-hold", "draft"}


@dataclass(frozen=True)
class Fact:
    """One fact about one person, with the reason why the clinic believes it."""

    id: str
    value: Any
    because: str
    on: date | None = None  # the day of a measurement or a test


def jurisdiction() -> str:
    """Whose law governs this clinic."""
    return str(settings.JURISDICTION)


def programme_of(course: Course) -> dict[str, Any]:
    """What the rules are asked about, as the protocols name it."""
    return {
        "route": course.route,
        "condition": course.condition,
        "on": clock.today(),
        "jurisdiction": jurisdiction(),
    }


@dataclass(frozen=True)
class QuestionnaireRow:
    """An instrument that can be asked, and what it came to last."""

    instrument: InstrumentFile
    response: InstrumentResponse | None


def facts_for(course: Course, *, shown: bool = False) -> dict[str, Fact]:
    """Everything known that a rule may read. What nobody has stated is absent.

    Args:
        shown: with the reasons in the language of whoever reads them; in English, as the record
            keeps them, otherwise.
    """
    with _in_which_language(shown):
        return _facts_for(course)


def _in_which_language(shown: bool) -> AbstractContextManager[Any]:
    return nullcontext() if shown else translation.override("en")


def _facts_for(course: Course) -> dict[str, Fact]:
    person = course.person
    found = {
        "age_years": Fact(
            "age_years", person.age_years(), _("born %(day)s") % {"day": _day(person.birth_date)}
        ),
        "sex": Fact("sex", person.sex, _("demographics")),
    }
    at_home = course.setting == Setting.HOME
    found["at_home"] = Fact("at_home", at_home, _("the programme chosen"))
    found.update(_tests(person))
    medications = _codings(person.medications.all())
    strangers = [
        taken.text
        for item in medications
        if item.active and not (taken := protocols.recognise(library(), item.display)).is_whole
    ]
    found["unrecognised_medicines"] = Fact(
        "unrecognised_medicines", strangers, _("names in the list of medicines")
    )
    found.update(_trials(course))
    for name, evidence in protocols.facts_from_record(
        library(),
        conditions=_codings(person.conditions.all()),
        medications=medications,
        allergies=_codings(person.allergys.all()),
    ).items():
        found[name] = Fact(name, evidence.value, evidence.because)
    history = getattr(course, "history", None)
    if history:
        because = _("asked %(day)s by %(who)s") % {
            "day": _day(history.taken_at),
            "who": history.taken_by,
        }
        for name, value in history.answers.items():
            stated = found.get(name)
            contradicted = value is False and stated is not None and stated.value is True
            # A "no" does not erase what the referral says: the finding stands, with both.
            found[name] = (
                Fact(
                    name,
                    True,
                    _("%(stated)s; but “no” was %(because)s")
                    % {"stated": stated.because, "because": because},
                )
                if stated and contradicted
                else Fact(name, value, because)
            )
    if course.route == rems.ROUTE and (enrolled := rems.enrolment_of(person)):
        found["rems_enrolled"] = Fact(
            "rems_enrolled", True, _("enrolled %(day)s") % {"day": _day(enrolled.enrolled_on)}
        )
    for response in latest_responses(course, occasion="intake").values():
        if not response.complete:
            continue
        because = _day(response.taken_at)
        if response.total is not None:
            total = f"{response.instrument.replace('-', '_')}_total"
            whole = response.total.is_integer()
            found[total] = Fact(total, int(response.total) if whole else response.total, because)
        total = f"{response.instrument.replace('-', '_')}_total"
        found[total] = Fact(total, response.total, because)
        if response.instrument == "phq9":
            found["phq9_item9"] = Fact("phq9_item9", response.answers["q9"], because)
    return found


def _tests(person: Person) -> dict[str, Fact]:
    """The newest measurement or test of each kind, with its day."""
    tests = {fact.id: fact for fact in library().facts.values() if fact.test}
    found: dict[str, Fact] = {}

    def take(name: str, value: Any, day: date, how: str) -> None:
        known = found.get(name)
        if name in tests and (known is None or known.on is None or day >= known.on):
            found[name] = Fact(name, value, how % {"day": _day(day)}, day)

    measured, tested = _("measured %(day)s"), _("test of %(day)s")
    for item in person.measurements.order_by("taken_at", "pk"):
        take(item.kind, item.value, timezone.localtime(item.taken_at).date(), measured)
    for result in person.test_results.order_by("done_on", "pk"):
        take(result.fact, result.value, result.done_on, tested)
    return found


def _day(day: date) -> str:
    return date_format(day, "d M Y")


def trials_of(course: Course) -> list[staging.Trial]:
    """The antidepressant trials on record, as the protocols read them."""
    return [
        staging.Trial(
            drug=row.drug,
            started=row.started,
            stopped=row.stopped,
            dose_mg_per_day=row.dose_mg_per_day,
            in_this_episode=row.in_this_episode,
            adequate_dose=row.adequate_dose,
            adequate_duration=row.adequate_duration,
            outcome=row.outcome,
        )
        for row in course.trials.filter(withdrawn_at=None).order_by("started", "pk")
    ]


def _trials(course: Course) -> dict[str, Fact]:
    """The count of failed trials, where the rows settle it."""
    name, history = "failed_adequate_trials", getattr(course, "history", None)
    trials = trials_of(course)
    if not trials:
        none_tried = history and history.answers.get("antidepressant_tried") is False
        return {name: Fact(name, 0, _("none tried in this episode"))} if none_tried else {}
    count = staging.count_failed(library(), trials, on=clock.today())
    number = count.settled(library().staging.counted.needed)
    if number is None:
        return {}
    because = ngettext(
        "counted from %(rows)d trial on record",
        "counted from %(rows)d trials on record",
        len(trials),
    ) % {"rows": len(trials)}
    if count.at_most != number:
        because = _("%(counted)s, perhaps %(most)d") % {"counted": because, "most": count.at_most}
    return {name: Fact(name, number, because)}


def _codings(items: Iterable[Any]) -> list[protocols.Coding]:
    return [
        protocols.Coding(item.system, item.code, item.display, active=item.status in _ACTIVE)
        for item in items
    ]


def latest_responses(
    course: Course, *, occasion: str | None = None
) -> dict[str, InstrumentResponse]:
    """The newest response per instrument."""
    responses = course.responses.order_by("taken_at", "pk")
    if occasion:
        responses = responses.filter(occasion=occasion)
    return {response.instrument: response for response in responses}


def findings_for(
    course: Course, facts: dict[str, Fact] | None = None, *, shown: bool = False
) -> list[protocols.Finding]:
    """What the rules say today about what is known today.

    Args:
        shown: as for `facts_for`.
    """
    facts = facts if facts is not None else facts_for(course)
    with _in_which_language(shown):
        return protocols.screen(
            library(),
            {name: fact.value for name, fact in facts.items()},
            dates=days_of(facts),
            **programme_of(course),
        )


def explained(finding: protocols.Finding) -> str:
    """Why a finding stands, in the language of whoever reads it: the rule's words, and then those
    of its standing for the route."""
    item = next((e.item for e in library().screening if e.item.key == finding.rule_id), None)
    why: str = getattr(item, "explanation", "")
    if not why or not finding.explanation.startswith(f"{why} "):
        return _(finding.explanation)
    return f"{_(why)} {_(finding.explanation.removeprefix(f'{why} '))}"


def days_of(facts: dict[str, Fact]) -> dict[str, date]:
    """The day of each measurement and test among these facts."""
    return {name: fact.on for name, fact in facts.items() if fact.on}


def findings_by_route(course: Course) -> dict[str, list[protocols.Finding]]:
    """The findings for every route; each in the setting in which it is mostly used."""
    facts = facts_for(course)
    at_home = {route.id: route.settings[0] == Setting.HOME for route in library().programmes.routes}
    at_home[course.route] = course.setting == Setting.HOME
    return protocols.screen_routes(
        library(),
        {name: fact.value for name, fact in facts.items()},
        condition=course.condition,
        on=clock.today(),
        jurisdiction=jurisdiction(),
        dates=days_of(facts),
        at_home=at_home,
    )


def instruments_asked(course: Course) -> list[str]:
    """The questionnaires of intake, and those whose total a rule of this programme reads."""
    asked = eligibility.facts_asked(library(), **programme_of(course))
    read = [name for name in library().instruments if f"{name.replace('-', '_')}_total" in asked]
    planned = library().occasion("intake").instruments_for(course.condition)
    return list(dict.fromkeys([*planned, *read]))


def standing_decisions(
    course: Course, findings: Iterable[protocols.Finding]
) -> dict[str, FindingDecision]:
    """The decisions that hold: for this route, on the facts that the finding reads now."""
    read = {finding.rule_id: finding.facts_read for finding in findings}
    decisions = course.finding_decisions.filter(route=course.route).select_related("by")
    return {d.rule_id: d for d in decisions if d.facts_read == read.get(d.rule_id)}


def open_safety_reviews(course: Course) -> list[SafetyReview]:
    return list(course.safety_reviews.filter(closed_at=None).order_by("opened_at"))


def open_beside(review: SafetyReview) -> QuerySet[SafetyReview]:
    """The other open reviews of the same questionnaire in the same course, the oldest first."""
    return (
        SafetyReview.objects.filter(
            course_id=review.course_id,
            response__instrument=review.response.instrument,
            closed_at=None,
        )
        .exclude(pk=review.pk)
        .order_by("opened_at", "pk")
    )


def questionnaires_for(course: Course) -> tuple[list[QuestionnaireRow], list[QuestionnaireRow]]:
    """Every instrument with its newest response: those of the course's plan, and the rest."""
    current = library()
    newest = latest_responses(course)
    planned = current.measurements.instruments_for(course.condition)
    rows = {
        name: QuestionnaireRow(instrument, newest.get(name))
        for name, instrument in current.instruments.items()
    }
    return (
        [rows[name] for name in planned],
        [row for name, row in rows.items() if name not in planned],
    )


def all_open_safety_reviews() -> list[SafetyReview]:
    """Every open safety review of the clinic, the oldest first."""
    return list(
        SafetyReview.objects.filter(closed_at=None)
        .select_related("course__person")
        .order_by("opened_at")
    )
