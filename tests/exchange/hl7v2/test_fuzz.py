"""A short run of the fuzzing benchmark: nothing acknowledged is lost, nothing falls over."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from openketamine.clinic.devices.models import HeldReading
from openketamine.clinic.devices.services import HELD_AT_MOST
from openketamine.exchange.hl7v2.message import NotTaken, parse, unescape

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "fuzz_feed.py"


def test_many_mutated_messages(in_chair):
    for number in (1, 2):  # the others name a chair that is not there
        in_chair(number)
    spec = importlib.util.spec_from_file_location("fuzz_feed", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    result = script.fuzz(600, seed=7)
    assert result["acknowledged and lost"] == 0
    assert result["record intact"]
    assert result["readings stored"] > 60
    assert result["answers"]["AR"] > 60
    assert result["answers"].get("AE", 0) < 20
    assert HeldReading.objects.count() <= HELD_AT_MOST * result["devices"]


@pytest.mark.own_clinic
def test_the_script_itself_runs_on_a_clinic_of_its_own():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--messages", "200"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["messages"], told["acknowledged and lost"]) == (200, 0)
    assert told["readings stored"] == told["in the record"] > 0


def test_a_message_that_no_database_can_hold_is_refused_and_not_asked_for_again():
    raw = b"MSH|^~\\&|A|B|||20261125||ORU^R01|1|P|2.6\rOBX|1|NM|a\x00b||1\r"
    with pytest.raises(NotTaken) as refused:
        parse(raw)
    assert refused.value.code == "AR"
    assert "NUL" in refused.value.text
    separators = parse(raw.replace(b"\x00", b"")).segments[0].separators
    assert unescape("a\\X00\\b", separators) == "ab"
