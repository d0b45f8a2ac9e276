"""Two houses: the first, where everybody has worked so far, and another across the river."""

import pytest

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Person
from openketamine.clinic.sites import services
from openketamine.clinic.sites.models import Membership, Site
from openketamine.clinic.sites.scope import EVERYTHING, Scope, within
from tests.clinic.conftest import make_user, referral


@pytest.fixture
def across(director, coordinator, nurse, prescriber, therapist) -> Site:
    """The second site. Its director alone works there; all others at the first."""
    return services.open_site(director, name="Across the River", short_name="River")


@pytest.fixture
def house(across) -> Site:
    return Site.objects.get(pk=1)


@pytest.fixture
def theirs(across):
    """One of each role who works across the river and nowhere else."""
    found = {}
    for role in set(Role) - {Role.PATIENT}:
        found[role] = make_user(role, username=f"river-{role}")
        Membership.objects.filter(user=found[role]).delete()
        Membership.objects.create(user=found[role], site=across)
    return found


@pytest.fixture
def stranger(across, coordinator) -> Person:
    """A patient from across the river."""
    with within(Scope(None, home=across.pk)):
        return people.receive_referral(
            coordinator, referral(7, given_name="Zenobia", family_name="Farshore"), origin="a test"
        ).person


def only(*sites: Site) -> Scope:
    pks = frozenset(site.pk for site in sites)
    return Scope(pks, home=min(pks) if len(pks) == 1 else None)


__all__ = ["EVERYTHING", "only"]
