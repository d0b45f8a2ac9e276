"""Starting the clinic's Django from a command, with nothing imported before it is needed."""

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


def start_django(*, demo: bool = False) -> None:
    """Load the clinic's settings; with `demo`, those of the demonstration clinic."""
    if demo:
        os.environ["OPENKETAMINE_DEMO"] = "1"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openketamine.site.settings")
    import django

    django.setup()


def prepare_database() -> None:
    """Bring the database to this version's schema. Quick where it is there already."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)


class Serving(Exception):  # noqa: N818 - it says how things stand
    """Another process uses the clinic's data."""


@contextmanager
def claim_home(*, alone: bool = False) -> Iterator[None]:
    """Use the clinic's data for as long as the block lasts; `alone` lets nobody else use them.

    The claim ends with the process, however it ends.

    Raises:
        Serving: somebody is using them, where they are wanted alone, or has them alone.
    """
    from django.conf import settings

    with open(settings.HOME / "in-use.lock", "a") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Serving from None
        yield


def settle() -> None:
    """Spare the collector what a server holds for as long as it lives.

    The library and the program are some hundred thousand objects: to look through them again and
    again would stop every live screen for a tenth of a second each time.
    """
    from openketamine import protocols

    protocols.load()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
