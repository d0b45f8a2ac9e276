"""The acts of follow-up: ask by link or in person, save as one goes, receive."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.dispatch import receiver
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from openketamine import protocols
from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source
from openketamine.clinic.sessions.models import Session
from openketamine.clinic.sessions.signals import discharged
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.therapy.services import is_dosed

from .models import FormRequest

_SALT = "openketamine.outcomes.form"


def token_for(request: FormRequest) -> str:
    """The key in the form's link. Only this installation can make one; nothing of it is stored."""
    return signing.dumps(request.pk.hex, salt=_SALT)


def request_by_token(token: str) -> FormRequest:
    """The form that a link opens.

    Raises:
        Refused: the link is not one of this clinic's.
    """
    try:
        key = UUID(signing.loads(token, salt=_SALT))
        with sites.everything():
            return FormRequest.objects.select_related("course__person", "person").get(pk=key)
    except (signing.BadSignature, ValueError, FormRequest.DoesNotExist) as error:
        raise Refused(
            _("This link does not work. Open it again from the message, or call the clinic.")
        ) from error


@receiver(discharged)
def ask_after_session(sender: type[Session], session: Session, actor: User, **kwargs: Any) -> None:
    """On discharge, plan the questionnaires that follow a session, by the course's condition."""
    assert session.closed_at is not None
    asked = []
    earlier = list(FormRequest.objects.filter(course=session.course))
    for occasion in library().measurements.occasions:
        if not occasion.after_hours or occasion.closes_after_hours is None:
            continue
        if occasion.repeats_every_days:
            continue  # asked after the last session alone, which only time tells: see `schedule`
        due_at = session.closed_at + timedelta(hours=occasion.after_hours)
        for instrument in occasion.instruments_for(session.course.condition):
            if occasion.at_most_every_days is not None and any(
                form.due_at > due_at - timedelta(days=occasion.at_most_every_days)
                for form in earlier
                if (form.instrument, form.occasion) == (instrument, occasion.id)
            ):
                continue
            FormRequest.objects.create(
                course=session.course,
                person=session.person,
                session_number=session.planned.number,
                instrument=instrument,
                occasion=occasion.id,
                due_at=due_at,
                closes_at=session.closed_at + timedelta(hours=occasion.closes_after_hours),
            )
            asked.append([instrument, occasion.id])
    record.append(
        actor,
        session.course.stream,
        "outcomes.forms_planned",
        {"session": str(session.pk), "forms": asked},
        person_id=session.person_id,
        source=Source.SYSTEM,
    )


def require_answerable(request: FormRequest) -> None:
    """Let the patient answer only what waits for an answer now.

    Raises:
        Refused: not due yet, answered, closed, or nothing that a patient answers alone.
    """
    now = clock.now()
    if request.completed_at:
        raise Refused(_("You have answered this form already. Thank you."))
    if is_dosed(request.course):
        raise Refused(_("Your session is going on. There is nothing to answer until you are home."))
    if now < request.due_at:
        raise Refused(_("It is too early for this form. Come back when it is due."))
    if now > request.closes_at:
        raise Refused(_("This form is closed. If you want to tell us something, call the clinic."))
    if not library().instruments[request.instrument].by_patient:
        raise Refused(_("The clinic asks you these questions in person."))


@transaction.atomic
def save_answer(request: FormRequest, *, item: str, value: int, language: str = "en") -> None:
    """Keep one answer, so that nothing is lost when the phone is put away.

    An answer that alarms opens a safety review now: the patient may never press "send".

    Raises:
        Refused: the form waits for no answer, or this is none.
    """
    request = _locked(request)
    require_answerable(request)
    instrument = library().instruments[request.instrument]
    question = next((each for each in instrument.items if each.id == item), None)
    if question is None:
        raise Refused(_("This form has no such question."))
    if value not in {option.value for option in instrument.options_of(question)}:
        raise Refused(_("Choose one of the answers."))
    before = set(protocols.score(instrument, request.draft).red_flags)
    request.draft = {**request.draft, item: value}
    request.opened_at = request.opened_at or clock.now()
    if set(protocols.score(instrument, request.draft).red_flags) - before:
        request.alarmed_at = request.alarmed_at or clock.now()
        _record(request, language=language)
    request.save(update_fields=["draft", "opened_at", "alarmed_at"])


def _locked(request: FormRequest) -> FormRequest:
    return (
        FormRequest.objects.select_for_update(of=("self",))
        .select_related("course__person")
        .get(pk=request.pk)
    )


def _record(request: FormRequest, *, language: str, sent: bool = False) -> InstrumentResponse:
    """Keep the answers; until the patient has sent them, only those that alarm."""
    instrument = library().instruments[request.instrument]
    flagged = {rule.item for rule in instrument.red_flags}
    return intake.record_response(
        f"{request.course.person} (by link)",
        request.course,
        instrument=request.instrument,
        answers={k: v for k, v in request.draft.items() if sent or k in flagged},
        occasion=request.occasion,
        session_number=request.session_number,
        source=Source.PATIENT,
        language=language if language in instrument.translations else "en",
        finished=sent,
    )


@transaction.atomic
def submit(request: FormRequest, *, language: str = "en") -> InstrumentResponse:
    """The patient sends the form. An alarming answer opens a safety review in the same step.

    Raises:
        Refused: the form waits for no answer, or a question is not answered.
    """
    request = _locked(request)
    require_answerable(request)
    if missing := protocols.score(
        library().instruments[request.instrument], request.draft
    ).unanswered:
        raise Refused(
            ngettext(
                "%(count)d question has no answer yet.",
                "%(count)d questions have no answer yet.",
                len(missing),
            )
            % {"count": len(missing)},
            field=missing[0],
        )
    return _complete(request, _record(request, language=language, sent=True))


@transaction.atomic
def enter(
    actor: User,
    request: FormRequest,
    *,
    answers: Mapping[str, int | None],
    total: float | None = None,
    language: str = "en",
) -> InstrumentResponse:
    """The staff ask in person, or copy the clinic's own form. Late is better than not at all.

    An incomplete form with an alarming answer is kept for its alarm, and stays due.

    Raises:
        Refused: answered already, not due yet, or what `record_response` refuses.
    """
    request = _locked(request)
    if request.completed_at:
        raise Refused(_("This form is answered already."))
    if clock.now() < request.due_at:
        raise Refused(
            _("This form is not due yet. Use the patient's page for a visit out of turn.")
        )
    response = intake.record_response(
        actor,
        request.course,
        instrument=request.instrument,
        answers=answers,
        total=total,
        occasion=request.occasion,
        session_number=request.session_number,
        language=language,
    )
    return _complete(request, response) if response.complete else response


def _complete(request: FormRequest, response: InstrumentResponse) -> InstrumentResponse:
    request.completed_at, request.response = clock.now(), response
    request.save(update_fields=["completed_at", "response"])
    return response
