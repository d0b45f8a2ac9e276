"""Every reading of a chart stands in the record: who, whose, which page, when.

A reading must cost a nurse no waiting and must not fail with a busy database. So the request adds
a line to a file of this process (`reads/` in the clinic's home), and a thread moves the lines into
the record, where they are chained like everything else, within a second. What a process left behind
when it died is moved by the next that starts.

The same page of the same chart, fetched again by the same person within ten minutes, is the same
reading: a live screen fetches itself every few seconds.

Code that shows charts by other ways than addresses (an interface for programs) calls `note`.
"""

import json
import logging
import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Source

from . import subjects

logger = logging.getLogger(__name__)

SAME_READING_S = 600
EVERY_S = 1.0
BATCH = 500
KIND, LIST_KIND = "chart.read", "list.read"
LISTS = "access:lists"
# Pages that show several patients at once. A reading of one is recorded without naming them.
LIST_VIEWS = frozenset(
    {
        "alarms", "devices", "follow_up_summary", "follow_ups", "home_reviews_due",
        "home_sessions", "home_sessions_list", "inbox", "on_call", "on_call_list", "people",
        "therapist_list", "therapy_due", "today", "today_board",
    }
)  # fmt: skip


def stream_of(person_id: uuid.UUID) -> str:
    return f"access:{person_id}"


class Spool:
    """Lines waiting to be moved into the record, in a file of this process alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[object, ...], float] = OrderedDict()

    @property
    def folder(self) -> Path:
        return Path(settings.HOME) / "reads"

    def add(self, line: dict[str, Any], key: tuple[object, ...]) -> None:
        """Keep one reading, unless it is one that was kept a moment ago."""
        now = time.monotonic()
        with self._lock:
            if now - self._recent.get(key, -SAME_READING_S) < SAME_READING_S:
                return
            self._recent[key] = now
            self._recent.move_to_end(key)
            while len(self._recent) > 20_000:
                self._recent.popitem(last=False)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            path = self.folder / f"{os.getpid()}.jsonl"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(descriptor, "a") as file:
                file.write(json.dumps(line) + "\n")

    def forget(self) -> None:
        with self._lock:
            self._recent.clear()

    def take(self) -> list[Path]:
        """The files to be moved: this process's own, set aside, and what dead ones left behind."""
        found = []
        if not self.folder.is_dir():
            return []
        with self._lock:
            for path in sorted(self.folder.glob("*.jsonl")):
                owner = path.name.split(".")[0]
                if owner == str(os.getpid()) or not _lives(owner):
                    aside = path.with_name(f"{owner}.{uuid.uuid4().hex}.moving")
                    path.replace(aside)
            for path in sorted(self.folder.glob("*.moving")):
                owner = path.name.split(".")[0]
                if owner == str(os.getpid()) or not _lives(owner):
                    found.append(path)
        return found


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


spool = Spool()


def note(
    reader: User | str, view: str, *, kwargs: dict[str, Any] | None = None, people: Iterable = ()
) -> None:
    """Keep that somebody has read charts.

    Args:
        reader: a user, or the name of a program.
        view: what was read, e.g. the name of a view or "FHIR Observation".
        kwargs: the parameters of the address, from which the people are found later.
        people: their ids, where they are known.
    """
    named = {k: str(v) for k, v in (kwargs or {}).items() if k in subjects.CHARTS}
    ids = sorted(str(person) for person in people)
    identity = reader.pk if isinstance(reader, User) else reader
    line = {
        "id": uuid.uuid4().hex,
        "at": clock.now().isoformat(),
        "user": reader.pk if isinstance(reader, User) else None,
        "name": str(reader),
        "view": view,
        "kwargs": named,
        "people": ids,
    }
    try:
        spool.add(line, (identity, view, *sorted(named.items()), *ids))
    except OSError as error:
        # The chart is shown all the same: care does not wait for book-keeping.
        logger.error("a reading of a chart could not be kept: %s", type(error).__name__)


class ReadsMiddleware:
    """Notes each page of a chart that was shown to somebody signed in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if match and request.method == "GET" and response.status_code == 200:
            view = match.url_name or ""
            shows = view in LIST_VIEWS or view == "my_page" or subjects.about_a_chart(match.kwargs)
            user: Any = request.user
            if shows and user.is_authenticated:
                note(user, view, kwargs=match.kwargs)
        return response


def drain() -> int:
    """Move what waits into the record; returns how many readings that were.

    A file is removed after its lines were committed; one that is moved twice counts once.
    """
    moved = 0
    for path in spool.take():
        lines = []
        for text in path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:  # cut off by a full disk
                continue
        for start in range(0, len(lines), BATCH):
            moved += _record(lines[start : start + BATCH])
        path.unlink()
    return moved


@transaction.atomic
def _record(lines: Sequence[dict[str, Any]]) -> int:
    users = User.objects.in_bulk({line["user"] for line in lines if line["user"]})
    entries = []
    for line in lines:
        user = users.get(line["user"])
        actor: User | str = user or line["name"]
        people = subjects.people_of(line["kwargs"]) | {uuid.UUID(text) for text in line["people"]}
        if user is not None and user.role == Role.PATIENT and not people:
            people = set(Person.objects.filter(user=user).values_list("pk", flat=True))
        at = min(datetime.fromisoformat(line["at"]), clock.now())
        data = {"view": line["view"]}
        identity = uuid.UUID(line["id"])
        if people:
            entries.extend(
                record.Entry(
                    actor, stream_of(person), KIND, data, None, at, Source.SYSTEM, None,
                    uuid.uuid5(identity, str(person)),
                )
                for person in sorted(people)
            )  # fmt: skip
        else:
            entries.append(
                record.Entry(
                    actor, LISTS, LIST_KIND, data, None, at, Source.SYSTEM, None, identity
                )
            )  # fmt: skip
    record.append_many(entries)
    return len(entries)


class Drainer(threading.Thread):
    """Moves readings into the record while this process serves."""

    def __init__(self) -> None:
        super().__init__(name="readings", daemon=True)

    def run(self) -> None:
        while True:
            time.sleep(EVERY_S)
            try:
                drain()
            except DatabaseError:
                # They wait in their file until the database takes them.
                logger.warning("readings wait: the database does not take them now")
            except Exception:
                logger.exception("readings could not be moved into the record")
            finally:
                connection.close()
