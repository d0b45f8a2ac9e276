"""The ASGI application, for uvicorn or any other ASGI server."""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from asgiref.sync import ThreadSensitiveContext

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openketamine.site.settings")
django.setup(set_prefix=False)

from django.core.handlers.asgi import ASGIHandler  # noqa: E402 - settings come first
from django.db import connections  # noqa: E402

Message = MutableMapping[str, Any]

# Enough that a slow page, a document perhaps, holds nobody up; few enough that the loop that serves
# the live streams gets its share of the interpreter.
THREADS = 6
# A live screen's stream lasts for minutes and needs a thread only as it begins and ends.
LASTING = b"text/event-stream"


class Handler(ASGIHandler):
    """Django's own, with a few lasting threads for all requests where that makes one for each.

    A thread for each request means a database connection for each, and with a hundred screens so
    many threads at once that the loop with their live streams waits for seconds. So a request waits
    for its turn, in the order in which they came. Live streams have a thread of their own and wait
    for no page.
    """

    def __init__(self, threads: int = THREADS) -> None:
        super().__init__()
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix="request") for _ in range(threads)
        ]
        self._streams = ThreadPoolExecutor(1, thread_name_prefix="streams")
        # The last one used comes first: a quiet clinic keeps one thread and one connection busy.
        self._free: asyncio.LifoQueue[ThreadPoolExecutor] = asyncio.LifoQueue()
        for thread in self._threads:
            self._free.put_nowait(thread)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if any(name == b"accept" and value == LASTING for name, value in scope["headers"]):
            async with ThreadSensitiveContext(executor=self._streams):
                await self.handle(scope, receive, send)
            return
        thread = await self._free.get()
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._free.put_nowait(thread)

        async def sending(message: Message) -> None:
            # A stream that was not asked for as one: its turn is over as it begins.
            if (
                message["type"] == "http.response.start"
                and (b"Content-Type", LASTING) in message["headers"]
            ):
                give_back()
            await send(message)

        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, sending)
        finally:
            give_back()

    def close(self) -> None:
        """End the threads and their connections, when nothing is served any more."""
        for thread in (*self._threads, self._streams):
            thread.submit(connections.close_all)
            thread.shutdown()


application = Handler()

if os.environ.get("OPENKETAMINE_SERVING") == "1":
    from django.conf import settings

    from openketamine.clinic.boot import settle
    from openketamine.clinic.privacy.reads import Drainer

    Drainer().start()
    if settings.FORECASTS:
        from openketamine.clinic.sessions import forecasts

        forecasts.warm_up()

    settle()
