"""Psychotherapy notes, apart from the medical record, and who may read them.

45 CFR 164.501 calls psychotherapy notes those of a mental health professional that document or
analyse what was said in a session and that are separated from the rest of the record. Here that
means: a table of their own; no text in any event, export, summary or document; read by the author,
and by whom the author has named, and by no role as such, the medical director's included. Writing,
reading, granting and revoking are events of a stream of their own, which name the note and never
quote it.
"""

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import STAFF, Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event

from .models import NoteGrant, PsychotherapyNote

STREAM = "psychotherapy-notes"


def _audit(actor: User, kind: str, data: dict[str, object]) -> None:
    # Without `person_id`: an export or a print of the person's record must not even count them.
    record.append(actor, STREAM, f"psychotherapy.{kind}", data)


def authors_open_to(user: User, person: Person) -> set[int]:
    """Whose notes on a patient somebody may read: the own, and those granted. One query."""
    if user.role not in STAFF:
        return set()
    granted = NoteGrant.objects.filter(reader=user, person=person, revoked_at=None)
    return {user.pk, *granted.values_list("author_id", flat=True)}


@transaction.atomic
def write(actor: User, person: Person, *, text: str) -> PsychotherapyNote:
    """Keep a psychotherapy note. What belongs in the chart does not belong here.

    Raises:
        Refused: not a therapist, or empty.
    """
    if actor.role != Role.THERAPIST:
        raise Refused(_("Only a therapist writes psychotherapy notes."))
    if not text.strip():
        raise Refused(_("The note is empty."), field="text")
    note = PsychotherapyNote.objects.create(author=actor, person=person, text=text.strip())
    _audit(actor, "note_written", {"note": str(note.pk), "seal": _seal(note)})
    return note


def _seal(note: PsychotherapyNote) -> str:
    """Shows a later change of the text, and cannot be used to guess it."""
    return salted_hmac(STREAM, f"{note.pk}\n{note.text}", algorithm="sha256").hexdigest()


@dataclass(frozen=True)
class ReadNote:
    note: PsychotherapyNote
    untouched: bool


@transaction.atomic
def read(actor: User, note_id: uuid.UUID) -> ReadNote | None:
    """One note, for somebody who may read it. The reading is recorded before the text is given.

    Returns:
        None where there is no such note, or none that this person may know of.
    """
    note = PsychotherapyNote.objects.select_related("author", "person").filter(pk=note_id).first()
    if note is None or note.author_id not in authors_open_to(actor, note.person):
        return None
    _audit(actor, "note_read", {"note": str(note.pk), "author": note.author_id})
    written = Event.objects.filter(
        stream=STREAM, kind="psychotherapy.note_written", body__contains=str(note.pk)
    ).first()
    return ReadNote(note, written is not None and written.data["seal"] == _seal(note))


@transaction.atomic
def grant(actor: User, person: Person, *, reader: User, reason: str) -> NoteGrant:
    """Let one colleague read one's own notes on a patient.

    Raises:
        Refused: no notes of one's own, nobody of the staff, no reason, or granted already.
    """
    if not PsychotherapyNote.objects.filter(author=actor, person=person).exists():
        raise Refused(_("You have no notes on this patient to let anybody read."))
    if reader.role not in STAFF or not reader.is_active or reader.pk == actor.pk:
        raise Refused(_("Choose a colleague."), field="reader")
    reason = require_reason(
        reason, _("Write why: the patient's authorisation, supervision, cover.")
    )
    if NoteGrant.objects.filter(
        author=actor, person=person, reader=reader, revoked_at=None
    ).exists():
        said = _("%(reader)s may read them already.")
        raise Refused(said % {"reader": reader}, field="reader")
    made = NoteGrant.objects.create(author=actor, person=person, reader=reader, reason=reason[:300])
    _audit(actor, "reading_granted", {"grant": made.pk, "reader": reader.pk, "reason": made.reason})
    return made


@transaction.atomic
def revoke(actor: User, grant_id: int) -> None:
    """Take a grant back. It ends at once.

    Raises:
        Refused: not one's own grant, or taken back already.
    """
    made = NoteGrant.objects.select_for_update().filter(pk=grant_id, author=actor).first()
    if made is None or made.revoked_at:
        raise Refused(_("You have given no such leave."))
    made.revoked_at = clock.now()
    made.save(update_fields=["revoked_at"])
    _audit(actor, "reading_revoked", {"grant": made.pk, "reader": made.reader_id})
