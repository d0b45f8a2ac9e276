"""A running clinic moves from SQLite to PostgreSQL: every row, the chain, and nobody writes on."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import COMMAND, Cluster, Home, free_port, rows_of


@pytest.fixture(scope="module")
def server():
    """One PostgreSQL server for all of these tests, a database for each."""
    top = Path(tempfile.mkdtemp(prefix="openketamine-pg-"))
    try:
        top.chmod(0o755)
        if os.getuid() == 0:
            shutil.chown(top, "postgres")
        made = Cluster(top).make()
        made.start()
        yield made
        made.stop()
    finally:
        shutil.rmtree(top, ignore_errors=True)


# Prints every row of every model as the program sees it, so that both databases can be compared.
READ = """
from openketamine.clinic.boot import start_django
start_django()
from openketamine.operations.move import every_model, _digest
for model in every_model():
    print(model._meta.label, model._base_manager.count(), _digest(model, "default"))
"""


@pytest.fixture(scope="module")
def moved(seeded, server, tmp_path_factory):
    """A clinic after its move, what it held before, and what the command said."""
    folder = tmp_path_factory.mktemp("moved") / "home"
    shutil.copytree(seeded, folder)
    home = Home(folder)
    server.sql("CREATE DATABASE whole")
    before = home.python(READ)
    done = json.loads(home.run("migrate-store", "--to", server.url("whole"), "--json").stdout)
    return home, before, done


def test_a_clinic_at_work_moves_whole_and_works_on(moved, server):
    home, before, done = moved
    assert done["events"] == len(rows_of(home.database)["record_event"])
    there = Home(home.folder, server.url("whole"))
    assert there.python(READ) == before
    assert f"{done['events']} events, chain intact" in there.run("verify-record").stdout
    # Numbers go on after the last: everything can be written to, and the act below appends.
    there.python(
        "from openketamine.clinic.boot import start_django\n"
        "start_django()\n"
        "from tests.clinic.conftest import referral\n"
        "from openketamine.clinic.people import services\n"
        "from openketamine.clinic.accounts.models import User\n"
        "nurse = User.objects.get(role='nurse')\n"
        "services.receive_referral(nurse, referral(2), origin='after the move')\n"
    )
    assert f"{done['events'] + 1} events, chain intact" in there.run("verify-record").stdout
    with pytest.raises(AssertionError, match="append-only"):
        server.sql("DELETE FROM record_event", "whole")
    # The old store takes nothing more, and says so.
    with (
        closing(sqlite3.connect(home.database)) as raw,
        pytest.raises(sqlite3.IntegrityError, match="has moved"),
    ):
        raw.execute("UPDATE record_chainhead SET seq = seq + 1")
    again = home.run("migrate-store", "--to", server.url("whole"), status=1)
    assert "has moved" in again.stderr


def test_a_target_that_holds_anything_is_refused_and_left_as_it_is(home, server):
    server.sql("CREATE DATABASE taken")
    server.sql("CREATE TABLE theirs (n int)", "taken")
    server.sql("INSERT INTO theirs VALUES (1)", "taken")
    done = home.run("migrate-store", "--to", server.url("taken"), status=1)
    assert "holds 1 tables" in done.stderr
    assert server.rows("taken") == {"theirs": ["(1)"]}
    home.note(1)  # the clinic works on where it was


def test_a_clinic_whose_record_was_tampered_with_does_not_move(home, server):
    server.sql("CREATE DATABASE tampered")
    with closing(sqlite3.connect(home.database)) as raw:
        raw.execute("DROP TRIGGER record_event_no_update")
        raw.execute("UPDATE record_event SET actor_name = 'Nobody' WHERE seq = 3")
        raw.commit()
    done = home.run("migrate-store", "--to", server.url("tampered"), status=1)
    assert "event 3" in done.stderr
    assert server.rows("tampered") == {}


@pytest.mark.parametrize("what", ["_compare", "_shut_old"])
def test_a_move_that_fails_halfway_leaves_both_as_they_were(home, server, what):
    """At the last step before the commit, and at the very commit's hook."""
    name = f"half{what.lower()}"
    server.sql(f"CREATE DATABASE {name}")
    before = rows_of(home.database)
    code = (
        "from openketamine.clinic.boot import start_django\n"
        "start_django()\n"
        "from openketamine.operations import move\n"
        "def fail(*a): raise RuntimeError('the machine stops')\n"
        f"move.{what} = fail\n"
        f"move.move({server.url(name)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=home.environment, capture_output=True, text=True
    )
    assert "the machine stops" in done.stderr
    assert server.rows(name) == {}
    assert rows_of(home.database) == before
    home.note(1)  # the clinic works on, and the move can be tried again


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("mysql://x", "postgresql://"),
        ("postgresql://nobody@127.0.0.1:1/none", "does not answer"),
    ],
)
def test_a_target_that_is_none_is_said(home, to, words):
    assert words in home.run("migrate-store", "--to", to, status=1).stderr


def test_several_web_processes_serve_one_clinic_on_postgresql(moved, server):
    home, *_ = moved
    port = free_port()
    environment = {
        **home.environment,
        "OPENKETAMINE_DATABASE_URL": server.url("whole"),
        "OPENKETAMINE_METRICS_TOKEN": "token",
        "OPENKETAMINE_NOTICES": "0",
    }
    served = subprocess.Popen(
        [str(COMMAND), "serve", "--port", str(port), "--workers", "2"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"{address}/ready/") as answer:
                    assert json.load(answer) == {"status": "ready"}
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        for _ in range(19):
            urllib.request.urlopen(f"{address}/ready/").read()
        request = urllib.request.Request(
            f"{address}/metrics/", headers={"Authorization": "Bearer token"}
        )
        figures = urllib.request.urlopen(request).read().decode()
        # The figures of both processes, whichever of them is asked.
        assert 'method="GET",status="200",view="ready"} 20.0' in figures
    finally:
        served.terminate()
        served.wait(timeout=30)


def test_an_address_says_how_the_line_to_the_database_is_protected():
    from openketamine.site.settings import _database

    place = _database("postgresql://u:p%40ss@db.example:5433/clinic?sslmode=verify-full")
    assert place["OPTIONS"] == {"sslmode": "verify-full"}
    assert (place["PASSWORD"], place["PORT"], place["NAME"]) == ("p@ss", 5433, "clinic")
