"""Every page of the clinic, looked at by somebody who may open it: axe finds nothing in it.

Fragments are looked at where they stand, in the pages that fetch them. Each page is looked at once,
by the first role that may open it, and by patients all of theirs; on a desk and on a phone.
"""

import pytest
from django.test import Client

from openketamine.clinic.accounts.models import Role, User

from ..site.test_nasty_input import LEFT_OUT, _addresses
from .conftest import DESKTOP, PHONE

ORDER = [Role.DIRECTOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.PATIENT]


def pages_of(role: Role, user: User) -> list[tuple[str, str]]:
    """Name and address of each whole page that falls to this role."""
    client = Client()
    client.force_login(user)
    found = []
    for name, address, rule in _addresses():
        admitted = [each for each in ORDER if rule.public or each in rule.roles]
        first = admitted[:1] == [role] or (role == Role.PATIENT and not rule.public)
        if name in LEFT_OUT or role not in admitted or not first:
            continue
        answer = client.get(address)
        html = answer.get("Content-Type", "").startswith("text/html") and not answer.streaming
        if answer.status_code == 200 and html and "<html" in answer.content.decode():
            found.append((name, address))
    return found


@pytest.mark.parametrize("role", ORDER, ids=str)
def test_every_page_can_be_used_by_everybody(
    role, visitor, server, running, director, nurse, prescriber, therapist, coordinator,
    patient_user, person,
):  # fmt: skip
    person.user = patient_user
    person.save()
    user = User.objects.get(role=role)
    pages = pages_of(role, user)
    assert pages, f"no page for {role}"
    signed = Client()
    signed.force_login(user)
    seat = visitor("desktop")
    cookie = signed.cookies["sessionid"].value
    seat.context.add_cookies([{"name": "sessionid", "value": cookie, "url": server}])
    found = []
    for name, address in pages:
        for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
            seat.page.set_viewport_size(size)
            if device == "desktop":
                seat.open(address)
            seat.name = f"{role}-{device}"
            try:
                seat.look(f"every-{name}")
            except AssertionError as problem:
                found.append(str(problem))
    assert not found, "\n\n".join(found)
