"""Messages between a patient and the care team: answered by the staff, never lost from sight."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.notices.models import Notice
from openketamine.clinic.portal import queries, services
from openketamine.clinic.portal.models import Message
from openketamine.clinic.record import clock


def test_it_works(phone, person, client, nurse):
    page = phone.get("/me/messages/").content.decode()
    assert "Not for emergencies." in page
    assert 'href="tel:988"' in page
    phone.post("/me/messages/", {"text": "May I eat before the session?"})
    assert [row.person for row in queries.waiting_messages()] == [person]
    services.answer_messages(nurse, person, text="Nothing for four hours, please.")
    assert queries.waiting_messages() == []
    page = phone.get("/me/").content.decode()
    assert "new" in page
    page = phone.get("/me/messages/").content.decode()
    assert "Nothing for four hours" in page
    assert "Session nurse Example, RN" in page
    assert Message.objects.get(from_patient=False).seen_at


def test_what_nobody_has_answered_stands_on_the_days_list(client, person, nurse):
    services.write_message(person, text="Please call me.")
    client.force_login(nurse)
    assert "/messages/waiting/" in client.get("/today/").content.decode()
    fragment = client.get("/messages/waiting/").content.decode()
    assert "unanswered" in fragment
    assert str(person) in fragment
    assert "Please call me." not in fragment, "the day's list may hang on a wall"
    client.post(f"/people/{person.pk}/messages/settle/", {"why": "Telephoned."})
    assert "Every message is answered" in client.get("/messages/waiting/").content.decode()


def test_an_answer_settles_all_that_waits_and_says_by_whom(client, person, nurse, therapist):
    for text in ("One.", "Two."):
        services.write_message(person, text=text)
    client.force_login(therapist)
    client.post(f"/people/{person.pk}/messages/", {"text": "Both are fine."})
    assert {m.settled_by for m in Message.objects.filter(from_patient=True)} == {therapist}
    with pytest.raises(Refused, match="No message waits"):
        services.settle_messages(nurse, person, why="Seen.")


def test_nothing_is_settled_without_a_reason_or_by_a_patient(person, nurse, patient_user):
    services.write_message(person, text="Hello?")
    with pytest.raises(Refused, match="why"):
        services.settle_messages(nurse, person, why="")
    with pytest.raises(Refused, match="Only the staff"):
        services.answer_messages(patient_user, person, text="I answer myself.")
    assert len(queries.waiting_messages()) == 1


def test_an_empty_or_endless_message_is_refused(phone):
    for text in ("  ", "x" * 5000):
        assert phone.post("/me/messages/", {"text": text}).status_code == 422
    assert not Message.objects.exists()


def test_many_messages_in_an_hour_are_asked_to_telephone(person):
    for _ in range(services.MESSAGES_PER_HOUR):
        services.write_message(person, text="Again.")
    with pytest.raises(Refused, match="call the clinic"):
        services.write_message(person, text="Again.")
    with clock.at(clock.now() + timedelta(hours=2)):
        services.write_message(person, text="Later.")


def test_the_patient_is_told_that_there_is_an_answer_and_never_what_it_says(person, nurse, letters):
    person.email = "maria@patients.example"
    person.save()
    services.write_message(person, text="May I drive?")
    services.answer_messages(nurse, person, text="Not before tomorrow.")
    assert not Notice.objects.exists(), "nobody is written to who has not chosen so"
    services.choose_contact(None, person, channel="email", language="es")
    services.answer_messages(nurse, person, text="Not before tomorrow.")
    notice = Notice.objects.get()
    assert (notice.wording, notice.language) == ("message_answered", "es")
    assert "tomorrow" not in str(notice.values)


def test_the_list_costs_the_same_for_any_number_of_patients(
    coordinator, person, django_assert_num_queries
):
    from openketamine.clinic.people import services as people

    from ..conftest import referral

    for number in range(2, 6):
        other = people.receive_referral(coordinator, referral(number), origin="a test").person
        services.write_message(other, text="Hello.")
    with django_assert_num_queries(2):
        assert len(queries.waiting_messages()) == 4
