"""Reminders go out by the clinic's policy, by the patient's own way, and never in quiet hours."""

from datetime import datetime, time, timedelta

import pytest
from django.utils import timezone

from openketamine.clinic.errors import Refused
from openketamine.clinic.notices import runner
from openketamine.clinic.notices.models import Notice
from openketamine.clinic.outcomes import services as outcomes
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.portal import reminders, services
from openketamine.clinic.portal.models import ContactChoice, PatientLink
from openketamine.clinic.record import clock

PHQ9 = {f"q{n}": 1 for n in range(1, 9)} | {"q9": 0}


@pytest.fixture
def reachable(at_home, letters):
    """A patient who wants e-mails, at any hour."""
    at_home.email = "maria@patients.example"
    at_home.save()
    services.choose_contact(None, at_home, channel="email", quiet_from=time(0), quiet_until=time(0))
    FormRequest.objects.exclude(occasion="24h").delete()
    return FormRequest.objects.get()


def sent_after(form, *hours):
    """How many messages there are, each time that somebody has looked."""
    counts = []
    for hour in hours:
        with clock.at(form.due_at + timedelta(hours=hour)):
            reminders.remind()
        counts.append(Notice.objects.filter(wording="form_due").count())
    return counts


def test_it_works(reachable):
    assert sent_after(reachable, -1, 0.1, 1, 19, 20.1, 40) == [0, 1, 1, 1, 2, 2]
    notice = Notice.objects.first()
    assert notice.to == "maria@patients.example"
    token = notice.values["link"].removeprefix("https://clinic.example/p/").rstrip("/")
    assert services.link_by_token(token).person == reachable.person


def test_the_message_says_nothing_about_anybody(reachable, mailoutbox, monkeypatch):
    monkeypatch.setattr(reminders._round, "last", None)
    with clock.at(reachable.due_at + timedelta(minutes=5)):
        runner.run_once()
    (mail,) = mailoutbox
    text = f"{mail.subject} {mail.body}".partition("/p/")[0]  # the token is by chance
    for word in ("Maria", "Example1", "PHQ", "ketamine", "mood", "depression"):
        assert word.lower() not in text.lower()


def test_who_has_answered_is_not_reminded(reachable):
    assert sent_after(reachable, 1) == [1]
    with clock.at(reachable.due_at + timedelta(hours=2)):
        for item, value in PHQ9.items():
            outcomes.save_answer(reachable, item=item, value=value)
        outcomes.submit(reachable)
    assert sent_after(reachable, 21, 30) == [1, 1]


def test_nobody_is_written_to_who_has_not_chosen_or_wants_nothing(reachable):
    services.choose_contact(None, reachable.person, channel="")
    assert sent_after(reachable, 1) == [0]
    ContactChoice.objects.all().delete()
    assert sent_after(reachable, 2) == [0]
    services.choose_contact(
        None, reachable.person, channel="email", quiet_from=time(0), quiet_until=time(0)
    )
    assert sent_after(reachable, 3) == [1], "who chooses later is told of what still waits"


def test_quiet_hours_are_kept_and_the_first_round_after_them_tells(reachable):
    services.choose_contact(
        None, reachable.person, channel="email", quiet_from=time(21), quiet_until=time(8)
    )
    night = datetime(2026, 12, 1, 23, tzinfo=timezone.get_default_timezone())
    FormRequest.objects.update(due_at=night, closes_at=night + timedelta(days=2))
    reachable.refresh_from_db()
    assert sent_after(reachable, 0, 2, 8.9, 9.1) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("start", "end", "hour", "until"),
    [
        (time(21), time(8), 22, 8),
        (time(21), time(8), 3, 8),
        (time(21), time(8), 12, None),
        (time(13), time(15), 14, 15),
        (time(13), time(15), 15, None),
        (time(9), time(9), 9, None),
    ],
)
def test_the_end_of_the_quiet_hours(start, end, hour, until):
    choice = ContactChoice(quiet_from=start, quiet_until=end)
    moment = datetime(2026, 12, 1, hour, 30 if until else 0, tzinfo=timezone.get_default_timezone())
    found = timezone.localtime(services.end_of_quiet(choice, moment))
    assert found >= timezone.localtime(moment)
    assert found.hour == (until if until is not None else hour)


def test_forms_that_fall_due_together_are_one_message(reachable):
    for instrument in ("gad7", "side-effects"):
        FormRequest.objects.create(
            course=reachable.course,
            person=reachable.person,
            session_number=1,
            instrument=instrument,
            occasion="7d",
            due_at=reachable.due_at,
            closes_at=reachable.closes_at,
        )
    assert sent_after(reachable, 1, 21) == [1, 2]


def test_a_form_that_the_clinic_asks_in_person_reminds_nobody(reachable):
    FormRequest.objects.update(instrument="wsas")
    assert sent_after(reachable, 1, 21) == [0, 0]


def test_where_nothing_can_be_sent_nothing_is_used_up(reachable, settings):
    settings.ORIGIN = ""
    assert sent_after(reachable, 1) == [0]
    settings.ORIGIN = "https://clinic.example"
    assert sent_after(reachable, 2) == [1]


def test_the_link_of_a_reminder_ends_with_the_form(reachable):
    sent_after(reachable, 1)
    assert PatientLink.objects.get().expires_at == reachable.closes_at


def test_the_clock_plans_and_reminds_and_looks_once_a_minute(reachable, monkeypatch):
    looked = []
    monkeypatch.setattr(reminders._round, "last", None)
    monkeypatch.setattr(reminders, "plan_due_forms", lambda: looked.append(1))
    with clock.at(reachable.due_at + timedelta(minutes=5)):
        runner.run_once()
        runner.run_once()
    assert looked == [1]
    assert Notice.objects.filter(wording="form_due").count() == 1
    with clock.at(reachable.due_at + timedelta(minutes=7)):
        runner.run_once()
    assert looked == [1, 1]


def test_a_choice_without_an_address_is_refused(at_home):
    at_home.phone = ""
    at_home.save()
    with pytest.raises(Refused, match="no address"):
        services.choose_contact(None, at_home, channel="text")
    assert not ContactChoice.objects.exists()


def test_the_patient_chooses_on_the_page(phone, person):
    person.email = "maria@patients.example"
    person.save()
    assert "have not chosen yet" in phone.get("/me/reminders/").content.decode()
    phone.post(
        "/me/reminders/", {"channel": "email", "quiet_from": "20:30", "quiet_until": "09:00"}
    )
    choice = ContactChoice.objects.get()
    assert (choice.channel, choice.quiet_from, choice.chosen_by) == ("email", time(20, 30), None)


def test_looking_costs_the_same_for_any_number_of_forms(reachable, django_assert_num_queries):
    with clock.at(reachable.due_at - timedelta(hours=1)):
        for number in range(4):
            FormRequest.objects.create(
                course=reachable.course,
                person=reachable.person,
                session_number=number + 2,
                instrument="phq9",
                occasion="24h",
                due_at=reachable.due_at,
                closes_at=reachable.closes_at,
            )
        with django_assert_num_queries(2):  # the policy, and who waits
            reminders.remind()


def test_nothing_is_chosen_before_the_patient_chooses(phone, person):
    page = phone.get("/me/reminders/").content.decode()
    assert 'type="radio"' in page
    assert "checked" not in page
    assert (
        phone.post("/me/reminders/", {"quiet_from": "21:00", "quiet_until": "08:00"}).status_code
        == 422
    )
    phone.post("/me/reminders/", {"channel": "none", "quiet_from": "21:00", "quiet_until": "08:00"})
    assert ContactChoice.objects.get().channel == ""
    assert "checked" in phone.get("/me/reminders/").content.decode()


def test_the_staff_do_not_change_the_language_that_the_patient_chose(reachable, nurse):
    person = reachable.person
    services.choose_contact(None, person, channel="email", language="es")
    services.choose_contact(nurse, person, channel="email")
    assert ContactChoice.objects.get().language == "es"
    ContactChoice.objects.all().delete()
    person.language = "Spanish"
    assert services.choose_contact(nurse, person, channel="email").language == "es"
