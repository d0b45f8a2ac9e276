"""How the database looks for what is asked: by an index, never through every row."""

import pytest
from django.db import connection

from openketamine.exchange.fhir import projection, search
from openketamine.exchange.fhir.kinds import KINDS
from openketamine.exchange.smart.scopes import EVERYONE

SOMEBODY = "6b3f5a52-0000-4000-8000-000000000001"
SEARCHES = [
    ("Patient", ""),
    ("Patient", "family=example1"),
    ("Patient", "name=maria&gender=female"),
    ("Patient", "identifier=referral-1"),
    ("Patient", "birthdate=1983-03-14"),
    ("Patient", "_lastUpdated=ge2026-01-01&_sort=-_lastUpdated"),
    ("Patient", "_id=" + SOMEBODY),
    ("Observation", f"patient={SOMEBODY}"),
    ("Observation", f"patient={SOMEBODY}&code=8867-4&_sort=-date"),
    ("Observation", f"patient={SOMEBODY}&category=vital-signs&date=ge2026-01-01"),
    ("Observation", "code=http://loinc.org|8867-4"),
    ("Observation", "_sort=-date"),
    ("Observation", "encounter=Encounter/x"),
    ("Observation", "value-quantity=gt100|http://unitsofmeasure.org|kg&code=29463-7"),
    ("MedicationAdministration", "context=Encounter/x"),
    ("Condition", f"patient={SOMEBODY}&clinical-status=active"),
    ("Encounter", "status=finished&date=ge2026-01-01"),
    ("QuestionnaireResponse", "questionnaire=urn:openketamine:questionnaire:phq9"),
]


@pytest.fixture
def filled(charted, treated):
    projection.catch_up()


@pytest.mark.parametrize(("kind", "words"), SEARCHES, ids=lambda value: value or "all")
def test_a_search_goes_by_an_index(filled, kind, words):
    pairs = [tuple(part.split("=", 1)) for part in words.split("&") if part]
    query = search.read(KINDS[kind], pairs, EVERYONE)
    sql, params = search.page_keys(query).query.sql_with_params()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A small table is read whole for good reason; so ask whether it could be otherwise.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}", params)
            plan = [row[0] for row in cursor.fetchall()]
            whole = [line for line in plan if "Seq Scan" in line]
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plan = [row[3] for row in cursor.fetchall()]
            whole = [line for line in plan if line.startswith("SCAN") and "USING" not in line]
    assert not whole, plan
    assert any("index" in line.lower() for line in plan), plan
