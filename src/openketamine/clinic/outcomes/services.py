"""The acts of follow-up: ask by link, save as one goes, receive."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.dispatch import receiver

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
        return FormRequest.objects.select_related("course__person", "person").get(pk=key)
    except (signing.BadSignature, ValueError, FormRequest.DoesNotExist) as error:
        raise Refused(
            "This link does not work. Open it again from the message, or call the clinic."
        ) from error


@receiver(discharged)
def ask_after_session(sender: type[Session], session: Session, actor: User, **_: Any) -> None:
    """On discharge, plan the questionnaires that follow a session."""
    assert session.closed_at is not None
    asked = []
    for occasion in library().measurements.occasions:
        if not occasion.after_hours or occasion.closes_after_hours is None:
            continue
        for instrument in occasion.instruments:
            FormRequest.objects.create(
                course=session.course,
                person=session.person,
                session_number=session.planned.number,
                instrument=instrument,
                occasion=occasion.id,
                due_at=session.closed_at + timedelta(hours=occasion.after_hours),
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
        Refused: not due yet, answered, or closed.
    """
    now = clock.now()
    if request.completed_at:
        raise Refused("You have answered this form already. Thank you.")
    if now < request.due_at:
        raise Refused("It is too early for this form. Come back when it is due.")
    if now > request.closes_at:
        raise Refused("This form is closed. If you want to tell us something, call the clinic.")


@transaction.atomic
def save_answer(request: FormRequest, *, item: str, value: int) -> None:
    """Keep one answer, so that nothing is lost when the phone is put away.

    An answer that alarms opens a safety review now: the patient may never press "send".

    Raises:
        Refused: the form waits for no answer, or this is none.
    """
    request = (
        FormRequest.objects.select_for_update(of=("self",))
        .select_related("course__person")
        .get(pk=request.pk)
    )
    require_answerable(request)
    instrument = library().instruments[request.instrument]
    if item not in {i.id for i in instrument.items}:
        raise Refused("This form has no such question.")
    if value not in {option.value for option in instrument.options}:
        raise Refused("Choose one of the answers.")
    request.draft = {**request.draft, item: value}
    request.opened_at = request.opened_at or clock.now()
    if request.alarmed_at is None and protocols.score(instrument, request.draft).red_flags:
        request.alarmed_at = clock.now()
        _record(request)
    request.save(update_fields=["draft", "opened_at", "alarmed_at"])


def _record(request: FormRequest, *, sent: bool = False) -> InstrumentResponse:
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
    )


@transaction.atomic
def submit(request: FormRequest) -> InstrumentResponse:
    """The patient sends the form. An alarming answer opens a safety review in the same step.

    Raises:
        Refused: the form waits for no answer, or a question is not answered.
    """
    request = (
        FormRequest.objects.select_for_update(of=("self",))
        .select_related("course__person")
        .get(pk=request.pk)
    )
    require_answerable(request)
    if missing := protocols.score(
        library().instruments[request.instrument], request.draft
    ).unanswered:
        raise Refused(f"{len(missing)} questions have no answer yet.", field=missing[0])
    response = _record(request, sent=True)
    request.completed_at, request.response = clock.now(), response
    request.save(update_fields=["completed_at", "response"])
    return response
