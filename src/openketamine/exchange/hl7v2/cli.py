"""`openketamine monitor-feed`, `replay-vitals` and `device-token`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openketamine.clinic.boot import Serving, claim_home, prepare_database, settle, start_django
from openketamine.console import print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from .listener import Listener

PORT = 2575


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    feed = subparsers.add_parser(
        "monitor-feed", help="take readings from bedside monitors (HL7 v2 over MLLP)"
    )
    feed.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    feed.add_argument("--port", type=int, default=PORT, help="port to listen on (%(default)s)")
    feed.add_argument("--tls-cert", metavar="FILE", help="certificate: speak TLS only")
    feed.add_argument("--tls-key", metavar="FILE", help="its private key")
    feed.add_argument(
        "--tls-ca", metavar="FILE", help="let in only devices with a certificate of it"
    )
    feed.add_argument("--demo", action="store_true", help="for the demonstration clinic")
    feed.set_defaults(run=run_feed)

    replay = subparsers.add_parser(
        "replay-vitals", help="send recorded vital signs (CSV) to a monitor feed as HL7"
    )
    replay.add_argument("file", type=Path, metavar="FILE")
    replay.add_argument("--speed", type=float, default=1.0, help="times real time (%(default)s)")
    replay.add_argument("--host", default="127.0.0.1", help="of the feed (%(default)s)")
    replay.add_argument("--port", type=int, default=PORT, help="of the feed (%(default)s)")
    replay.add_argument(
        "--tls-ca", metavar="FILE", help="speak TLS with a feed whose certificate is of this one"
    )
    replay.add_argument("--tls-cert", metavar="FILE", help="certificate to show to the feed")
    replay.add_argument("--tls-key", metavar="FILE", help="its private key")
    replay.add_argument("--device", default="REPLAY", help="the device's name (%(default)s)")
    replay.add_argument(
        "--location", default="", help="where it says that it stands, e.g. 'Chair 1'"
    )
    replay.add_argument("--patient", default="", help="the patient number that it sends")
    replay.add_argument("--rows", type=int, default=None, help="only the first so many")
    replay.add_argument(
        "--as-now",
        action="store_true",
        help="each message bears the present time, not that of a recording which ends now",
    )
    replay.add_argument("--json", action="store_true", help="print JSON")
    replay.set_defaults(run=run_replay)

    token = subparsers.add_parser("device-token", help="let a sender of FHIR Observations in")
    token.add_argument("name", help="what the sender is called")
    token.set_defaults(run=run_token)


def run_feed(arguments: argparse.Namespace) -> int:
    start_django(demo=arguments.demo)
    prepare_database()
    from .listener import Listener, tls_context

    tls = None
    if arguments.tls_cert or arguments.tls_key or arguments.tls_ca:
        if not (arguments.tls_cert and arguments.tls_key):
            _say("TLS needs both --tls-cert and --tls-key.")
            return 2
        try:
            tls = tls_context(arguments.tls_cert, arguments.tls_key, arguments.tls_ca)
        except OSError as error:  # SSLError is one
            _say(f"TLS cannot be set up: {error}.")
            return 1
    settle()
    listener = Listener(arguments.host, arguments.port, tls)
    try:
        with claim_home():
            asyncio.run(_serve(listener))
    except Serving:
        _say("A backup is being restored here. Try again in a moment.")
        return 1
    except OSError as error:
        _say(f"Cannot listen on {arguments.host}:{arguments.port}: {error.strerror}.")
        return 1
    return 0


async def _serve(listener: Listener) -> None:
    await listener.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    kind = "MLLP over TLS" if listener.tls else "MLLP"
    print(f"Monitor feed: {kind} on {listener.host}:{listener.port}", flush=True)  # noqa: T201
    await stop.wait()
    await listener.stop()
    _say(
        "Monitor feed stopped: " + ", ".join(f"{n} {c}" for c, n in sorted(listener.counts.items()))
    )


def run_replay(arguments: argparse.Namespace) -> int:
    from .replay import BadFile, Sender, read_rows, replay, trusting

    if not arguments.speed > 0:
        _say("--speed is above zero.")
        return 2
    try:
        rows = read_rows(arguments.file)[: arguments.rows]
    except (OSError, UnicodeDecodeError) as error:
        _say(f"{arguments.file} cannot be read: {error}.")
        return 1
    except BadFile as error:
        _say(str(error))
        return 1
    tls = None
    if arguments.tls_ca or arguments.tls_cert or arguments.tls_key:
        if not arguments.tls_ca or bool(arguments.tls_cert) != bool(arguments.tls_key):
            _say("TLS needs --tls-ca; --tls-cert and --tls-key go together.")
            return 2
        try:
            tls = trusting(arguments.tls_ca, arguments.tls_cert, arguments.tls_key)
        except OSError as error:  # SSLError is one
            _say(f"TLS cannot be set up: {error}.")
            return 1
    notes: dict[str, int] = {}

    def report(number: int, code: str, note: str) -> None:
        if note:
            notes[note] = notes.get(note, 0) + 1
        if not arguments.json and (code not in {"AA", "CA"} or number % 60 == 0):
            _say(f"[{number}/{len(rows)}] {code} {note}")

    try:
        with Sender(arguments.host, arguments.port, tls=tls) as sender:
            counts = replay(
                rows,
                sender.send,
                device=arguments.device,
                speed=arguments.speed,
                as_now=arguments.as_now,
                location=arguments.location,
                patient_id=arguments.patient,
                report=report,
            )
    except OSError as error:
        _say(f"No answer from {arguments.host}:{arguments.port}: {error}.")
        return 1
    taken = counts["AA"] + counts["CA"]
    if arguments.json:
        print_json({"sent": len(rows), "taken": taken, "answers": dict(counts), "notes": notes})
    else:
        print(f"{len(rows)} sent, {taken} acknowledged, {len(rows) - taken} refused.")  # noqa: T201
        for note, times in notes.items():
            print(f"  {times} times: {note}")  # noqa: T201
    return 0 if taken == len(rows) else 1


def run_token(arguments: argparse.Namespace) -> int:
    start_django()
    prepare_database()
    from openketamine.clinic.devices import services as devices
    from openketamine.clinic.errors import Refused

    try:
        token, secret = devices.make_token("command line", name=arguments.name)
    except Refused as refusal:
        _say(refusal.message)
        return 1
    _say(f"{token.device}: send it as 'Authorization: Bearer …'. It is shown this once.")
    print(secret)  # noqa: T201
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
