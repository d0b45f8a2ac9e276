"""Whom a call reaches after how many minutes is a clinic's own to say, within what is safe."""

import pytest

from openketamine import protocols
from openketamine.protocols import Overlay

LIBRARY = protocols.load()


def under(text: str) -> protocols.Library:
    return protocols.load(Overlay((("ours.yaml", f"overlays: calls.yaml\n{text}"),)))


def test_it_works():
    for priority in ("red", "amber"):
        steps = LIBRARY.calls.steps(priority)
        assert steps[0].after_min == 0
        assert [s.after_min for s in steps] == sorted(s.after_min for s in steps)
    assert LIBRARY.calls.again_min("red") == 5
    assert {e.certainty for e in LIBRARY.policy if e.id.startswith("CALL-")} == {"DESIGN"}


def test_a_clinic_changes_a_step_with_its_reason():
    ours = under(
        "because: Two of us share every night, so the second is asked sooner.\n"
        "escalation:\n"
        "  - {id: CALL-RED-2, after_min: 2, statement: 'Red, 2 minutes: the second'}\n"
    )
    assert [step.after_min for step in ours.calls.steps("red")] == [0, 2, 6, 10]
    assert ours.policy_digest != LIBRARY.policy_digest


def test_nobody_can_make_a_red_call_wait():
    with pytest.raises(protocols.ProtocolError, match="red must reach somebody at once"):
        under(
            "because: We would rather not be disturbed at once.\n"
            "escalation:\n"
            "  - {id: CALL-RED-1, after_min: 5, statement: 'Red, 5 minutes: the first'}\n"
        )


def test_how_often_it_rings_again_is_always_known():
    with pytest.raises(protocols.ProtocolError, match="rings_again has exactly one rule for red"):
        under("retire:\n  - {id: CALL-RED-AGAIN, because: It rang too often at night.}\n")
