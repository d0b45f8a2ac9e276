"""The MLLP listener: a TCP server of its own that answers only what is durably stored.

The event loop reads frames and nothing else; one thread stores what has come in, all that waits in
one transaction, so that the cost of a commit is shared and no message waits for more than the one
before it. Memory is bounded: so many lines, one unfinished and one waiting message on each.
"""

import asyncio
import logging
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from django.db import close_old_connections, connections

from openketamine.clinic.record import clock

from . import ack, intake
from .message import NotTaken
from .mllp import MAX_MESSAGE, BadFrame, Deframer, frame

log = logging.getLogger(__name__)

CHUNK = 16 * 1024
BATCH = 200
# How long a transaction waits for the readings of other lines: so long for each, at most so long.
GATHER_S_A_LINE, GATHER_S = 0.001, 0.1
STOP_WITHIN_S = 10.0


@dataclass(frozen=True)
class Limits:
    """What one sender may ask of the listener.

    Attributes:
        message_bytes: the longest message.
        lines: connections at a time; further ones are closed at once.
        idle_s: a line on which nothing comes for so long is closed.
        frame_s: a message that has begun must be there whole after so long.
        write_s: a sender that does not take its answer for so long is let go.
    """

    message_bytes: int = MAX_MESSAGE
    lines: int = 500
    idle_s: float = 900.0
    frame_s: float = 15.0
    write_s: float = 15.0


@dataclass
class _Item:
    raw: bytes
    received_at: datetime
    answer: "asyncio.Future[intake.Answer]"


@dataclass
class Listener:
    """Start it with `start`, end it with `stop`; `port` is where it listens."""

    host: str = "127.0.0.1"
    port: int = 2575
    tls: ssl.SSLContext | None = None
    limits: Limits = field(default_factory=Limits)
    counts: Counter[str] = field(default_factory=Counter)

    async def start(self) -> None:
        self._queue: asyncio.Queue[_Item] = asyncio.Queue(maxsize=self.limits.lines)
        self._thread = ThreadPoolExecutor(1, "monitor-feed")
        self._lines: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._server = await asyncio.start_server(
            self._line, self.host, self.port, ssl=self.tls, limit=CHUNK
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._storing = asyncio.create_task(self._store())

    async def stop(self) -> None:
        """Take no more, answer what has been taken, close."""
        self._stopping = True
        self._server.close()
        if not self._queue.empty():
            try:
                await asyncio.wait_for(self._queue.join(), STOP_WITHIN_S)
            except TimeoutError:
                log.warning("stopped with messages that nobody was told are stored")
        await asyncio.sleep(0.05)  # the last answers go out
        for line in list(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        self._storing.cancel()
        await asyncio.gather(self._storing, return_exceptions=True)
        self._thread.submit(connections.close_all)
        self._thread.shutdown()
        await self._server.wait_closed()

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = (writer.get_extra_info("peername") or ("?",))[0]
        if len(self._lines) >= self.limits.lines or self._stopping:
            self.counts["lines refused"] += 1
            log.warning("monitor at %s turned away: %d lines are open", peer, len(self._lines))
            writer.transport.abort()
            return
        self._lines.add(task)
        self.counts["lines"] += 1
        try:
            await self._talk(reader, writer)
        except BadFrame as error:
            self.counts["bad frames"] += 1
            log.warning("monitor at %s: %s; the line is closed", peer, error)
            refusal = NotTaken("AR", 102, f"{error}; the line is closed.")
            await self._send(writer, ack.answer(None, refusal, now=clock.now(), number="0"))
        except TimeoutError:
            self.counts["timeouts"] += 1
        except (OSError, ssl.SSLError, asyncio.CancelledError):
            pass
        except Exception:
            log.exception("monitor at %s: the line is closed", peer)
        finally:
            self._lines.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limits, loop = self.limits, asyncio.get_running_loop()
        deframer = Deframer(limits.message_bytes)
        begun = 0.0
        while True:
            wait = limits.idle_s
            if deframer.unfinished:
                wait = max(begun + limits.frame_s - loop.time(), 0.0)
            async with asyncio.timeout(wait):
                data = await reader.read(CHUNK)
            if not data:
                self.counts["cut off"] += deframer.unfinished
                return
            before = deframer.unfinished
            messages = deframer.feed(data)
            if deframer.unfinished and (messages or not before):
                begun = loop.time()
            for raw in messages:
                await self._send(writer, (await self._taken(raw)).reply)

    async def _taken(self, raw: bytes) -> intake.Answer:
        item = _Item(raw, clock.now(), asyncio.get_running_loop().create_future())
        await self._queue.put(item)
        return await item.answer

    async def _send(self, writer: asyncio.StreamWriter, reply: bytes | None) -> None:
        if reply is None:
            return
        writer.write(frame(reply))
        async with asyncio.timeout(self.limits.write_s):
            await writer.drain()

    async def _gather(self) -> None:
        """Wait a moment, until each line has a message here or the others have had their chance.

        A transaction costs much the same for one reading as for many.
        """
        loop, lines = asyncio.get_running_loop(), len(self._lines)
        until = loop.time() + min(GATHER_S_A_LINE * lines, GATHER_S)
        while self._queue.qsize() + 1 < min(lines, BATCH) and (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, 0.005))

    async def _store(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._queue.get()]
            await self._gather()
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            work = [(item.raw, item.received_at) for item in batch]
            try:
                answers = await loop.run_in_executor(self._thread, _take, work)
            except Exception as error:  # `take` answers everything itself; nobody may wait for ever
                log.exception("monitor messages could not be answered")
                for item in batch:
                    if not item.answer.done():
                        item.answer.set_exception(ConnectionError(str(error)))
                answers = []
            for item, answer in zip(batch, answers, strict=False):
                self.counts[answer.code] += 1
                if not item.answer.done():
                    item.answer.set_result(answer)
            for _ in batch:
                self._queue.task_done()


def _take(work: list[tuple[bytes, datetime]]) -> list[intake.Answer]:
    close_old_connections()
    return intake.take(work)


def tls_context(cert: str, key: str, ca: str | None) -> ssl.SSLContext:
    """TLS 1.2 or newer; with `ca`, only devices with a certificate of it are let in.

    Raises:
        OSError, ssl.SSLError: a file is missing or not what it should be.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    if ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
