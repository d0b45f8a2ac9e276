"""Both claims stand on their pages with their study, their limits and the other results."""

import pytest

from openketamine.clinic.choices.forest import GAIN_LEFT, GAIN_RIGHT, LEFT, RIGHT, forest
from openketamine.protocols import questions


def test_it_works(client, nurse):
    client.force_login(nurse)
    page = client.get("/evidence/").content.decode()
    assert "two thirds of patients" in page
    assert "70 % of participants" in page


def test_the_two_thirds_are_traced_to_a_small_uncontrolled_pilot(client, nurse):
    client.force_login(nurse)
    page = client.get("/evidence/oral-suicidality/").content.decode()
    assert "OKTOS" in page
    assert "10.1038/s41398-021-01230-z" in page
    assert "Open label and without a control arm" in page
    assert "52 to 82, computed: Wilson, from n" in page
    assert "not shown to prevent suicide" in page


def test_seventy_percent_never_stands_without_its_control_arm(client, nurse):
    client.force_login(nurse)
    page = client.get("/evidence/trd-seventy-percent/").content.decode()
    assert "17.3 points (4.0 to 30.6)" in page
    assert "52 % placebo + new antidepressant" in page
    assert page.count("recalled") > 3
    assert "no pooled figure" in page


def test_an_unknown_question_is_not_found(client, nurse):
    client.force_login(nurse)
    assert client.get("/evidence/cure-all/").status_code == 404


@pytest.mark.parametrize("question", questions.load().questions, ids=lambda each: each.id)
def test_every_row_of_the_table_is_drawn_once_within_the_drawing(question):
    plot = forest(question)
    assert [line.row for line in plot.lines] == list(question.rows)
    heights = [line.y for line in plot.lines]
    assert heights == sorted(set(heights))
    assert heights[-1] < plot.bottom < plot.height
    for line in plot.lines:
        for mark, low, high in (
            (line.arm, LEFT, RIGHT),
            (line.control, LEFT, RIGHT),
            (line.gain, GAIN_LEFT, GAIN_RIGHT),
        ):
            if mark:
                assert low <= mark.x <= high
                assert (mark.low is None) == (mark.high is None)
                if mark.low is not None:
                    assert low <= mark.low <= mark.x <= mark.high <= high


def test_no_page_of_evidence_asks_the_database_for_more_than_who_reads_it(
    client, nurse, django_assert_num_queries
):
    client.force_login(nurse)
    with django_assert_num_queries(2):  # the browser's session and its user
        client.get("/evidence/trd-seventy-percent/")
