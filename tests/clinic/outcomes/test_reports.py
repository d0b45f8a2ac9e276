"""The director's pages: figures with their denominators, small cells hidden from everybody."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.outcomes import fits, reports, summaries
from openketamine.clinic.outcomes.cohort import Filters
from openketamine.clinic.outcomes.models import CourseSummary, ModelFit
from openketamine.clinic.people.models import Course
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import services as record

from ..conftest import make_user

PAGES = (
    "/outcomes/",
    "/outcomes/onset-and-relapse/",
    "/outcomes/scores-over-time/",
    "/outcomes/adverse-events/",
    "/outcomes/clinicians/",
    "/outcomes/clinicians/?measure=missing",
    "/outcomes/clinicians/?measure=moderate&whose=therapist",
    "/outcomes/exports/",
)


@pytest.fixture
def researcher(db):
    return make_user(Role.RESEARCHER)


@pytest.fixture
def clinic(years, client):
    """A clinic with a hundred and ten courses behind it, seen by its director."""
    client.force_login(years)
    return client


def text_of(response) -> str:
    words = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", words)


def test_it_works(clinic):
    for page in PAGES:
        response = clinic.get(page)
        assert response.status_code == 200
        assert "How these figures are computed" in text_of(response)


def test_a_figure_stands_with_everybody_who_is_not_in_it(clinic):
    page = text_of(clinic.get("/outcomes/"))
    began = CourseSummary.objects.filter(condition="TRD", first_dose_at__isnull=False).count()
    assert f"{began} courses began" in page
    assert re.search(r"\d+ % \(\d+ to \d+ %\) at week 4: \d+ began, \d+ have come so far, \d+ were"
                     r" measured", page)  # fmt: skip
    assert "Asked, not answered" in page
    assert "If all missing had not / had" in page


def test_a_published_result_stands_beside_with_its_control_arm_and_what_is_not_alike(clinic):
    page = text_of(clinic.get("/outcomes/?condition=TRD&route=IV"))
    assert "Its control arm" in page
    assert "scale: MADRS" in page
    assert "verified" in page
    assert "recalled" in page
    assert "Patients know what they got" in page


def test_every_plot_has_a_table_and_words_for_those_who_do_not_see_it(clinic):
    for page in PAGES[:6]:
        html = clinic.get(page).content.decode()
        plots = re.findall(r'<svg class="plot[^>]*role="img" aria-label="[^"]{20,}"', html)
        assert plots, page
        assert html.count("<caption>") >= len(plots)


def test_a_page_costs_the_same_queries_for_thirty_courses_as_for_a_hundred(clinic, monkeypatch):
    monkeypatch.setattr(fits, "AT_ONCE", 0)

    def costs() -> list[int]:
        found = []
        for page in PAGES:
            clinic.get(page)  # sessions and caches
            with CaptureQueriesContext(connection) as queries:
                assert clinic.get(page).status_code == 200
            found.append(len(queries))
        return found

    many = costs()
    some = list(Course.objects.order_by("pk").values_list("pk", flat=True)[:80])
    CourseSummary.objects.filter(course__in=some).delete()
    assert costs() == many
    assert max(many) <= 22


def test_a_small_cohort_is_not_shown_and_says_so(clinic):
    summary = CourseSummary.objects.filter(condition="TRD").first()
    few = CourseSummary.objects.filter(condition="PTSD")[:3].values_list("pk", flat=True)
    CourseSummary.objects.filter(condition="PTSD").exclude(pk__in=list(few)).delete()
    assert summary
    page = text_of(clinic.get("/outcomes/?condition=PTSD"))
    assert "Too few courses" in page
    assert "were measured" not in page
    assert "Post-traumatic stress disorder (under 5)" in page


def test_a_cohort_that_leaves_a_small_rest_is_not_shown_either(clinic):
    others = CourseSummary.objects.exclude(condition="TRD")
    kept = list(others[:2].values_list("pk", flat=True))
    others.exclude(pk__in=kept).delete()
    assert "Too few courses" in text_of(clinic.get("/outcomes/?condition=TRD"))
    everybody = text_of(clinic.get("/outcomes/?condition="))
    assert "Too few courses" not in everybody
    # The page opens with what may be seen.
    assert text_of(clinic.get("/outcomes/")).count("were measured") == everybody.count(
        "were measured"
    )


def test_a_choice_that_is_not_there_is_refused(clinic):
    response = clinic.get("/outcomes/?condition=TRD&period=abcd&route=SIDEWAYS")
    assert response.status_code == 422
    assert "Choose again" in text_of(response)


def test_nonsense_in_the_address_breaks_nothing(clinic):
    for name in ("condition", "route", "regimen", "prescriber", "period", "instrument"):
        for junk in ("%00", "'%20OR%201=1", "9" * 60, "2026-01-01"):
            assert clinic.get(f"/outcomes/?{name}={junk}").status_code in {200, 422}


def test_a_period_counts_by_the_first_dose(clinic):
    page = text_of(clinic.get("/outcomes/?condition=TRD&period=2025"))
    n = CourseSummary.objects.filter(condition="TRD", first_dose_at__year=2025).count()
    assert f"{n} courses began" in page


def test_a_small_cohort_is_fitted_while_the_page_waits(clinic):
    page = text_of(clinic.get("/outcomes/scores-over-time/"))
    assert "A linear mixed model of" in page
    row = ModelFit.objects.get()
    assert row.fit["n_people"] > 50
    assert row.fit["means"][0] > row.fit["means"][3]
    clinic.get("/outcomes/scores-over-time/")
    assert ModelFit.objects.get().done_at == row.done_at


def test_a_large_cohort_is_fitted_in_the_background_when_asked(clinic, monkeypatch):
    monkeypatch.setattr(fits, "AT_ONCE", 10)
    assert "is not fitted yet" in text_of(clinic.get("/outcomes/scores-over-time/"))
    asked = []
    monkeypatch.setattr(reports.fits, "ask", lambda *given: asked.append(given))
    clinic.post("/outcomes/scores-over-time/fit/", {"query": "condition=TRD&instrument=phq9"})
    ((filters, instrument),) = asked
    assert (filters, instrument.id) == (Filters(condition="TRD"), "phq9")
    monkeypatch.undo()
    fits.ask(filters, instrument, background=False)
    assert fits.kept(fits.key_of(filters, "phq9", library().outcomes)).fit
    monkeypatch.setattr(fits, "AT_ONCE", 10)
    assert "A linear mixed model of" in text_of(clinic.get("/outcomes/scores-over-time/"))


def test_what_has_changed_since_is_said_and_brought_up_to_date_when_asked(clinic, monkeypatch):
    monkeypatch.setattr(summaries, "AT_ONCE", 0)
    course = Course.objects.select_related("person").first()
    record.append("a test", course.stream, "test.happened", {}, person_id=course.person_id)
    assert "1 courses have changed since" in text_of(clinic.get("/outcomes/"))
    clinic.post("/outcomes/up-to-date/", {"query": ""})
    assert "have changed since" not in text_of(clinic.get("/outcomes/"))


def test_a_researcher_sees_figures_but_no_clinician_and_no_patient(clinic, researcher):
    clinic.force_login(researcher)
    page = clinic.get("/outcomes/")
    assert page.status_code == 200
    assert "Prescriber Formerly" not in page.content.decode()
    assert "id_prescriber" not in page.content.decode()
    narrowed = clinic.get("/outcomes/?prescriber=1&condition=TRD")
    assert "courses began" in text_of(narrowed)
    for refused in ("/outcomes/clinicians/", "/people/", "/today/", "/follow-up/"):
        assert clinic.get(refused).status_code == 403
    assert clinic.get("/").url == "/outcomes/"


@pytest.mark.parametrize("role", [Role.NURSE, Role.PRESCRIBER, Role.THERAPIST, Role.PATIENT])
def test_nobody_else_sees_them(client, db, role):
    client.force_login(make_user(role))
    for page in PAGES:
        assert client.get(page).status_code == 403


def test_a_clinician_with_few_courses_is_not_shown_and_neither_is_the_one_who_would_tell(clinic):
    html = clinic.get("/outcomes/clinicians/?condition=TRD").content.decode()
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td class=\"num\">(.*?)</td>", html)
    assert len(rows) == 9
    hidden = [n for _, n in rows if n == "hidden"]
    assert len(hidden) != 1
    for _, n in rows:
        assert n == "hidden" or int(n) >= 5


def test_the_method_page_names_every_rule_with_its_certainty(clinic):
    page = text_of(clinic.get("/outcomes/method/"))
    for landmark in library().outcomes.landmarks:
        assert landmark.statement.partition(".")[0] in page
    assert "proposal, not published" in page
    assert "PHQ-9" in page
