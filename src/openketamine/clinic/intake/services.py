"""The acts of intake: ask, review what alarms, judge, sign."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.dispatch import receiver
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from openketamine import protocols
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices import signals as notice_signals
from openketamine.clinic.notices.models import Call
from openketamine.clinic.people.models import Course, Setting, Stage
from openketamine.clinic.people.services import assign_team, move_to
from openketamine.clinic.people.words import URGENT
from openketamine.clinic.policy.queries import library, stamp
from openketamine.clinic.policy.services import require_signed_policy
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source
from openketamine.protocols import staging
from openketamine.protocols.instruments import is_off_window
from openketamine.protocols.schema import FactDefinition

from . import queries
from .models import (
    AntidepressantTrial,
    FindingDecision,
    InstrumentResponse,
    MedicalHistory,
    ResistanceStaging,
    SafetyReview,
    Screening,
    TestResult,
)

CLINICIANS = frozenset({Role.PRESCRIBER, Role.NURSE, Role.THERAPIST, Role.DIRECTOR})
VISIT = "visit"  # asked out of turn, at no occasion of the measurement plan


def require_no_open_safety_review(course: Course) -> None:
    """Let nothing pass that an unread alarm should hold back.

    Raises:
        Refused: a safety review is open.
    """
    if reviews := queries.open_safety_reviews(course):
        raise Refused(
            _(
                "A safety review is open: %(statement)s. "
                "A clinician must record it before anything else can be done."
            )
            % {"statement": reviews[0].statement_in_words}
        )


@transaction.atomic
def record_response(
    actor: User | str,
    course: Course,
    *,
    instrument: str,
    answers: Mapping[str, int | None],
    occasion: str,
    total: float | None = None,
    taken_at: datetime | None = None,
    session_number: int | None = None,
    source: Source = Source.HAND,
    language: str = "en",
    finished: bool = True,
) -> InstrumentResponse:
    """Keep a filled-in questionnaire. An alarming answer opens a safety review at once.

    An incomplete one is refused, unless an answer in it alarms: then it is kept without a result,
    because nobody may lose the alarm for want of another answer.

    Args:
        occasion: one of the measurement plan, or `VISIT`.
        total: what the clinic's own licensed form came to, in place of its answers; `answers` are
            then those that can alarm.
        language: in which the questions were put.
        finished: False while the patient may still change an answer: only the alarm is kept.

    Raises:
        Refused: the instrument or occasion is unknown, an answer is missing or impossible, or a
            clinician's rating comes from somebody who is none.
    """
    definition = library().instruments.get(instrument)
    if definition is None:
        raise Refused(_("There is no questionnaire %(name)r.") % {"name": instrument})
    if definition.completed_by == "clinician" and getattr(actor, "role", None) not in CLINICIANS:
        raise Refused(
            _("The %(name)s is a clinician's rating.") % {"name": _(definition.short_name)}
        )
    try:
        score = (
            protocols.score(definition, answers)
            if total is None
            else protocols.score_total(definition, total, answers)
        )
    except ValueError as error:
        raise Refused(str(error)) from error
    complete = score.complete and finished
    if score.unanswered and not score.red_flags:
        count = len(score.unanswered)
        raise Refused(
            ngettext(
                "%(name)s: %(count)d question not answered. A total needs every answer.",
                "%(name)s: %(count)d questions not answered. A total needs every answer.",
                count,
            )
            % {"name": _(definition.short_name), "count": count},
            field=score.unanswered[0],
        )
    occasions = {o.id: o for o in library().measurements.occasions}
    if occasion not in occasions and occasion != VISIT:
        raise Refused(
            _("There is no occasion %(name)r: one of %(occasions)s.")
            % {"name": occasion, "occasions": ", ".join(occasions)}
        )
    if not complete:
        score = replace(score, total=None, band=None, subscores={})
    result = score.in_words(definition) if complete else "not complete"
    event = record.append(
        actor,
        course.stream,
        "intake.questionnaire_answered",
        {
            "instrument": instrument,
            "name": definition.short_name,
            "answers": dict(answers),
            "total": score.total,
            "total_entered": total is not None,
            "band": score.band,
            "subscores": dict(score.subscores),
            "result": result if complete else f"{result}, an answer alarmed",
            "language": language,
            "occasion": occasion,
            "session_number": session_number,
            **stamp(),
        },
        person_id=course.person_id,
        occurred_at=taken_at,
        source=source,
    )
    response = InstrumentResponse.objects.create(
        person_id=course.person_id,
        course=course,
        instrument=instrument,
        answers=dict(answers),
        complete=complete,
        total=score.total,
        band=score.band or "",
        subscores=dict(score.subscores),
        result=result,
        total_entered=total is not None,
        language=language,
        library_version=library().version,
        occasion=occasion,
        session_number=session_number,
        off_window=occasion in occasions
        and occasions[occasion].off_window
        and is_off_window(definition, after_hours=occasions[occasion].after_hours),
        taken_at=event.occurred_at,
        entered_by=actor if isinstance(actor, User) and actor.is_clinic_staff else None,
    )
    for flag in score.red_flags:
        review = _open_safety_review(actor, response, flag.statement, flag.demands)
        if review:
            _call(actor, review, urgent=flag.concern == "suicide")
    _enter_screening(actor, course)
    return response


def _open_safety_review(
    actor: User | str, response: InstrumentResponse, statement: str, demands: str
) -> SafetyReview | None:
    """A new review; None where the same alarm stands open already: one review answers both."""
    if response.course.safety_reviews.filter(closed_at=None, statement=statement).exists():
        return None
    review = SafetyReview.objects.create(
        course=response.course, response=response, statement=statement, demands=demands
    )
    record.append(
        actor,
        response.course.stream,
        "intake.safety_review_opened",
        {"statement": statement, "response": response.pk},
        person_id=response.person_id,
        source=Source.SYSTEM,
    )
    return review


CALL_KEY = "safety-review:"  # and the review's own key


def _call(actor: User | str, review: SafetyReview, *, urgent: bool) -> None:
    """Call a clinician about an alarming answer, until one has recorded the review.

    Whoever asked the patient in person has the call already: it is answered, and comes back if the
    review is left open.
    """
    person = review.course.person
    call = notices.raise_call(
        actor,
        key=f"{CALL_KEY}{review.pk}",
        priority="red" if urgent else "amber",
        headline=review.statement,
        detail=review.demands,
        person_id=person.pk,
        subject=f"{person}, MRN {person.mrn}",
        link=reverse("safety_review", args=[review.pk]),
        responsible=review.course.prescriber,
    )
    if isinstance(actor, User) and actor.role in CLINICIANS and not call.answered_at:
        notices.answer_call(actor, call)


@receiver(notice_signals.closing)
def refuse_to_close_without_a_review(
    sender: type[Call], call: Call, actor: User, **kwargs: Any
) -> None:
    """A call about an alarming answer is over when the review is recorded, and not before.

    Raises:
        Refused: the review that it calls for is open.
    """
    if not call.key.startswith(CALL_KEY):
        return
    key = call.key.removeprefix(CALL_KEY)
    if SafetyReview.objects.filter(pk=key, closed_at=None).exists():
        raise Refused(_("Record the safety review: that closes this call."), field="words")


@transaction.atomic
def close_safety_review(
    actor: User, review: SafetyReview, *, outcome: str, note: str, also: Iterable[int] = ()
) -> None:
    """Record that a clinician has looked, what came of it and what was done.

    Where urgent care was arranged, a further review stands open in its place: the course waits
    until one says that it may go on.

    Args:
        also: other open reviews of the same questionnaire that this one answers as well: those
            that the clinician was shown. One that was opened since stays open.

    Raises:
        Refused: not a clinician, closed already, or without outcome or note.
    """
    review = SafetyReview.objects.select_for_update().get(pk=review.pk)
    if actor.role not in CLINICIANS:
        raise Refused(_("A safety review is recorded by a clinician."))
    if review.closed_at:
        raise Refused(_("%(who)s has recorded this review already.") % {"who": review.reviewer})
    if outcome not in SafetyReview.Outcome.values:
        raise Refused(_("Choose what came of the review."), field="outcome")
    if not note.strip():
        raise Refused(_("Write what you asked, heard and did."), field="note")
    answered = [review, *queries.open_beside(review).select_for_update().filter(pk__in=list(also))]
    for each in answered:
        each.closed_at, each.reviewer = clock.now(), actor
        each.outcome, each.note = outcome, note.strip()
        each.save()
        record.append(
            actor,
            each.course.stream,
            "intake.safety_review_recorded",
            {"review": each.pk, "outcome": outcome, "note": each.note},
            person_id=each.course.person_id,
        )
        call = Call.objects.filter(key=f"{CALL_KEY}{each.pk}", closed_at=None).first()
        if call:
            if not call.answered_at:
                notices.answer_call(actor, call)
            with translation.override("en"):  # the record's language
                words = f"{each.get_outcome_display()}: {each.note}"
            notices.close_call(actor, call, words=words)
    if outcome == SafetyReview.Outcome.URGENT:
        _open_safety_review(
            actor,
            review.response,
            f"{URGENT}{review.statement}",
            gettext_noop("A clinician records whether the course may go on."),
        )


@transaction.atomic
def record_history(actor: User, course: Course, answers: Mapping[str, Any]) -> MedicalHistory:
    """Keep the answers to the history questions; a question left blank stays unknown.

    Raises:
        Refused: an answer belongs to no question or is impossible.
    """
    require_no_open_safety_review(course)
    _require_unsigned(course)
    if not actor.is_clinic_staff:
        raise Refused(_("The history is taken by the staff."))
    clean = {name: _checked(name, value) for name, value in answers.items() if value is not None}
    history, _made = MedicalHistory.objects.update_or_create(
        course=course,
        defaults={"answers": clean, "taken_at": clock.now(), "taken_by": actor},
    )
    record.append(
        actor,
        course.stream,
        "intake.history_taken",
        {"answers": clean, **stamp()},
        person_id=course.person_id,
    )
    _enter_screening(actor, course)
    return history


def _checked(name: str, value: Any) -> Any:
    fact = library().facts.get(name)
    if fact is None or not fact.section:
        raise Refused(_("The history has no question %(name)r.") % {"name": name})
    return _fitting(fact, value)


def _fitting(fact: FactDefinition, value: Any) -> Any:
    """The value, where it can be this fact's.

    Raises:
        Refused: with what it can be.
    """
    if fact.kind == "boolean" and not isinstance(value, bool):
        words = _("%(fact)s: answer yes or no.")
        raise Refused(words % {"fact": _(fact.label)}, field=fact.id)
    if fact.kind == "choice" and value not in fact.choices:
        words = _("%(fact)s: choose one of %(choices)s.")
        choices = ", ".join(_(choice) for choice in fact.choices)
        raise Refused(words % {"fact": _(fact.label), "choices": choices}, field=fact.id)
    if fact.kind == "number":
        low, high = fact.minimum or 0, fact.maximum or float("inf")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            unit = f" {_(fact.unit)}" if fact.unit else ""
            raise Refused(
                _("%(fact)s: enter a number from %(low)s to %(high)s%(unit)s.")
                % {"fact": _(fact.label), "low": f"{low:g}", "high": f"{high:g}", "unit": unit},
                field=fact.id,
            )
    return value


@transaction.atomic
def choose_programme(
    prescriber: User, course: Course, *, condition: str, route: str, setting: str
) -> None:
    """Choose what the patient is screened for: the condition, the route and where it is given.

    What was decided about findings of another route is kept, and counts for that route alone.

    Raises:
        Refused: not a prescriber, signed already, or no such condition, route or setting.
    """
    require_no_open_safety_review(course)
    _require_unsigned(course)
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber chooses the condition and the route."))
    programmes = library().programmes
    routes = {item.id: item for item in programmes.routes}
    if condition not in {item.id for item in programmes.conditions}:
        raise Refused(_("Choose a condition."), field="condition")
    if route not in routes:
        raise Refused(_("Choose a route."), field="route")
    if setting not in routes[route].settings:
        settings = _(" or ").join(
            str(Setting(name).label).lower() for name in routes[route].settings
        )
        raise Refused(
            _("%(route)s: %(settings)s only.")
            % {"route": _(routes[route].name), "settings": settings},
            field="setting",
        )
    before = {"condition": course.condition, "route": course.route, "setting": course.setting}
    after = {"condition": condition, "route": route, "setting": setting}
    if before == after:
        return
    course.condition, course.route, course.setting = condition, route, setting
    course.save(update_fields=["condition", "route", "setting"])
    record.append(
        prescriber,
        course.stream,
        "intake.programme_chosen",
        {"before": before, "after": after, "library": library().version},
        person_id=course.person_id,
    )
    _enter_screening(prescriber, course)


@transaction.atomic
def record_test_result(
    actor: User, course: Course, *, fact: str, value: Any, done_on: date, note: str = ""
) -> TestResult:
    """Write down the result of one test with its day.

    Raises:
        Refused: no such test, an impossible value, or a day to come.
    """
    require_no_open_safety_review(course)
    if not actor.is_clinic_staff:
        raise Refused(_("Test results are entered by the staff."))
    definition = library().facts.get(fact)
    if definition is None or not definition.test:
        raise Refused(_("There is no test %(name)r.") % {"name": fact})
    _fitting(definition, value)
    if done_on > clock.today():
        raise Refused(_("The day of the test lies in the future."), field="done_on")
    if done_on < course.person.birth_date:
        raise Refused(_("The day of the test lies before the patient's birth."), field="done_on")
    result = TestResult.objects.create(
        person_id=course.person_id,
        fact=fact,
        value=value,
        done_on=done_on,
        note=note.strip(),
        entered_by=actor,
    )
    record.append(
        actor,
        course.stream,
        "intake.test_recorded",
        {"test": fact, "value": value, "done_on": done_on.isoformat(), "note": result.note},
        person_id=course.person_id,
    )
    _enter_screening(actor, course)
    return result


@transaction.atomic
def record_trial(
    actor: User,
    course: Course,
    *,
    drug: str,
    outcome: str,
    source: str,
    drug_class: str = "",
    dose_mg_per_day: float | None = None,
    started: date | None = None,
    stopped: date | None = None,
    in_this_episode: bool | None = None,
    adequate_dose: bool | None = None,
    adequate_duration: bool | None = None,
    reason_stopped: str = "",
) -> AntidepressantTrial:
    """Write down one antidepressant trial. What is left out is unknown, and counts for nothing.

    Raises:
        Refused: no drug, outcome or source, an impossible dose, or days out of order.
    """
    require_no_open_safety_review(course)
    _require_unsigned(course)
    if not actor.is_clinic_staff:
        raise Refused(_("Earlier treatment is entered by the staff."))
    if not drug.strip():
        raise Refused(_("Name the drug."), field="drug")
    if outcome not in library().staging.outcomes:
        raise Refused(_("Say what came of it."), field="outcome")
    if drug_class and drug_class not in library().staging.classes:
        raise Refused(_("Choose a class from the list."), field="drug_class")
    if not source.strip():
        raise Refused(
            _("Say where this is known from: the patient, a letter, a pharmacy."), field="source"
        )
    if dose_mg_per_day is not None and not 0 < dose_mg_per_day <= 5000:
        raise Refused(
            _("The dose must be more than 0 and at most 5000 mg a day."),
            field="dose_mg_per_day",
        )
    today = clock.today()
    for name, day in (("started", started), ("stopped", stopped)):
        if day and day > today:
            raise Refused(_("This day lies in the future."), field=name)
    if started and stopped and stopped < started:
        raise Refused(_("It stopped before it started. Check both days."), field="stopped")
    trial = AntidepressantTrial.objects.create(
        course=course,
        drug=drug.strip(),
        drug_class=drug_class,
        dose_mg_per_day=dose_mg_per_day,
        started=started,
        stopped=stopped,
        in_this_episode=in_this_episode,
        adequate_dose=adequate_dose,
        adequate_duration=adequate_duration,
        outcome=outcome,
        reason_stopped=reason_stopped.strip(),
        source=source.strip(),
        entered_by=actor,
    )
    record.append(
        actor,
        course.stream,
        "intake.antidepressant_trial_recorded",
        {
            "trial": trial.pk,
            "drug": trial.drug,
            "class": drug_class,
            "dose_mg_per_day": dose_mg_per_day,
            "started": started and started.isoformat(),
            "stopped": stopped and stopped.isoformat(),
            "in_this_episode": in_this_episode,
            "adequate_dose": adequate_dose,
            "adequate_duration": adequate_duration,
            "outcome": outcome,
            "reason_stopped": trial.reason_stopped,
            "source": trial.source,
        },
        person_id=course.person_id,
    )
    _enter_screening(actor, course)
    return trial


@transaction.atomic
def withdraw_trial(actor: User, trial: AntidepressantTrial) -> None:
    """Take back a row that was entered by mistake. It stays in the record, and counts no longer.

    Raises:
        Refused: the screening is signed, or it was taken back already.
    """
    course = trial.course
    require_no_open_safety_review(course)
    _require_unsigned(course)
    if trial.withdrawn_at:
        raise Refused(_("This row was taken back already."))
    trial.withdrawn_at = clock.now()
    trial.save(update_fields=["withdrawn_at"])
    record.append(
        actor,
        course.stream,
        "intake.antidepressant_trial_withdrawn",
        {"trial": trial.pk, "drug": trial.drug},
        person_id=course.person_id,
    )


@transaction.atomic
def record_staging(
    actor: User, course: Course, answers: Mapping[str, float | str | None]
) -> ResistanceStaging:
    """Keep what the staging score needs beside the trials.

    Raises:
        Refused: an answer is none of its choices.
    """
    require_no_open_safety_review(course)
    _require_unsigned(course)
    clean = {name: value for name, value in answers.items() if value not in (None, "")}
    for score in library().staging.scores:
        try:
            staging.stage(score, clean)
        except ValueError as error:
            raise Refused(str(error)) from error
    kept, _made = ResistanceStaging.objects.update_or_create(
        course=course, defaults={"answers": clean, "by": actor, "at": clock.now()}
    )
    record.append(
        actor,
        course.stream,
        "intake.staging_recorded",
        {"answers": clean, "library": library().version},
        person_id=course.person_id,
    )
    return kept


@transaction.atomic
def decide_finding(
    prescriber: User, course: Course, *, rule_id: str, decision: str, reason: str
) -> FindingDecision:
    """The prescriber's word on one finding, with the reason.

    Raises:
        Refused: not a prescriber, no such finding, no reason, or the answer does not fit.
    """
    require_no_open_safety_review(course)
    _require_unsigned(course)
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber decides about a finding."))
    finding = next((f for f in queries.findings_for(course) if f.rule_id == rule_id), None)
    if finding is None:
        raise Refused(_("This finding no longer stands. Load the page again."))
    if decision not in FindingDecision.Decision.values:
        raise Refused(_("Choose a decision."), field="decision")
    if finding.kind == "missing":
        # What rests on memory alone must not hold up care, so a person may go on without it.
        if finding.certainty != "recalled":
            raise Refused(_("What is unknown cannot be decided. Ask for it first."))
        if decision != FindingDecision.Decision.WAIVE:
            raise Refused(_("What is unknown can only be gone on without, with a reason."))
    elif decision == FindingDecision.Decision.WAIVE:
        raise Refused(_("This is known. Decide about it."), field="decision")
    if finding.kind == "contraindication" and decision != FindingDecision.Decision.OVERRIDE:
        raise Refused(
            _("A contraindication can only be overridden, with a reason."), field="decision"
        )
    reason = require_reason(reason)
    made, _new = FindingDecision.objects.update_or_create(
        course=course,
        route=course.route,
        rule_id=rule_id,
        defaults={
            "decision": decision,
            "facts_read": finding.facts_read,
            "reason": reason,
            "by": prescriber,
            "at": clock.now(),
        },
    )
    record.append(
        prescriber,
        course.stream,
        "intake.finding_decided",
        {
            "finding": asdict(finding),
            "route": course.route,
            "decision": decision,
            "reason": reason,
            **stamp(),
        },
        person_id=course.person_id,
    )
    return made


@transaction.atomic
def sign_screening(prescriber: User, course: Course, *, outcome: str, note: str = "") -> Screening:
    """Sign that this person may, or may not, have the treatment. The findings are kept as read.

    Raises:
        Refused: not a prescriber, facts are missing, or a finding waits for a decision.
    """
    require_no_open_safety_review(course)
    require_signed_policy()
    _require_unsigned(course)
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("Only a prescriber signs the screening."))
    if outcome not in Screening.Outcome.values:
        raise Refused(_("Choose the outcome."), field="outcome")
    facts = queries.facts_for(course)
    findings = queries.findings_for(course, facts)
    decided = queries.standing_decisions(course, findings)
    if outcome == Screening.Outcome.ELIGIBLE:
        missing = [f for f in findings if f.kind == "missing" and f.rule_id not in decided]
        if missing:
            raise Refused(
                ngettext(
                    "%(count)d finding cannot be judged yet: %(first)s. "
                    "Ask for what is missing first.",
                    "%(count)d findings cannot be judged yet: %(first)s. "
                    "Ask for what is missing first.",
                    len(missing),
                )
                % {"count": len(missing), "first": _(missing[0].statement)}
            )
        waiting = [f for f in findings if f.kind != "missing" and f.rule_id not in decided]
        if waiting:
            first = "; ".join(_(f.statement) for f in waiting)
            raise Refused(_("Decide first about: %(findings)s.") % {"findings": first})
    elif not note.strip():
        raise Refused(_("Write why, for the patient and the referrer."), field="note")
    current = library()
    programme = {
        "condition": course.condition,
        "route": course.route,
        "setting": course.setting,
        "jurisdiction": queries.jurisdiction(),
    }
    screening = Screening.objects.create(
        course=course,
        programme=programme,
        facts={name: [fact.value, fact.because] for name, fact in facts.items()},
        findings=[asdict(finding) for finding in findings],
        library_version=current.version,
        library_digest=current.digest,
        outcome=outcome,
        note=note.strip(),
        signed_by=prescriber,
    )
    record.append(
        prescriber,
        course.stream,
        "intake.screening_signed",
        {
            "outcome": outcome,
            "note": note.strip(),
            "programme": programme,
            "facts": screening.facts,
            "findings": screening.findings,
            **stamp(),
        },
        person_id=course.person_id,
    )
    if course.prescriber_id is None:
        assign_team(prescriber, course, prescriber=prescriber, therapist=course.therapist)
    eligible = outcome == Screening.Outcome.ELIGIBLE
    move_to(prescriber, course, Stage.CONSENT if eligible else Stage.DECLINED, reason=note)
    return screening


def _require_unsigned(course: Course) -> None:
    if Screening.objects.filter(course=course).exists():
        raise Refused(_("The screening is signed. What it rests on can no longer be changed."))


def _enter_screening(actor: User | str, course: Course) -> None:
    if course.stage == Stage.REFERRED:
        move_to(actor, course, Stage.SCREENING)
