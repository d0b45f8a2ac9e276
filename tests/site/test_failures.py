"""A database that cannot store says so, stores nothing, and goes on when it can."""

import sqlite3
import uuid
from contextlib import closing

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.urls import reverse

from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event


def enter(client, session, **data):
    return client.post(
        reverse("session_enter", args=[session.pk, "note"]),
        {"client_id": str(uuid.uuid4()), "text": "x" * 3000, **data},
        headers={"HX-Request": "true"},
    )


@pytest.fixture
def unlimited_afterwards(transactional_db):
    def lift() -> None:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA max_page_count = 1073741823")

    yield lift
    lift()


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's own limit stands for a disk")
def test_a_full_disk_is_said_in_words_and_nothing_is_lost_or_half_written(
    transactional_db, client, nurse, running, unlimited_afterwards
):
    client.force_login(nurse)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # tests before this one have left empty pages
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
    acknowledged, refused = 0, None
    for _ in range(60):
        response = enter(client, running)
        if response.status_code != 204:
            refused = response
            break
        acknowledged += 1
    assert refused is not None
    assert refused.status_code == 503
    assert "disk of the server is full" in refused.content.decode()
    assert "Nothing was changed" in refused.content.decode()
    unlimited_afterwards()
    assert Event.objects.filter(kind="session.note_written").count() == acknowledged
    assert record.verify().intact
    assert enter(client, running).status_code == 204


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite has one writer at a time")
def test_while_another_program_holds_the_database_nothing_is_half_written_and_then_it_goes_on(
    transactional_db, client, nurse, running, monkeypatch
):
    client.force_login(nurse)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)
    connection.close()
    before = Event.objects.count()
    entry = {"client_id": str(uuid.uuid4())}
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        other.execute("BEGIN IMMEDIATE")
        response = enter(client, running, **entry)
        assert response.status_code == 503
        assert "busy with another write" in response.content.decode()
        assert "Nothing was changed" in response.content.decode()
        assert response["Retry-After"] == "5"
        assert Event.objects.count() == before
        assert client.get(reverse("session", args=[running.pk])).status_code == 200
    for _ in range(2):
        assert enter(client, running, **entry).status_code == 204
    assert Event.objects.count() == before + 1
    assert record.verify().intact
    connection.close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("database is locked", "busy with another write"),
        ("attempt to write a readonly database", "can only be read"),
        ("could not extend file: No space left on device", "disk of the server is full"),
        ("server closed the connection unexpectedly", "does not answer"),
    ],
)
def test_a_database_that_fails_is_no_fault_of_the_page(
    client, nurse, running, monkeypatch, said, words
):
    def fail(*args, **kwargs):
        raise OperationalError(said)

    client.force_login(nurse)
    monkeypatch.setattr(record, "lock", fail)
    before = Event.objects.count()
    response = enter(client, running)
    assert response.status_code == 503
    assert words in response.content.decode()
    assert response["Retry-After"] == "5"
    assert Event.objects.count() == before


def test_any_other_fault_is_not_hidden(client, nurse, running, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a mistake in the program")

    client.force_login(nurse)
    monkeypatch.setattr(record, "lock", fail)
    with pytest.raises(RuntimeError):
        enter(client, running)


def test_a_server_whose_clinic_has_moved_elsewhere_says_so(client, nurse, running, monkeypatch):
    def fail(*args, **kwargs):
        raise IntegrityError("This clinic has moved to another database.")

    client.force_login(nurse)
    monkeypatch.setattr(record, "lock", fail)
    response = enter(client, running)
    assert response.status_code == 503
    assert "is to be restarted" in response.content.decode()
