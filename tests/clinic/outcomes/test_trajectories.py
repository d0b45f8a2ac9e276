"""Each questionnaire over the course, judged by its own rules and by no others."""

from datetime import timedelta

import pytest

from openketamine.clinic.intake import services as intake
from openketamine.clinic.outcomes import plot, queries
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock


@pytest.fixture
def measure(course, nurse):
    """Keep a response some days after now."""

    def keep(instrument, answers, *, days=0, total=None):
        with clock.at(clock.now() + timedelta(days=days)):
            return intake.record_response(
                nurse,
                course,
                instrument=instrument,
                answers=answers,
                total=total,
                occasion="intake" if days == 0 else intake.VISIT,
            )

    return keep


def line_of(course, name):
    return next(each for each in queries.trajectories(course) if each.instrument.id == name)


def flat(instrument, value):
    return {item.id: value for item in library().instruments[instrument].items}


def test_it_works(course, measure):
    measure("gad7", flat("gad7", 2))
    measure("gad7", flat("gad7", 1), days=7)
    line = line_of(course, "gad7")
    assert [point.total for point in line.points] == [14, 7]
    assert line.responded
    assert "GAD-7 14 at intake, 7 at the last in-window score (+50 % improvement)" in line.summary
    assert [(rule.label, rule.at) for rule in line.lines] == [("response", 7.0), ("remission", 5)]
    assert "Response: a fall of at least 50 % from baseline (recalled)" in line.rules
    assert line.points[0].library_version == library().version


def test_the_pcl_5_has_no_response_and_no_remission_but_a_change_that_matters(course, measure):
    measure("pcl5", flat("pcl5", 2))
    measure("pcl5", flat("pcl5", 1) | {f"q{n}": 2 for n in range(1, 9)}, days=28)
    line = line_of(course, "pcl5")
    assert (line.responded, line.remitted, line.changed) == (False, False, True)
    assert line.summary.endswith("important change.")
    assert [(rule.label, rule.at) for rule in line.lines] == [("important change", 28)]


def test_a_rating_without_any_rule_is_shown_and_not_judged(course, measure):
    measure("dissociation", flat("dissociation", 1))
    measure("dissociation", flat("dissociation", 0), days=1)
    line = line_of(course, "dissociation")
    assert line.summary == "Dissociation 4 at intake, 0 at the last in-window score."
    assert (line.lines, line.rules) == ([], [])


def test_a_screen_without_a_total_is_a_table_and_no_curve(course, measure):
    measure("asq", flat("asq", 0))
    line = line_of(course, "asq")
    assert plot.scores(line) is None
    assert [point.result for point in line.points] == ["negative"]


def test_two_means_are_kept_in_words(course, measure):
    measure("bpi-sf", flat("bpi-sf", 4))
    assert line_of(course, "bpi-sf").points[0].result == "pain severity 4, pain interference 4"


def test_every_point_of_a_curve_lies_within_the_drawing(course, measure):
    for name in ("peg", "madrs", "moaas", "bpic-ss"):
        if name == "bpic-ss":
            measure(name, {}, total=38)
        else:
            measure(name, flat(name, 5) | ({"q10": 0} if name == "madrs" else {}))
        drawing = plot.scores(line_of(course, name))
        assert all(plot.TOP <= dot.y <= plot.HEIGHT - plot.BOTTOM for dot in drawing.dots)
        assert 2 <= len(drawing.grid) <= 5


def test_an_unfinished_form_is_no_point(course, measure):
    measure("phq9", {"q9": 1})
    assert queries.trajectories(course) == []


def test_the_page_shows_one_and_leads_to_the_others(
    client, course, nurse, measure, django_assert_num_queries
):
    client.force_login(nurse)
    empty = client.get(f"/courses/{course.pk}/trajectory/").content.decode()
    assert "No questionnaire is answered yet" in empty
    for name in ("phq9", "gad7", "peg", "pcl5"):
        measure(name, flat(name, 0))
        measure(name, flat(name, 0), days=3)
    address = f"/courses/{course.pk}/trajectory/?instrument=gad7"
    with django_assert_num_queries(7):
        page = client.get(address).content.decode()
    assert "GAD-7 over time" in page
    assert "?instrument=pcl5" in page
    for days in range(4, 9):
        measure("gad7", flat("gad7", 1), days=days)
    with django_assert_num_queries(7):
        client.get(address)
