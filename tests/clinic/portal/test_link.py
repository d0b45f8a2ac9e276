"""The link to a patient's page: signed, expiring, revocable, for one person, with a second fact."""

from datetime import timedelta

import pytest
from django.core import signing

from openketamine.clinic.accounts.access import LINK_SESSION_KEY
from openketamine.clinic.errors import Refused
from openketamine.clinic.people import services as people
from openketamine.clinic.portal import services
from openketamine.clinic.portal.models import PatientLink
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event

from ..conftest import referral
from .conftest import BORN, address

WRONG = {**BORN, "year": "1984"}


def test_it_works(client, link):
    first = client.get(address(link)).content.decode()
    assert "Maria" not in first, "not even the name before the second fact"
    page = client.post(address(link), BORN, follow=True).content.decode()
    assert "Hello Maria" in page
    link.refresh_from_db()
    assert link.opened_at
    assert Event.objects.filter(kind="portal.link_opened").exists()


def test_without_the_second_fact_nothing_opens(client, link):
    client.get(address(link))
    assert client.get("/me/").status_code == 302
    response = client.post(address(link), WRONG)
    assert response.status_code == 422
    assert "4 more tries" in response.content.decode()
    assert client.get("/me/").status_code == 302


def test_five_wrong_dates_shut_it_for_good(client, link):
    for _ in range(5):
        client.post(address(link), WRONG)
    assert client.post(address(link), BORN).status_code == 404
    assert client.get("/me/").status_code == 302
    assert Event.objects.filter(kind="portal.link_shut").count() == 1


def test_a_day_that_is_none_counts_for_nothing(client, link):
    for answer in ({"day": ""}, {**BORN, "day": "31", "month": "2"}, {**BORN, "day": "x"}):
        assert client.post(address(link), answer).status_code == 422
    link.refresh_from_db()
    assert link.wrong_answers == 0


def test_it_expires_also_while_the_page_is_open(phone, link):
    assert phone.get("/me/").status_code == 200
    with clock.at(link.expires_at + timedelta(seconds=1)):
        page = phone.get("/me/")
        assert page.status_code == 403
        assert "does not work any more" in page.content.decode()
        assert phone.get("/me/messages/").status_code == 302, "the session is gone"
        assert phone.get(address(link)).status_code == 404


def test_revoking_shuts_every_page_that_it_opened(phone, link, nurse, client):
    services.revoke_link(nurse, link)
    assert phone.get("/me/").status_code == 403
    assert phone.get(address(link)).status_code == 404
    with pytest.raises(Refused, match="revoked already"):
        services.revoke_link(nurse, link)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_token_that_was_tampered_with_opens_nothing(client, link, place):
    token = services.token_for(link)
    index = {"first": 0, "middle": len(token) // 2, "last": len(token) - 1}[place]
    other = "A" if token[index] != "A" else "B"
    forged = token[:index] + other + token[index + 1 :]
    # The last letter of a signature holds spare bits: change it by more than those.
    if place == "last":
        forged = token[:-4] + "AAAA"
    assert client.get(f"/p/{forged}/").status_code == 404


def test_a_token_signed_for_something_else_opens_nothing(client, link, form):
    from openketamine.clinic.outcomes import services as outcomes

    for token in (
        signing.dumps(link.pk.hex),
        signing.dumps(link.pk.hex, salt="openketamine.outcomes.form"),
        outcomes.token_for(form),
    ):
        assert client.get(f"/p/{token}/").status_code == 404


def test_many_wrong_links_from_one_place_are_shut_out(client, link):
    for number in range(20):
        client.get(f"/p/wrong{number}/")
    assert client.get(address(link)).status_code == 429
    assert client.get(address(link), REMOTE_ADDR="192.0.2.7").status_code == 200


def test_it_opens_one_persons_page_and_no_other(phone, link, coordinator, nurse):
    other = people.receive_referral(
        coordinator, referral(2, given_name="Olga"), origin="a test"
    ).person
    services.write_message(other, text="Mine alone.")
    for page in ("/me/", "/me/messages/", "/me/goals/", "/me/documents/"):
        text = phone.get(page).content.decode()
        assert "Olga" not in text
        assert "Mine alone." not in text


def test_a_link_opens_the_patients_pages_and_nothing_of_the_clinic(phone, link):
    """Every address of the clinic, with a patient's link: only the own pages answer."""
    from openketamine.clinic.accounts import access

    from ...site.test_access import every_address

    opened = []
    for where, pattern in every_address():
        rule = access.rule_of(pattern.callback, pattern.name)
        if rule.public:
            continue
        response = phone.get(where)
        if rule.by_link:
            opened.append(where)
            assert response.status_code in {200, 404, 405}, where
        else:
            assert response.status_code in {302, 403}, where
    assert opened
    assert all(where.startswith("/me/") for where in opened)


def test_somebody_of_the_staff_does_not_become_a_patient_by_a_link(client, link, nurse):
    client.force_login(nurse)
    assert client.post(address(link), BORN).status_code == 403
    session = client.session
    session[LINK_SESSION_KEY] = link.pk.hex
    session.save()
    assert client.get("/me/").status_code == 403


def test_leaving_shuts_the_page_on_this_device(phone):
    response = phone.post("/me/leave/", follow=True)
    assert "Your link opens it again" in response.content.decode()
    assert phone.get("/me/").status_code == 302


def test_the_page_shuts_after_half_an_hour_without_a_tap(phone):
    assert phone.session.get_expiry_age() == 1800


def test_only_those_who_may_make_one(person, director, nurse):
    with pytest.raises(Refused, match="role"):
        services.make_link(director, person)
    with pytest.raises(Refused, match="90 days"):
        services.make_link(nurse, person, days=91)
    assert not PatientLink.objects.exists()


def test_the_staff_see_hand_over_and_revoke_it(client, link, nurse, director):
    client.force_login(nurse)
    page = client.get(f"/people/{link.person_id}/patient-page/").content.decode()
    assert services.token_for(link) in page
    client.post(f"/people/{link.person_id}/patient-page/link/", {"days": 3})
    newest = PatientLink.objects.first()
    assert newest.made_by == nurse
    client.post(f"/patient-links/{newest.pk}/revoke/")
    newest.refresh_from_db()
    assert newest.revoked_by == nurse
    client.force_login(director)
    page = client.get(f"/people/{link.person_id}/patient-page/").content.decode()
    assert services.token_for(link) not in page, "who may give none sees none"


def test_a_link_is_sent_as_a_link_and_nothing_else(link, nurse, letters, mailoutbox):
    from openketamine.clinic.notices import runner
    from openketamine.clinic.notices.models import Notice

    link.person.email = "maria@patients.example"
    link.person.save()
    with pytest.raises(Refused, match="no address"):
        services.send_link(nurse, link.person, channel="text")
    sent = services.send_link(nurse, link.person, channel="email")
    notice = Notice.objects.get()
    assert notice.values == {"link": f"https://clinic.example/p/{services.token_for(sent)}/"}
    runner.run_once()
    notice.refresh_from_db()
    assert notice.state == "sent"
