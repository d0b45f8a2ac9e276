"""Live screens hear of every write, whoever makes it, and notice when they no longer do."""

import asyncio
import contextlib
import json
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from django.urls import reverse

from openketamine.clinic.record import bell
from openketamine.clinic.sessions import live, queries, services


def parsed(raw: bytes) -> tuple[str, dict]:
    lines = dict(line.split(": ", 1) for line in raw.decode().strip().split("\n"))
    return lines["event"], json.loads(lines["data"])


async def heard(stream, wanted: str, within_s: float = 5.0) -> dict:
    async def listen():
        while True:
            name, data = parsed(await anext(stream))
            if name == wanted:
                return data

    return await asyncio.wait_for(listen(), within_s)


def in_thread(act) -> None:
    """Write from another thread, as another request would."""
    from django.db import connection

    def run():
        act()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_screen_hears_of_its_session_and_of_no_other(in_chair, nurse):
    mine, other = in_chair(2), in_chair(3)

    async def screen():
        stream = live.events(mine.stream)
        await heard(stream, "beat")
        await asyncio.sleep(2 * bell.POLL_S)  # the watcher has seen the head
        await asyncio.to_thread(
            in_thread, lambda: services.record_vitals(nurse, other, heart_rate_bpm=70)
        )
        started = time.monotonic()
        event = await asyncio.to_thread(write, mine)
        assert await heard(stream, "changed") == {"seq": event}
        assert time.monotonic() - started < 2.0
        await stream.aclose()

    def write(session):
        written = []
        in_thread(
            lambda: written.append(services.record_vitals(nurse, session, heart_rate_bpm=71).seq)
        )
        return written[0]

    asyncio.run(screen())


@pytest.mark.django_db(transaction=True)
def test_the_board_hears_of_every_session(in_chair, nurse):
    one, two = in_chair(2), in_chair(3)

    async def board():
        stream = live.events(live.ALL_SESSIONS)
        await heard(stream, "beat")
        await asyncio.sleep(2 * bell.POLL_S)
        for session in (one, two):
            await asyncio.to_thread(
                in_thread, lambda s=session: services.record_vitals(nurse, s, heart_rate_bpm=70)
            )
            await heard(stream, "changed")
        await stream.aclose()

    asyncio.run(board())


@pytest.mark.django_db(transaction=True)
def test_a_quiet_screen_hears_a_beat_and_the_stream_ends_in_time(monkeypatch, running):
    monkeypatch.setattr(live, "BEAT_S", 0.05)

    async def screen():
        return [parsed(raw)[0] async for raw in live.events(running.stream, life_s=0.4)]

    beats = asyncio.run(screen())
    assert len(beats) >= 3
    assert set(beats) == {"beat"}


def rested() -> bool:
    # Where the database announces what is new, the watcher looks up only now and then.
    until = time.monotonic() + 3 * bell.LOOK_ANYWAY_S
    while live.watcher._thread is not None and time.monotonic() < until:
        time.sleep(0.02)
    return live.watcher._thread is None


@pytest.mark.django_db(transaction=True)
def test_the_watcher_rests_when_nobody_looks(running):
    async def glance():
        stream = live.events(running.stream)
        await heard(stream, "beat")
        assert live.watcher._thread is not None
        await stream.aclose()

    asyncio.run(glance())
    assert rested()


@pytest.mark.django_db(transaction=True)
def test_a_screen_that_leaves_before_it_was_listed_is_not_kept(running):
    async def leave_at_once():
        watch = live._Watch(running.stream, asyncio.get_running_loop())
        live.watcher.remove(watch)
        await sync_to_async(live.watcher.add)(watch)
        assert watch not in live.watcher._watches

    asyncio.run(leave_at_once())
    assert rested()


@pytest.mark.django_db(transaction=True)
def test_screens_of_a_server_that_was_stopped_at_once_are_given_up(running):
    loop = asyncio.new_event_loop()
    live.watcher.add(live._Watch(running.stream, loop))
    assert live.watcher._thread is not None
    loop.close()
    assert rested()


@pytest.mark.django_db(transaction=True)
def test_the_stream_is_served_to_staff_as_server_sent_events(running, nurse):
    client = AsyncClient()
    client.force_login(nurse)

    async def ask():
        response = await client.get(reverse("session_stream", args=[running.pk]))
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        stream = response.streaming_content
        assert parsed(await anext(stream))[0] == "beat"
        await stream.aclose()
        missing = await client.get(
            reverse("session_stream", args=["00000000-0000-0000-0000-000000000000"])
        )
        assert missing.status_code == 404

    asyncio.run(ask())


@pytest.mark.django_db(transaction=True)
def test_a_screen_that_missed_something_hears_of_it_as_its_stream_opens(running, nurse):
    shown = queries.timeline_of(running).last_seq

    async def opens(after):
        stream = live.events(running.stream, after=after, life_s=0.3)
        return [parsed(raw)[0] async for raw in stream]

    assert "changed" not in asyncio.run(opens(shown))
    services.write_note(nurse, running, text="meanwhile")
    assert asyncio.run(opens(shown))[:2] == ["beat", "changed"]
    assert "changed" not in asyncio.run(opens(shown + 1))


@pytest.mark.django_db(transaction=True)
def test_a_browser_that_comes_back_says_what_it_has_heard(running, nurse):
    shown = queries.timeline_of(running).last_seq
    services.write_note(nurse, running, text="meanwhile")
    client = AsyncClient()
    client.force_login(nurse)

    async def ask(**headers):
        response = await client.get(
            reverse("session_stream", args=[running.pk]), {"after": shown}, headers=headers
        )
        stream = response.streaming_content
        heard = [parsed(await anext(stream))[0]]
        with contextlib.suppress(TimeoutError):
            heard.append(parsed(await asyncio.wait_for(anext(stream), 0.5))[0])
        await stream.aclose()
        return heard

    assert asyncio.run(ask()) == ["beat", "changed"]
    assert asyncio.run(ask(**{"Last-Event-ID": str(shown + 1)})) == ["beat"]
    assert asyncio.run(ask(**{"Last-Event-ID": "nonsense"})) == ["beat", "changed"]
