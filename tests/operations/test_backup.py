"""Backing a clinic up and putting it back: every row, the chain, or nothing at all."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from openketamine.operations import backup, pages, sealed

from .conftest import SEED, Home, rows_of


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "backup.key"
    return path, sealed.new_key(path)


def back_up(home: Home, folder, key, *more) -> dict:
    done = home.run("backup", folder, "--recipient", key[1], "--json", *more)
    return json.loads(done.stdout)


def test_it_works(home, elsewhere, key, tmp_path):
    """Every row of every table and the chain are on the other machine as they were."""
    before = rows_of(home.database)
    made = back_up(home, tmp_path / "backups", key)
    assert made["kind"] == "full"
    done = elsewhere.run("restore", made["file"], "--key", key[0], "--json")
    assert json.loads(done.stdout)["rows"] == made["rows"]
    assert rows_of(elsewhere.database) == before
    assert len(before["record_event"]) == made["events"] > 20
    assert "chain intact" in elsewhere.run("verify-record").stdout
    # Links in patients' hands stay good.
    assert (elsewhere.folder / "secret.key").read_text() == (home.folder / "secret.key").read_text()


def test_what_is_stored_is_encrypted_and_the_server_cannot_open_it(home, key, tmp_path):
    made = back_up(home, tmp_path / "backups", key)
    stored = (tmp_path / "backups" / made["file"].rsplit("/", 1)[-1]).read_bytes()
    assert stored.startswith(b"age-encryption.org/v1\n")
    assert b"Example1" not in stored
    assert (home.folder / "secret.key").read_bytes() not in stored
    assert [p.name for p in home.folder.iterdir() if p.name.startswith("backup-")] == []


def test_without_a_recipient_no_backup_is_made(home, tmp_path):
    done = home.run("backup", tmp_path / "backups", status=1)
    assert "never stored unencrypted" in done.stderr
    assert not (tmp_path / "backups").exists()


def test_another_key_opens_nothing(home, elsewhere, key, tmp_path):
    made = back_up(home, tmp_path / "backups", key)
    other = tmp_path / "other.key"
    sealed.new_key(other)
    done = elsewhere.run("restore", made["file"], "--key", other, status=1)
    assert "the key is another one's" in done.stderr
    assert not elsewhere.database.exists()


def test_a_key_is_never_written_over(tmp_path, key):
    with pytest.raises(sealed.Refused, match="older backups"):
        sealed.new_key(key[0])
    assert key[0].stat().st_mode & 0o077 == 0


def test_a_broken_backup_is_refused_whole(home, elsewhere, key, tmp_path):
    """One bit, anywhere; or a tail that is missing."""
    made = back_up(home, tmp_path / "backups", key)
    whole = (tmp_path / "backups" / made["file"].rsplit("/", 1)[-1]).read_bytes()
    broken = tmp_path / "broken.okb"
    size = len(whole)
    changed = [10, size // 3, size - 5]
    cases = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in changed]
    for content in [*cases, whole[: size // 2], b""]:
        broken.write_bytes(content)
        done = elsewhere.run("restore", broken, "--key", key[0], status=1)
        assert "Nothing was restored" in done.stderr
    assert not elsewhere.database.exists()


def test_a_database_that_was_tampered_with_gives_no_backup(home, key, tmp_path):
    with closing(sqlite3.connect(home.database)) as raw:
        raw.execute("DROP TRIGGER record_event_no_update")
        raw.execute("UPDATE record_event SET actor_name = 'Nobody' WHERE seq = 3")
        raw.commit()
    done = home.run("backup", tmp_path / "backups", "--recipient", key[1], status=1)
    assert "event 3" in done.stderr
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_damaged_database_gives_no_backup(home, key, tmp_path):
    with home.database.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 4096 * 3)
    done = home.run("backup", tmp_path / "backups", "--recipient", key[1], status=1)
    assert "damaged" in done.stderr or "malformed" in done.stderr


def test_data_are_never_overwritten_and_what_stood_there_is_kept(home, key, tmp_path):
    made = back_up(home, tmp_path / "backups", key)
    home.note(5)
    later = rows_of(home.database)
    done = home.run("restore", made["file"], "--key", key[0], status=1)
    assert "--replace" in done.stderr
    assert rows_of(home.database) == later
    done = home.run("restore", made["file"], "--key", key[0], "--replace", "--json")
    aside = json.loads(done.stdout)["moved_aside"]
    assert rows_of(aside) == later
    assert len(rows_of(home.database)["record_event"]) == made["events"]


def test_only_checking_changes_nothing(home, elsewhere, key, tmp_path):
    made = back_up(home, tmp_path / "backups", key)
    done = elsewhere.run("restore", made["file"], "--key", key[0], "--check")
    assert "is whole" in done.stdout
    assert not elsewhere.database.exists()


def test_a_clinic_that_is_being_served_is_not_replaced(home, key, tmp_path):
    from openketamine.clinic import boot

    made = back_up(home, tmp_path / "backups", key)
    with open(home.folder / "in-use.lock", "a") as file:
        boot.fcntl.flock(file, boot.fcntl.LOCK_SH)
        done = home.run("restore", made["file"], "--key", key[0], "--replace", status=1)
    assert "being served" in done.stderr


def test_any_kept_moment_can_be_gone_back_to(home, elsewhere, key, tmp_path):
    """A full backup, then changes; each moment comes back row for row, and the latest, too."""
    folder, moments = tmp_path / "backups", []
    for step in range(3):
        if step:
            home.note(7)
        made = back_up(home, folder, key, "--changes")
        assert made["kind"] == ("full" if step == 0 else "changes")
        moments.append((datetime.now(UTC), rows_of(home.database), made["bytes"]))
    assert all(size < moments[0][2] / 2 for _, _, size in moments[1:])
    for number in (0, 2):
        moment, rows, _ = moments[number]
        target = Home(tmp_path / f"back-{number}")
        target.folder.mkdir()
        done = target.run(
            "restore", folder, "--key", key[0], "--at", moment.isoformat(), "--json"
        )  # fmt: skip
        assert json.loads(done.stdout)["backups_read"] == number + 1
        assert rows_of(target.database) == rows
    # One link of the chain is missing: an earlier moment still comes back, a later one does not.
    gone = sorted(folder.glob("*-changes.okb"))[0]
    gone.unlink()
    done = elsewhere.run("restore", folder, "--key", key[0], status=1)
    assert gone.name in done.stderr
    assert not elsewhere.database.exists()


def test_after_a_rebuild_of_the_file_the_backup_is_full_again(home, key, tmp_path):
    back_up(home, tmp_path / "backups", key, "--changes")
    with closing(sqlite3.connect(home.database)) as raw:
        raw.execute("PRAGMA journal_mode=DELETE")
        raw.execute("PRAGMA page_size=8192")
        raw.execute("VACUUM")
    assert back_up(home, tmp_path / "backups", key, "--changes")["kind"] == "full"


def test_a_moment_before_the_first_backup_is_refused(home, elsewhere, key, tmp_path):
    back_up(home, tmp_path / "backups", key)
    done = elsewhere.run(
        "restore", tmp_path / "backups", "--key", key[0], "--at", "2020-01-01T00:00Z", status=1
    )
    assert "no backup made until 2020-01-01" in done.stderr
    done = elsewhere.run(
        "restore", tmp_path / "backups", "--key", key[0], "--at", "2020-01-01T00:00", status=2
    )
    assert "has no zone" in done.stderr


def test_old_backups_go_together_with_what_builds_on_them(tmp_path):
    now = datetime.now(UTC)
    ages = [
        (30, "full"),
        (29, "changes"),
        (20, "full"),
        (19, "changes"),
        (2, "full"),
        (1, "changes"),
    ]
    for days, kind in ages:
        moment = now - timedelta(days=days)
        (tmp_path / f"openketamine-{moment:%Y%m%dT%H%M%S.%fZ}-{kind}.okb").touch()
    gone = backup.prune(tmp_path, timedelta(days=10))
    assert len(gone) == 2
    assert [kind for _, kind, _ in backup.listed(tmp_path)] == ["full", "changes"] * 2
    assert backup.prune(tmp_path, timedelta(days=0)) != []
    assert [kind for _, kind, _ in backup.listed(tmp_path)] == ["full", "changes"]


def test_changed_pages_make_the_older_copy_the_newer_one(tmp_path):
    old, new, changes = (tmp_path / name for name in ("old", "new", "changes"))
    page = 512
    for before, after in (
        (b"a" * page * 3, b"a" * page + b"b" * page + b"a" * page),
        (b"a" * page * 3, b"a" * page),  # shrunk
        (b"a" * page, b"c" * page * 4),  # grown
        (b"a" * page, b"a" * page),  # the same
    ):
        old.write_bytes(before)
        new.write_bytes(after)
        now = pages.digests(new, page)
        pages.write_changes(new, changes, page, now, pages.digests(old, page))
        pages.apply_changes(old, changes, page, len(now))
        assert old.read_bytes() == after


def test_a_broken_memory_of_the_last_backup_only_means_a_full_one(tmp_path):
    path = tmp_path / "backup.state"
    for content in (b"", b"{}", b"no json\n1234", b"\xff\xfe"):
        path.write_bytes(content)
        assert pages.Seen.read(path) is None


def test_postgresql_is_backed_up_in_one_snapshot_and_restored_row_for_row(cluster, key, tmp_path):
    server = cluster("one").make()
    server.start()
    server.sql("CREATE DATABASE origin")
    server.sql("CREATE DATABASE target")
    (tmp_path / "home").mkdir()
    home = Home(tmp_path / "home", server.url("origin"))
    home.python(SEED)
    made = back_up(home, tmp_path / "backups", key)
    before = server.rows("origin")
    (tmp_path / "elsewhere").mkdir()
    there = Home(tmp_path / "elsewhere", server.url("target"))
    there.run("restore", made["file"], "--key", key[0])
    assert server.rows("target") == before
    assert "chain intact" in there.run("verify-record").stdout
    # The record's own guard came along.
    with pytest.raises(AssertionError, match="append-only"):
        server.sql("DELETE FROM record_event", "target")
    done = there.run("restore", made["file"], "--key", key[0], status=1)
    assert "Make an empty one" in done.stderr
    done = there.run("backup", tmp_path / "b", "--recipient", key[1], "--changes", status=1)
    assert "WAL archiving" in done.stderr
