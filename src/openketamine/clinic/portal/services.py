"""What is done on the patient's own page, and what the staff do for it."""

from datetime import date, datetime, time, timedelta
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from openketamine.clinic.accounts.models import STAFF, Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake.services import VISIT
from openketamine.clinic.notices import senders, wordings
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices.models import Channel
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people import language as people_language
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source
from openketamine.clinic.sites import scope as sites

from .models import ContactChoice, Message, MoodEntry, PatientLink

_SALT = "openketamine.portal.link"
# Technical figures: how long a key may lie about, and how often it may be tried.
LINK_DAYS = 14
LONGEST_LINK_DAYS = 90
WRONG_ANSWERS = 5
LONGEST_MESSAGE = 4000
MESSAGES_PER_HOUR = 10
SIDE_EFFECTS = "side-effects"
MAY_GIVE_LINKS = frozenset({Role.COORDINATOR, Role.NURSE, Role.THERAPIST, Role.PRESCRIBER})
# A phone lies beside a bed: without another choice nothing is sent at night.
QUIET_FROM, QUIET_UNTIL = time(21), time(8)


def _patient(person: Person) -> str:
    return f"{person} (own page)"


# ------------------------------------------------------------------------------------------ links


def token_for(link: PatientLink) -> str:
    """The key in the link. Only this installation can make one; nothing of it is stored."""
    return signing.dumps(link.pk.hex, salt=_SALT)


@transaction.atomic
def make_link(
    actor: User | str,
    person: Person,
    *,
    days: float = LINK_DAYS,
    expires_at: datetime | None = None,
) -> PatientLink:
    """Make a link that opens this patient's page until it expires or is revoked.

    Raises:
        Refused: a role that gives no links, or too long a time.
    """
    if isinstance(actor, User) and actor.role not in MAY_GIVE_LINKS:
        raise Refused(_("Your role does not give patients links."))
    if not 0 < days <= LONGEST_LINK_DAYS:
        said = _("A link lasts from 1 to %(most)d days.")
        raise Refused(said % {"most": LONGEST_LINK_DAYS}, field="days")
    link = PatientLink.objects.create(
        person=person,
        made_by=actor if isinstance(actor, User) else None,
        made_at=clock.now(),
        expires_at=expires_at or clock.now() + timedelta(days=days),
    )
    record.append(
        actor,
        person.stream,
        "portal.link_made",
        {"link": str(link.pk), "expires_at": link.expires_at.isoformat()},
        person_id=person.pk,
        source=Source.HAND if isinstance(actor, User) else Source.SYSTEM,
    )
    return link


@transaction.atomic
def revoke_link(actor: User, link: PatientLink) -> None:
    """Shut a link, and every page that it has opened.

    Raises:
        Refused: a role that gives no links, or it is shut already.
    """
    if actor.role not in MAY_GIVE_LINKS:
        raise Refused(_("Your role does not revoke links."))
    link = PatientLink.objects.select_for_update(of=("self",)).get(pk=link.pk)
    if link.revoked_at:
        raise Refused(_("This link is revoked already."))
    link.revoked_at, link.revoked_by = clock.now(), actor
    link.save(update_fields=["revoked_at", "revoked_by"])
    record.append(
        actor,
        link.person.stream,
        "portal.link_revoked",
        {"link": str(link.pk)},
        person_id=link.person_id,
    )


def link_by_token(token: str) -> PatientLink:
    """The link of a token.

    Raises:
        Refused: it is not one of this clinic's, or it opens nothing any more. The reader is told
            the same for both.
    """
    try:
        key = UUID(signing.loads(token, salt=_SALT))
        with sites.everything():
            link = PatientLink.objects.select_related("person").get(pk=key)
    except (signing.BadSignature, ValueError, PatientLink.DoesNotExist) as error:
        raise Refused(_no_longer()) from error
    require_standing(link)
    return link


def require_standing(link: PatientLink) -> None:
    """Let nothing pass on a link that has expired, was revoked or was tried too often.

    Raises:
        Refused: with what to do.
    """
    if link.revoked_at or link.expires_at <= clock.now() or link.wrong_answers >= WRONG_ANSWERS:
        raise Refused(_no_longer())


def _no_longer() -> str:
    return _("This link does not work any more. Ask the clinic for a new one.")


def open_link(link: PatientLink, *, birth_date: date) -> None:
    """Open a link with the second fact that only the patient should know.

    A wrong answer counts, also where the act is refused; the last one shuts the link for good.

    Raises:
        Refused: not the birth date, or the link does not stand.
    """
    with transaction.atomic():
        link = PatientLink.objects.select_for_update(of=("self",)).get(pk=link.pk)
        require_standing(link)
        right = birth_date == link.person.birth_date
        if right:
            link.opened_at, link.wrong_answers = clock.now(), 0
        else:
            link.wrong_answers += 1
        link.save(update_fields=["opened_at", "wrong_answers"])
        shut = link.wrong_answers >= WRONG_ANSWERS
        if right or shut:
            record.append(
                "patient's link",
                link.person.stream,
                "portal.link_opened" if right else "portal.link_shut",
                {"link": str(link.pk)},
                person_id=link.person_id,
                source=Source.PATIENT if right else Source.SYSTEM,
            )
    if right:
        return
    if shut:
        raise Refused(_no_longer())
    left = WRONG_ANSWERS - link.wrong_answers
    raise Refused(
        ngettext(
            "This is not the date we have. One more try.",
            "This is not the date we have. %(left)d more tries.",
            left,
        )
        % {"left": left},
        field="birth_date",
    )


@transaction.atomic
def send_link(actor: User, person: Person, *, channel: str) -> PatientLink:
    """Make a link and send it to the patient.

    Raises:
        Refused: a role that gives no links, no address, or nothing can be sent that way.
    """
    to = address_of(person, channel)
    if not to:
        raise Refused(_("The chart has no address for that."), field="channel")
    if not can_send(channel):
        raise Refused(_("This clinic cannot send that way yet; see Deployment."), field="channel")
    link = make_link(actor, person)
    notices.send(
        actor,
        key=f"patient-link:{link.pk}",
        channel="text" if channel == Channel.TEXT else "email",
        to=to,
        to_name=str(person),
        wording="patient_page",
        values={"link": wordings.link_to("patient_link", token_for(link))},
        language=language_of(person),
        person_id=person.pk,
        expires_at=link.expires_at,
    )
    return link


def can_send(channel: str) -> bool:
    """Whether a message of this channel leaves the house, and its link leads back to it."""
    return bool(channel and settings.ORIGIN and senders.is_set_up(channel))


def language_of(person: Person) -> str:
    """In which language a patient is written to: as last chosen, as the chart says, or English."""
    choice = ContactChoice.objects.filter(person=person).first()
    return choice.language if choice else people_language.language_of(person)


def address_of(person: Person, channel: str) -> str:
    return {Channel.TEXT: person.phone, Channel.EMAIL: person.email}.get(Channel(channel), "")


# ---------------------------------------------------------------------------------------- contact


@transaction.atomic
def choose_contact(
    actor: User | None,
    person: Person,
    *,
    channel: str,
    quiet_from: time = QUIET_FROM,
    quiet_until: time = QUIET_UNTIL,
    language: str = "",
) -> ContactChoice:
    """How the patient wants to be reminded, and when the phone stays silent.

    Args:
        actor: who of the staff wrote it down; None where the patient did.
        channel: "text", "email", or nothing for no reminders.
        language: in which to write; where left out, as before, or as the chart says.

    Raises:
        Refused: the chart has no such address, or no such channel.
    """
    if channel and channel not in Channel.values:
        raise Refused(_("Choose one of the answers."), field="channel")
    if channel and not address_of(person, channel):
        raise Refused(
            _("We have no address of yours for that. Please tell the clinic."), field="channel"
        )
    choice, _made = ContactChoice.objects.update_or_create(
        person=person,
        defaults={
            "channel": channel,
            "quiet_from": quiet_from,
            "quiet_until": quiet_until,
            "language": language or language_of(person),
            "chosen_at": clock.now(),
            "chosen_by": actor,
        },
    )
    record.append(
        actor or _patient(person),
        person.stream,
        "portal.contact_chosen",
        {
            "channel": channel,
            "quiet_from": quiet_from.isoformat(timespec="minutes"),
            "quiet_until": quiet_until.isoformat(timespec="minutes"),
        },
        person_id=person.pk,
        source=Source.HAND if actor else Source.PATIENT,
    )
    return choice


# ------------------------------------------------------------------------ what the patient leaves


@transaction.atomic
def record_mood(person: Person, *, mood_0_10: int) -> MoodEntry:
    """How today is.

    Raises:
        Refused: no number from 0 to 10.
    """
    if not 0 <= mood_0_10 <= 10:
        raise Refused(_("Choose one of the answers."))
    entry, _made = MoodEntry.objects.update_or_create(
        person=person,
        day=clock.today(),
        defaults={"mood_0_10": mood_0_10, "at": clock.now()},
    )
    record.append(
        _patient(person),
        person.stream,
        "portal.mood_recorded",
        {"day": entry.day.isoformat(), "mood_0_10": mood_0_10},
        person_id=person.pk,
        source=Source.PATIENT,
    )
    return entry


@transaction.atomic
def tell_of_side_effects(course: Course) -> FormRequest:
    """Open the side-effect checklist out of turn; the one that waits already, where one does."""
    record.lock()
    now = clock.now()
    mine = FormRequest.objects.filter(course=course, instrument=SIDE_EFFECTS)
    waiting = mine.filter(completed_at=None, due_at__lte=now, closes_at__gt=now).first()
    if waiting:
        return waiting
    number = (
        course.planned_sessions.filter(done_at__isnull=False)
        .order_by("-number")
        .values_list("number", flat=True)
        .first()
    )
    form = FormRequest.objects.create(
        course=course,
        person_id=course.person_id,
        session_number=number,
        instrument=SIDE_EFFECTS,
        occasion=VISIT,
        round=mine.filter(occasion=VISIT, session_number=number).count(),
        due_at=now,
        closes_at=now + timedelta(days=1),
    )
    record.append(
        _patient(course.person),
        course.stream,
        "outcomes.forms_planned",
        {"forms": [[form.instrument, form.occasion, form.round]]},
        person_id=course.person_id,
        source=Source.PATIENT,
    )
    return form


@transaction.atomic
def write_message(person: Person, *, text: str) -> Message:
    """The patient writes to the care team.

    Raises:
        Refused: empty, too long, or very many in an hour.
    """
    text = text.strip()
    if not text:
        raise Refused(_("Write what you want to tell us."), field="text")
    if len(text) > LONGEST_MESSAGE:
        raise Refused(_("This is too long. Please call the clinic."), field="text")
    recent = person.messages.filter(
        from_patient=True, sent_at__gt=clock.now() - timedelta(hours=1)
    ).count()
    if recent >= MESSAGES_PER_HOUR:
        raise Refused(_("You have written many messages. Please call the clinic."), field="text")
    message = Message.objects.create(
        person=person,
        course=person.courses.filter(closed_at=None).first(),
        from_patient=True,
        author_name=str(person),
        text=text,
        sent_at=clock.now(),
    )
    record.append(
        _patient(person),
        person.stream,
        "portal.message_written",
        {"message": message.pk, "text": text},
        person_id=person.pk,
        source=Source.PATIENT,
    )
    return message


@transaction.atomic
def answer_messages(actor: User, person: Person, *, text: str) -> Message:
    """Answer the patient; every message that waits is answered by it.

    Raises:
        Refused: not of the staff, or empty.
    """
    _require_staff(actor)
    text = text.strip()
    if not text:
        raise Refused(_("The answer is empty."), field="text")
    message = Message.objects.create(
        person=person,
        course=person.courses.filter(closed_at=None).first(),
        from_patient=False,
        author=actor,
        author_name=str(actor),
        text=text[:LONGEST_MESSAGE],
        sent_at=clock.now(),
    )
    settled = _settle(actor, person)
    record.append(
        actor,
        person.stream,
        "portal.message_answered",
        {"message": message.pk, "text": message.text, "answers": settled},
        person_id=person.pk,
    )
    _tell_of_answer(actor, message)
    return message


def _tell_of_answer(actor: User, message: Message) -> None:
    """Say that there is an answer, by the patient's own way; never what it says."""
    choice = ContactChoice.objects.filter(person=message.person).first()
    if choice is None or not can_send(choice.channel):
        return
    to = address_of(message.person, choice.channel)
    if not to:
        return
    link = make_link("answer to a message", message.person)
    notices.send(
        actor,
        key=f"message:{message.pk}",
        channel="text" if choice.channel == Channel.TEXT else "email",
        to=to,
        to_name=str(message.person),
        wording="message_answered",
        values={"link": wordings.link_to("patient_link", token_for(link))},
        language=choice.language,
        person_id=message.person_id,
        due_at=end_of_quiet(choice, clock.now()),
        expires_at=link.expires_at,
    )


@transaction.atomic
def settle_messages(actor: User, person: Person, *, why: str) -> None:
    """Say that what waits needs no written answer, and why: "spoke on the telephone".

    Raises:
        Refused: not of the staff, nothing waits, or no reason.
    """
    _require_staff(actor)
    if not why.strip():
        raise Refused(_("Say why no answer is needed."), field="why")
    settled = _settle(actor, person)
    if not settled:
        raise Refused(_("No message waits."))
    record.append(
        actor,
        person.stream,
        "portal.messages_settled",
        {"messages": settled, "reason": why.strip()[:300]},
        person_id=person.pk,
    )


def _require_staff(actor: User) -> None:
    if actor.role not in STAFF:
        raise Refused(_("Only the staff answer messages."))


def _settle(actor: User, person: Person) -> list[int]:
    waiting = Message.objects.select_for_update().filter(
        person=person, from_patient=True, settled_at=None
    )
    keys = list(waiting.values_list("pk", flat=True))
    Message.objects.filter(pk__in=keys).update(settled_at=clock.now(), settled_by=actor)
    return keys


def see_answers(person: Person) -> None:
    """The patient has the thread open."""
    person.messages.filter(from_patient=False, seen_at=None).update(seen_at=clock.now())


def end_of_quiet(choice: ContactChoice, moment: datetime) -> datetime:
    """The moment itself, or where it falls into the patient's quiet hours, their end."""
    local = timezone.localtime(moment)
    start, end, hour = choice.quiet_from, choice.quiet_until, local.time()
    if start == end:
        return moment
    quiet = start <= hour < end if start < end else hour >= start or hour < end
    if not quiet:
        return moment
    day = local.date() + timedelta(days=int(start > end and hour >= start))
    return timezone.make_aware(datetime.combine(day, end))
