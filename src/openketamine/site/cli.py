"""`openketamine serve`, `verify-record` and `manage`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from contextlib import ExitStack
from getpass import getpass
from typing import TYPE_CHECKING

from openketamine.clinic.boot import Serving, claim_home, prepare_database, start_django
from openketamine.console import print_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def register(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = subparsers.add_parser("serve", help="serve the clinic to browsers")
    serve.add_argument(
        "--demo", action="store_true", help="a demonstration clinic with synthetic patients"
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on (%(default)s)")
    serve.add_argument(
        "--workers", type=int, default=1, help="web processes, best on PostgreSQL (%(default)s)"
    )
    serve.add_argument(
        "--feed-port",
        type=int,
        default=2575,
        help="with --demo: where its monitors are heard, or another that is free (%(default)s)",
    )
    serve.set_defaults(run=run_serve)

    verify = subparsers.add_parser(
        "verify-record", help="check the hash chain of everything recorded"
    )
    verify.add_argument("--json", action="store_true", help="print JSON")
    verify.add_argument("--demo", action="store_true", help="the demonstration clinic's record")
    verify.set_defaults(run=run_verify)

    account = subparsers.add_parser(
        "create-account", help="let somebody sign in; the password is asked for"
    )
    account.add_argument("username", help="sign-in name")
    account.add_argument("--role", required=True, help="e.g. director, nurse, prescriber")
    account.add_argument("--name", required=True, help="as it is to stand in the record")
    account.add_argument("--credentials", default="", help="e.g. MD or RN")
    account.set_defaults(run=run_create_account)

    manage = subparsers.add_parser(
        "manage", help="Django's management commands, e.g. `manage check --deploy`"
    )
    manage.add_argument("arguments", nargs=argparse.REMAINDER)
    manage.set_defaults(run=run_manage)


def run_serve(arguments: argparse.Namespace) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((arguments.host, arguments.port))
        except OSError as error:
            print(  # noqa: T201
                f"Cannot listen on {arguments.host}:{arguments.port}: {error.strerror}. "
                "Choose another port with --port.",
                file=sys.stderr,
            )
            return 1
    if arguments.demo and arguments.workers > 1:
        print("The demonstration is served by one process.", file=sys.stderr)  # noqa: T201
        return 2
    start_django(demo=arguments.demo)
    try:
        with claim_home():
            return _serve(arguments)
    except Serving:
        print("A backup is being restored here. Try again in a moment.", file=sys.stderr)  # noqa: T201
        return 1


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.demo:
        from django.conf import settings

        from openketamine.demo import clinic

        clinic.discard_stale(settings.HOME)
    prepare_database()

    import uvicorn

    address = f"http://{arguments.host}:{arguments.port}/"
    if arguments.demo:
        from openketamine.demo import feed

        clinic.build(report=lambda line: print(line, flush=True))  # noqa: T201
        feed_port = feed.start(arguments.feed_port)
        print(clinic.welcome(address, feed_port), flush=True)  # noqa: T201
    else:
        print(f"OpenKetamine: {address}", flush=True)  # noqa: T201
    from django.conf import settings as configured

    # What messages link to, where nothing else was said.
    configured.ORIGIN = configured.ORIGIN or address.rstrip("/")
    if configured.NOTICES:
        from openketamine.clinic.notices.runner import Runner

        Runner().start()
    # What runs beside the requests starts in each process that serves, with its application.
    os.environ["OPENKETAMINE_SERVING"] = "1"
    with ExitStack() as stack:
        if arguments.workers > 1:
            # Figures of all processes meet in files; they count from this start.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="openketamine-"))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            "openketamine.site.asgi:application",
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            log_config=None,  # the clinic's own, which keeps patients' data out
            lifespan="off",
            server_header=False,
            # A live screen holds its connection open; do not wait for it when told to stop.
            timeout_graceful_shutdown=2,
        )
    return 0


def run_create_account(arguments: argparse.Namespace) -> int:
    start_django()
    prepare_database()
    from openketamine.clinic.errors import Refused
    from openketamine.clinic.staff import services as staff

    # From a pipe the password is one line of standard input, so that scripts can set accounts up.
    interactive = sys.stdin.isatty()
    password = getpass("Password: ") if interactive else sys.stdin.readline().rstrip("\n")
    try:
        user = staff.create_account(
            "command line",
            username=arguments.username,
            password=password,
            role=arguments.role,
            display_name=arguments.name,
            credentials=arguments.credentials,
        )
    except Refused as refusal:
        print(f"No account made. {refusal.message}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{user} can sign in as {user.username}.")  # noqa: T201
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    start_django(demo=arguments.demo)
    prepare_database()
    from openketamine.clinic.record import services as record

    result = record.verify()
    if arguments.json:
        print_json({"events": result.events, "intact": result.intact, "fault": result.fault})
    elif result.intact:
        print(f"{result.events} events, chain intact.")  # noqa: T201
    else:
        print(f"The record is NOT intact: {result.fault}.", file=sys.stderr)  # noqa: T201
    return 0 if result.intact else 1


def run_manage(arguments: argparse.Namespace) -> int:
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openketamine.site.settings")
    execute_from_command_line(["openketamine manage", *arguments.arguments])
    return 0
