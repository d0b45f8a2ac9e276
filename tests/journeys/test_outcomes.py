"""The director reads the clinic's outcomes and takes them along; a researcher finds the figures."""

import zipfile

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.outcomes import fits, summaries
from openketamine.clinic.outcomes.cohort import Filters
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.demo.earlier import Simulation

from ..clinic.conftest import make_user


def test_a_director_reads_the_outcomes_and_takes_them_along(visitor, signed_policy, tmp_path):
    Simulation(5, until=clock.now()).run(100)
    summaries.rebuild()
    fits.ask(Filters(condition="TRD"), library().instruments["phq9"], background=False)
    for device in ("desktop", "phone"):
        seat = visitor(device)
        page = seat.sign_in("director")
        page.get_by_role("link", name="Outcomes", exact=True).click()
        page.get_by_role("heading", name="Response by PHQ-9").wait_for()
        seat.look("outcomes-response")
        for link, heading, name in (
            ("Onset and relapse", "Time to response", "outcomes-onset"),
            ("Scores over time", "Mean PHQ-9 over time", "outcomes-scores"),
            ("Adverse events", "Each side effect", "outcomes-events"),
            ("Clinicians", "Share that responded", "outcomes-clinicians"),
            ("Exports", "Take the data", "outcomes-exports"),
        ):
            page.get_by_label("Outcomes").get_by_role("link", name=link).click()
            page.get_by_role("heading", name=heading).wait_for()
            seat.look(name)
        page.get_by_role("link", name="How these figures are computed").click()
        page.get_by_role("heading", name="How outcomes are computed").wait_for()
        seat.look("outcomes-method")
    # Another cohort, chosen on the page; the choice goes along from tab to tab.
    page.get_by_role("link", name="Back to outcomes").click()
    page.get_by_label("Route").select_option("IM")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**route=IM**")
    page.get_by_text("courses began").wait_for()
    page.get_by_label("Outcomes").get_by_role("link", name="Exports").click()
    page.wait_for_url("**route=IM**")
    with page.expect_download() as download:
        page.get_by_role("button", name="Take it").click()
    path = tmp_path / "extract.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert {"courses.csv", "dictionary.csv", "about.json"} <= set(archive.namelist())
    (event,) = Event.objects.filter(kind="outcomes.exported")
    assert event.data["chosen"] == {"condition": "TRD", "route": "IM"}
    seat.open("/outcomes/exports/").get_by_text(event.data["sha256"][:12]).wait_for()
    seat.look("outcomes-exports-taken")


def test_a_researcher_begins_at_the_figures_and_finds_no_patient(visitor, signed_policy):
    make_user(Role.RESEARCHER)
    seat = visitor("desktop")
    page = seat.sign_in("researcher")
    page.wait_for_url("**/outcomes/")
    page.get_by_text("begins to count with its first dose").wait_for()
    assert page.get_by_role("link", name="People").count() == 0
    assert page.get_by_role("link", name="Clinicians").count() == 0
    seat.look("outcomes-researcher")
