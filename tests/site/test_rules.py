"""PostgreSQL keeps the sites apart by itself, for a role that is bound by its rules."""

import uuid

import pytest
from django.db import ProgrammingError, connection, models, transaction
from django.test import Client

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.sites import rules, separation
from openketamine.clinic.sites.models import FIRST
from openketamine.clinic.sites.scope import EVERYTHING, UNKNOWN, Scope, of_person, within
from tests.exchange.fhir.conftest import charted, treated  # noqa: F401

from .test_leaks import FAMILY, across, addresses, here, shows  # noqa: F401

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no row-level rules"
)
HOUSE = Scope(frozenset({FIRST}), home=FIRST)


@pytest.fixture
def plain(across):  # noqa: F811
    """From here on the connection is of a role that owns nothing and is bound by the rules."""
    name = f"plain_{uuid.uuid4().hex[:8]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name}")
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
        cursor.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        cursor.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")
        cursor.execute(f"SET LOCAL ROLE {name}")
    yield name
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")


def rows(model: separation.Model) -> int:
    """As nobody's code counts them."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{model._meta.db_table}"')
        return cursor.fetchone()[0]


def test_every_table_of_a_patient_stands_under_its_rule(across):  # noqa: F811
    assert rules.without("default") == []


def test_the_role_of_the_tests_is_bound_by_nothing_and_the_plain_one_is(across):  # noqa: F811
    assert not rules.is_bound("default")


def test_the_doctor_says_whether_the_rules_bind(across, request):  # noqa: F811
    from openketamine.operations.doctor import _sites

    (said,) = _sites()
    assert (said.what, said.verdict) == ("sites", "wrong")
    assert "superuser" in said.said
    request.getfixturevalue("plain")
    (said,) = _sites()
    assert said.verdict == "ok"
    connection.cursor().execute("RESET ROLE")
    connection.cursor().execute("ALTER TABLE people_course DISABLE ROW LEVEL SECURITY")
    (said,) = _sites()
    assert "people_course" in said.said


def test_a_raw_query_sees_only_rows_of_its_sites(plain, across):  # noqa: F811
    assert rules.is_bound("default")
    of_a_patient = 0
    for model, hangs in separation.hangs().items():
        with within(EVERYTHING):
            there = rows(model)
        with within(HOUSE):
            seen = rows(model)
            assert seen == model._default_manager.count(), model
        certain = hangs and not any(hang.optional for hang in hangs)
        if certain and there and model._meta.db_table.split("_")[0] != "fhir":
            assert seen == 0, model
            of_a_patient += 1
        with within(Scope(frozenset({across.pk}))):
            assert rows(model) == there, model
    assert of_a_patient > 12


def test_who_does_not_say_for_which_sites_sees_no_row(plain):
    with within(UNKNOWN):
        assert rows(Person) == 0
    with within(of_person(Person.objects.get().pk)):
        assert rows(Person) == 1
        assert rows(Course) == 1
    raw = connection.connection.cursor()
    raw.execute("RESET openketamine.sites")
    raw.execute("RESET openketamine.people")
    raw.execute("SELECT count(*) FROM people_person")
    assert raw.fetchone()[0] == 0
    raw.execute("SELECT set_config('openketamine.sites', 'all', false)")


def test_nothing_is_written_to_a_chart_of_another_site(plain):
    person = Person.objects.get()
    refused = pytest.raises(ProgrammingError, match="row-level security")
    with within(HOUSE), refused, transaction.atomic():
        Course.objects.create(person=person, closed_at=person.created_at)


def test_what_was_told_is_told_anew_after_a_transaction_was_rolled_back(plain):
    assert rows(Person) == 1
    with within(HOUSE):
        assert rows(Person) == 0
    try:
        with transaction.atomic():
            with within(HOUSE):
                assert rows(Person) == 0
            raise ValueError
    except ValueError:
        pass
    assert rows(Person) == 1
    with within(HOUSE):
        assert rows(Person) == 0


def test_the_rules_alone_keep_every_page_to_its_sites(plain, here, monkeypatch):  # noqa: F811
    """With the application's own filter taken out."""
    monkeypatch.setattr(
        separation.SeparateManager, "get_queryset", lambda self: models.QuerySet(self.model)
    )
    person = Person._base_manager.get()
    nurse: Client = here[Role.NURSE]
    assert nurse.get(f"/people/{person.pk}/").status_code == 404
    for address in ("/people/", "/today/", "/today/board/", "/on-call/", "/therapy/", "/devices/"):
        response = nurse.get(address)
        assert response.status_code in {200, 404}, address
        assert not shows(response), address
    director: Client = here[Role.DIRECTOR]
    for address in ("/outcomes/", "/privacy/", "/follow-ups/"):
        assert FAMILY not in director.get(address).content.decode(), address
