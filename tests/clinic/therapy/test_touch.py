"""Touch is agreed beforehand, for named kinds, and withdrawn at any time."""

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.record.models import Event
from openketamine.clinic.therapy import queries, services
from openketamine.clinic.therapy.models import TouchAgreement


def agree(actor, course, kinds, **changes):
    return services.agree_touch(
        actor, course, kinds=kinds, **{"signed_name": str(course.person), **changes}
    )


def test_it_works(accompanied, therapist):
    agreement = agree(therapist, accompanied, ["shoulder", "hand"], words="Ask each time.")
    assert queries.kinds_in_words(agreement) == ["Holding a hand", "A hand on the shoulder"]
    assert queries.kinds_in_words(agreement, "es")[0] == "Tomarle de la mano"
    assert Event.objects.get(kind="therapy.touch_agreed").data["kinds"] == ["hand", "shoulder"]


def test_no_touch_is_an_answer_and_unknown_is_none(accompanied, therapist):
    assert queries.touch_of(accompanied) is None
    agree(therapist, accompanied, [])
    assert queries.touch_of(accompanied).kinds == []


def test_it_is_signed_with_the_patients_own_name(accompanied, therapist):
    with pytest.raises(Refused, match="Sign with the name"):
        agree(therapist, accompanied, ["hand"], signed_name="Somebody Else")


def test_nothing_is_added_for_somebody_who_has_had_the_drug(accompanied, running, therapist):
    with pytest.raises(Refused, match="drug has been started"):
        agree(therapist, accompanied, ["hand"])
    assert not TouchAgreement.objects.exists()


def test_what_was_agreed_can_be_narrowed_and_withdrawn_in_the_session(
    accompanied, ready, nurse, therapist
):
    from openketamine.clinic.sessions import services as sessions

    agree(therapist, accompanied, ["hand", "feet"])
    sessions.start_infusion(nurse, ready)
    agree(therapist, accompanied, ["hand"])
    services.withdraw_touch(nurse, accompanied)
    touch = queries.touch_of(accompanied)
    assert touch.withdrawn
    with pytest.raises(Refused, match="drug has been started"):
        agree(therapist, accompanied, ["hand"])


def test_an_earlier_agreement_ends_where_a_new_one_is_signed(accompanied, therapist):
    agree(therapist, accompanied, ["hand"])
    agree(therapist, accompanied, ["feet"])
    assert TouchAgreement.objects.filter(ended_at=None).count() == 1
    assert not TouchAgreement.objects.filter(withdrawn=True).exists()


def test_the_session_screen_shows_what_helps_the_safe_word_and_the_agreement(
    client, prepared, running, nurse, therapist, django_assert_num_queries
):
    client.force_login(nurse)
    screen = client.get(f"/sessions/{running.pk}/").content.decode()
    assert f"/sessions/{running.pk}/support/" in screen
    with django_assert_num_queries(6):
        before = client.get(f"/sessions/{running.pk}/support/").content.decode()
    assert "harbour" in before
    assert "A calm voice" in before
    assert "not asked yet" in before
    assert "To lose control" not in before, "the nurse needs no more than what helps"
    TouchAgreement.objects.create(
        course=running.course,
        kinds=["hand"],
        statement="…",
        signed_name="Maria",
        presented_by=therapist,
    )
    assert "Holding a hand" in client.get(f"/sessions/{running.pk}/support/").content.decode()
    client.post(f"/courses/{running.course_id}/therapy/touch/withdraw/")
    assert "withdrawn" in client.get(f"/sessions/{running.pk}/support/").content.decode()


def test_the_therapists_notes_stand_in_the_sessions_log(client, prepared, running, therapist):
    client.force_login(therapist)
    address = f"/sessions/{running.pk}/companion/"
    assert "To lose control" in client.get(address).content.decode()
    page = client.post(address, {"text": "Tears, then quiet."}, follow=True).content.decode()
    assert "Tears, then quiet." in page
    assert "Tears, then quiet." in client.get(f"/sessions/{running.pk}/").content.decode()
