"""The command: quiet where all is well, in words where it is not."""

import io
import json
import socket
import subprocess
import sys

import pytest

from openketamine import __version__, cli
from openketamine.clinic.accounts.models import User
from openketamine.clinic.record import services as record


@pytest.fixture(autouse=True)
def on_the_tests_database(monkeypatch):
    monkeypatch.setattr("openketamine.site.cli.prepare_database", lambda: None)


def test_it_says_its_version():
    done = subprocess.run(
        [sys.executable, "-m", "openketamine.cli", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"openketamine {__version__}\n")


def test_the_help_does_not_load_the_clinic():
    code = (
        "import sys; from openketamine import cli; cli.build_parser(); "
        "sys.exit('django.db' in sys.modules or 'numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_command_is_called_wrongly(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["dance"])
    assert stop.value.code == 2


def test_the_record_is_verified(nurse, capsys):
    record.append(nurse, "clinic", "test.noted", {})
    assert cli.main(["verify-record", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"events": 1, "intact": True, "fault": None}


def test_an_account_is_made_from_a_pipe(db, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("quiet-harbour-42\n"))
    status = cli.main(
        ["create-account", "dana", "--role", "director", "--name", "Dr Dana", "--credentials", "MD"]
    )
    assert status == 0
    assert User.objects.get().check_password("quiet-harbour-42")


def test_a_refused_account_says_why(db, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert cli.main(["create-account", "dana", "--role", "director", "--name", "Dana"]) == 1
    assert "at least 12" in capsys.readouterr().err
    assert not User.objects.exists()


def test_a_taken_port_is_said_and_not_served(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 1
    assert "Choose another port" in capsys.readouterr().err
