"""A short run of the fuzzing benchmark: nothing acknowledged is lost, nothing falls over."""

import importlib.util
from pathlib import Path

from openketamine.clinic.devices.models import HeldReading
from openketamine.clinic.devices.services import HELD_AT_MOST

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
