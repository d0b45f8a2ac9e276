"""An empty clinic's SQLite database, migrated once and copied wherever a test needs one.

Migrating takes ten seconds, and every process of the tests needs a database; a copy takes none. It
is kept beside pytest's own notes, and made anew when Django, a migration or what a site adds
changes.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import django

ROOT = Path(__file__).parents[1]
NAME = "openketamine.sqlite3"
MAKE = (
    "from openketamine.clinic.boot import prepare_database, start_django\n"
    "start_django()\nprepare_database()\n"
)


def blank() -> Path:
    """The file; whoever asks first makes it, and the others wait."""
    parts = hashlib.sha256(django.__version__.encode())
    source = ROOT / "src" / "openketamine"
    for path in sorted([*source.rglob("migrations/*.py"), *source.glob("clinic/sites/*.py")]):
        parts.update(path.read_bytes())
    folder = ROOT / ".pytest_cache"
    folder.mkdir(exist_ok=True)
    file = folder / f"blank-{parts.hexdigest()[:16]}.sqlite3"
    with (folder / "blank.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            for old in folder.glob("blank-*"):
                old.unlink()
            _make(file)
    return file


def _make(file: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "OPENKETAMINE_HOME": home}
        for name in ("OPENKETAMINE_DEMO", "OPENKETAMINE_DATABASE_URL"):
            environment.pop(name, None)
        subprocess.run([sys.executable, "-c", MAKE], env=environment, check=True)
        made = file.with_suffix(".part")
        with (
            closing(sqlite3.connect(Path(home) / NAME)) as old,
            closing(sqlite3.connect(made)) as new,
        ):
            old.backup(new)
        made.rename(file)


def put_into(home: Path) -> None:
    """Give a clinic's home an empty database of this version."""
    shutil.copyfile(blank(), home / NAME)


def fill(database: sqlite3.Connection) -> None:
    """Make an open, empty database an empty clinic's."""
    with closing(_open(blank())) as old:
        old.backup(database)


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)
