"""Between the first dose at home and the second a prescriber has reviewed it."""

from datetime import timedelta

import pytest

from openketamine.clinic.athome import from_home, queries, services
from openketamine.clinic.athome.models import Phase
from openketamine.clinic.athome.watch import look_at_sessions
from openketamine.clinic.errors import Refused
from openketamine.clinic.notices.models import Call
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews.queries import review_marks

from .conftest import START, minutes

pytestmark = pytest.mark.django_db
WORDS = "Slept well, no nausea the day after, mood a little better."


def days(count: float):
    return clock.at(START + timedelta(days=count))


@pytest.fixture
def first_taken(taken, nurse):
    """The first dose at home was taken and its session closed; the next one is a week later."""
    with clock.at(minutes(125)):
        from_home.how(
            taken,
            by="adult",
            data={
                "awake": "awake",
                "systolic_mmhg": 128.0,
                "diastolic_mmhg": 79.0,
                "heart_rate_bpm": 72.0,
            },
        )
        services.close_session(
            nurse, taken, answers=_all_met(taken), outcome="well", words="Well, spoken with both."
        )
    taken.enrolment.refresh_from_db()
    return taken.enrolment


def _all_met(session):
    criteria = queries.library_of(session).discharge[queries.PROTOCOL].criteria
    return {each.fact: True for each in criteria if each.question}


def second_session(nurse, course):
    planned = course.planned_sessions.filter(started_at=None).order_by("planned_for").first()
    planned.planned_for = clock.now()
    planned.save()
    return services.open_session(nurse, planned, adult_name="Ines Example", adult_phone="+15550150")


def test_it_works(first_taken, home_course, nurse, prescriber):
    with days(1):
        services.review_first_dose(
            prescriber, first_taken, how="video", may_go_on=True, words=WORDS
        )
    event = Event.objects.get(kind="athome.first_dose_reviewed")
    assert event.data["words"] == WORDS
    with days(7):
        assert second_session(nurse, home_course).phase == Phase.CHECK


def test_the_next_session_is_refused_until_it_is_recorded(first_taken, home_course, nurse):
    with days(7):
        with pytest.raises(Refused, match="has not been reviewed by a prescriber"):
            second_session(nurse, home_course)
        attempt = Event.objects.order_by("-seq").first()
        assert attempt.kind == "athome.refused"
        assert "clinic policy, HOME-REVIEW" in attempt.data["reason"]
        assert not home_course.home_sessions.filter(closed_at=None).exists()


def test_a_review_that_says_no_holds_the_next_session_back(
    first_taken, home_course, nurse, prescriber
):
    with days(2):
        services.review_first_dose(
            prescriber, first_taken, how="telephone", may_go_on=False, words="Frightened for hours."
        )
    with days(7):
        with pytest.raises(Refused, match="not to go on"):
            second_session(nurse, home_course)
        services.review_first_dose(
            prescriber, first_taken, how="in_person", may_go_on=True, words="Wants to go on, seen."
        )
        assert second_session(nurse, home_course)


def test_only_a_prescriber_reviews_it_and_not_on_the_same_day(first_taken, nurse, prescriber):
    with days(1), pytest.raises(Refused, match="Only a prescriber"):
        services.review_first_dose(nurse, first_taken, how="video", may_go_on=True, words=WORDS)
    with pytest.raises(Refused, match="from 26 November on"):
        services.review_first_dose(
            prescriber, first_taken, how="video", may_go_on=True, words=WORDS
        )
    with days(1), pytest.raises(Refused, match="in a sentence"):
        services.review_first_dose(prescriber, first_taken, how="video", may_go_on=True, words="ok")
    assert not first_taken.reviews.exists()


def test_there_is_nothing_to_review_before_a_dose(supervised, prescriber):
    with pytest.raises(Refused, match="No dose has been taken at home"):
        services.review_first_dose(prescriber, supervised, how="video", may_go_on=True, words=WORDS)


def test_it_is_a_task_and_calls_when_its_time_has_passed(first_taken, on_call, prescriber, client):
    client.force_login(prescriber)
    with days(1):
        (due,) = queries.reviews_due()
        assert not due.late
        assert (
            str(first_taken.course.person) in client.get("/home-sessions/reviews/").content.decode()
        )
        look_at_sessions(None, clock.now())
        assert not Call.objects.filter(key=services.review_call(first_taken)).exists()
    with days(3):
        assert queries.reviews_due()[0].late
        look_at_sessions(None, clock.now())
        look_at_sessions(None, clock.now())
        call = Call.objects.get(key=services.review_call(first_taken))
        assert (call.priority, call.responsible) == ("amber", prescriber)
        services.review_first_dose(
            prescriber, first_taken, how="video", may_go_on=True, words=WORDS
        )
        call.refresh_from_db()
        assert call.closed_at
        assert queries.reviews_due() == []


def test_it_stands_on_the_timeline(first_taken, prescriber):
    with days(1):
        services.review_first_dose(
            prescriber, first_taken, how="video", may_go_on=True, words=WORDS
        )
    (mark,) = review_marks(first_taken.course)
    assert (mark.lane, mark.title) == ("review", "First dose at home: may go on")


def test_a_prescriber_records_it_on_the_page_of_the_course(
    first_taken, home_course, prescriber, client
):
    page = f"/courses/{home_course.pk}/home/"
    client.force_login(prescriber)
    with days(1):
        assert "Review of the first dose at home" in client.get(page).content.decode()
        answer = client.post(
            page, {"act": "review", "how": "video", "may_go_on": "no", "words": WORDS}
        )
        assert answer.status_code == 302
    assert first_taken.reviews.get().may_go_on is False
