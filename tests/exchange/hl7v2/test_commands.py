"""`monitor-feed` and `replay-vitals` as an operator types them."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openketamine import cli

COMMAND = Path(sys.executable).parent / "openketamine"
NIGHT = """minute,HR,SpO2,NBPSys,NBPDias
0,72.5,98,128,79
1,73.0,0,0,0
2,74.5,97,131,80
"""


@pytest.fixture
def night(tmp_path):
    file = tmp_path / "night.csv"
    file.write_text(NIGHT)
    return str(file)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.own_clinic
def test_a_night_goes_over_tls_from_a_file_to_a_feed_that_asks_for_a_certificate(
    night, certificate, tmp_path, capsys
):
    """From the first start of an empty clinic to the feed's last word: nothing is lost."""
    cert, key = certificate
    environment = {**os.environ, "OPENKETAMINE_HOME": str(tmp_path)}
    environment.pop("OPENKETAMINE_DATABASE_URL", None)
    port = free_port()
    feed = subprocess.Popen(
        [COMMAND, "monitor-feed", "--port", port, "--tls-cert", cert, "--tls-key", key,
         "--tls-ca", cert],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert feed.stdout.readline() == f"Monitor feed: MLLP over TLS on 127.0.0.1:{port}\n"
        replay = ["replay-vitals", night, "--port", port, "--speed", "1e6", "--json"]
        shown = ["--tls-ca", cert, "--tls-cert", cert, "--tls-key", key]
        assert cli.main([*replay, *shown]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["sent"], told["taken"], told["answers"]) == (3, 3, {"AA": 3})
        # A chair is named by nobody: what has values is held, and the sender hears why.
        assert told["notes"] == {"The device is not assigned to a chair.": 3}
    finally:
        feed.send_signal(signal.SIGTERM)
        _, said = feed.communicate(timeout=30)
    assert feed.returncode == 0
    assert "Monitor feed stopped: 3 AA" in said
    with contextlib.closing(sqlite3.connect(tmp_path / "openketamine.sqlite3")) as database:
        held = database.execute("SELECT count(*), min(why) FROM devices_heldreading").fetchone()
    assert held == (3, "unassigned")


@pytest.mark.parametrize(
    ("more", "said", "code"),
    [
        (["--speed", "0"], "--speed is above zero", 2),
        (["--tls-cert", "a.pem"], "TLS needs --tls-ca", 2),
        (["--tls-ca", "nowhere.pem"], "TLS cannot be set up", 1),
        (["--port", "PORT"], "No answer from 127.0.0.1", 1),
    ],
)
def test_what_cannot_be_replayed_is_said(night, monkeypatch, capsys, more, said, code):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    more = [free_port() if word == "PORT" else word for word in more]
    assert cli.main(["replay-vitals", night, *more]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", "needs a column 'minute'"),
        ("minute,HR\n0,72\n1,much\n", "line 3"),
        ("minute,HR\n", "holds no rows"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_whole(tmp_path, capsys, content, said):
    file = tmp_path / "odd.csv"
    file.write_text(content)
    assert cli.main(["replay-vitals", str(file)]) == 1
    assert said in capsys.readouterr().err
