"""Clinics in homes of their own, run by the real command, and throw-away PostgreSQL servers."""

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "openketamine"
# A small clinic with a session in progress, made in the process that runs this.
SEED = """
import runpy, sys
sys.argv = ["seed", "1"]
runpy.run_module("tests.clinic.seed", run_name="__main__")
"""


class Home:
    """A clinic's folder, and the command run upon it."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        self.folder = folder
        self.environment = {**os.environ, "OPENKETAMINE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
        for name in ("OPENKETAMINE_DEMO", "OPENKETAMINE_DATABASE_URL"):
            self.environment.pop(name, None)
        if database_url:
            self.environment["OPENKETAMINE_DATABASE_URL"] = database_url

    @property
    def database(self) -> Path:
        return self.folder / "openketamine.sqlite3"

    def run(self, *arguments: object, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if status is not None:
            assert done.returncode == status, done.stdout + done.stderr
        return done

    def python(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def note(self, number: int) -> None:
        """Write so many facts more into the record."""
        self.python(
            "from openketamine.clinic.boot import start_django\n"
            "start_django()\n"
            "from openketamine.clinic.record import services\n"
            f"for n in range({number}):\n"
            "    services.append('test', 'clinic', 'test.noted', {'n': n, 'text': 'x' * 200})\n"
        )


def rows_of(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of a SQLite file."""
    with closing(sqlite3.connect(database)) as raw:
        names = [
            name
            for (name,) in raw.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        ]
        return {name: sorted(raw.execute(f'SELECT * FROM "{name}"'), key=repr) for name in names}


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small clinic with a session in progress; copy it, never write to it."""
    folder = tmp_path_factory.mktemp("seeded")
    Home(folder).python(SEED)
    return folder


@pytest.fixture
def home(seeded: Path, tmp_path: Path) -> Home:
    """A clinic of the test's own."""
    folder = tmp_path / "home"
    shutil.copytree(seeded, folder)
    return Home(folder)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Home:
    """Another machine: a home with nothing in it."""
    (tmp_path / "elsewhere").mkdir()
    return Home(tmp_path / "elsewhere")


class Cluster:
    """A PostgreSQL server of the test's own, on a free port of this machine."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder, self.settings = folder, settings
        self.data = folder / "data"
        self.port = free_port()
        self.running = False
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        self.bin = found[-1].parent if found else None
        if self.bin is None and (path := shutil.which("initdb")):
            self.bin = Path(path).parent
        if self.bin is None:
            message = "No PostgreSQL server here: apt install postgresql."
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)

    def run(self, program: str, *arguments: object) -> str:
        path = self.bin / program
        command = [str(path if path.exists() else program), *map(str, arguments)]
        if os.getuid() == 0:  # the server refuses to run as root
            prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            command = [*prefix, *command]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def make(self) -> "Cluster":
        self.run("initdb", "-D", self.data, "-U", "clinic", "--auth=trust", "-E", "UTF8")
        return self

    def start(self) -> None:
        options = [
            f"-p {self.port}",
            f"-k {self.folder}",
            "-c listen_addresses=127.0.0.1",
            "-c fsync=off",
            *(f"-c {setting}" for setting in self.settings),
        ]
        # pg_ctl hands its output on to the server, which would keep a pipe open.
        log = self.folder / "server.log"
        command = ["pg_ctl", "-D", self.data, "-w", "-l", log, "-o", " ".join(options), "start"]
        program, *arguments = map(str, command)
        prefix = (
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            if os.getuid() == 0
            else []
        )
        done = subprocess.run(
            [*prefix, str(self.bin / program), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )
        assert done.returncode == 0, log.read_text()
        self.running = True

    def stop(self) -> None:
        if self.running:
            self.run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
            self.running = False

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://clinic@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        return self.run(
            "psql", "-h", "127.0.0.1", "-p", self.port, "-U", "clinic", "-d", database, "-X",
            "-v", "ON_ERROR_STOP=1", "-At", "-c", statement,
        )  # fmt: skip

    def rows(self, database: str = "postgres") -> dict[str, list[str]]:
        """Every row of every table."""
        tables = self.sql(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1", database
        ).split()
        return {
            name: sorted(self.sql(f'SELECT t::text FROM "{name}" t', database).splitlines())
            for name in tables
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Makes PostgreSQL servers: `cluster("name", "archive_mode=on")`; gone after the test."""
    made: list[Cluster] = []
    # The server's own user must be able to walk to its folder.
    import tempfile

    top = Path(tempfile.mkdtemp(prefix="openketamine-pg-"))
    top.chmod(0o755)

    def make(name: str, *settings: str) -> Cluster:
        folder = top / re.sub(r"\W", "", name)
        folder.mkdir()
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        server = Cluster(folder, *settings)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
    shutil.rmtree(top, ignore_errors=True)
