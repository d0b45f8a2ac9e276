"""Whatever is sent to a page, it answers: in words, never with a fault, and never half-written.

Every address of the clinic, by somebody who may open it, with things that exist: fetched, then sent
every field that its page offers, filled with what no form expects.
"""

import re
from html.parser import HTMLParser

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.privacy.subjects import CHARTS
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from tests.clinic.conftest import make_user

# Empty; no number and no date; a number that is none; letters of other kinds; much too long.
NASTY = (
    "",
    "a\x00b",
    "NaN",
    "1e309",
    "9" * 3000,
    "-1",
    "2026-13-45",
    "<script>alert('x')</script> ' OR 1=1 -- 🐎",
)
ROUNDS = 4  # each field meets every other of them, its neighbour the others
# Left out: what ends the walk's own sitting, streams without end, and pages with keys of their own.
LEFT_OUT = {"account_logout", "session_stream", "today_stream", "my_leave", "set_account_active"}
# For parameters that name no row.
SAMPLES = {
    "act": "vitals", "fact_id": "pregnancy_test", "instrument_id": "phq9", "route": "IV",
    "rule_id": "DESIGN-1", "seq": 1, "kind": "aftercare", "question_id": "trd", "why": "clock",
    "number": 1, "token": "none", "key": "none", "language": "es",
}  # fmt: skip


class _Fields(HTMLParser):
    """The names of all fields of a page, and which of them take a file."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.files: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        name = found.get("name")
        if tag in {"input", "select", "textarea", "button"} and name:
            (self.files if found.get("type") == "file" else self.names).add(name)


def _row(name: str) -> object:
    """The first thing that a parameter may name, or one that is not there."""
    for label in CHARTS.get(name, ()):
        if found := apps.get_model(label)._base_manager.values_list("pk", flat=True).first():
            return found
    if name in SAMPLES:
        return SAMPLES[name]
    return 7 if name not in CHARTS else None


def _addresses() -> list[tuple[str, str, access.Rule]]:
    found = []
    for route, pattern in access.every_pattern():
        module = pattern.callback.__module__
        if not module.startswith("openketamine") or "exchange.fhir.rest" in module:
            continue  # the interface for programs has a fuzzing of its own
        rule = access.rule_of(pattern.callback, pattern.name)

        def value(match: re.Match[str]) -> str:
            known = _row(match[2])
            if known is None or (match[1] == "uuid" and len(str(known)) < 32):
                known = "00000000-0000-0000-0000-000000000007" if match[1] == "uuid" else 7
            return str(known)

        found.append((pattern.name, "/" + re.sub(r"<(?:(\w+):)?(\w+)>", value, route), rule))
    return found


@pytest.fixture
def clinic(running, director, coordinator, therapist, patient_user, person, settings):
    """Somebody of each role, a session in progress, and a patient who can sign in."""
    settings.FORECASTS = False  # a thread of its own, which sees nothing of a test's transaction
    person.user = patient_user
    person.save()
    return {
        role: apps.get_model("accounts.User").objects.filter(role=role).first() or make_user(role)
        for role in Role
    }


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_no_page_fails_whatever_is_sent_to_it(client, clinic, role):
    client.force_login(clinic[role])
    client.raise_request_exception = False
    walked, faults = 0, []
    for name, address, rule in _addresses():
        if name in LEFT_OUT or not (rule.public or role in rule.roles):
            continue
        # A page that several roles may open is sent nasty things by the first of them alone.
        first = next(each for each in Role if rule.public or each in rule.roles) == role
        with transaction.atomic():
            answer = client.get(address)
            walked += 1
            if answer.status_code >= 500:
                faults.append(f"{answer.status_code} GET {address} ({name})")
            fields = _Fields()
            html = answer.get("Content-Type", "").startswith("text/html") and not answer.streaming
            if html:
                fields.feed(answer.content.decode())
            transaction.set_rollback(True)
        if not first:
            continue
        names = sorted(fields.names - {"csrfmiddlewaretoken"})
        for turn in range(ROUNDS):
            with transaction.atomic():
                data: dict[str, object] = {
                    field: NASTY[(2 * turn + place) % len(NASTY)]
                    for place, field in enumerate(names)
                }
                for file in fields.files:
                    data[file] = SimpleUploadedFile("../../x.json", NASTY[2 * turn].encode())
                answer = client.post(address, data)
                walked += 1
                if answer.status_code >= 500:
                    faults.append(f"{answer.status_code} POST {address} ({name}): {data}"[:400])
                transaction.set_rollback(True)
        assert client.get("/theme/").status_code == 405  # still the same sitting
    assert not faults, "\n".join(faults)
    assert walked > 5
    assert record.verify().intact
    assert Event.objects.filter(kind="session.infusion_started").count() == 1
