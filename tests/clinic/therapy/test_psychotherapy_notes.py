"""Psychotherapy notes: apart from the record, for their author and whom the author names."""

import pytest

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record.models import Event
from openketamine.clinic.therapy import notes
from openketamine.clinic.therapy.models import PsychotherapyNote

from ..conftest import make_user

SECRET = "Speaks of the brother who drowned"


@pytest.fixture
def note(accompanied, therapist):
    return notes.write(therapist, accompanied.person, text=SECRET)


@pytest.fixture
def everybody(coordinator, prescriber, nurse, director, patient_user, second_therapist):
    return [coordinator, prescriber, nurse, director, patient_user, second_therapist]


def test_it_works(client, note, therapist):
    client.force_login(therapist)
    listed = client.get(f"/people/{note.person_id}/psychotherapy-notes/").content.decode()
    assert f"/psychotherapy-notes/{note.pk}/" in listed
    assert SECRET not in listed, "a list is no reading"
    page = client.get(f"/psychotherapy-notes/{note.pk}/").content.decode()
    assert SECRET in page
    assert "altered" not in page


def test_no_role_as_such_reads_one(client, note, everybody):
    """From every role: the note is not there, its list is empty, nothing is recorded as read."""
    for user in everybody:
        client.force_login(user)
        page = client.get(f"/psychotherapy-notes/{note.pk}/")
        listed = client.get(f"/people/{note.person_id}/psychotherapy-notes/")
        assert page.status_code in {403, 404}, user.role
        assert SECRET not in listed.content.decode()
        assert str(note.pk) not in listed.content.decode(), user.role
        assert notes.read(user, note.pk) is None
    client.logout()
    assert client.get(f"/psychotherapy-notes/{note.pk}/").status_code == 302
    assert not Event.objects.filter(kind="psychotherapy.note_read").exists()


def test_the_director_is_told_that_there_is_nothing(client, note, director):
    client.force_login(director)
    assert client.get(f"/psychotherapy-notes/{note.pk}/").status_code == 404
    assert client.get(f"/people/{note.person_id}/psychotherapy-notes/").status_code == 404
    director.is_superuser = director.is_staff = True
    director.save()
    assert client.get(f"/psychotherapy-notes/{note.pk}/").status_code == 404


def test_every_reading_is_recorded_before_the_text_is_given(note, therapist):
    for count in (1, 2):
        assert notes.read(therapist, note.pk).note.text == SECRET
        readings = Event.objects.filter(kind="psychotherapy.note_read", actor=therapist)
        assert readings.count() == count
        assert readings.last().data == {"note": str(note.pk), "author": therapist.pk}


@pytest.mark.parametrize(
    "role", [Role.THERAPIST, Role.PRESCRIBER, Role.NURSE, Role.DIRECTOR], ids=str
)
def test_whom_the_author_names_reads_until_it_is_taken_back(client, note, therapist, role):
    reader = make_user(role, username="colleague")
    made = notes.grant(therapist, note.person, reader=reader, reason="Cover in my leave.")
    client.force_login(reader)
    assert SECRET in client.get(f"/psychotherapy-notes/{note.pk}/").content.decode()
    assert Event.objects.filter(kind="psychotherapy.note_read", actor=reader).count() == 1
    notes.revoke(therapist, made.pk)
    assert client.get(f"/psychotherapy-notes/{note.pk}/").status_code == 404
    kinds = Event.objects.filter(stream=notes.STREAM).values_list("kind", flat=True)
    assert {"psychotherapy.reading_granted", "psychotherapy.reading_revoked"} <= set(kinds)


def test_a_grant_is_for_one_patient_and_one_author(note, therapist, second_therapist, coordinator):
    from openketamine.clinic.people import services as people

    from ..conftest import referral

    other = people.receive_referral(coordinator, referral(2), origin="a test").person
    elsewhere = notes.write(therapist, other, text="Another patient.")
    own = notes.write(second_therapist, note.person, text="A colleague's own.")
    reader = make_user(Role.PRESCRIBER, username="colleague")
    notes.grant(therapist, note.person, reader=reader, reason="Cover.")
    assert notes.read(reader, note.pk)
    assert notes.read(reader, elsewhere.pk) is None
    assert notes.read(reader, own.pk) is None
    assert notes.read(therapist, own.pk) is None


def test_nobody_grants_what_is_not_their_own(note, therapist, second_therapist, nurse):
    with pytest.raises(Refused, match="no notes"):
        notes.grant(second_therapist, note.person, reader=nurse, reason="I want to.")
    with pytest.raises(Refused, match="Write why"):
        notes.grant(therapist, note.person, reader=nurse, reason=" ")
    made = notes.grant(therapist, note.person, reader=nurse, reason="Cover.")
    with pytest.raises(Refused, match="already"):
        notes.grant(therapist, note.person, reader=nurse, reason="Cover.")
    with pytest.raises(Refused, match="no such leave"):
        notes.revoke(second_therapist, made.pk)
    with pytest.raises(Refused, match="Choose a colleague"):
        notes.grant(therapist, note.person, reader=therapist, reason="Me.")


def test_only_a_therapist_writes_one(accompanied, nurse, director):
    for actor in (nurse, director):
        with pytest.raises(Refused, match="Only a therapist"):
            notes.write(actor, accompanied.person, text="…")


def test_nothing_of_it_stands_in_the_record_or_on_any_page_of_the_chart(
    client, note, prescriber, therapist
):
    notes.read(therapist, note.pk)
    assert not [event for event in Event.objects.all() if SECRET in event.body]
    assert not Event.objects.filter(
        person_id=note.person_id, kind__startswith="psychotherapy"
    ).exists()
    client.force_login(prescriber)
    course = note.person.courses.get()
    for address in (
        f"/people/{note.person_id}/",
        f"/people/{note.person_id}/record/",
        f"/courses/{course.pk}/therapy/",
        f"/courses/{course.pk}/trajectory/",
    ):
        page = client.get(address).content.decode()
        assert SECRET not in page, address
        assert str(note.pk) not in page, address
    assert SECRET not in str(note)


def test_no_module_but_its_own_reads_the_table():
    """What exports and summaries cannot name they cannot hold."""
    from pathlib import Path

    import openketamine

    package = Path(openketamine.__file__).parent
    named = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "PsychotherapyNote" in path.read_text(encoding="utf-8")
    }
    assert named == {
        "clinic/therapy/models.py",
        "clinic/therapy/notes.py",
        "clinic/therapy/views.py",
        "clinic/therapy/migrations/0001_initial.py",
        # Whose chart an address is about, and no more of the note.
        "clinic/privacy/subjects.py",
    }


def test_a_text_that_was_altered_in_the_database_shows(client, note, therapist):
    PsychotherapyNote.objects.filter(pk=note.pk).update(text="Something else")
    client.force_login(therapist)
    assert "was altered" in client.get(f"/psychotherapy-notes/{note.pk}/").content.decode()


def test_an_author_who_leaves_the_staff_reads_no_more(note, therapist):
    User.objects.filter(pk=therapist.pk).update(role=Role.PATIENT)
    therapist.refresh_from_db()
    assert notes.read(therapist, note.pk) is None
