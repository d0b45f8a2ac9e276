"""The demonstration's talk therapy, and what its patient has left on the own page."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from openketamine.clinic.accounts.models import User
from openketamine.clinic.people.models import Course
from openketamine.clinic.portal import services as portal
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Source
from openketamine.clinic.therapy import notes
from openketamine.clinic.therapy import services as therapy
from openketamine.clinic.therapy.models import TherapyVisit

from .cast import Character

UNPREPARED = frozenset({3})  # in a chair already, and nobody has prepared them
LEFT_DUE = {6: 1, 7: 1, 9: 2}  # how many integrations, from the last, wait for the therapist

_INTENTIONS = (
    "To meet what I have been avoiding, and to be kinder with it.",
    "To find one reason to get up that is not duty.",
    "To look at the anger without being eaten by it.",
)
_FEARS = ("To lose control and not come back.", "That I will cry and not stop.", "That I fail.")
_HELPS = (
    "A calm voice that says where I am. No questions.",
    "To be reminded to breathe out slowly.",
    "A hand on the forearm, and silence.",
)
_MUSIC = ("Cello, nothing with words.", "Rain and piano.", "My own list, on the telephone.")
_WORDS = ("harbour", "lantern", "anchor")
_STOOD_OUT = (
    "A house with all its windows open, and nobody angry.",
    "That I could watch the thought instead of being it.",
    "The weight went off my chest, and the sea was loud.",
)


def accompany(users: Mapping[str, User], who: Character, course: Course) -> None:
    """What the therapist has written with one patient until now."""
    therapist, present, turn = users["therapist"], clock.now(), who.number % 3
    first = course.planned_sessions.order_by("planned_for").first()
    if course.therapist_id is None or first is None:
        return
    if who.number not in UNPREPARED:
        with clock.at(min(first.planned_for - timedelta(days=1), present)):
            therapy.record_preparation(
                therapist,
                course,
                words={
                    "intention": _INTENTIONS[turn],
                    "fears": _FEARS[turn],
                    "what_helps": _HELPS[turn],
                    "music": _MUSIC[turn],
                    "safe_word": _WORDS[turn],
                },
                topics=["frame", "expectations", "framing", "music"],
                shared=["intention", "music", "safe_word"],
            )
            therapy.agree_touch(
                therapist,
                course,
                kinds=[["hand"], ["arm", "blanket"], []][turn],
                signed_name=str(course.person),
            )
            goal = therapy.set_goal(
                therapist,
                course,
                kind=["belief", "habit", "trauma"][turn],
                text=[
                    "“I am a burden” is a thought, not a fact.",
                    "Out of the house before noon, five days a week.",
                    "To sleep with the light off.",
                ][turn],
                shared=True,
            )
    due = list(TherapyVisit.objects.filter(course=course, kind="integration").order_by("opens_at"))
    for visit in due[: len(due) - LEFT_DUE.get(who.number, 0)]:
        assert visit.opens_at is not None
        held_at = visit.opens_at + timedelta(hours=4)
        if held_at > present:
            continue
        with clock.at(held_at):
            therapy.record_integration(
                therapist,
                course,
                words={
                    "stood_out": _STOOD_OUT[(turn + (visit.after_id or visit.pk).int) % 3],
                    "practices": "Ten minutes of quiet in the morning.",
                    "sleep": "Six hours, one waking.",
                    "mood": "Lighter than last week.",
                    "safety": "No thoughts of death since the session.",
                },
                goals=[goal.pk] if who.number not in UNPREPARED else [],
                shared=["stood_out", "practices"],
                visit=visit,
            )
    if who.number == 6:
        _leave_on_the_page(users, course, present)


def _leave_on_the_page(users: Mapping[str, User], course: Course, present: datetime) -> None:
    """The patient who can sign in: moods, messages, homework, a choice of reminders."""
    person, therapist = course.person, users["therapist"]
    for days, mood in zip(range(11, 0, -1), (3, 3, 4, 3, 5, 4, 5, 6, 5, 6, 7), strict=True):
        with clock.at(present - timedelta(days=days)):
            portal.record_mood(person, mood_0_10=mood)
    with clock.at(present - timedelta(days=3)):
        goal = course.goals.first()
        therapy.give_homework(
            therapist,
            course,
            goal=goal,
            text="Write one page about the house with the open windows.",
            due_on=clock.today() + timedelta(days=6),
        )
        done = therapy.give_homework(therapist, course, text="Call your sister.")
        therapy.record_life_event(
            therapist,
            course,
            happened_on=clock.today() - timedelta(days=2),
            title="Went back to the choir",
        )
        notes.write(
            therapist,
            person,
            text="Kept apart from the chart: the associations to the house, in full.",
        )
        portal.write_message(person, text="May I take my evening tablet on the day of the session?")
        portal.choose_contact(None, person, channel="email")
    with clock.at(present - timedelta(days=2, hours=20)):
        portal.answer_messages(
            users["nurse"], person, text="Yes, as usual, with a sip of water. See you on the day."
        )
    with clock.at(present - timedelta(hours=3)):
        therapy.finish_homework(str(person), done, source=Source.PATIENT)
        portal.write_message(
            person, text="I slept badly and had a headache. Is that usual? Should I come anyway?"
        )
    with clock.at(present - timedelta(hours=1)):
        portal.tell_of_side_effects(course)  # opened, and not answered yet
