"""Every page of the clinic, looked at by somebody who may open it: axe finds nothing in it.

Fragments are looked at where they stand, in the pages that fetch them. Each page is looked at once,
by the first role that may open it, the places where a role begins by that role, and by patients all
of theirs; on a desk, on a phone and on 320 pixels. A page that nobody here can open must be named.
"""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.notices import services as notices
from openketamine.clinic.policy import services as policy
from openketamine.clinic.policy.queries import library
from openketamine.clinic.privacy import services as privacy
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews import services as reviews
from openketamine.clinic.sessions.models import TransferDecision
from openketamine.clinic.sites.models import Site
from openketamine.clinic.therapy import services as therapy
from openketamine.exchange.smart import services as smart
from openketamine.protocols import questions
from openketamine.site.navigation import navigation_of

from ..clinic.conftest import make_user
from ..clinic.policy.conftest import STRICTER
from ..exchange.smart.conftest import CALLBACK, question
from ..site.test_nasty_input import LEFT_OUT, _addresses
from .conftest import DESKTOP, PHONE, WCAG_22_AA

ORDER = [
    Role.DIRECTOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.PATIENT, Role.COORDINATOR,
    Role.RESEARCHER,
]  # fmt: skip
# The library's own pages, in the clinic's dress.
LIBRARY = (
    "account_login", "account_logout", "account_inactive", "account_reauthenticate",
    "account_change_password", "mfa_index", "mfa_activate_totp",
)  # fmt: skip
NARROW = {"width": 320, "height": 640}  # 1280 px at four times the size, as WCAG 1.4.10 asks
# Pages that need a course of their own, and the journey that looks at each under its name.
ELSEWHERE = {
    "safety_review": ("test_iv_course", "safety-review"),
    "form_by_link": ("test_iv_course", "form-question"),
    "patient_link": ("test_patient_page", "link-birth-date"),
    "enter_form": ("test_questionnaires", "enter-wsas"),
    "monitoring_form": ("test_spray_course", "spray-form"),
    "device_held": ("test_devices", "wrong-chair-held"),
    "device_take_back": ("test_devices", "wrong-chair-take-back"),
    "home_session": ("test_at_home", "home-session-close"),
    "home_page": ("test_at_home", "home-questions"),
    "adult_page": ("test_at_home", "home-adult-before"),
    "take_up": ("test_review", "take-up"),
    "visit_record": ("test_therapy", "integration"),
    "psychotherapy_notes": ("test_therapy", "psychotherapy-notes"),
    "psychotherapy_note": ("test_therapy", "psychotherapy-note"),
}
# What a browser gets there is a file, a part of a page or figures for a program.
NO_PAGE = {
    "metrics", "policy_version_text", "home_session_now", "cuff_photo", "home_state",
    "adult_state", "monitoring_pdf", "monitoring_data", "fhir_export", "fhir_export_status",
    "fhir_export_file", "fhir_export_patients", "cds_service", "cds_feedback",
}  # fmt: skip


def _everything() -> list[tuple[str, str, access.Rule]]:
    ours = [each for each in _addresses() if each[0] not in LEFT_OUT]
    return ours + [(name, reverse(name), access.LIBRARY_RULES[name]) for name in LIBRARY]


def pages_of(
    role: Role, user: User, at: dict[str, str], server: str
) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Name and address of each whole page that falls to this role, and what would not open.

    Args:
        at: where a page is to be found, for those of which the first row at hand shows nothing.
    """
    client = Client(HTTP_HOST=urlsplit(server).netloc)
    client.force_login(user)
    begins = {entry.name for entry in navigation_of(role).primary}
    found, shut = [], {}
    for name, address, rule in _everything():
        admitted = [each for each in ORDER if rule.public or each in rule.roles]
        first = admitted[:1] == [role] or (role == Role.PATIENT and not rule.public)
        if role not in admitted or not (first or name in begins):
            continue
        if name == "account_login":  # somebody signed in is sent on
            found.append((name, address))
            continue
        address = at.get(name, address)
        answer = client.get(address)
        html = answer.get("Content-Type", "").startswith("text/html") and not answer.streaming
        if answer.status_code == 200 and html and "<html" in answer.content.decode():
            found.append((name, address))
        elif answer.status_code not in {200, 204, 302, 303, 405}:
            shut[name] = answer.status_code
    return found, shut


@pytest.fixture
def server(server):
    """By the name for which OAuth does without https."""
    return server.replace("127.0.0.1", "localhost")


@pytest.fixture
def people(running, director, nurse, prescriber, therapist, coordinator, patient_user, person):
    """A session in progress, and somebody of each role."""
    person.user = patient_user
    person.save()
    return {role: User.objects.filter(role=role).first() or make_user(role) for role in Role}


@pytest.fixture
def at(people, running, course, server, person):
    """Things that stand in no fixture, and where each is to be seen."""
    nurse, director = people[Role.NURSE], people[Role.DIRECTOR]
    with transaction.atomic():
        call = notices.raise_call(
            nurse, key="test", priority="amber", headline="A reading is late", person_id=person.pk
        )
    visit = therapy.plan_visit(
        people[Role.THERAPIST], course, planned_for=clock.now() + timedelta(days=1)
    )
    sign = next(each.id for each in library().reviews.misuse if each.counts == "noted")
    misuse = reviews.note_misuse(
        nurse, course, sign=sign, seen_on=clock.today(), note="Asked a week early"
    )
    TransferDecision.objects.create(session=running, course=course)
    glass = privacy.break_glass(nurse, person, purpose="covering", reason="A colleague is ill")
    version = policy.propose_overlay(director, text=STRICTER, note="For our patients")
    app, _ = smart.register_client(
        director, name="Mood diary", kind="public", redirect_uris=CALLBACK,
        scope="launch/patient openid fhirUser offline_access patient/*.rs",
    )  # fmt: skip
    started = Event.objects.filter(kind="session.infusion_started").last()
    return {
        "call": reverse("call", args=[call.pk]),
        "therapy_visit": reverse("therapy_visit", args=[visit.pk]),
        "visit_plan": reverse("visit_plan", args=[visit.pk]),
        "take_back_misuse": reverse("take_back_misuse", args=[misuse.pk]),
        "site": reverse("site", args=[Site.objects.first().pk]),
        "review_glass": reverse("review_glass", args=[glass.pk]),
        "policy_version": reverse("policy_version", args=[version.number]),
        "evidence_question": reverse("evidence_question", args=[questions.load().questions[0].id]),
        "event_correct": reverse("event_correct", args=[running.pk, started.seq]),
        "smart_authorize": question(app, aud=f"{server}/fhir"),
    }


@pytest.mark.parametrize("role", ORDER, ids=str)
def test_every_page_can_be_used_by_everybody(role, visitor, server, people, at):
    pages, shut = pages_of(role, people[role], at, server)
    assert pages, f"no page for {role}"
    unknown = {n: status for n, status in shut.items() if n not in NO_PAGE.union(ELSEWHERE)}
    assert not unknown, f"nobody looked at {unknown}: give the clinic here what they show"
    signed = Client()
    signed.force_login(people[role])
    seat = visitor("desktop")
    cookie = {"name": "sessionid", "value": signed.cookies["sessionid"].value, "url": server}
    found = []
    for name, address in pages:
        seat.context.clear_cookies()
        if name != "account_login":
            seat.context.add_cookies([cookie])
        seat.page.set_viewport_size(DESKTOP)
        seat.open(address)
        for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
            seat.page.set_viewport_size(size)
            seat.name = f"{role}-{device}"
            try:
                seat.look(f"every-{name}", WCAG_22_AA)
            except AssertionError as problem:
                found.append(str(problem))
        seat.page.set_viewport_size(NARROW)
        if wide := seat.too_wide():
            found.append(f"{name} at {address}: {wide}")
    assert not found, "\n\n".join(found)


def test_what_is_looked_at_elsewhere_is_looked_at_there():
    for page, (journey, name) in ELSEWHERE.items():
        text = (Path(__file__).parent / f"{journey}.py").read_text()
        assert f'look("{name}")' in text, f"{journey} does not look at {name}, for {page}"
