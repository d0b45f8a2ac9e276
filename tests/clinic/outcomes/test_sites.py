"""Several sites in the figures: a choice of one, a funnel over all, no small rest told."""

import re

import pytest

from openketamine.clinic.outcomes.models import CourseSummary
from openketamine.clinic.people.models import Person
from openketamine.clinic.sites import services
from openketamine.clinic.sites.models import Membership

from .test_reports import clinic, text_of  # noqa: F401


@pytest.fixture
def houses(years):
    """Half of the people go across the river, three to the mill."""
    river = services.open_site(years, name="Across the River", short_name="River")
    mill = services.open_site(years, name="The Mill", short_name="Mill")
    people = list(Person.objects.order_by("pk").values_list("pk", flat=True))
    Person.objects.filter(pk__in=people[: len(people) // 2]).update(site=river)
    Person.objects.filter(pk__in=people[-3:]).update(site=mill)
    return {"river": river, "mill": mill}


def began(site=None) -> int:
    courses = CourseSummary.objects.filter(condition="TRD", first_dose_at__isnull=False)
    return (courses.filter(course__person__site=site) if site else courses).count()


def test_with_one_site_there_is_neither(clinic):  # noqa: F811
    page = clinic.get("/outcomes/clinicians/?condition=TRD&whose=site").content.decode()
    assert 'name="site"' not in page
    assert "Across" not in page
    assert '<option value="prescriber" selected>' in page


def test_a_site_is_a_choice_like_any_other(clinic, houses):  # noqa: F811
    river = houses["river"]
    page = text_of(clinic.get(f"/outcomes/?condition=TRD&site={river.pk}"))
    assert f"{began(river)} courses began" in page
    everywhere = text_of(clinic.get("/outcomes/?condition=TRD"))
    assert f"{began()} courses began" in everywhere
    # The site that the browser looks at is chosen to begin with.
    clinic.post("/sites/choose/", {"site": river.pk})
    assert f"{began(river)} courses began" in text_of(clinic.get("/outcomes/?condition=TRD"))


def test_a_funnel_over_sites_hides_the_small_one(clinic, houses):  # noqa: F811
    page = text_of(clinic.get("/outcomes/clinicians/?condition=TRD&whose=site&measure=missing"))
    assert re.search(r"Across the River \d+ ", page)
    assert re.search(r"The clinic (\d+|hidden)", page)
    assert "The Mill hidden not shown: too few" in page
    assert "Too few courses" in text_of(
        clinic.get(f"/outcomes/?condition=TRD&site={houses['mill'].pk}")
    )


def test_whoever_works_at_one_site_sees_figures_of_it_alone(clinic, houses, years):  # noqa: F811
    river = houses["river"]
    Membership.objects.filter(user=years).exclude(site=river).delete()
    page = text_of(clinic.get("/outcomes/?condition=TRD"))
    assert f"{began(river)} courses began" in page
    other = text_of(clinic.get("/outcomes/?condition=TRD&site=1"))
    assert f"{began(1)} courses began" not in other
