"""What the patient and the adult at hand do, by their links, now or when the line is back.

What a page sends bears the time at which it was made, and a key by which it counts once. What was
asked for just now is refused where it is not allowed. What was done already, while the line was
cut, cannot be refused: it is kept as it happened, and the clinic is called where it should not
have.
"""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any, TypeVar

from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused
from openketamine.clinic.notices import services as notices
from openketamine.clinic.notices import wordings
from openketamine.clinic.people.language import language_of
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.said import asked, in_english
from openketamine.protocols import monitoring

from . import counts, gates, links, queries, services
from .models import AFTER_DOSE, AfterHold, CuffPhoto, HomeSession, Movement, Phase
from .timeline import Timeline, pressure_in_words, times_after_dose

# What arrives later than this after it was made was made while the line was cut.
JUST_NOW = timedelta(minutes=2)
LARGEST_PHOTO = 3_000_000  # bytes as sent; the page makes it far smaller
WIDEST_PHOTO_PX = 1600

T = TypeVar("T")


class Turned(Refused):
    """A refusal in the patient's own words. `for_record` says the same to the staff."""

    def __init__(self, message: str, for_record: str, *, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.for_record = for_record


def made(made_at: datetime | None, session: HomeSession) -> datetime:
    """When an entry was made: never in the future, never before its session."""
    now = clock.now()
    return max(min(made_at or now, now), session.opened_at)


def _once(
    session: HomeSession,
    who: str,
    act: str,
    client_id: uuid.UUID | None,
    do: Callable[[], T],
    *,
    told: Mapping[str, Any] | None = None,
) -> T | None:
    """Do what a page asks for, once; a refusal is recorded and said again to a resend.

    Returns:
        What `do` returns; None where it was done already.
    """
    if client_id is not None:
        earlier = Event.objects.filter(client_id=client_id).first()
        if earlier is not None and earlier.kind == "athome.refused":
            raise Turned(earlier.data.get("told") or earlier.data["reason"], earlier.data["reason"])
        if earlier is not None:
            return None
    try:
        with transaction.atomic():
            return do()
    except Refused as refusal:
        services.append(
            session,
            f"{session.person} (at home)" if who == "patient" else session.adult_name,
            "refused",
            {
                "act": act,
                "reason": refusal.for_record,
                "told": refusal.message,
                **({"data": dict(told)} if told else {}),
            },
            client_id=client_id,
            source=Source.PATIENT,
        )
        raise


def _locked(session: HomeSession) -> tuple[HomeSession, Timeline]:
    try:
        return services.locked(session)
    except Refused as refusal:
        raise Turned(_("This session is over."), refusal.for_record) from refusal


def _plausible(session: HomeSession, values: Mapping[str, float | None]) -> dict[str, float]:
    try:
        return services.plausible(session, values)
    except Refused as refusal:
        value = values.get(refusal.field or "")
        shown = f"{value:g}" if value is not None else ""
        told = _("%(value)s cannot be right. Look at the display again.") % {"value": shown}
        raise Turned(told, refusal.for_record, field=refusal.field) from refusal


def _pressure(values: Mapping[str, float]) -> str:
    return in_english(asked(lambda: pressure_in_words(values)))


def _actor(session: HomeSession, by: str) -> str:
    return f"{session.person} (at home)" if by == "patient" else f"{session.adult_name} (at hand)"


# --------------------------------------------------------------------------- before the dose


def check_in(
    session: HomeSession,
    *,
    data: Mapping[str, Any],
    photo: bytes | None = None,
    made_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> None:
    """The patient answers the questions before the dose, with pressure and pulse.

    Args:
        data: systolic_mmhg, diastolic_mmhg, heart_rate_bpm; last_food (words); fasting,
            adult_present, no_depressant, no_plans (bool); place, medicines_today (words); counted
            ([[mg, pieces], …]); mood_0_10; safety_question ("no", "yes" or "rather not say").
        photo: a picture of the cuff beside the figures that were typed from it.

    Raises:
        Refused: a question is open, a value is impossible, or there is no dose today; only the
            attempt is recorded.
    """

    def do() -> None:
        found, line = _locked(session)
        if line.dose_at:
            raise Turned(_("You have taken the dose already."), "The dose was taken already.")
        _require_answers(data)
        values = _plausible(
            found,
            {name: data[name] for name in ("systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm")},
        )
        answers = {**data, **values, "photo": _keep_photo(found, photo, client_id)}
        verdict = gates.judge(
            queries.library_of(found).athome,
            queries.protocol_of(found),
            answers,
            held=queries.counts_of(found.enrolment).held,
        )
        if verdict.stops:
            raise _Stopped(verdict.stops)
        event = services.append(
            found,
            _actor(found, "patient"),
            "check_in",
            {
                **answers,
                "doubts": [doubt.words for doubt in verdict.doubts],
                "prescriber": any(doubt.prescriber for doubt in verdict.doubts),
            },
            occurred_at=made(made_at, found),
            client_id=client_id or uuid.uuid4(),
            source=Source.PATIENT,
        )
        alarming = any(doubt.alarming for doubt in verdict.doubts)
        person_asked = verdict.doubts or gates.asked_of_clinician(queries.protocol_of(found))
        if person_asked:
            services.call_about(
                found,
                _actor(found, "patient"),
                key=f"home:{found.pk}:decide:{event.seq}",
                priority="red" if alarming else "amber",
                headline="Ready for the dose at home: speak with the patient and decide",
                detail="; ".join(doubt.words for doubt in verdict.doubts)
                or f"Nothing in doubt. {_pressure(values)}.",
            )
        else:
            line = queries.timeline_of(found)
            services.require_dose_gates(found, line, now=clock.now(), check_go=False)
            services.append(
                found,
                "OpenKetamine",
                "decided",
                {
                    "go": True,
                    "reason": "Nothing is in doubt, and the clinic's policy asks no person",
                    "confirmed": {},
                    "doubts": [],
                },
                source=Source.SYSTEM,
            )
        found.expect_anew = True
        services.refresh(found)

    try:
        _once(session, "patient", "check_in", client_id, do, told=_plain(data))
    except _Stopped as stopped:
        if stopped.alarming:
            with transaction.atomic():
                services.call_about(
                    session,
                    _actor(session, "patient"),
                    key=f"home:{session.pk}:stopped:{clock.now():%H%M}",
                    priority="red",
                    headline="No dose at home, and the patient needs a call",
                    detail=stopped.for_record,
                )
        raise


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value not in (None, "")}


# The question at which the page opens again.
_ASKED_AGAIN = {
    "pressure": "systolic_mmhg",
    "pulse": "heart_rate_bpm",
    "adult": "adult_present",
    "promise": "no_plans",
    "depressant": "depressant",
}


class _Stopped(Turned):
    """There is no dose today, for these reasons."""

    def __init__(self, stops: tuple[gates.Stop, ...]) -> None:
        words = {
            "pressure": _(
                "Your blood pressure is too high or too low for a dose at home. Sit quietly for 15 "
                "minutes and measure again. If you feel unwell, call now."
            ),
            "pulse": _(
                "Your pulse is too fast or too slow for a dose at home. Sit quietly for 15 minutes "
                "and measure again. If you feel unwell, call now."
            ),
            "adult": _("Without an adult who stays with you the whole time there is no dose."),
            "promise": _(
                "Without your promise not to drive until tomorrow, after a good sleep, there is no "
                "dose today."
            ),
            "depressant": _(
                "After alcohol, an opioid, a sleeping pill or a sedative there is no dose today. "
                "Call the clinic for another day."
            ),
        }
        super().__init__(
            " ".join(words[stop.code] for stop in stops),
            "; ".join(stop.words for stop in stops),
            field=_ASKED_AGAIN[stops[0].code],
        )
        self.alarming = any(stop.alarming for stop in stops)


_REQUIRED = (
    "systolic_mmhg",
    "diastolic_mmhg",
    "heart_rate_bpm",
    "last_food",
    "fasting",
    "adult_present",
    "place",
    "no_depressant",
    "medicines_today",
    "mood_0_10",
    "safety_question",
    "no_plans",
)


def _require_answers(data: Mapping[str, Any]) -> None:
    """Nothing that was not answered is taken for a good answer."""
    for name in _REQUIRED:
        if data.get(name) is None or data[name] == "":
            raise Turned(
                _("A question is not answered yet. Go back and answer it."),
                f"Not answered: {name.replace('_', ' ')}.",
                field=name,
            )
    if not 0 <= data["mood_0_10"] <= 10:
        raise Turned(_("Choose a number from 0 to 10."), "Mood is 0 to 10.", field="mood_0_10")
    if data["safety_question"] not in {"no", "yes", "rather not say"}:
        raise Turned(_("Choose one of the answers."), "No such answer.", field="safety_question")


def _keep_photo(session: HomeSession, photo: bytes | None, client_id: uuid.UUID | None) -> str:
    """Keep a picture without its metadata; the digest of what is kept, "" where there is none."""
    if not photo:
        return ""
    if len(photo) > LARGEST_PHOTO:
        raise Turned(_("This picture is too large. Type the values only."), "Picture too large.")
    try:
        with Image.open(BytesIO(photo), formats=("JPEG", "PNG", "WEBP")) as picture:
            picture.thumbnail((WIDEST_PHOTO_PX, WIDEST_PHOTO_PX))
            out = BytesIO()
            picture.convert("RGB").save(out, "JPEG", quality=80)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise Turned(
            _("This picture cannot be read. Take another, or type the values only."),
            "A picture that cannot be read.",
        ) from error
    jpeg = out.getvalue()
    digest = sha256(jpeg).hexdigest()
    CuffPhoto.objects.create(
        session=session, client_id=client_id or uuid.uuid4(), jpeg=jpeg, digest=digest
    )
    return digest


def adult_here(
    session: HomeSession,
    *,
    made_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> None:
    """The adult at hand says: I am here, I have taken nothing, I stay."""

    def do() -> None:
        found, _line = _locked(session)
        services.append(
            found,
            _actor(found, "adult"),
            "adult_here",
            {},
            occurred_at=made(made_at, found),
            client_id=client_id,
            source=Source.PATIENT,
        )
        services.refresh(found)

    _once(session, "adult", "adult_here", client_id, do)


# -------------------------------------------------------------------------------- the dose


def take_dose(
    session: HomeSession,
    *,
    pieces: Mapping[float, int],
    made_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> None:
    """The patient puts the dose into the mouth.

    Raises:
        Refused: anything that does not allow it. A dose that was taken already while the line was
            cut is kept as it happened, marked as outside, and the clinic is called.
    """

    def do() -> None:
        found, line = _locked(session)
        at = made(made_at, found)
        if line.dose_at:
            raise Turned(
                _("You have taken today's dose already. Never take a second one."),
                "A dose was taken already in this session.",
            )
        asked = {float(mg): int(count) for mg, count in pieces.items() if count}
        outside = ""
        try:
            _require_dose(found, line, asked, at)
        except Refused as refusal:
            if clock.now() - at <= JUST_NOW:
                raise
            outside = refusal.for_record
        event = services.append(
            found,
            _actor(found, "patient"),
            "dose_taken",
            {
                "dose_mg": counts.mg_of(asked),
                "pieces": [[mg, count] for mg, count in sorted(asked.items(), reverse=True)],
                "hold_min": found.enrolment.hold_min,
                "after_hold": found.enrolment.after_hold,
                **({"outside": outside} if outside else {}),
            },
            occurred_at=at,
            client_id=client_id,
            source=Source.PATIENT,
        )
        held = queries.counts_of(found.enrolment).held
        for mg, count in asked.items():
            # What was taken beyond what was handed out is not the clinic's, and not counted.
            if own := min(count, held.get(mg, 0)):
                services.move(
                    _actor(found, "patient"),
                    found.enrolment,
                    Movement.Kind.TAKEN,
                    mg,
                    own,
                    session=found,
                    at=at,
                )
        if outside:
            services.call_about(
                found,
                _actor(found, "patient"),
                key=f"home:{found.pk}:outside:{event.seq}",
                priority="red",
                headline="A dose was taken at home that was not allowed",
                detail=outside,
            )
        if found.enrolment.first_dose_at is None:
            found.enrolment.first_dose_at = at
            found.enrolment.review_by = queries.review_closes_at(
                at, queries.library_of(found).athome
            )
            found.enrolment.save(update_fields=["first_dose_at", "review_by"])
        _plan_reminders(found, at)
        found.expect_anew = True
        services.refresh(found)

    try:
        _once(
            session,
            "patient",
            "take_dose",
            client_id,
            do,
            told={"pieces": [[mg, count] for mg, count in pieces.items()]},
        )
    except Refused as refusal:
        if clock.now() - made(made_at, session) > JUST_NOW:
            # Taken already, in a session that was ended meanwhile, or a second time.
            with transaction.atomic():
                services.call_about(
                    session,
                    _actor(session, "patient"),
                    key=f"home:{session.pk}:outside:{client_id}",
                    priority="red",
                    headline="A dose was taken at home that was not allowed",
                    detail=refusal.for_record,
                )
        raise


def _require_dose(
    session: HomeSession, line: Timeline, asked: Mapping[float, int], at: datetime
) -> None:
    """All that allows this dose. The patient hears what to do; the record hears why."""
    plan = session.planned.plan
    planned = counts.needed(plan.units, 1)
    mg, cap = counts.mg_of(asked), queries.library_of(session).athome.rule("cap_mg")
    if not asked:
        raise Turned(_("Say which pieces you take."), "No pieces were named.")
    more = {piece for piece, count in asked.items() if count > planned.get(piece, 0)}
    if mg > cap.value:
        raise Turned(
            _("This is more than anybody takes at home. Take nothing and call the clinic."),
            f"{mg:g} mg is above the ceiling of {cap.value:g} mg (clinic policy, {cap.id}).",
        )
    if more or mg > plan.dose_mg:
        raise Turned(
            _("This is more than was ordered. Nobody raises a dose at home."),
            f"{in_english(counts.in_words(asked))} is more than the "
            f"{in_english(counts.in_words(planned))} ordered (no self-escalation).",
        )
    held = queries.counts_of(session.enrolment).held
    if any(count > held.get(piece, 0) for piece, count in asked.items()):
        raise Turned(
            _("These are more pieces than the clinic has given you. Call the clinic."),
            f"{in_english(counts.in_words(asked))} is more than was handed out: "
            f"{in_english(counts.in_words(held))} should be at home.",
        )
    try:
        services.require_dose_gates(session, line, now=at)
    except Refused as refusal:
        told = {
            Phase.CHECK: _("Answer the questions first."),
            Phase.DECIDE: _("Wait for the clinic: somebody speaks with you first."),
        }.get(line.phase, _("Not yet. Take nothing now; the clinic tells you what to do."))
        if line.phase == Phase.GO and not queries.adult_is_here(session, line, at):
            told = _("The adult with you says first on the own page: I am here.")
        raise Turned(told, refusal.for_record) from refusal


def _plan_reminders(session: HomeSession, dose_at: datetime) -> None:
    """A text at each check-in, to the patient and the adult, unless it has come by then."""
    grace = timedelta(minutes=queries.protocol_of(session).late_after_min.value)
    for at_min in times_after_dose(queries.protocol_of(session)):
        due = dose_at + timedelta(minutes=at_min)
        for who, name, to, page in (
            ("patient", str(session.person), session.person.phone, "home_page"),
            ("adult", session.adult_name, session.adult_phone, "adult_page"),
        ):
            try:
                to = notices.checked_address("text", to)
            except Refused:
                continue
            token = links.token_for(session, "patient" if who == "patient" else "adult")
            notices.send(
                "OpenKetamine",
                key=_reminder(session, who, at_min),
                channel="text",
                to=to,
                to_name=name,
                wording="home_check_in",
                values={"link": wordings.link_to(page, token)},
                language=language_of(session.person),
                person_id=session.person_id,
                due_at=due,
                expires_at=due + 3 * grace,
            )


def _reminder(session: HomeSession, who: str, at_min: float) -> str:
    return f"home:{session.pk}:remind:{who}:{at_min:g}"


def end_hold(
    session: HomeSession,
    *,
    after_hold: str,
    made_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> None:
    """The dose has left the mouth: swallowed or spat out, whatever the plan says.

    Raises:
        Refused: no dose is in the mouth, or no such answer.
    """

    def do() -> None:
        found, line = _locked(session)
        if line.dose_at is None or line.hold_ended_at is not None:
            raise Turned(_("There is nothing to end now."), "No dose is in the mouth.")
        if after_hold not in AfterHold.values:
            raise Turned(_("Choose one of the answers."), "Neither swallowed nor spat out.")
        at = max(made(made_at, found), line.dose_at)
        services.append(
            found,
            _actor(found, "patient"),
            "hold_ended",
            {"after_hold": after_hold, "held_min": (at - line.dose_at).total_seconds() / 60},
            occurred_at=at,
            client_id=client_id,
            source=Source.PATIENT,
        )
        services.refresh(found)

    _once(session, "patient", "end_hold", client_id, do)


# --------------------------------------------------------------------------- after the dose

FEELINGS = frozenset({"fine", "unwell", "bad"})
AWAKE = frozenset({"awake", "sleepy", "hard to wake"})


def how(
    session: HomeSession,
    *,
    by: str,
    data: Mapping[str, Any],
    actor: User | None = None,
    made_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> HomeSession:
    """A check-in after the dose. What alarms in it calls the clinic at once.

    Args:
        by: "patient", "adult" or "clinician"; `actor` is the clinician.
        data: feeling ("fine", "unwell", "bad"); awake ("awake", "sleepy", "hard to wake"), as the
            adult sees it; signs (ids of emergency signs); effects ([[id, severity], …]); pressure
            and pulse; words. At least one of them.

    Raises:
        Refused: no dose was taken, an impossible value, or nothing was said.
    """

    def do() -> HomeSession:
        found, line = _locked(session)
        if line.dose_at is None:
            raise Turned(_("No dose has been taken yet."), "No dose was taken yet.")
        values = _plausible(
            found,
            {
                name: data.get(name)
                for name in ("systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm")
            },
        )
        told = _told(found, data)
        if not values and not told:
            raise Turned(_("Say how you are."), "Nothing was said.", field="feeling")
        at = max(made(made_at, found), line.dose_at)
        alarms = _alarms(found, line, told, values)
        event = services.append(
            found,
            actor or _actor(found, by),
            "how",
            {**told, **values, "by": by, "alarms": [words for _p, words in alarms]},
            occurred_at=at,
            client_id=client_id,
            source=Source.HAND if actor else Source.PATIENT,
        )
        if alarms and actor is None:
            services.call_about(
                found,
                _actor(found, by),
                key=f"home:{found.pk}:how:{event.seq}",
                priority="red" if any(priority == "red" for priority, _w in alarms) else "amber",
                headline=f"At home: {alarms[0][1]}",
                detail="; ".join(words for _p, words in alarms)
                + (f". {_pressure(values)}" if values else ""),
            )
        _withdraw_reminders(found)
        found.expect_anew = found.expect_anew or bool(values)
        services.refresh(found)
        return found

    return _once(session, by, "how", client_id, do, told=_plain(data)) or session


def _told(session: HomeSession, data: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, each part one that exists."""
    policy = queries.library_of(session)
    told: dict[str, Any] = {}
    if feeling := data.get("feeling"):
        if feeling not in FEELINGS:
            raise Turned(_("Choose one of the answers."), "No such answer.", field="feeling")
        told["feeling"] = feeling
    if awake := data.get("awake"):
        if awake not in AWAKE:
            raise Turned(_("Choose one of the answers."), "No such answer.", field="awake")
        told["awake"] = awake
    known = {sign.id for sign in policy.alarms.emergency.signs}
    if signs := [sign for sign in data.get("signs", ()) if sign in known]:
        told["signs"] = signs
    effects = {item.id for item in policy.monitoring[queries.PROTOCOL].side_effects.items}
    grades = set(policy.monitoring[queries.PROTOCOL].side_effects.severities)
    if found := [
        [name, grade]
        for name, grade in data.get("effects", ())
        if name in effects and grade in grades
    ]:
        told["effects"] = found
    if words := str(data.get("words", "")).strip()[:1000]:
        told["words"] = words
    return told


def _alarms(
    session: HomeSession, line: Timeline, told: Mapping[str, Any], values: Mapping[str, float]
) -> list[tuple[str, str]]:
    """(Priority, words) of everything in a check-in that a clinician must hear of, red first."""
    policy, protocol = queries.library_of(session), queries.protocol_of(session)
    labels = {sign.id: sign.label for sign in policy.alarms.emergency.signs}
    found = [("red", labels[sign]) for sign in told.get("signs", ())]
    if told.get("awake") == "hard to wake":
        found.append(("red", "Hard to wake"))
    if told.get("feeling") == "bad":
        found.append(("red", "Says: I am not well"))
    for finding in monitoring.assess(protocol, values, line.baseline):
        found.append((finding.priority, finding.statement))
    names = {item.id: item.label for item in protocol.side_effects.items}
    for name, grade in told.get("effects", ()):
        for rule in policy.alarms.signs:
            by_name = rule.effect == name and rule.times == 1 and not rule.while_below
            if by_name or (rule.effect is None and rule.severity == grade):
                found.append((rule.priority, f"{names[name]}, {grade}"))
    return sorted(dict.fromkeys(found), key=lambda alarm: alarm[0] != "red")


def _withdraw_reminders(session: HomeSession) -> None:
    """Take back the texts of the check-ins that have come; those still to come stay."""
    line, protocol = queries.timeline_of(session), queries.protocol_of(session)
    now = clock.now()
    wanting = {each.at_min for each in queries.wanting(session, line, now)}
    come_min = line.minutes(now) + protocol.late_after_min.value
    for at_min in times_after_dose(protocol):
        if at_min <= come_min and at_min not in wanting:
            for who in ("patient", "adult"):
                notices.withdraw(_reminder(session, who, at_min))


def ask_for_help(
    session: HomeSession,
    *,
    by: str,
    words: str = "",
    made_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> None:
    """Something is wrong: the clinic is called, whatever else the session says."""

    def do() -> None:
        record.lock()
        event = services.append(
            session,
            _actor(session, by),
            "help_asked",
            {"by": by, "words": words.strip()[:1000]},
            occurred_at=made(made_at, session),
            client_id=client_id,
            source=Source.PATIENT,
        )
        services.call_about(
            session,
            _actor(session, by),
            key=f"home:{session.pk}:help:{event.seq}",
            priority="red",
            headline=f"Help is asked for at home by the {by}",
            detail=words.strip()[:1000],
        )

    _once(session, by, "help", client_id, do)


def finish(
    session: HomeSession,
    *,
    data: Mapping[str, Any],
    made_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> None:
    """The patient feels as before, and says how it was. A clinician calls and closes.

    Args:
        data: mood_0_10, dissociation_0_10 and nausea_0_10, each 0 to 10; words.

    Raises:
        Refused: too early, a scale without an answer, or no dose was taken.
    """

    def do() -> None:
        found, line = _locked(session)
        if line.dose_at is None or found.phase not in AFTER_DOSE:
            raise Turned(_("No dose has been taken yet."), "No dose was taken yet.")
        if line.finished_at:
            raise Turned(_("You have told us already. Thank you."), "Finished already.")
        at = max(made(made_at, found), line.dose_at)
        ready = queries.ready_at(found, line)
        if ready and at < ready:
            raise Turned(
                _("It is too early. Rest until the time that the page shows."),
                f"Finished {line.minutes(at):.0f} min after the dose: before its time.",
            )
        scales = {}
        for name in ("mood_0_10", "dissociation_0_10", "nausea_0_10"):
            value = data.get(name)
            if value is None or not 0 <= value <= 10:
                raise Turned(_("Choose a number from 0 to 10."), f"{name} is 0 to 10.", field=name)
            scales[name] = value
        services.append(
            found,
            _actor(found, "patient"),
            "finished",
            {**scales, "words": str(data.get("words", "")).strip()[:2000]},
            occurred_at=at,
            client_id=client_id,
            source=Source.PATIENT,
        )
        for at_min in times_after_dose(queries.protocol_of(found)):
            for who in ("patient", "adult"):
                notices.withdraw(_reminder(found, who, at_min))
        services.refresh(found)

    _once(session, "patient", "finish", client_id, do, told=_plain(data))
