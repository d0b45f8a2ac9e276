"""What every test may ask for."""

import os
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from . import blank

# Before Django reads its settings: tests keep their secrets and files away from any real clinic.
os.environ.setdefault("OPENKETAMINE_HOME", tempfile.mkdtemp(prefix="openketamine-tests-"))
os.environ.pop("OPENKETAMINE_DEMO", None)
# Forecasts work on a thread of their own, which the transaction of a test does not reach.
os.environ.setdefault("OPENKETAMINE_FORECASTS", "0")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bundles and device messages, which is kept outside the project."""
    folder = Path(os.environ.get("OPENKETAMINE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"No test data at {folder}; set OPENKETAMINE_TEST_DATA."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


def pytest_configure() -> None:
    from django.conf import settings

    # Slow hashing guards real passwords; tests have none.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """On SQLite the tests begin with a copy of a migrated database; `migrate` finds it done."""
    from django.db import connection
    from django.db.backends.signals import connection_created

    def fill(sender: object, connection: Any, **_: object) -> None:
        if connection.settings_dict["NAME"] == connection.creation._get_test_db_name():
            connection_created.disconnect(fill)
            blank.fill(connection.connection)

    if connection.vendor == "sqlite":
        connection_created.connect(fill, weak=False)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Let a test's database be emptied afterwards, which the record's own triggers would refuse."""
    from importlib import import_module

    from django.db.backends.sqlite3.base import DatabaseOperations

    guard = import_module("openketamine.clinic.record.migrations.0002_append_only").SQLITE
    flush = DatabaseOperations.execute_sql_flush

    def flush_unguarded(self: DatabaseOperations, statements: list[str]) -> None:
        with self.connection.cursor() as cursor:
            for statement in guard["backward"]:
                cursor.execute(statement)
            flush(self, statements)
            for statement in guard["forward"]:
                cursor.execute(statement)

    # Of the class, for each thread and context has a connection of its own. PostgreSQL truncates,
    # which row triggers do not see.
    DatabaseOperations.execute_sql_flush = flush_unguarded


@pytest.fixture
def bracketed(monkeypatch):
    """Whatever is put into another language than English comes out in ⟦ ⟧."""
    from django.utils import translation
    from django.utils.safestring import SafeData, mark_safe

    for name in ("gettext", "ngettext", "pgettext", "npgettext"):
        real = getattr(translation._trans, name)

        def said(*given: Any, real: Any = real) -> str:
            text: str = real(*given)
            if not text or translation.get_language() == "en":
                return text
            marked = f"⟦{text}⟧"
            return mark_safe(marked) if isinstance(text, SafeData) else marked

        monkeypatch.setattr(translation._trans, name, said)


# The same examples on every run where a failure would block others; new ones elsewhere.
hypothesis.settings.register_profile(
    "clinic", deadline=None, derandomize=os.environ.get("CI") == "true"
)
hypothesis.settings.load_profile("clinic")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, only what touches the database: the rest has run on SQLite all the same."""
    if "OPENKETAMINE_DATABASE_URL" not in os.environ:
        return
    touches = {"db", "transactional_db"}
    kept, left = [], []
    for item in items:
        asks = touches & set(getattr(item, "fixturenames", ()))
        (kept if asks or item.get_closest_marker("django_db") else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept
