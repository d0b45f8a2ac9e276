"""The course on one line: everything that is drawn stands in the table, in its own lane."""

from datetime import timedelta

from openketamine.clinic.outcomes.lifeline import LANES, SHAPES, Mark, lifeline
from openketamine.clinic.record import clock
from openketamine.clinic.sessions import services as sessions


def test_it_works(discharged):
    line = lifeline(discharged.course)
    (dose,) = [mark for mark in line.marks if mark.lane == "dose"]
    assert dose.title == "41 mg IV"
    assert dose.url == f"/sessions/{discharged.pk}/"
    assert line.trajectory.instrument.id == "phq9"
    assert [words for _, words in line.rules] == ["response", "remission"]


def test_a_side_effect_stands_in_its_own_lane_with_its_degree(running, nurse):
    sessions.record_side_effect(nurse, running, effect="nausea", severity="severe", note="vomited")
    timeline = lifeline(running.course)
    assert timeline.marks == []  # the session still runs: nothing of it has been given whole


def test_a_further_kind_of_mark_is_one_small_function(discharged):
    moved = clock.now() - timedelta(days=3)

    def life(course):
        return [Mark("life", moved, "Moved house", "to Example Street")]

    line = lifeline(discharged.course, also=(life,))
    (placed,) = [each for each in line.placed if each.mark.lane == "life"]
    assert placed.shape == SHAPES["life"]
    assert placed.mark in line.marks


def test_everything_is_drawn_inside_the_drawing_and_in_the_order_of_time(discharged):
    far = [
        Mark(lane, clock.now() + timedelta(days=day), lane, size=size)
        for lane in LANES
        for day, size in ((-400, 0.0), (0, 1.0), (500, 9.0))
    ]
    line = lifeline(discharged.course, also=(lambda course: far,))
    assert [mark.at for mark in line.marks] == sorted(mark.at for mark in line.marks)
    assert len(line.placed) == len(line.marks)
    for each in line.placed:
        assert line.left <= each.x <= line.right
        assert line.floor < each.y < line.height
    assert len({words for _, words in line.months}) == len(line.months)


def test_an_empty_course_is_an_empty_line(course):
    line = lifeline(course)
    assert (line.trajectory, line.marks, line.scores) == (None, [], [])
    assert len(line.lanes) == len(LANES)
