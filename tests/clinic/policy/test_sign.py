"""No policy, no session: what no authority publishes counts only once the director signs it."""

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.intake import services as intake
from openketamine.clinic.policy import queries, services
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as sessions

from .conftest import LOOSER, NOTE, STRICTER, limit


def test_it_works(director):
    approval = services.sign_policy(director, digest=queries.library().policy_digest)
    assert services.require_signed_policy() == approval
    with pytest.raises(Refused, match="signed already"):
        services.sign_policy(director, digest=approval.digest)


def test_the_thresholds_of_alerts_are_among_what_is_signed(director):
    approval = services.sign_policy(director, digest=queries.library().policy_digest)
    signed = {entry["id"] for entry in approval.entries}
    assert {t.id for t in queries.library().monitoring["IV"].thresholds} <= signed


def test_a_text_that_was_not_on_the_screen_is_not_signed(director):
    with pytest.raises(Refused, match="Read it again"):
        services.sign_policy(director, digest="0" * 64)


def test_without_a_signature_nothing_is_screened_ordered_or_opened(
    planned_course, prescriber, nurse, chair
):
    Approval.objects.all().delete()
    with pytest.raises(Refused, match="not signed"):
        intake.sign_screening(prescriber, planned_course, outcome="eligible")
    with pytest.raises(Refused, match="not signed"):
        sessions.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)


def test_a_change_of_policy_that_nobody_signed_stops_the_next_session(
    planned_course, nurse, chair, signed_policy
):
    Approval.objects.update(digest="another text")
    with pytest.raises(Refused, match="not signed"):
        sessions.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)


def test_a_session_runs_to_its_end_under_the_policy_it_was_opened_with(
    director, running, in_force, nurse
):
    assert limit(session_queries.library_of(running)).at_least == 160
    in_force(LOOSER)
    assert limit(queries.library()).at_least == 170
    assert limit(session_queries.library_of(running)).at_least == 160
    sessions.record_vitals(nurse, running, systolic_mmhg=164, diastolic_mmhg=80, heart_rate_bpm=74)
    timeline = session_queries.timeline_of(running)
    (alert,) = session_queries.alerts_of(running, timeline, clock.now())
    assert alert.rule_id == "IV-SYS-A"
    answered = sessions.acknowledge_alert(
        nurse, running, rule_id="IV-SYS-A", reason="Resting; measured again"
    )
    assert answered.data["overlay"] == 0
    assert answered.data["policy"] == running.approval.digest


def test_the_next_session_is_opened_under_the_policy_that_is_signed_by_then(
    planned_course, nurse, chair, in_force
):
    in_force(STRICTER)
    opened = sessions.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)
    assert limit(session_queries.library_of(opened)).at_least == 150
    data = session_queries.timeline_of(opened).opened
    library = queries.library()
    assert {key: data[key] for key in ("library", "library_digest", "policy", "overlay")} == {
        "library": library.version,
        "library_digest": library.digest,
        "policy": library.policy_digest,
        "overlay": 1,
    }


def test_what_governed_is_kept_with_the_screening(screened):
    from openketamine.clinic.record.models import Event

    event = Event.objects.get(kind="intake.screening_signed")
    assert event.data["policy"] == queries.library().policy_digest
    assert event.data["overlay"] == 0
    assert event.data["library_digest"] == queries.library().digest


def test_a_proposal_alone_opens_nothing(director, planned_course, nurse, chair):
    Approval.objects.all().delete()
    services.propose_overlay(director, text=STRICTER, note=NOTE)
    with pytest.raises(Refused, match="not signed"):
        sessions.open_session(nurse, planned_course.planned_sessions.get(number=1), chair)
