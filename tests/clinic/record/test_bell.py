"""A process hears at once that another has written to the record."""

import threading

import pytest
from django.db import connection

from openketamine.clinic.record import bell, services


def append() -> None:
    services.append("test", "clinic", "test.noted", {})
    connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="announcements are PostgreSQL's")
def test_a_write_is_announced_when_it_is_committed_and_not_before(monkeypatch):
    # Looking all the same would come too late for this test.
    monkeypatch.setattr(bell, "LOOK_ANYWAY_S", 600)
    rung, listening = threading.Event(), threading.Event()

    def listen():
        heard = bell.Bell()
        heard._connected()
        listening.set()
        heard.wait(threading.Event())
        heard.close()
        connection.close()
        rung.set()

    threading.Thread(target=listen, daemon=True).start()
    assert listening.wait(30)
    assert not rung.wait(0.6)
    writer = threading.Thread(target=append)
    writer.start()
    assert rung.wait(30)
    writer.join()


@pytest.mark.django_db(transaction=True)
def test_whoever_waits_can_be_woken():
    wake, over = threading.Event(), threading.Event()

    def wait():
        heard = bell.Bell()
        heard.wait(wake)
        heard.close()
        connection.close()
        over.set()

    wake.set()
    threading.Thread(target=wait, daemon=True).start()
    assert over.wait(30)
    assert not wake.is_set()
