"""Requests share a few threads; live streams need none of theirs."""

import asyncio
import threading
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from openketamine.site.asgi import Handler

seen: list[int] = []
open_gate = threading.Event()


def page(request):
    seen.append(threading.get_ident())
    return HttpResponse("page")


def slow(request):
    open_gate.wait(10)
    return HttpResponse("slow")


async def stream(request):
    async def parts():
        yield b"data: 1\n\n"
        await asyncio.sleep(30)

    return StreamingHttpResponse(parts(), content_type="text/event-stream")


urlpatterns = [path("page/", page), path("slow/", slow), path("stream/", stream)]
pytestmark = pytest.mark.django_db(transaction=True)


class Ask:
    """One request to the application, as a server makes it."""

    def __init__(self, handler: Handler, where: str, accept: bytes = b"text/html") -> None:
        self.begun, self.gone = asyncio.Event(), asyncio.Event()
        self.messages: list[dict] = []
        self.unread = True
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": where,
            "raw_path": where.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"accept", accept)],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.task = asyncio.create_task(handler(scope, self.receive, self.send))

    async def receive(self):
        if self.unread:
            self.unread = False
            return {"type": "http.request", "body": b""}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.messages.append(message)
        if message.get("body"):
            self.begun.set()


def run(act, middleware=()):
    async def within():
        handler = Handler(threads=2)
        try:
            await asyncio.wait_for(act(handler), 20)
        finally:
            open_gate.set()
            await asyncio.to_thread(handler.close)

    seen.clear()
    open_gate.clear()
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=list(middleware)):
        asyncio.run(within())


def test_pages_are_served_by_lasting_threads():
    async def act(handler):
        for _ in range(5):
            ask = Ask(handler, "/page/")
            await ask.begun.wait()
            await ask.task
            assert ask.messages[0]["status"] == 200

    run(act)
    assert len(seen) == 5
    assert len(set(seen)) == 1


@pytest.mark.parametrize("accept", [b"text/event-stream", b"*/*"])
def test_open_streams_keep_no_page_waiting(accept):
    async def act(handler):
        streams = [Ask(handler, "/stream/", accept) for _ in range(6)]
        for ask in streams:
            await ask.begun.wait()
        page = Ask(handler, "/page/")
        await page.begun.wait()
        for ask in streams:
            ask.gone.set()
            await ask.task

    run(act)
    assert seen


def test_a_stream_begins_while_every_thread_is_at_work():
    async def act(handler):
        busy = [Ask(handler, "/slow/") for _ in range(3)]
        stream = Ask(handler, "/stream/", b"text/event-stream")
        await stream.begun.wait()
        assert not any(ask.begun.is_set() for ask in busy)
        open_gate.set()
        for ask in busy:
            await ask.task
            assert ask.messages[0]["status"] == 200
        stream.gone.set()
        await stream.task

    run(act)


def test_a_static_file_goes_out_whole_and_without_a_warning(recwarn):
    served = finders.find("openketamine/css/base.css")
    assert served, "the style sheet has moved"

    async def act(handler):
        ask = Ask(handler, "/static/openketamine/css/base.css")
        await ask.task
        begin, *parts = ask.messages
        assert begin["status"] == 200
        headers = {name.lower(): value for name, value in begin["headers"]}
        body = b"".join(part["body"] for part in parts)
        assert body == Path(served).read_bytes()
        assert headers[b"content-length"] == str(len(body)).encode()
        assert headers[b"content-type"].startswith(b"text/css")

    run(act, ["openketamine.site.files.StaticFilesMiddleware"])
    assert not [w for w in recwarn if "iterator" in str(w.message)]
