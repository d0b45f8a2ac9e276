"""The feed over a real line on this machine: answered means stored, and nobody brings it down."""

import asyncio
import contextlib
import random
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from openketamine.clinic.devices import services as devices
from openketamine.clinic.devices.models import Device, HeldReading, Why
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.exchange.hl7v2 import intake, listener
from openketamine.exchange.hl7v2.listener import Limits, Listener, tls_context
from openketamine.exchange.hl7v2.mllp import frame
from openketamine.exchange.hl7v2.replay import Sender, code_of, oru, trusting

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def listening(**options):
    """A listener on a free port, on a loop of its own."""
    listener = Listener(port=0, **options)
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def begin():
        await listener.start()
        ready.set()

    def run():
        asyncio.set_event_loop(loop)
        loop.run_until_complete(begin())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield listener
    finally:
        listener._thread.submit(lambda: connection.close()).result(10)
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def feed():
    with listening(limits=Limits(message_bytes=20_000, frame_s=0.4, idle_s=5)) as listener:
        yield listener


@pytest.fixture
def line(feed):
    with Sender("127.0.0.1", feed.port, attempts=1, timeout_s=10) as sender:
        yield sender


def message(number=1, *, device="MON", at=None, **values):
    return oru(
        values or {"SpO2": "98"}, device=device, control_id=str(number), at=at or clock.now()
    )


def stored():
    events = Event.objects.filter(kind="session.vitals_recorded", source=Source.MONITOR)
    return list(events.order_by("seq"))


@pytest.fixture
def chair_feed(line, running, nurse, monkeypatch):
    """The monitor MON stands at the chair of the running session."""
    # A connection for each transaction, so that tests can change how the next one behaves.
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    line.send(message(0))
    devices.assign(nurse, Device.objects.get(identity="MON"), running.chair)
    return line


def test_it_works(chair_feed, running):
    assert code_of(chair_feed.send(message(HR="72.5", SpO2="98", NBPSys="128", NBPDias="79"))) == (
        "AA",
        "",
    )
    (event,) = stored()
    assert event.stream == running.stream
    assert event.data["systolic_mmhg"] == 128.0
    assert event.data["heart_rate_bpm"] == 72.5
    assert record.verify().intact


def test_a_message_that_is_held_is_taken_and_says_why(line):
    assert code_of(line.send(message())) == ("AA", "The device is not assigned to a chair.")


def test_a_message_sent_again_gets_the_same_answer_and_is_stored_once(chair_feed):
    again = message(5)
    assert code_of(chair_feed.send(again)) == code_of(chair_feed.send(again)) == ("AA", "")
    assert len(stored()) == 1


def test_what_is_refused_says_why_and_the_line_goes_on(line):
    assert code_of(line.send(b"hello"))[0] == "AR"
    code, text = code_of(line.send(message().replace(b"|2.6|", b"|2.9|")))
    assert (code, "2.9" in text) == ("AR", True)
    assert code_of(line.send(message()))[0] == "AA"


@pytest.mark.parametrize("seed", range(3))
def test_many_messages_at_once_share_commits_and_each_gets_its_own_answer(
    chair_feed, feed, monkeypatch, seed
):
    """However the lines and the storing thread take turns, what is answered is stored by then."""
    chance, take = random.Random(seed), listener._take

    def pause_now_and_then():
        if chance.random() < 0.3:
            time.sleep(chance.uniform(0, 0.02))

    def take_in_its_own_time(work):
        pause_now_and_then()
        answers = take(work)
        pause_now_and_then()
        return answers

    def send(number):
        with Sender("127.0.0.1", feed.port) as sender, contextlib.closing(connection):
            for n in range(10):
                pause_now_and_then()
                # A value of its own: at the same time the same one would be the same measurement.
                rate = 50 + 10 * number + n
                raw = b"MSH nonsense" if n == 3 else message(f"{number}-{n}", HR=str(rate))
                code, note = code_of(sender.send(raw))
                there = rate in {event.data["heart_rate_bpm"] for event in stored()}
                answers.append((n == 3, code, there, note if code == "AA" else ""))

    monkeypatch.setattr(listener, "_take", take_in_its_own_time)
    answers = []
    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(answers) == [(False, "AA", True, "")] * 72 + [(True, "AR", False, "")] * 8
    assert sorted(event.data["heart_rate_bpm"] for event in stored()) == [
        50 + 10 * number + n for number in range(8) for n in range(10) if n != 3
    ]
    assert record.verify().intact


def test_what_is_held_and_sent_again_from_the_chair_stays_held_and_the_answer_says_so(
    line, running, nurse
):
    """Nothing of it is lost and nothing is in two places: a nurse decides where it belongs."""
    again = message(1)
    first = code_of(line.send(again))
    device = Device.objects.get(identity="MON")
    devices.assign(nurse, device, running.chair)
    type(running).objects.filter(pk=running.pk).update(opened_at=clock.now() - timedelta(hours=1))
    device.assignments.update(from_at=clock.now() - timedelta(hours=1))
    assert code_of(line.send(again)) == first == ("AA", "The device is not assigned to a chair.")
    assert (stored(), HeldReading.objects.count()) == ([], 1)
    assert Device.objects.get(identity="MON").repeats == 1
    assert code_of(line.send(message(2))) == ("AA", "")
    assert len(stored()) == 1


def test_a_database_that_cannot_store_is_answered_with_ae_and_the_sender_tries_again(
    chair_feed, monkeypatch
):
    def locked(_):
        raise OperationalError("database is locked")

    again = message(6)
    with monkeypatch.context() as patch:
        patch.setattr(intake.devices, "receive", locked)
        code, text = code_of(chair_feed.send(again))
    assert (code, "again" in text) == ("AE", True)
    assert stored() == []
    assert code_of(chair_feed.send(again))[0] == "AA"
    assert len(stored()) == 1


sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="a matter of SQLite")


@sqlite_only
def test_while_another_program_holds_the_database_nothing_is_stored_and_then_it_goes_on(
    chair_feed, monkeypatch
):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)
    heard = Device.objects.get(identity="MON").messages
    again = message(6)
    with contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            assert code_of(chair_feed.send(again)) == ("AE", intake.BUSY)
        assert stored() == []
        assert Device.objects.get(identity="MON").messages == heard
    assert code_of(chair_feed.send(again)) == ("AA", "")
    assert len(stored()) == 1
    assert record.verify().intact


@sqlite_only
def test_a_full_disk_is_answered_with_ae_and_what_was_acknowledged_is_all_there(
    chair_feed, monkeypatch
):
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # what other tests have freed would be room
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
    options = connection.settings_dict["OPTIONS"]
    taken = 0
    with monkeypatch.context() as patch:
        limit = f"PRAGMA max_page_count = {pages};"
        patch.setitem(options, "init_command", options["init_command"] + limit)
        for number in range(300):
            last = message(number)
            code, text = code_of(chair_feed.send(last))
            if code != "AA":
                break
            taken += 1
        assert (code, text) == ("AE", intake.BUSY)
        assert code_of(chair_feed.send(last))[0] == "AE"
    assert len(stored()) == taken
    assert record.verify().intact
    assert code_of(chair_feed.send(last)) == ("AA", "")
    assert len(stored()) == taken + 1


def test_a_machine_whose_clock_is_put_back_goes_on_in_order(chair_feed, monkeypatch):
    back = timedelta()
    monkeypatch.setattr(clock, "_steady", clock.SteadyClock(lambda: timezone.now() - back))
    sent = []
    for number in range(6):
        if number == 3:
            back = timedelta(hours=1)
        time.sleep(0.002)
        now = timezone.now()
        sent.append(now.replace(microsecond=now.microsecond // 1000 * 1000))  # as HL7 writes it
        assert code_of(chair_feed.send(message(number, at=sent[-1]))) == ("AA", "")
    events = stored()
    assert [event.occurred_at for event in events] == sent
    assert [e.recorded_at for e in events] == sorted(e.recorded_at for e in events)
    assert record.verify().intact


def test_after_a_restart_with_the_clock_put_back_readings_are_held_and_not_lost(
    chair_feed, monkeypatch
):
    assert code_of(chair_feed.send(message(1))) == ("AA", "")
    put_back = clock.SteadyClock(lambda: timezone.now() - timedelta(minutes=190))
    monkeypatch.setattr(clock, "_steady", put_back)
    code, note = code_of(chair_feed.send(message(2, at=timezone.now())))
    assert (code, "3 h ahead" in note) == ("AA", True)
    assert (len(stored()), HeldReading.objects.filter(why=Why.CLOCK).count()) == (1, 1)
    assert record.verify().intact


def test_one_message_that_trips_us_does_not_keep_the_others_out(chair_feed, monkeypatch):
    receive = devices.receive

    def trip(deliveries):
        if any(d.control_id == "bad" for d in deliveries):
            raise RuntimeError("a fault of ours")
        return receive(deliveries)

    monkeypatch.setattr(intake.devices, "receive", trip)
    names = {"one": "97", "bad": "98", "two": "99"}
    batch = [(message(name, SpO2=spo2), clock.now()) for name, spo2 in names.items()]
    assert [answer.code for answer in intake.take(batch)] == ["AA", "AE", "AA"]
    assert len(stored()) == 2


def raw_line(feed):
    return socket.create_connection(("127.0.0.1", feed.port), 10)


def test_bytes_between_messages_and_a_frame_in_pieces_are_no_trouble(chair_feed, feed):
    with raw_line(feed) as plain:
        data = b"\r\nrubbish" + frame(message(7)) + b"\r\n" + frame(message(8))
        for byte in range(0, len(data), 50):
            plain.sendall(data[byte : byte + 50])
        got = b""
        while got.count(b"\x1c") < 2:
            got += plain.recv(4096)
    assert got.count(b"MSA|AA|") == 2


def test_a_truncated_frame_stores_nothing_and_the_line_is_closed(chair_feed, feed):
    with raw_line(feed) as plain:
        plain.sendall(frame(message(9))[:-40])
        assert plain.recv(100) == b""  # after frame_s
    assert stored() == []
    assert feed.counts["timeouts"] == 1


def test_a_slow_sender_that_keeps_a_frame_open_for_ever_is_let_go(chair_feed, feed):
    began = time.monotonic()
    with raw_line(feed) as plain, contextlib.suppress(OSError):
        for byte in frame(message(10)):
            plain.sendall(bytes([byte]))
            plain.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                if plain.recv(10) == b"":
                    break
    assert time.monotonic() - began < 5
    assert stored() == []


def test_a_message_beyond_the_limit_is_refused_and_the_line_closed(feed):
    with raw_line(feed) as plain:
        plain.sendall(b"\x0bMSH|" + b"x" * 30_000)
        got = b""
        while data := plain.recv(4096):
            got += data
    assert b"MSA|AR|" in got
    assert feed.counts["bad frames"] == 1


def test_more_lines_than_the_limit_are_turned_away():
    with listening(limits=Limits(lines=2)) as feed:
        kept = [raw_line(feed) for _ in range(2)]
        for plain in kept:
            plain.sendall(frame(b"hello"))
            assert b"MSA|AR" in plain.recv(4096)
        with raw_line(feed) as third, contextlib.suppress(ConnectionResetError):
            assert third.recv(10) == b""
        [plain.close() for plain in kept]
        with Sender("127.0.0.1", feed.port) as sender:
            assert code_of(sender.send(b"hello"))[0] == "AR"


def test_a_sender_that_leaves_before_its_answer_does_no_harm(chair_feed, feed):
    for number in range(20):
        with raw_line(feed) as plain:
            plain.sendall(frame(message(f"gone-{number}")))
    assert code_of(chair_feed.send(message("here")))[0] == "AA"


def test_when_it_is_stopped_it_answers_what_it_has_taken(running, nurse):
    with listening() as feed:
        with Sender("127.0.0.1", feed.port) as sender:
            assert code_of(sender.send(message(1)))[0] == "AA"
        port = feed.port
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 2)


def test_over_tls_only_devices_with_a_certificate_get_in_where_that_is_asked(certificate):
    cert, key = certificate
    with listening(tls=tls_context(cert, key, cert)) as feed:
        known = trusting(cert, cert, key)
        with Sender("127.0.0.1", feed.port, tls=known, attempts=1) as sender:
            assert code_of(sender.send(message()))[0] == "AA"
        unknown = trusting(cert)
        with (
            Sender("127.0.0.1", feed.port, tls=unknown, attempts=1, timeout_s=5) as sender,
            pytest.raises(OSError, match=r".*"),
        ):
            sender.send(message())
        with (
            Sender("127.0.0.1", feed.port, attempts=1, timeout_s=5) as sender,
            pytest.raises(OSError, match=r".*"),
        ):
            sender.send(message())


def test_a_night_of_real_numerics_goes_in_whole(chair_feed, running, shared_data):
    """The first hours of a recorded night, into the past of a session that began before it."""
    from openketamine.exchange.hl7v2.replay import read_rows, replay

    rows = read_rows(shared_data / "vitals" / "icu_numerics_60f.csv")[:60]
    began = clock.now() - timedelta(hours=4)
    type(running).objects.filter(pk=running.pk).update(opened_at=began)
    Device.objects.get(identity="MON").assignments.update(from_at=began)
    counts = replay(
        rows, chair_feed.send, device="MON", speed=1e9, as_now=False, sleep=lambda _: None
    )
    assert counts == {"AA": 60}
    dropouts = sum(not float(row.values["SpO2"] or 0) for row in rows)
    assert dropouts > 10
    assert sum("spo2_percent" in event.data for event in stored()) == 60 - dropouts
    assert not any(0.0 in event.data.values() for event in stored())


def test_readings_of_many_lines_share_a_transaction_and_one_line_waits_for_nobody(
    chair_feed, feed, monkeypatch
):
    taken: list[int] = []
    take = listener._take
    monkeypatch.setattr(listener, "_take", lambda work: taken.append(len(work)) or take(work))
    lines = [chair_feed, *(Sender("127.0.0.1", feed.port) for _ in range(7))]
    for number, line in enumerate(lines):
        assert code_of(line.send(message(number, HR=str(60 + number)))) == ("AA", "")
    assert taken == [1] * 8
    monkeypatch.setattr(listener, "GATHER_S_A_LINE", 2.0)
    monkeypatch.setattr(listener, "GATHER_S", 20.0)
    with ThreadPoolExecutor(len(lines)) as pool:
        messages = [message(10 + number, HR=str(80 + number)) for number in range(8)]
        answers = pool.map(lambda line, raw: code_of(line.send(raw)), lines, messages)
        assert [code for code, _ in answers] == ["AA"] * 8
    assert taken == [*[1] * 8, 8]
    assert len(stored()) == 16
    assert record.verify().intact
    for line in lines[1:]:
        line.close()
