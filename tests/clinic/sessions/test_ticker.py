"""The figures that a live screen is told, without folding the session for each."""

import asyncio
import json
import uuid
from datetime import timedelta

import pytest

from openketamine.clinic.record import bell, clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import live, queries, services
from openketamine.clinic.sessions.live import News, together
from openketamine.clinic.sessions.ticker import Ticker


def read(session, *, ago_s=0.0, **values):
    reading = services.MonitorReading(
        "m", session, clock.now() - timedelta(seconds=ago_s), values, uuid.uuid4(), {}, {}
    )
    return services.record_from_monitors([reading])[0]


def test_the_figures_are_those_that_count_in_the_fold(in_chair):
    session = in_chair(1)
    ticker = Ticker.of(session.stream, Event.objects.count())
    for ago_s, spo2 in ((50, 97.0), (40, 98.0), (30, 70.0), (20, 98.0), (10, 97.0), (0, 96.0)):
        told = ticker.take([read(session, ago_s=ago_s, spo2_percent=spo2)])
        folded = queries.timeline_of(session).series("spo2_percent")[-1]
        if "spo2_percent" in told["figures"]:
            value, at = told["figures"]["spo2_percent"]
            assert (value, at) == (folded.values["spo2_percent"], folded.at.isoformat())
        else:
            assert spo2 == 70.0
            assert told["crossed"]


def test_it_knows_what_came_before_it_looked(in_chair):
    session = in_chair(1)
    for ago_s in (40, 30, 20):
        read(session, ago_s=ago_s, spo2_percent=98.0)
    ticker = Ticker.of(session.stream, Event.objects.count())
    assert ticker.take([read(session, ago_s=10, spo2_percent=70.0)])["figures"] == {}


def test_a_value_that_cannot_be_true_is_no_figure(running):
    ticker = Ticker.of(running.stream, Event.objects.count())
    told = ticker.take([read(running, heart_rate_bpm=11.5, spo2_percent=97.0)])
    assert list(told["figures"]) == ["spo2_percent"]


def test_no_session_no_ticker(db):
    assert Ticker.of(f"session:{uuid.uuid4()}", 0) is None


def test_news_of_readings_and_of_more_is_news_of_more():
    read_ = News(3, {"figures": {"spo2_percent": [97, "t"]}, "crossed": True})
    assert together([read_, News(5)]) == News(5)
    both = together([read_, News(4, {"figures": {"spo2_percent": [98, "u"]}, "crossed": False})])
    assert both == News(4, {"figures": {"spo2_percent": [98, "u"]}, "crossed": True})
    assert both.without_figures().readings == {"figures": {}, "crossed": True}


@pytest.mark.django_db(transaction=True)
def test_a_screen_is_told_a_monitors_reading_itself_and_of_an_entry_that_there_is_one(
    running, nurse
):
    async def watch():
        stream, found = live.events(running.stream, life_s=20), []
        await anext(stream)
        await asyncio.sleep(3 * bell.POLL_S)
        for act in (
            lambda: read(running, spo2_percent=97.0),
            lambda: services.write_note(nurse, running, text="calm"),
        ):
            await asyncio.get_running_loop().run_in_executor(None, _closing(act))
            while (raw := await asyncio.wait_for(anext(stream), 10)).startswith(b"event: beat"):
                pass
            lines = dict(line.split(": ", 1) for line in raw.decode().strip().splitlines())
            found.append((lines["event"], json.loads(lines["data"])))
        await stream.aclose()
        return found

    (first, told), (second, _) = asyncio.run(watch())
    assert first == "readings"
    assert told["figures"]["spo2_percent"][0] == 97.0
    assert second == "changed"


def _closing(act):
    from django.db import connection

    def run():
        try:
            return act()
        finally:
            connection.close()

    return run
