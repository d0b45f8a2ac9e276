"""The director's and the researcher's pages in Spanish, with courses to count."""

import pytest

from openketamine.clinic.outcomes.models import CourseSummary

from ...site.test_spanish import left_in_english, what_is_stored
from .test_reports import PAGES

pytestmark = pytest.mark.words
MORE = (
    "/outcomes/?condition=",
    "/outcomes/?instrument=pcl5&condition=PTSD",
    "/outcomes/onset-and-relapse/?condition=",
    "/outcomes/?condition=TRD&period=abcd",
    "/outcomes/method/",
    "/outcomes/exports/dictionary/",
)


@pytest.fixture
def director(years, client):
    years.language = "es"
    years.save()
    client.force_login(years)
    return years


def test_nothing_of_a_report_is_left_in_english(director, client, bracketed):
    client.post("/outcomes/exports/", {"kind": "registry", "format": "csv"})
    stored, left = what_is_stored(), {}
    for page in (*PAGES, *MORE):
        html = client.get(page).content.decode()
        left[page] = left_in_english(html[html.index("<main") : html.index("</main>")], stored)
    assert not {page: found for page, found in left.items() if found}


def test_what_is_compared_in_code_stays_as_it_is(director, client):
    page = client.get("/outcomes/scores-over-time/").content.decode()
    assert "Un modelo lineal mixto de" in page
    assert ">Antes<" in page  # the name by which the fit that is kept knows it is English
    began = CourseSummary.objects.filter(condition="TRD", first_dose_at__isnull=False).count()
    assert f"empezaron {began} ciclos" in page
