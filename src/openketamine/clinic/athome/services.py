"""The clinic's acts of treatment at home. What the patient and the adult do is in `from_home`."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Literal, TypeVar

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_noop as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.intake import queries as intake
from openketamine.clinic.intake.queries import jurisdiction
from openketamine.clinic.intake.services import require_no_open_safety_review
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices import wordings
from openketamine.clinic.notices.models import Call
from openketamine.clinic.people.language import language_of
from openketamine.clinic.people.models import Course, Setting
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.plans.models import GivenAs, PlannedSession
from openketamine.clinic.policy.queries import library, stamp
from openketamine.clinic.policy.services import require_signed_policy
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source, canonical
from openketamine.clinic.said import asked, say
from openketamine.clinic.sessions.signals import discharged
from openketamine.protocols import discharge, monitoring

from . import counts, links, queries
from .gates import asked_of_clinician, first_open
from .models import (
    AFTER_DOSE,
    OPEN,
    AfterHold,
    Enrolment,
    FirstDoseReview,
    HomeProgramme,
    HomeScreening,
    HomeSession,
    Movement,
    Phase,
)
from .timeline import Timeline

CLINICIANS = frozenset({Role.PRESCRIBER, Role.NURSE})
LONGEST_HOLD_MIN = 60.0

T = TypeVar("T")


def attempted(actor: User | str, act: str, stream: str, person_id: Any, do: Callable[[], T]) -> T:
    """Do an act; where it is refused nothing is written but that it was tried, and why not."""
    try:
        with transaction.atomic():
            return do()
    except Refused as refusal:
        record.append(
            actor,
            stream,
            "athome.refused",
            # What is told to a patient, in the patient's language, is put in the staff's words too.
            {"act": act, "reason": refusal.for_record},
            person_id=person_id,
        )
        raise


# ------------------------------------------------------------------------------ the programme


@transaction.atomic
def switch_on(director: User, *, signed_name: str, digest: str) -> HomeProgramme:
    """Switch treatment at home on in this clinic's jurisdiction, by name, under its warnings.

    Args:
        digest: of the warnings that were on the screen.

    Raises:
        Refused: not a medical director, another name, other warnings, or it is on already.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(say(_("Only the medical director switches treatment at home on.")))
    require_signed_policy()
    record.lock()
    if queries.programme():
        raise Refused(say(_("Treatment at home is on in %(place)s already."), place=jurisdiction()))
    read = queries.warnings()
    if digest != warnings_digest():
        raise Refused(say(_("The warnings have changed since they were opened. Read them again.")))
    if " ".join(signed_name.split()).casefold() != director.display_name.casefold():
        raise Refused(
            say(
                _("Sign with your full name as it stands here: %(name)s."),
                name=director.display_name,
            ),
            field="signed_name",
        )
    made = HomeProgramme.objects.create(
        jurisdiction=jurisdiction(),
        warnings=[each.model_dump(mode="json") for each in read],
        digest=digest,
        signed_name=" ".join(signed_name.split()),
        signed_by=director,
        signed_at=clock.now(),
    )
    record.append(
        director,
        "clinic",
        "athome.switched_on",
        {
            "jurisdiction": made.jurisdiction,
            "warnings": [each.id for each in read],
            "digest": digest,
            "signed_name": made.signed_name,
            **stamp(),
        },
    )
    return made


def warnings_digest() -> str:
    """SHA-256 of the warnings as they stand here: what somebody signs is these words."""
    read = [each.model_dump(mode="json") for each in queries.warnings()]
    return sha256(canonical({"warnings": read}).encode()).hexdigest()


@transaction.atomic
def switch_off(director: User, *, because: str) -> None:
    """Switch treatment at home off. Sessions that are open go on to their end.

    Raises:
        Refused: not a medical director, no reason, or it is not on.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(say(_("Only the medical director switches treatment at home off.")))
    if not because.strip():
        raise Refused(say(_("Say why.")), field="because")
    record.lock()
    on = queries.programme()
    if on is None:
        raise Refused(say(_("Treatment at home is not on.")))
    on.off_at, on.off_by, on.off_because = clock.now(), director, because.strip()[:500]
    on.save(update_fields=["off_at", "off_by", "off_because"])
    record.append(
        director,
        "clinic",
        "athome.switched_off",
        {"jurisdiction": on.jurisdiction, "because": on.off_because},
    )


# ---------------------------------------------------------------------- who takes part, and how


@transaction.atomic
def sign_home_screening(
    prescriber: User, course: Course, *, how: str, note: str = ""
) -> HomeScreening:
    """Sign, after a visit in person or by video, that this person may be treated at home for now.

    Stricter than the screening of the course: no contraindication may stand, overridden or not, and
    nothing that a rule asks for may be unknown.

    Raises:
        Refused: not a prescriber, not a course at home, or a finding that does not allow it.
    """
    require_no_open_safety_review(course)
    require_signed_policy()
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(say(_("Only a prescriber signs a screening for home.")))
    if course.setting != Setting.HOME:
        raise Refused(say(_("This course is not one at home.")))
    if how not in HomeScreening.How.values:
        raise Refused(say(_("Say how you saw the patient: by video or in person.")), field="how")
    facts = intake.facts_for(course)
    findings = intake.findings_for(course, facts)
    decided = intake.standing_decisions(course, findings)
    for finding in findings:
        if finding.kind == "contraindication":
            raise Refused(
                say(
                    _(
                        "%(finding)s: a contraindication, and at home none can be overridden. "
                        "Choose a supervised setting."
                    ),
                    finding=say(finding.statement),
                )
            )
        if finding.kind == "missing" and finding.rule_id not in decided:
            raise Refused(
                say(_("Not known: %(finding)s. Ask for it first."), finding=say(finding.statement))
            )
        if finding.kind == "caution" and finding.rule_id not in decided and not note.strip():
            raise Refused(
                say(
                    _("%(finding)s: say in the note why it may be all the same."),
                    finding=say(finding.statement),
                ),
                field="note",
            )
    current = library()
    made = HomeScreening.objects.create(
        course=course,
        how=how,
        facts={name: [fact.value, fact.because] for name, fact in facts.items()},
        findings=[asdict(finding) for finding in findings],
        library_version=current.version,
        library_digest=current.digest,
        note=note.strip(),
        signed_by=prescriber,
        signed_at=clock.now(),
    )
    record.append(
        prescriber,
        course.stream,
        "athome.screening_signed",
        {"how": how, "findings": made.findings, "note": made.note, **stamp()},
        person_id=course.person_id,
    )
    return made


@transaction.atomic
def enrol(
    prescriber: User,
    course: Course,
    *,
    doctor: User | None,
    hold_min: float,
    after_hold: str,
) -> Enrolment:
    """Take a course into the programme, or change its doctor or how the dose is taken.

    Args:
        doctor: who answers for every session; None where the doctor has left, and no session
            starts until there is another.
        hold_min: how long the dose stays in the mouth; 0 where it is swallowed at once. No source
            fixes it, so the prescriber says it.
        after_hold: "swallow" or "spit".

    Raises:
        Refused: not a prescriber, not a course at home, no prescriber named, or an impossible time.
    """
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(say(_("Only a prescriber takes somebody into the programme.")))
    if course.setting != Setting.HOME:
        raise Refused(say(_("This course is not one at home.")))
    if doctor is not None and (doctor.role != Role.PRESCRIBER or not doctor.is_active):
        raise Refused(say(_("The doctor is a prescriber of this clinic.")), field="doctor")
    if not 0 <= hold_min <= LONGEST_HOLD_MIN:
        raise Refused(
            say(_("Say 0 to %(longest)s minutes."), longest=f"{LONGEST_HOLD_MIN:g}"),
            field="hold_min",
        )
    if after_hold not in AfterHold.values:
        raise Refused(say(_("Say whether the rest is swallowed or spat out.")), field="after_hold")
    if course.route == "ORAL" and hold_min:
        raise Refused(
            say(
                _(
                    "By mouth it is swallowed at once: 0 minutes. A lozenge under the tongue is "
                    "another route, and another dose."
                )
            ),
            field="hold_min",
        )
    if hold_min == 0 and after_hold == AfterHold.SPIT:
        raise Refused(say(_("What is swallowed at once is not spat out.")), field="after_hold")
    made, _new = Enrolment.objects.update_or_create(
        course=course,
        defaults={"doctor": doctor, "hold_min": hold_min, "after_hold": after_hold},
        create_defaults={
            "doctor": doctor,
            "hold_min": hold_min,
            "after_hold": after_hold,
            "enrolled_by": prescriber,
            "enrolled_at": clock.now(),
        },
    )
    record.append(
        prescriber,
        course.stream,
        "athome.enrolled",
        {
            "doctor": doctor.pk if doctor else None,
            "doctor_name": str(doctor) if doctor else "",
            "hold_min": hold_min,
            "after_hold": after_hold,
        },
        person_id=course.person_id,
    )
    return made


@transaction.atomic
def record_supervised_dose(
    clinician: User, enrolment: Enrolment, *, taken_at: datetime, dose_mg: float, note: str
) -> Enrolment:
    """Write down that a clinician watched the first dose in the clinic, and how it went.

    A first dose by video is a session at home that is opened as watched.

    Raises:
        Refused: no clinician, no words, in the future, above the ceiling, or recorded already.
    """
    _require_clinician(clinician, say(_("A nurse or a prescriber may watch a first dose.")))
    enrolment = Enrolment.objects.select_for_update().select_related("course").get(pk=enrolment.pk)
    if enrolment.supervised_at:
        raise Refused(say(_("The supervised first dose is recorded already.")))
    if len(note.strip()) < 10:
        raise Refused(say(_("Say in a sentence how the first dose was tolerated.")), field="note")
    cap = library().athome.rule("cap_mg")
    if not 0 < dose_mg <= cap.value:
        raise Refused(
            say(_("A dose is above 0 and at most %(cap)s mg."), cap=f"{cap.value:g}"),
            field="dose_mg",
        )
    event = record.append(
        clinician,
        enrolment.course.stream,
        "athome.first_dose_supervised",
        {"how": "clinic", "dose_mg": dose_mg, "note": note.strip()},
        person_id=enrolment.course.person_id,
        occurred_at=taken_at,
    )
    enrolment.supervised_mg = dose_mg
    _supervised(enrolment, clinician, event.occurred_at, "clinic", note)
    return enrolment


def _supervised(enrolment: Enrolment, by: User, at: datetime, how: str, note: str) -> None:
    enrolment.supervised_at, enrolment.supervised_by = at, by
    enrolment.supervised_how, enrolment.supervised_note = how, note.strip()
    enrolment.save(
        update_fields=[
            "supervised_at", "supervised_by", "supervised_how", "supervised_note", "supervised_mg",
        ]
    )  # fmt: skip


@transaction.atomic
def review_first_dose(
    prescriber: User, enrolment: Enrolment, *, how: str, may_go_on: bool, words: str
) -> FirstDoseReview:
    """A prescriber has spoken with the patient after the first dose at home, and says what follows.

    Until somebody has said that it may go on, no further session at home begins. It can be reviewed
    again; the newest review counts.

    Raises:
        Refused: not a prescriber, no dose was taken at home yet, the same day, or no words.
    """
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(say(_("Only a prescriber reviews the first dose at home.")))
    record.lock()
    enrolment = Enrolment.objects.select_related("course").get(pk=enrolment.pk)
    if enrolment.first_dose_at is None:
        raise Refused(say(_("No dose has been taken at home yet.")))
    opens = queries.review_opens_on(enrolment.first_dose_at, library().athome)
    if clock.today() < opens:
        raise Refused(
            say(
                _(
                    "The review is held from %(day)s on: what the day after brings is part of it "
                    "(clinic policy, %(rule)s)."
                ),
                day=asked(lambda: date_format(opens, "d F")),
                rule=library().athome.rule("review_from_days").id,
            )
        )
    if how not in FirstDoseReview.How.values:
        raise Refused(say(_("Say how you saw the patient.")), field="how")
    if len(words.strip()) < 10:
        raise Refused(
            say(_("Say in a sentence how the dose and the days since were.")), field="words"
        )
    made = FirstDoseReview.objects.create(
        enrolment=enrolment,
        how=how,
        words=words.strip(),
        may_go_on=may_go_on,
        held_by=prescriber,
        held_at=clock.now(),
    )
    record.append(
        prescriber,
        enrolment.course.stream,
        "athome.first_dose_reviewed",
        {
            "how": how,
            "may_go_on": may_go_on,
            "words": made.words,
            "first_dose_at": enrolment.first_dose_at.isoformat(),
        },
        person_id=enrolment.course.person_id,
    )
    settle(prescriber, review_call(enrolment), f"Reviewed: {made.words}")
    return made


def review_call(enrolment: Enrolment) -> str:
    """The key of the call that goes out where nobody has reviewed a first dose in its time."""
    return f"home:enrolment:{enrolment.pk}:first-dose-review"


def call_for_review(enrolment: Enrolment) -> None:
    """Call the doctor who answers for a course: its first dose at home was not reviewed in time."""
    course, person = enrolment.course, enrolment.course.person
    assert enrolment.first_dose_at is not None
    notices.raise_call(
        "OpenKetamine",
        key=review_call(enrolment),
        priority="amber",
        headline="The first dose at home has not been reviewed",
        detail=f"Taken on {timezone.localtime(enrolment.first_dose_at):%d %B, %H:%M}. No further "
        "session at home begins until a prescriber has reviewed it.",
        person_id=person.pk,
        subject=f"{person}, MRN {person.mrn}",
        link=reverse("home_course", args=[course.pk]),
        responsible=enrolment.doctor,
    )
    enrolment.review_called_at = clock.now()
    enrolment.save(update_fields=["review_called_at"])


# ---------------------------------------------------------------------------------- the counts


def dispense(
    actor: User,
    enrolment: Enrolment,
    *,
    pieces: Mapping[float, int],
    counted: Mapping[float, int],
    lot: str,
) -> list[Movement]:
    """Hand out what the planned sessions still need, and no more.

    Args:
        pieces: mg of one piece -> how many are handed out.
        counted: what the patient has left, counted before; it must agree with what is known.

    Raises:
        Refused: what is left does not agree, more than is planned, no lot, or a gate is shut.
    """

    def do() -> list[Movement]:
        _require_clinician(actor, say(_("A nurse or a prescriber may hand out doses.")))
        course = enrolment.course
        require_no_open_safety_review(course)
        require_signed_policy()
        record.lock()
        if queries.programme() is None:
            raise Refused(
                say(_("Treatment at home is not switched on in %(place)s."), place=jurisdiction())
            )
        plan = plans.plan_in_force(course)
        if plan is None or plan.given_as != GivenAs.PIECES:
            raise Refused(say(_("No plan in force is counted out in pieces.")))
        if plan.dose_mg > (cap := library().athome.rule("cap_mg")).value:
            raise Refused(
                say(
                    _("%(dose)s mg is above the ceiling of %(cap)s mg."),
                    dose=f"{plan.dose_mg:g}",
                    cap=f"{cap.value:g}",
                )
            )
        if not lot.strip():
            raise Refused(say(_("Write down the lot.")), field="lot")
        asked = _some(pieces)
        if not asked:
            raise Refused(say(_("Say how many pieces are handed out.")))
        held = queries.counts_of(enrolment).held
        stated = {float(mg): count for mg, count in counted.items() if count}
        if stated != held:
            raise Refused(
                say(
                    _(
                        "The patient counts %(counted)s, and %(held)s should be there. Find out "
                        "first: record what was lost or brought back."
                    ),
                    counted=counts.in_words(stated),
                    held=counts.in_words(held),
                ),
                field="counted",
            )
        need = queries.still_needed(course, plan)
        for mg, count in asked.items():
            most = need.get(mg, 0) - held.get(mg, 0)
            if count > most:
                raise Refused(
                    say(
                        _(
                            "%(count)s of %(mg)s mg is more than is planned: the sessions ahead "
                            "need %(needed)s, %(held)s are at home, so at most %(most)s."
                        ),
                        count=count,
                        mg=f"{mg:g}",
                        needed=need.get(mg, 0),
                        held=held.get(mg, 0),
                        most=max(most, 0),
                    ),
                    field="pieces",
                )
        return [
            move(actor, enrolment, Movement.Kind.DISPENSED, mg, count, lot=lot)
            for mg, count in asked.items()
        ]

    return attempted(actor, "dispense", enrolment.course.stream, enrolment.course.person_id, do)


def take_back(
    actor: User, enrolment: Enrolment, *, kind: str, pieces: Mapping[float, int], note: str
) -> list[Movement]:
    """Write down pieces that were brought back, or that the patient reports as lost.

    Raises:
        Refused: more than the patient holds, or no words.
    """

    def do() -> list[Movement]:
        _require_clinician(actor, say(_("A nurse or a prescriber may count doses.")))
        if kind not in {Movement.Kind.RETURNED, Movement.Kind.LOST}:
            raise Refused(say(_("Say whether they were brought back or lost.")), field="kind")
        if not note.strip():
            raise Refused(say(_("Say how that came about.")), field="note")
        record.lock()
        asked = _some(pieces)
        if not asked:
            raise Refused(say(_("Say how many pieces.")))
        return [move(actor, enrolment, kind, mg, count, note=note) for mg, count in asked.items()]

    return attempted(actor, kind, enrolment.course.stream, enrolment.course.person_id, do)


def _some(pieces: Mapping[float, int]) -> dict[float, int]:
    if any(count < 0 or count != int(count) for count in pieces.values()):
        raise Refused(say(_("Pieces are whole: 0, 1, 2 and so on.")), field="pieces")
    return {float(mg): int(count) for mg, count in pieces.items() if count}


def move(
    actor: User | str,
    enrolment: Enrolment,
    kind: str,
    mg: float,
    count: int,
    *,
    lot: str = "",
    note: str = "",
    session: HomeSession | None = None,
    at: datetime | None = None,
) -> Movement:
    """One movement. Whoever calls holds the record's lock."""
    held = queries.counts_of(enrolment).held.get(mg, 0)
    if kind != Movement.Kind.DISPENSED and count > held:
        raise Refused(
            say(
                _("%(count)s of %(mg)s mg cannot be %(what)s: %(held)s should be there."),
                count=count,
                mg=f"{mg:g}",
                what=asked(lambda: str(Movement.Kind(kind).label)),
                held=held,
            ),
            field="pieces",
        )
    made = Movement.objects.create(
        enrolment=enrolment,
        kind=kind,
        piece_mg=mg,
        pieces=count,
        lot=lot.strip(),
        note=note.strip()[:300],
        session=session,
        at=at or clock.now(),
        by_name=str(actor),
    )
    record.append(
        actor,
        enrolment.course.stream,
        f"athome.{kind}",
        {
            "piece_mg": mg,
            "pieces": count,
            "lot": made.lot,
            "note": made.note,
            "session": str(session.pk) if session else None,
        },
        person_id=enrolment.course.person_id,
        occurred_at=at,
    )
    return made


# -------------------------------------------------------------------------------- the sessions


def open_session(
    actor: User,
    planned: PlannedSession,
    *,
    adult_name: str,
    adult_phone: str,
    watched_live: bool = False,
) -> HomeSession:
    """Open today's session at home, and send the two links.

    Args:
        adult_name, adult_phone: the adult at hand, who gets the own page.
        watched_live: a clinician watches by video, as at the first dose.

    Raises:
        Refused: a gate is shut, no adult is named, or another session is open. Only the attempt is
            recorded.
    """
    planned = PlannedSession.objects.select_related("course__person", "plan").get(pk=planned.pk)
    course = planned.course

    def do() -> HomeSession:
        _require_clinician(actor, say(_("A nurse or a prescriber may open sessions at home.")))
        record.lock()
        fresh = PlannedSession.objects.select_for_update().get(pk=planned.pk)
        if fresh.started_at or fresh.cancelled_at or fresh.done_at:
            raise Refused(say(_("This session was opened or cancelled already.")))
        if timezone.localtime(fresh.planned_for).date() > clock.today():
            raise Refused(
                say(
                    _(
                        "This session is planned for %(day)s. Move it on the calendar first, if it "
                        "is to be today."
                    ),
                    day=asked(lambda: date_format(timezone.localtime(fresh.planned_for), "d F")),
                )
            )
        _require_gates(course, planned, watched_live=watched_live)
        if not adult_name.strip():
            raise Refused(
                say(_("Name the adult who is at hand. Without one there is no dose at home.")),
                field="adult_name",
            )
        phone = notices.checked_address("text", adult_phone)
        if HomeSession.objects.filter(person=planned.person_id, closed_at=None).exists():
            raise Refused(
                say(_("Another session at home of this patient is open. Close it first."))
            )
        if course.sessions.filter(closed_at=None).exists():
            raise Refused(say(_("A session of this patient is open in the clinic.")))
        enrolment = queries.enrolment_of(course)
        assert enrolment is not None
        session = HomeSession.objects.create(
            planned=planned,
            course=course,
            person=course.person,
            enrolment=enrolment,
            approval=require_signed_policy(),
            watched_live=watched_live,
            adult_name=adult_name.strip(),
            adult_phone=phone,
            opened_at=clock.now(),
        )
        fresh.started_at = session.opened_at
        fresh.save(update_fields=["started_at"])
        append(
            session,
            actor,
            "session_opened",
            {
                "planned": str(planned.pk),
                "number": planned.number,
                "dose_mg": planned.plan.dose_mg,
                "doctor": enrolment.doctor_id,
                "adult_name": session.adult_name,
                "watched_live": watched_live,
                "hold_min": enrolment.hold_min,
                "after_hold": enrolment.after_hold,
                **stamp(),
            },
        )
        send_links(session)
        return session

    return attempted(actor, "open_session", course.stream, course.person_id, do)


def _require_gates(course: Course, planned: PlannedSession, *, watched_live: bool) -> None:
    shut = first_open(
        queries.gates_for(
            course, planned, watched_live=watched_live, policy=library(), now=clock.now()
        )
    )
    if shut:
        raise Refused(shut.why)


def send_links(session: HomeSession, *, again: int = 0) -> None:
    """Send the patient and the adult their links, by text where a number is known."""
    person = session.person
    for who, name, to, wording, page in (
        ("patient", str(person), person.phone, "home_page", "home_page"),
        ("adult", session.adult_name, session.adult_phone, "adult_page", "adult_page"),
    ):
        if not _can_text(to):
            continue
        token = links.token_for(session, "patient" if who == "patient" else "adult")
        notices.send(
            "OpenKetamine",
            key=f"home:{session.pk}:link:{who}:{again}",
            channel="text",
            to=to,
            to_name=name,
            wording=wording,
            values={"link": wordings.link_to(page, token)},
            language=language_of(person),
            person_id=person.pk,
            expires_at=clock.now() + timedelta(hours=12),
        )


def _can_text(to: str) -> bool:
    try:
        notices.checked_address("text", to)
    except Refused:
        return False
    return True


def decide(
    clinician: User,
    session: HomeSession,
    *,
    go: bool,
    confirmed: Mapping[str, bool],
    reason: str = "",
) -> HomeSession:
    """A person at the clinic says whether the dose may be taken today.

    Args:
        confirmed: the questions before the dose that a clinician answers, by item.
        reason: needed for no dose, and wherever anything is in doubt.

    Raises:
        Refused: nobody who may, nothing to decide, a question left open, no reason, a gate is shut.
    """

    def do() -> HomeSession:
        _require_clinician(
            clinician, say(_("A nurse or a prescriber may decide about a dose at home."))
        )
        found, line = locked(session)
        if line.phase != Phase.DECIDE or line.answered is None:
            raise Refused(
                say(_("There is nothing to decide: the questions before the dose come first."))
            )
        if not go and not reason.strip():
            raise Refused(say(_("Say why there is no dose today.")), field="reason")
        if go:
            if line.answered.prescriber and clinician.role != Role.PRESCRIBER:
                raise Refused(say(_("A prescriber decides about this.")))
            if line.answered.doubts and not reason.strip():
                raise Refused(
                    say(_("Something is in doubt. Give the reason for your go.")), field="reason"
                )
            for item in asked_of_clinician(queries.protocol_of(found)):
                if not confirmed.get(item.item):
                    raise Refused(
                        say(_("Not confirmed: %(question)s."), question=say(item.question)),
                        field=item.item,
                    )
            require_dose_gates(found, line, now=clock.now(), check_go=False)
        append(
            found,
            clinician,
            "decided",
            {
                "go": go,
                "reason": reason.strip(),
                "confirmed": {name: bool(value) for name, value in confirmed.items()},
                "doubts": list(line.answered.doubts),
            },
        )
        settle(
            clinician,
            f"home:{found.pk}:decide:{line.answered.seq}",
            f"Decided: {'go' if go else 'no dose today'}. {reason.strip()}".strip(),
        )
        if not go:
            found.closed_at = clock.now()
            found.save(update_fields=["closed_at"])
            PlannedSession.objects.filter(pk=found.planned_id).update(
                cancelled_at=clock.now(), cancel_reason=f"no dose: {reason.strip()}"
            )
        refresh(found)
        return found

    return attempted(clinician, "decide", session.stream, session.person_id, do)


def require_dose_gates(
    session: HomeSession, line: Timeline, *, now: datetime, check_go: bool = True
) -> None:
    """Let a dose be taken only while everything that allowed it still holds.

    Raises:
        Refused: the first thing that does not.
    """
    policy = queries.library_of(session)
    gates = queries.gates_for(
        session.course,
        session.planned,
        watched_live=session.watched_live,
        policy=policy,
        now=now,
    )
    if shut := first_open(gates):
        raise Refused(shut.why)
    answered = line.answered
    valid = policy.athome.rule("check_valid_min").value
    if answered is None or now - answered.at > timedelta(minutes=valid):
        raise Refused(
            say(
                _(
                    "The answers before the dose are older than %(valid)s minutes. They are asked "
                    "again."
                ),
                valid=f"{valid:g}",
            )
        )
    if check_go and line.phase != Phase.GO:
        raise Refused(say(_("The clinic has not said yes to this dose.")))
    if check_go and not queries.adult_is_here(session, line, now):
        raise Refused(say(_("The adult at hand has not said on the own page: I am here.")))


def note_check_in(
    clinician: User, session: HomeSession, *, data: Mapping[str, Any], words: str = ""
) -> HomeSession:
    """What a clinician was told by telephone or saw by video after the dose.

    Raises:
        Refused: nobody who may, no dose was taken, an impossible value, or nothing was told.
    """
    from . import from_home  # both write check-ins; what is kept is worked out there

    _require_clinician(clinician, say(_("A nurse or a prescriber may write down a check-in.")))
    return from_home.how(session, by="clinician", actor=clinician, data={**data, "words": words})


@transaction.atomic
def close_session(
    clinician: User,
    session: HomeSession,
    *,
    answers: Mapping[str, bool],
    outcome: Literal["well", "handed over"],
    words: str,
) -> HomeSession:
    """A clinician has spoken with the patient after the session, and closes it.

    Args:
        answers: the criteria that a person answers.
        outcome: "well" needs every criterion; "handed over", to an ambulance or a hospital, none.
        words: how it went; always for a handover.

    Raises:
        Refused: nobody who may, no dose was taken, a criterion not met, no words.
    """
    _require_clinician(clinician, say(_("A nurse or a prescriber may close a session at home.")))
    found, line = locked(session)
    if line.dose_at is None or found.phase not in AFTER_DOSE:
        raise Refused(say(_("No dose was taken. Cancel the session instead.")))
    assessment = assess(found, line, answers)
    if outcome == "well" and not assessment.ready:
        first = assessment.open[0]
        raise Refused(
            say(
                _("Not met: %(criterion)s (%(because)s)."),
                criterion=say(first.criterion.statement),
                because=first.because,
            ),
            field="outcome",
        )
    if outcome not in {"well", "handed over"}:
        raise Refused(say(_("Say how it ended.")), field="outcome")
    if len(words.strip()) < 10:
        raise Refused(say(_("Say in a sentence how it went.")), field="words")
    append(
        found,
        clinician,
        "closed",
        {
            "outcome": outcome,
            "words": words.strip(),
            "answers": {name: bool(value) for name, value in answers.items()},
        },
    )
    found.closed_at = clock.now()
    found.save(update_fields=["closed_at"])
    PlannedSession.objects.filter(pk=found.planned_id).update(done_at=found.closed_at)
    if found.watched_live and not found.enrolment.supervised_at and outcome == "well":
        append(found, clinician, "first_dose_supervised", {"how": "video", "note": words.strip()})
        _supervised(found.enrolment, clinician, line.dose_at, "video", words)
    settle(clinician, f"home:{found.pk}:unclosed", words.strip())
    discharged.send(HomeSession, session=found, actor=clinician)
    refresh(found)
    return found


def assess(
    session: HomeSession, line: Timeline, answers: Mapping[str, bool]
) -> discharge.DischargeAssessment:
    """How each criterion of the end stands: figures from the record, the rest from the person."""
    protocol = queries.library_of(session).discharge[queries.PROTOCOL]
    now = clock.now()
    facts: dict[str, float | bool | None] = {
        criterion.fact: answers.get(criterion.fact)
        for criterion in protocol.criteria
        if criterion.question
    }
    if line.dose_at:
        facts["minutes_since_dose"] = line.minutes(now)
    measured = [each for each in line.check_ins if each.values]
    if measured:
        facts["vitals_age_min"] = (now - measured[-1].at).total_seconds() / 60
        for quantity, name in (
            ("systolic_mmhg", "systolic_change_percent"),
            ("diastolic_mmhg", "diastolic_change_percent"),
            ("heart_rate_bpm", "heart_rate_change_percent"),
        ):
            value, before = measured[-1].values.get(quantity), line.baseline.get(quantity)
            if value is not None and before:
                facts[name] = 100 * abs(value / before - 1)
    return discharge.assess(protocol, facts)


@transaction.atomic
def cancel_session(clinician: User, session: HomeSession, *, reason: str) -> HomeSession:
    """Give a session up before any dose was taken.

    Raises:
        Refused: nobody who may, no reason, or a dose was taken.
    """
    _require_clinician(clinician, say(_("A nurse or a prescriber may cancel a session at home.")))
    found, line = locked(session)
    if line.dose_at:
        raise Refused(say(_("A dose was taken. Close the session instead.")))
    reason = require_reason(reason)
    append(found, clinician, "cancelled", {"reason": reason})
    found.closed_at = clock.now()
    found.save(update_fields=["closed_at"])
    PlannedSession.objects.filter(pk=found.planned_id).update(
        cancelled_at=clock.now(), cancel_reason=reason
    )
    refresh(found)
    return found


# ------------------------------------------------------------------------------------ in common


def locked(session: HomeSession) -> tuple[HomeSession, Timeline]:
    """The session, alone in the hands of this transaction, with its timeline.

    Raises:
        Refused: it is over.
    """
    record.lock()
    found = HomeSession.objects.select_related(
        "person", "planned__plan", "enrolment__doctor", "enrolment__course", "course__person"
    ).get(pk=session.pk)
    if found.phase not in OPEN:
        raise Refused(
            say(
                _("This session is over: %(phase)s."),
                phase=asked(lambda: Phase(found.phase).label.lower()),
            )
        )
    return found, queries.timeline_of(found)


def append(
    session: HomeSession,
    actor: User | str,
    kind: str,
    data: dict[str, Any],
    *,
    occurred_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
    source: Source = Source.HAND,
) -> Event:
    """Add one fact to a session's stream."""
    return record.append(
        actor,
        session.stream,
        f"athome.{kind}",
        data,
        person_id=session.person_id,
        occurred_at=occurred_at,
        client_id=client_id,
        source=source,
    )


def refresh(session: HomeSession) -> Timeline:
    """Repeat on the session what its record says: where it stands, and when to look again."""
    line = queries.timeline_of(session)
    session.phase = line.phase
    session.look_at, session.missed = None, 0
    if line.phase in AFTER_DOSE and not session.closed_at:
        assert line.dose_at is not None
        protocol = queries.protocol_of(session)
        grace = timedelta(minutes=protocol.late_after_min.value)
        wanting = queries.wanting(session, line, clock.now())
        late = [each for each in wanting if each.state in {"late", "missed"}]
        session.missed = len(late)
        ahead = [
            line.dose_at + timedelta(minutes=each.at_min) + grace
            for each in wanting
            if each.at_min not in line.missed_at_min
        ]
        last = queries.last_check_in_at(session, line)
        assert last is not None
        within = queries.library_of(session).athome.rule("close_within_min").value
        session.look_at = min([*ahead, last + timedelta(minutes=within)])
    session.save(update_fields=["phase", "look_at", "missed", "expect_anew"])
    return line


def call_about(
    session: HomeSession,
    actor: User | str,
    *,
    key: str,
    priority: Literal["red", "amber"],
    headline: str,
    detail: str = "",
) -> Call:
    """Call the clinic about a session, its doctor above all."""
    return notices.raise_call(
        actor,
        key=key,
        priority=priority,
        headline=headline,
        detail=detail,
        person_id=session.person_id,
        subject=f"{session.person}, MRN {session.person.mrn}",
        link=reverse("home_session", args=[session.pk]),
        responsible=session.enrolment.doctor,
    )


def settle(clinician: User, key: str, words: str) -> None:
    """What was called for is done: the call is answered and closed by whoever did it."""
    call = Call.objects.filter(key=key, closed_at=None).first()
    if call is None:
        return
    if not call.answered_at:
        call = notices.answer_call(clinician, call)
    notices.close_call(clinician, call, words=words)


def _require_clinician(actor: User, who_may: str) -> None:
    if actor.role not in CLINICIANS:
        raise Refused(who_may)


def plausible(session: HomeSession, values: Mapping[str, Any]) -> dict[str, float]:
    """Pressure and pulse that are there, or a refusal naming the first that cannot be true."""
    protocol = queries.protocol_of(session)
    given = {name: float(value) for name, value in values.items() if value is not None}
    for name, value in given.items():
        if monitoring.impossible(protocol, name, value):
            why = asked(partial(monitoring.impossible, protocol, name, value))
            raise Refused(why, field=name)
    systolic, diastolic = given.get("systolic_mmhg"), given.get("diastolic_mmhg")
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        raise Refused(
            say(
                _(
                    "The lower value, %(lower)s, cannot be as high as the upper one, %(upper)s. "
                    "Check both."
                ),
                lower=f"{diastolic:g}",
                upper=f"{systolic:g}",
            ),
            field="diastolic_mmhg",
        )
    return given
