"""What `deploy/` holds fits this package and the machines it is made for."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from openketamine.cli import build_parser

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service")) + sorted(DEPLOY.glob("*.timer"))
ROOT = DEPLOY.parent


def test_every_unit_runs_a_command_that_there_is():
    commands = [
        line.partition("=")[2].split()
        for unit in UNITS
        for line in unit.read_text().splitlines()
        if line.startswith("ExecStart=")
    ]
    assert len(commands) == 3
    for program, *arguments in commands:
        assert program.endswith("/openketamine")
        build_parser().parse_args(arguments)  # would leave with status 2


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_finds_nothing_wrong_in_the_units(tmp_path):
    for unit in UNITS:
        text = unit.read_text().replace("/opt/openketamine/bin/openketamine", "/bin/true")
        (tmp_path / unit.name).write_text(text.replace("User=openketamine", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stderr.splitlines() if "openketamine" in line]
    assert said == []


def test_the_container_is_built_of_what_there_is():
    text = (DEPLOY / "Containerfile").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M)
        for source in line.split()[:-1]
    ]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    (command,) = re.findall(r"^CMD \[(.+)\]$", text, re.M)
    build_parser().parse_args(re.findall(r'"([^"]+)"', command))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (version,) = set(re.findall(r"python:(\d+\.\d+)-", text))
    assert tuple(map(int, version.split("."))) >= tuple(
        map(int, wanted.removeprefix(">=").split("."))
    )
    assert "\nUSER openketamine\n" in text  # not root
