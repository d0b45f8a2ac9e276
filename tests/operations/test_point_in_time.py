"""A moment between two backups comes back on PostgreSQL, row for row, from its write-ahead log.

The settings and steps are those of docs/operations.md.
"""

import shutil
import time

from .conftest import SEED, Home


def test_a_clinic_goes_back_to_the_moment_before_a_mistake(cluster, tmp_path):
    server = cluster(
        "clinic",
        "archive_mode=on",
        "wal_level=replica",
        "archive_command='test ! -f ../archive/%f && cp %p ../archive/%f'",
    ).make()
    archive = server.folder / "archive"
    archive.mkdir()
    shutil.chown(archive, server.folder.owner())
    server.start()
    (tmp_path / "home").mkdir()
    home = Home(tmp_path / "home", server.url())
    home.python(SEED)
    # The base backup, taken while the clinic is at work.
    server.run(
        "pg_basebackup", "-h", "127.0.0.1", "-p", server.port, "-U", "clinic",
        "-D", server.folder / "base", "--checkpoint=fast", "--wal-method=none",
    )  # fmt: skip
    home.note(25)
    good = server.rows()
    moment = server.sql("SELECT clock_timestamp()").strip()
    time.sleep(0.05)
    # The mistake: everything of a table is gone, and the clinic works on.
    server.sql("TRUNCATE people_measurement")
    home.note(5)
    server.sql("SELECT pg_switch_wal()")
    home.note(1)
    server.stop()  # hands the last segment over, too

    back = cluster(
        "back",
        f"restore_command='cp {archive}/%f %p'",
        f"recovery_target_time='{moment}'",
        "recovery_target_action=promote",
    )
    server.run("cp", "-a", server.folder / "base", back.data)
    back.run("touch", back.data / "recovery.signal")
    back.start()
    deadline = time.monotonic() + 60
    while back.sql("SELECT pg_is_in_recovery()").strip() != "f":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert back.rows() == good
    assert len(good["people_measurement"]) > 0
    there = Home(tmp_path / "home", back.url())
    assert f"{len(good['record_event'])} events, chain intact" in there.run("verify-record").stdout
    there.note(2)  # and the clinic can work on
    assert "chain intact" in there.run("verify-record").stdout
