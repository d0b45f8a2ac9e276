"""What is taken elsewhere: whole, explained, written down, and nobody to be told by it."""

import csv
import io
import json
import re
import zipfile

import pytest

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.outcomes import exports
from openketamine.clinic.outcomes.cohort import Filters
from openketamine.clinic.outcomes.models import CourseSummary
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record.models import Event

from ..conftest import make_user


@pytest.fixture
def courses(years):
    return CourseSummary.objects.filter(first_dose_at__isnull=False)


@pytest.fixture
def director(years):
    return years


def take(actor, kind="registry", file_format="csv", filters=None) -> exports.Export:
    return exports.export(actor, kind=kind, file_format=file_format, filters=filters or Filters())


def files_of(made: exports.Export) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def table(made: exports.Export, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files_of(made)[f"{name}.csv"].decode())))


def test_it_works(courses, director):
    made = take(director)
    assert set(files_of(made)) == {
        "courses.csv", "scores.csv", "forms.csv", "side_effects.csv", "dictionary.csv",
        "about.json",
    }  # fmt: skip
    assert len(table(made, "courses")) == 110 == made.rows["courses"]


def test_nobody_can_be_told_from_the_registry_extract(courses, director):
    files = files_of(take(director))
    data = b"".join(content for name, content in files.items() if name != "about.json").decode()
    for person in Person.objects.all():
        for known in (person.given_name, person.family_name, str(person.pk), person.source_id):
            assert known not in data
        assert person.birth_date.isoformat() not in data
    for course in Course.objects.select_related("prescriber"):
        assert str(course.pk) not in data
        assert course.prescriber.username not in data
        assert course.prescriber.display_name not in data
    assert not re.search(r"\b(19|20)\d\d-\d\d", data)  # no date finer than a year
    assert not re.search(r"\d\d:\d\d", data)


def test_everybody_of_ninety_and_more_is_ninety(courses, director):
    oldest = courses.first()
    CourseSummary.objects.filter(pk=oldest.pk).update(age_years=97)
    ages = {int(row["age_years"]) for row in table(take(director), "courses")}
    assert max(ages) == 90
    assert 97 in {int(row["age_years"]) for row in table(take(director, "clinic"), "courses")}


def test_a_pseudonym_is_the_same_in_every_extract_and_another_elsewhere(
    courses, director, settings
):
    def keys() -> set[str]:
        return {row["course"] for row in table(take(director), "courses")}

    before = keys()
    assert len(before) == 110
    assert keys() == before
    settings.SECRET_KEY = "another installation"
    assert not keys() & before


def test_a_course_is_under_one_key_in_every_table(courses, director):
    made = take(director)
    known = {row["course"] for row in table(made, "courses")}
    for name in ("scores", "forms", "side_effects"):
        assert {row["course"] for row in table(made, name)} <= known


def test_the_tables_say_what_the_summaries_say(courses, director):
    made = take(director)
    given = sum(int(row["sessions_given"]) for row in table(made, "courses"))
    assert given == sum(courses.values_list("sessions_given", flat=True))
    points = sum(
        len(json.loads(text)) for text in courses.values_list("scores__points", flat=True) if text
    )
    after = [row for row in table(made, "scores") if row["when"] == "after"]
    assert len(after) == points
    assert all(float(row["day"]) > 0 for row in after)


def test_parquet_holds_what_csv_holds(courses, director, tmp_path):
    import pandas as pd
    from fastparquet import ParquetFile

    plain, packed = take(director), take(director, file_format="parquet")
    for name in exports.tables("registry"):
        content = files_of(packed)[f"{name}.parquet"]
        assert content[:4] == content[-4:] == b"PAR1"
        (tmp_path / name).write_bytes(content)
        frame = ParquetFile(str(tmp_path / name)).to_pandas()
        rows = table(plain, name)
        assert list(frame.columns) == list(rows[0])
        assert len(frame) == len(rows)
        for column in frame.columns:
            for ours, theirs in zip(frame[column], rows, strict=True):
                if pd.isna(ours):
                    assert theirs[column] == ""
                elif isinstance(ours, str):
                    assert ours == theirs[column]
                else:
                    assert float(ours) == float(theirs[column])


@pytest.mark.parametrize("kind", exports.KINDS)
def test_every_column_is_explained_with_its_unit(courses, director, kind):
    made = take(director, kind)
    words = {(row["table"], row["column"]): row for row in table(made, "dictionary")}
    for name in exports.tables(kind):
        for column in table(made, name)[0]:
            assert words.pop((name, column))["about"]
    assert not words


def test_who_took_what_is_in_the_record(courses, director):
    made = take(director, filters=Filters(condition="TRD", route="IV"))
    event = Event.objects.get(kind="outcomes.exported")
    assert event.actor == director
    assert event.data["sha256"] == made.digest
    assert event.data["chosen"] == {"condition": "TRD", "route": "IV"}
    assert event.data["rows"]["courses"] == made.rows["courses"] < 110


def test_the_clinics_own_data_is_the_directors_to_take(courses, director, nurse):
    researcher = make_user(Role.RESEARCHER)
    assert take(researcher).rows["courses"] == 110
    for actor, kind in ((researcher, "clinic"), (nurse, "registry"), (nurse, "clinic")):
        with pytest.raises(Refused, match="Only the medical director"):
            take(actor, kind)
    assert Event.objects.filter(kind="outcomes.exported").count() == 1
    own = table(take(director, "clinic"), "courses")[0]
    assert own["first_dose_at"].startswith("20")


@pytest.mark.parametrize(
    ("chosen", "because"),
    [
        ({"kind": "everything"}, "no export 'everything'"),
        ({"file_format": "xlsx"}, "no format 'xlsx'"),
        ({"filters": Filters(condition="SUD")}, "nothing to take"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_nothing_written_down(
    courses, director, chosen, because
):
    with pytest.raises(Refused, match=because):
        take(director, **chosen)
    assert not Event.objects.filter(kind="outcomes.exported").exists()


def test_on_screen_it_is_a_download_and_stands_in_the_list(courses, director, client):
    client.force_login(director)
    response = client.post("/outcomes/exports/", {"kind": "registry", "format": "csv"})
    assert response["Content-Type"] == "application/zip"
    assert "attachment" in response["Content-Disposition"]
    assert response["Cache-Control"] == "no-store"
    page = client.get("/outcomes/exports/").content.decode()
    assert "De-identified registry extract, csv" in page
    assert client.post("/outcomes/exports/", {"kind": "x", "format": "csv"}).status_code == 422
    assert client.get("/outcomes/exports/dictionary/").status_code == 200


def test_a_text_that_a_spreadsheet_would_run_is_made_harmless():
    (row,) = exports._safe([{"a": "=1+1", "b": -3.0, "c": "plain"}])
    assert row == {"a": "'=1+1", "b": -3.0, "c": "plain"}
