"""The doctor says what is in order, what is not, and what to do; and nothing about patients."""

import json
import sqlite3
from contextlib import closing

from openketamine.operations import sealed


def test_a_clinic_at_work_is_examined_whole(home, tmp_path):
    home.folder.chmod(0o700)
    key = sealed.new_key(tmp_path / "key")
    home.run("backup", tmp_path / "backups", "--recipient", key)
    home.environment["OPENKETAMINE_ORIGIN"] = "https://clinic.example"
    done = home.run("doctor", "--backups", tmp_path / "backups", "--json")
    found = {item["what"]: item for item in json.loads(done.stdout)}
    for what in (
        "data folder", "key", "disk", "database", "schema", "pages", "record", "clock",
        "director", "policy", "settings", "backup",
    ):  # fmt: skip
        assert found[what]["verdict"] == "ok", found[what]
    assert found["second factor"]["verdict"] == "attention"
    assert "Example1" not in done.stdout


def test_what_is_wrong_is_named_with_what_to_do_and_the_command_fails(home, tmp_path):
    home.folder.chmod(0o755)
    (home.folder / "secret.key").chmod(0o644)
    with closing(sqlite3.connect(home.database)) as raw:
        raw.execute("DROP TRIGGER record_event_no_update")
        raw.execute("UPDATE record_event SET body = '{}' WHERE seq = 4")
        raw.execute("DELETE FROM django_migrations WHERE app = 'outcomes'")
        raw.execute("UPDATE record_chainhead SET recorded_at = '2099-01-01 00:00:00'")
        raw.commit()
    done = home.run("doctor", "--backups", tmp_path, status=1)
    for words in (
        "WRONG      data folder", "chmod 700", "WRONG      key", "chmod 600", "NOT intact: event 4",
        "WRONG      schema", "WRONG      clock", "WRONG      backup: None in",
    ):  # fmt: skip
        assert words in done.stdout, done.stdout
