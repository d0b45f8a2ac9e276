"""The pages by link: the patient's and the adult's. No sign-in, and nothing but this one session.

A page is whole once it has loaded: it knows every step, so that it goes on when the line is cut. It
asks for the state of the session, and sends what was entered with the time at which it was made.
"""

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from openketamine.clinic.accounts.access import public
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.language import language_for
from openketamine.clinic.policy.queries import contacts
from openketamine.clinic.record import clock
from openketamine.clinic.sites import scope as sites

from . import from_home, links, queries
from .expected import drawn, in_words
from .gates import VITALS
from .models import AFTER_DOSE, HomeSession
from .timeline import times_after_dose
from .words import EFFECTS, GRADES, SIGNS

WRONG_LINKS_PER_HOUR = 20
WORKER = Path(__file__).parent / "worker.js"
LARGEST_ENTRY = 6_000_000


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def state_of(session: HomeSession) -> dict[str, Any]:
    """What a page knows of its session: where it stands, and when what is due. Three queries."""
    line = queries.timeline_of(session)
    now = clock.now()
    wanting = queries.wanting(session, line, now) if session.phase in AFTER_DOSE else []
    plan = session.planned.plan
    return {
        "now": now.isoformat(),
        "phase": line.phase,
        "dose_mg": plan.dose_mg,
        "pieces": plan.units,
        "hold_min": session.enrolment.hold_min,
        "after_hold": session.enrolment.after_hold,
        "go_until": _iso(queries.go_until(session, line)),
        "adult_here": queries.adult_is_here(session, line, now),
        "dose_at": _iso(line.dose_at),
        "hold_until": _iso(line.hold_until),
        "hold_ended": line.hold_ended_at is not None,
        "due": [
            {
                "at": _iso(_at(line.dose_at, each.at_min)),
                "late": each.state in {"late", "missed"},
                "due": each.state != "next",
            }
            for each in wanting
        ],
        "times": times_after_dose(queries.protocol_of(session)),
        "grace_min": queries.protocol_of(session).late_after_min.value,
        "ready_min": queries.ready_min(session),
        "ready_at": _iso(queries.ready_at(session, line)),
        "finished": line.finished_at is not None,
        "refused": line.refusals[-1][1] if line.refusals else "",
        "expected": {
            "curve": drawn(session.expected)["curve"],
            "words": in_words(session, line.dose_at),
        },
    }


def _at(dose_at: datetime | None, minutes: float) -> datetime | None:
    return dose_at + timedelta(minutes=minutes) if dose_at else None


def _by_link(
    request: HttpRequest, token: str, who: links.Who, do: Callable[[HomeSession], HttpResponse]
) -> HttpResponse:
    """Open a link in the patient's language; too many that are none are not looked at."""
    with translation.override(language_for(request, None)):
        address = request.META.get("REMOTE_ADDR", "")
        misses = f"wrong-links:{address}"
        if cache.get(misses, 0) >= WRONG_LINKS_PER_HOUR:
            return _closed(request, _("Too many wrong links. Try again in an hour."), status=429)
        try:
            session = links.session_by_token(token, who)
            sites.narrow(sites.of_person(session.person_id))
        except Refused as refusal:
            cache.set(misses, cache.get(misses, 0) + 1, timeout=3600)
            return _closed(request, refusal.message, status=404)
    with translation.override(language_for(request, session.person)):
        response = do(session)
    response["Cache-Control"] = "no-store"
    return response


def _closed(request: HttpRequest, message: str, *, status: int) -> HttpResponse:
    return render(
        request, "athome/by_link_closed.html", {**_frame(), "message": message}, status=status
    )


def _frame() -> dict[str, Any]:
    """What every page by link shows: its language, the others, and whom to call."""
    language = translation.get_language()
    return {
        "language": language,
        "languages": settings.LANGUAGES,
        "contacts": contacts(language),
        "emergency": queries.emergency_contact(language),
        "clinic_phone": settings.CLINIC_PHONE,
        "words": json.dumps(_words()),
    }


def _words() -> dict[str, str]:
    """What the page's script says in the patient's language."""
    return {
        "kept": _("No connection. What you answered is kept on this phone and sent by itself."),
        "sent": _("Sent."),
        "cut": _("No connection at the moment. The page goes on without it."),
        "answer": _("Please answer this question."),
        "minutes": _("minutes"),
        "due": _("Please tell us how you are now."),
        "late": _("We have not heard from you. Please tell us how you are now."),
        "next": _("Next: tell us how you are at"),
        "adult_here": _("is there."),
        "adult_waits": _("has not said “I am here” yet. The page for that came by text."),
        "photo": _("Picture kept. Now type the three numbers that you see in it."),
        "taken": _("The dose was taken at"),
        "not_taken": _("No dose has been taken yet."),
        "not_kept": _("This phone cannot keep what you enter. Call the clinic."),
    }


def _page(who: links.Who) -> Callable[[HttpRequest, HomeSession, str], HttpResponse]:
    template = "athome/home.html" if who == "patient" else "athome/adult.html"

    def page(request: HttpRequest, session: HomeSession, token: str) -> HttpResponse:
        language = translation.get_language()
        policy = queries.library_of(session)
        protocol = queries.protocol_of(session)
        strengths = sorted({float(mg) for mg, _count in session.planned.plan.units}, reverse=True)
        held = queries.counts_of(session.enrolment).held
        return render(
            request,
            template,
            {
                **_frame(),
                **drawn(session.expected),
                "expected_words": in_words(session, queries.timeline_of(session).dose_at),
                "session": session,
                "who": who,
                "given_name": session.person.given_name,
                "state": json.dumps(state_of(session)),
                "state_url": f"/{'h' if who == 'patient' else 'a'}/{token}/state/",
                "enter_url": f"/{'h' if who == 'patient' else 'a'}/{token}/enter/",
                "worker_url": f"/{'h' if who == 'patient' else 'a'}/worker.js",
                "scope": f"/{'h' if who == 'patient' else 'a'}/",
                "strengths": sorted(set(strengths) | set(held), reverse=True),
                "pieces": session.planned.plan.units,
                "signs": [
                    (sign.id, SIGNS.get(sign.id, sign.label))
                    for sign in policy.alarms.emergency.signs
                ],
                "effects": [
                    (item.id, EFFECTS.get(item.id, item.label))
                    for item in protocol.side_effects.items
                ],
                "grades": [
                    (grade, GRADES.get(grade, grade)) for grade in protocol.side_effects.severities
                ],
                "aftercare": policy.document("aftercare", session.course.route, language),
                "zero_to_ten": range(11),
                "is_open": session.closed_at is None,
            },
        )

    return page


@public
@require_GET
def home_page(request: HttpRequest, token: str) -> HttpResponse:
    """The patient's page for the session of today."""
    return _by_link(
        request, token, "patient", lambda session: _page("patient")(request, session, token)
    )


@public
@require_GET
def adult_page(request: HttpRequest, token: str) -> HttpResponse:
    """The page of the adult at hand: what to do, whom to call."""
    return _by_link(
        request, token, "adult", lambda session: _page("adult")(request, session, token)
    )


@public
@require_GET
def home_state(request: HttpRequest, token: str) -> HttpResponse:
    return _by_link(
        request, token, "patient", lambda session: JsonResponse({"state": state_of(session)})
    )


@public
@require_GET
def adult_state(request: HttpRequest, token: str) -> HttpResponse:
    return _by_link(
        request, token, "adult", lambda session: JsonResponse({"state": state_of(session)})
    )


# The key is in the address and nowhere in the browser's own keeping, so no other site can use it:
# nothing is there for a forged request to borrow. And an entry that has waited for the line must
# not be turned away for a token that has grown old meanwhile.
@csrf_exempt
@public
@require_POST
def home_enter(request: HttpRequest, token: str) -> HttpResponse:
    """One entry of the patient."""
    return _by_link(request, token, "patient", lambda session: _enter(request, session, "patient"))


@csrf_exempt
@public
@require_POST
def adult_enter(request: HttpRequest, token: str) -> HttpResponse:
    """One entry of the adult at hand."""
    return _by_link(request, token, "adult", lambda session: _enter(request, session, "adult"))


def _enter(request: HttpRequest, session: HomeSession, who: links.Who) -> HttpResponse:
    """Take one entry: {kind, client_id, made_at, data, photo}."""
    try:
        if len(request.body) > LARGEST_ENTRY:
            raise ValueError
        entry = json.loads(request.body)
        kind, data = str(entry["kind"]), dict(entry.get("data") or {})
        client_id = uuid.UUID(str(entry["client_id"]))
        made_at = parse_datetime(str(entry["made_at"]))
        if made_at is None or made_at.tzinfo is None:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        return JsonResponse({"refused": _("This entry cannot be read.")}, status=400)
    try:
        _ACTS[who, kind](session, data, _photo(entry), made_at, client_id)
    except KeyError:
        return JsonResponse({"refused": _("This entry cannot be read.")}, status=400)
    except Refused as refusal:
        session.refresh_from_db()
        return JsonResponse(
            {"refused": refusal.message, "field": refusal.field, "state": state_of(session)},
            status=422,
        )
    session.refresh_from_db()
    return JsonResponse({"state": state_of(session)})


def _photo(entry: Mapping[str, Any]) -> bytes | None:
    text = entry.get("photo")
    if not isinstance(text, str) or not text:
        return None
    try:
        return base64.b64decode(text.partition(",")[2] or text, validate=True)
    except (binascii.Error, ValueError):
        return b"\0"  # something was sent, and it is no picture


def _number(data: Mapping[str, Any], name: str) -> float | None:
    """A figure as somebody typed it, with a comma or a point; None where there is none."""
    text = str(data.get(name, "")).strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise from_home.Turned(
            _("Type a number."), f"{name} is no number: {text[:20]!r}.", field=name
        ) from error
    if value != value or abs(value) > 1e6:
        raise from_home.Turned(_("Type a number."), f"{name} is no number.", field=name)
    return value


def _whole(data: Mapping[str, Any], name: str) -> int | None:
    value = _number(data, name)
    if value is not None and value != int(value):
        raise from_home.Turned(_("Type a whole number."), f"{name} is not whole.", field=name)
    return None if value is None else int(value)


def _yes(data: Mapping[str, Any], name: str) -> bool | None:
    return {"yes": True, "no": False}.get(str(data.get(name, "")))


def _words_of(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name, "")).strip()[:500]


def _pieces(data: Mapping[str, Any]) -> dict[float, int]:
    found = {}
    for name in data:
        if str(name).startswith("pieces_"):
            count = _whole(data, name)
            if count is not None and count < 0:
                raise from_home.Turned(_("Type a whole number."), "Fewer than none.", field=name)
            found[float(str(name).removeprefix("pieces_"))] = count or 0
    return found


def _take_check_in(session: HomeSession, data: Any, photo: Any, made: Any, key: Any) -> None:
    answers: dict[str, Any] = {name: _number(data, name) for name in VITALS}
    for name in ("fasting", "adult_present", "no_plans"):
        answers[name] = _yes(data, name)
    taken = _yes(data, "depressant")
    answers["no_depressant"] = None if taken is None else not taken
    for name in ("last_food", "place", "medicines_today"):
        answers[name] = _words_of(data, name)
    answers["mood_0_10"] = _whole(data, "mood_0_10")
    answers["safety_question"] = _words_of(data, "safety_question")
    answers["counted"] = [[mg, count] for mg, count in sorted(_pieces(data).items())]
    from_home.check_in(session, data=answers, photo=photo, made_at=made, client_id=key)


def _take_dose(session: HomeSession, data: Any, photo: Any, made: Any, key: Any) -> None:
    from_home.take_dose(session, pieces=_pieces(data), made_at=made, client_id=key)


def _end_hold(session: HomeSession, data: Any, photo: Any, made: Any, key: Any) -> None:
    from_home.end_hold(
        session, after_hold=_words_of(data, "after_hold"), made_at=made, client_id=key
    )


def _how(by: str) -> Callable[..., None]:
    def take(session: HomeSession, data: Any, photo: Any, made: Any, key: Any) -> None:
        told: dict[str, Any] = {name: _number(data, name) for name in VITALS}
        told["feeling"] = _words_of(data, "feeling")
        told["awake"] = _words_of(data, "awake") if by == "adult" else ""
        told["words"] = _words_of(data, "words")
        told["signs"] = [name.removeprefix("sign_") for name in data if name.startswith("sign_")]
        told["effects"] = [
            [name.removeprefix("effect_"), str(grade)]
            for name, grade in data.items()
            if name.startswith("effect_") and grade
        ]
        from_home.how(session, by=by, data=told, made_at=made, client_id=key)

    return take


def _finish(session: HomeSession, data: Any, photo: Any, made: Any, key: Any) -> None:
    scales: dict[str, Any] = {
        name: _whole(data, name) for name in ("mood_0_10", "dissociation_0_10", "nausea_0_10")
    }
    from_home.finish(
        session, data={**scales, "words": _words_of(data, "words")}, made_at=made, client_id=key
    )


def _here(session: HomeSession, data: Any, photo: Any, made: Any, key: Any) -> None:
    from_home.adult_here(session, made_at=made, client_id=key)


def _help(by: str) -> Callable[..., None]:
    def take(session: HomeSession, data: Any, photo: Any, made: Any, key: Any) -> None:
        from_home.ask_for_help(
            session, by=by, words=_words_of(data, "words"), made_at=made, client_id=key
        )

    return take


_ACTS: dict[tuple[str, str], Callable[..., None]] = {
    ("patient", "check_in"): _take_check_in,
    ("patient", "dose"): _take_dose,
    ("patient", "hold"): _end_hold,
    ("patient", "how"): _how("patient"),
    ("patient", "finish"): _finish,
    ("patient", "help"): _help("patient"),
    ("adult", "here"): _here,
    ("adult", "how"): _how("adult"),
    ("adult", "help"): _help("adult"),
}


@public
@require_GET
def worker(request: HttpRequest) -> HttpResponse:
    """The script by which a page by link opens again while the line is cut."""
    response = HttpResponse(WORKER.read_text(), content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = "no-cache"
    return response
