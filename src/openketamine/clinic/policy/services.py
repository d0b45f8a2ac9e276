"""The clinic's own text is proposed, and the medical director signs it or declines it."""

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from openketamine import protocols
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.protocols import Overlay, ProtocolError

from . import queries
from .models import Approval, OverlayVersion

LONGEST_NOTE = 500


class BrokenText(Refused):
    """The text cannot be read as an overlay; `line` is where."""

    def __init__(self, error: ProtocolError) -> None:
        words = _("Line %(line)d: %(reason)s.")
        super().__init__(words % {"line": error.line, "reason": error.reason}, field="text")
        self.file, self.line, self.reason = error.file, error.line, error.reason


def check_text(text: str) -> protocols.Library:
    """The library under a text that somebody wants to propose.

    Raises:
        BrokenText: with the line and the reason.
    """
    try:
        return protocols.load(Overlay((("the text", text),)))
    except ProtocolError as error:
        raise BrokenText(error) from error


@transaction.atomic
def propose_overlay(
    actor: User | str,
    *,
    text: str,
    note: str,
    origin: OverlayVersion.Origin = OverlayVersion.Origin.SCREEN,
) -> OverlayVersion:
    """Lay a new version of the clinic's own text before the medical director.

    Nothing changes until the director signs it. A version that was waiting is superseded.

    Args:
        text: the whole of it, in the library's format; empty to follow the library alone.
        note: what it is for.

    Raises:
        Refused: nobody who may, no note, or the text is what governs already.
        BrokenText: the text cannot be used.
    """
    if isinstance(actor, User) and actor.role != Role.DIRECTOR:
        raise Refused(_("Only the medical director changes the clinic's policy."))
    if not note.strip():
        raise Refused(_("Say in a sentence what this version is for."), field="note")
    if len(note.strip()) > LONGEST_NOTE:
        words = _("Say it in at most %(count)d characters.")
        raise Refused(words % {"count": LONGEST_NOTE}, field="note")
    text = text.replace("\r\n", "\n").strip()
    text = f"{text}\n" if text else ""
    library = check_text(text)
    record.lock()  # so that two proposals get two numbers
    latest = queries.waiting() or queries.governing().overlay
    if text == (latest.text if latest else ""):
        raise Refused(_("This is the text that stands already. Change something."), field="text")
    number = (OverlayVersion.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    made = OverlayVersion.objects.create(
        number=number,
        digest=Overlay((("", text),)).digest,
        text=text,
        note=note.strip(),
        library_version=protocols.load().version,
        origin=origin,
        proposed_by=str(actor),
    )
    record.append(
        actor,
        "clinic",
        "policy.proposed",
        {
            "overlay": number,
            "digest": made.digest,
            "text": text,
            "note": made.note,
            "departures": [vars(each) for each in library.departures],
        },
    )
    return made


@transaction.atomic
def decline_overlay(director: User, version: OverlayVersion, *, because: str) -> OverlayVersion:
    """Turn a proposed version down; what governs stays as it is.

    Raises:
        Refused: not a medical director, no reason, or it does not wait.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(_("Only the medical director declines a proposed policy."))
    if not because.strip():
        raise Refused(_("Say why it is declined."), field="because")
    record.lock()
    if (waiting := queries.waiting()) is None or waiting.pk != version.pk:
        raise Refused(_("This version does not wait for a signature."))
    waiting.declined_at = clock.now()
    waiting.declined_by = str(director)
    waiting.declined_because = because.strip()[:LONGEST_NOTE]
    waiting.save(update_fields=["declined_at", "declined_by", "declined_because"])
    record.append(
        director,
        "clinic",
        "policy.declined",
        {"overlay": waiting.number, "because": waiting.declined_because},
    )
    return waiting


@transaction.atomic
def sign_policy(director: User, *, digest: str, version: OverlayVersion | None = None) -> Approval:
    """Put the policy that the director has read in force.

    Args:
        digest: of the text that was on the director's screen.
        version: the clinic's own text to put in force; where left out, what governs stays and is
            signed as it stands.

    Raises:
        Refused: not a medical director, the text has changed since, or it is signed already.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(_("Only the medical director can sign the clinic's policy."))
    record.lock()
    queries.forget()
    now = queries.governing()
    overlay = version or now.overlay
    if version is not None:
        waiting = queries.waiting()
        if waiting is None or waiting.pk != version.pk:
            raise Refused(_("A newer version has been proposed. Read that one, then sign."))
        try:
            library = protocols.load(version.overlay)
        except ProtocolError as error:
            raise BrokenText(error) from error
    else:
        library = now.library
    if digest != library.policy_digest:
        raise Refused(_("The policy has changed since you opened it. Read it again, then sign."))
    if version is None and now.approval:
        raise Refused(_("This policy is signed already."))
    approval = Approval.objects.create(
        digest=digest,
        library_version=library.version,
        library_digest=library.digest,
        overlay=overlay,
        entries=[vars(entry) for entry in library.policy],
        approved_by=director,
    )
    record.append(
        director,
        "clinic",
        "policy.signed",
        {
            "digest": digest,
            "library": library.version,
            "library_digest": library.digest,
            "overlay": overlay.number if overlay else 0,
        },
    )
    queries.forget()
    return approval


def require_signed_policy() -> Approval:
    """The approval in force.

    Raises:
        Refused: there is none, so nothing that rests on clinic policy may be done.
    """
    now = queries.governing()
    if now.fault:
        raise Refused(
            _(
                "The clinic's own protocol text no longer fits the library (%(fault)s). The "
                "medical director must mend it and sign it before anything that rests on policy."
            )
            % {"fault": now.fault}
        )
    if now.approval is None:
        raise Refused(
            _(
                "The clinic's policy is not signed. The medical director must read and sign it "
                "before the first session."
            )
        )
    return now.approval
