"""A clinic of every kept release is brought to this version with all that it holds.

`releases/` holds one small synthetic clinic for each (`tools/keep_release.sh`). A migration that
has been kept is never edited: whoever changes one breaks the upgrade here. Add a numbered one.
"""

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Home

RELEASES = sorted((Path(__file__).parent / "releases").glob("*.sql.gz"))
# Written anew by every start, not by care.
PASSING = {"django_migrations", "django_content_type", "auth_permission", "site_cache"}


def schema_of(database: Path) -> dict[str, set[tuple[object, ...]]]:
    """Every table with its columns (name, type, not null, primary key) and unique indexes."""
    with closing(sqlite3.connect(database)) as raw:
        names = [
            name
            for (name,) in raw.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        found: dict[str, set[tuple[object, ...]]] = {}
        for name in names:
            columns = raw.execute(f'PRAGMA table_info("{name}")').fetchall()
            indexes = raw.execute(f'PRAGMA index_list("{name}")').fetchall()
            found[name] = {(column[1], column[2], column[3], column[5]) for column in columns} | {
                ("index", unique, *(c[2] for c in raw.execute(f'PRAGMA index_info("{index}")')))
                for _, index, unique, *_ in indexes
            }
            triggers = raw.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (name,)
            )
            found[name] |= {("trigger", trigger) for (trigger,) in triggers}
        return found


def values_of(database: Path) -> dict[str, list[dict[str, object]]]:
    """Every row of every table by column."""
    with closing(sqlite3.connect(database)) as raw:
        raw.row_factory = sqlite3.Row
        names = [
            row["name"]
            for row in raw.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        return {
            name: [dict(row) for row in raw.execute(f'SELECT * FROM "{name}"')] for name in names
        }


LOOK = """
from openketamine.clinic.boot import start_django
start_django()
from django.test import Client
from openketamine.clinic.accounts.models import User
from openketamine.clinic.people.models import Person
from openketamine.clinic.sessions.models import Session
client = Client(headers={"host": "localhost"})
client.force_login(User.objects.get(role="nurse"))
person, session = Person.objects.get(), Session.objects.get()
for page in ("/today/", "/people/", f"/people/{person.pk}/",
             f"/people/{person.pk}/record/", f"/sessions/{session.pk}/"):
    answer = client.get(page)
    print(answer.status_code, "Example" in answer.content.decode())
"""


def test_there_is_a_release_to_upgrade_from():
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name.removesuffix(".sql.gz"))
def test_a_clinic_of_an_earlier_release_is_upgraded_with_all_that_it_holds(release, tmp_path):
    old = Home(tmp_path / "old")
    old.folder.mkdir()
    with closing(sqlite3.connect(old.database)) as raw:
        raw.executescript(gzip.decompress(release.read_bytes()).decode())
    before = values_of(old.database)
    assert len(before["record_event"]) > 20
    assert "chain intact" in old.run("verify-record").stdout  # brings the schema up to date first
    after = values_of(old.database)
    for table in before.keys() - PASSING:
        assert table in after, f"{table} is gone"
        kept = [{n: v for n, v in row.items() if n in before[table][0]} for row in after[table]]
        shared = kept[0].keys() if kept else set()
        for row in before[table]:
            wanted = {name: value for name, value in row.items() if name in shared}
            assert wanted in kept, f"{table}: {row}"
    fresh = Home(tmp_path / "fresh")
    fresh.folder.mkdir()
    fresh.run("verify-record")
    assert schema_of(old.database) == schema_of(fresh.database)
    assert old.python(LOOK).splitlines() == ["200 True"] * 5
