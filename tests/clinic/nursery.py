"""Starts the clinic's processes in a moment, for tests that kill hundreds of them.

    python -m tests.clinic.nursery

Loads the program once; then each line of standard input, such as "serve --port 8000", is answered
with the id of a new process that runs that command. The process is a fork: it has a life, sockets
and connections to the database of its own, and lacks nothing but the time to load the program.
"""

import gc
import importlib
import os
import signal
import sys

# What is built anew in each process, because what runs beside the requests starts with it.
ANEW = "openketamine.site.asgi"


def load() -> None:
    from openketamine.clinic.boot import start_django

    start_django()
    for module in (ANEW, "openketamine.exchange.hl7v2.listener", "uvicorn"):
        importlib.import_module(module)
    from django.urls import get_resolver

    from openketamine import protocols

    protocols.load()
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()


def become(arguments: list[str]) -> None:
    """Run the command in this process, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    del sys.modules[ANEW]
    from openketamine.cli import main

    sys.argv = ["openketamine", *arguments]
    os._exit(main() or 0)


if __name__ == "__main__":
    load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever is killed is gone at once
    print("ready", flush=True)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            become(line.split())
        print(child, flush=True)
