"""What an operator sees: health, readiness, figures and logs, and no patient in any of them."""

import json
import logging
import logging.config
import re
from io import StringIO

import pytest
from django.conf import settings as configured
from django.db import IntegrityError, OperationalError, connection
from django.urls import reverse

from openketamine.clinic.people import services as people
from openketamine.site import logs, metrics
from tests.clinic.conftest import referral


def test_it_is_ready(client, db):
    response = client.get("/ready/")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_it_is_not_ready_without_its_database_but_alive(client, db, monkeypatch):
    def fail():
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "ensure_connection", fail)
        assert client.get("/ready/").status_code == 503
        assert client.get("/healthy/").status_code == 200


def test_it_is_not_ready_on_another_version_s_schema(client, db):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'people'")
    response = client.get("/ready/")
    assert response.status_code == 503
    assert "schema" in response.json()["status"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
def test_figures_are_for_whoever_has_the_token(client, db, settings, header):
    settings.METRICS_TOKEN = "right"
    assert client.get("/metrics/", headers=header).status_code == 404
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics/", headers={"Authorization": "Bearer "}).status_code == 404


def test_figures_tell_of_views_and_never_of_people(client, nurse, running, settings):
    settings.METRICS_TOKEN = "right"
    client.force_login(nurse)
    client.get(reverse("session", args=[running.pk]))
    client.logout()
    page = client.get("/metrics/", headers={"Authorization": "Bearer right"}).content.decode()
    assert 'openketamine_requests_total{method="GET",status="200",view="session"}' in page
    assert re.search(r"^openketamine_sessions_open 1\.0$", page, re.M)
    assert re.search(r"^openketamine_database_up 1\.0$", page, re.M)
    assert re.search(r"^openketamine_record_events [1-9]", page, re.M)
    assert str(running.pk) not in page
    assert "Example" not in page


def test_figures_say_that_the_database_is_down(client, db, settings, monkeypatch):
    def fail():
        raise OperationalError("gone")

    monkeypatch.setattr(metrics, "clinic_figures", fail)
    settings.METRICS_TOKEN = "right"
    page = client.get("/metrics/", headers={"Authorization": "Bearer right"}).content.decode()
    assert re.search(r"^openketamine_database_up 0\.0$", page, re.M)


@pytest.fixture
def log():
    """Everything that is logged, as it would stand in the log of a clinic."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    root, access = logging.getLogger(), logging.getLogger("openketamine.access")
    levels = root.level, access.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    access.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(levels[0])
    access.setLevel(levels[1])


SECRET = "Zebediah", "Quillfeather", "quillfeather@example.org", "555-7391"


@pytest.fixture
def marked(coordinator):
    """A person whose every word would be known again."""
    return people.receive_referral(
        coordinator,
        referral(given_name=SECRET[0], family_name=SECRET[1], email=SECRET[2], phone=SECRET[3]),
        origin="a test",
    ).person


def test_a_log_holds_lines_of_json_and_no_patient(
    log, client, coordinator, nurse, marked, monkeypatch
):
    """Pages, searches, refusals, wrong addresses, faults, a database's own words: nothing leaks."""
    client.force_login(coordinator)
    course = marked.courses.get()
    client.get(reverse("person", args=[marked.pk]))
    client.get(reverse("people"), {"q": SECRET[1]})
    client.get(reverse("screening", args=[course.pk]))
    client.get(f"/f/{SECRET[1]}/")
    client.get(f"/no/{SECRET[0]}/")
    client.post(
        reverse("person_new"),
        {"given_name": SECRET[0], "family_name": SECRET[1], "birth_date": "1983-03-14"},
    )
    client.get("/policy/")
    client.raise_request_exception = False
    for fault in (
        IntegrityError(f"DETAIL: Key (name)=({SECRET[1]}) already exists."),
        OperationalError(f"row {SECRET[0]} is locked"),
        ValueError(f"{SECRET[0]} {SECRET[1]} has no weight"),
    ):

        def fail(*args, fault=fault, **kwargs):
            raise fault

        with monkeypatch.context() as patch:
            patch.setattr("openketamine.clinic.people.queries.story", fail)
            client.get(reverse("person", args=[marked.pk]))
    logging.getLogger("openketamine.test").error("%s failed", ValueError(SECRET[1]))
    text = log.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    answered = [line for line in lines if line["message"] == "answered"]
    assert {"person", "people", "screening", "none"} <= {line["view"] for line in answered}
    assert {line["status"] for line in answered} >= {200, 403, 404, 500, 503}
    assert all(line["user"] == coordinator.pk for line in answered if line["view"] == "person")
    faults = [line for line in lines if line.get("exception") == "ValueError"]
    assert any("people/views.py" in place for line in faults for place in line["where"])
    for word in (*SECRET, str(marked.pk), marked.mrn):
        assert word not in text
    assert len({line["request"] for line in answered}) == len(answered)


def test_a_request_keeps_the_number_that_the_proxy_gave_it(client):
    given = client.get("/healthy/", headers={"X-Request-ID": "abcdef-123456"})
    assert given["X-Request-ID"] == "abcdef-123456"
    for wrong in ("x", "a b c d e f g h", "é" * 12):
        assert client.get("/healthy/", headers={"X-Request-ID": wrong})["X-Request-ID"] != wrong


def test_the_terminal_s_log_is_as_careful(log):
    handler = log
    formatter = logs.PlainFormatter()
    record = logging.LogRecord(
        "django.request", logging.WARNING, "x", 1, "Not Found: %s", ("/f/secret/",), None
    )
    assert "secret" not in formatter.format(record)
    assert handler.getvalue() == ""


def test_both_ways_of_logging_can_be_set_up():
    names = configured.LOGGING["formatters"]
    assert set(names) == {"plain", "json"}
    logging.config.dictConfig(configured.LOGGING)


def test_a_refused_request_s_line_says_what_view_and_status_and_no_address(log, client, nurse):
    client.force_login(nurse)
    client.get("/no/such/address/")
    client.get("/policy/")
    client.get(reverse("healthy"), headers={"Host": "evil.example"})
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    ours = [line for line in lines if line["logger"] == "django.request"]
    told = [(line["message"], line["view"], line["method"], line["status"]) for line in ours]
    assert ("Not Found", "none", "GET", 404) in told
    assert not any("%" in line["message"] for line in lines)
    assert "/no/such/" not in log.getvalue()


@pytest.mark.parametrize(
    ("message", "args", "said"),
    [
        ("Not Found: %s", ("/f/Quill/",), "Not Found"),
        ("Forbidden (%s): %s", ("CSRF cookie not set.", "/f/Quill/"), "Forbidden"),
        ("%s: %s", ("Bad Request", "/f/Quill/"), "Bad Request"),
    ],
)
def test_whatever_words_django_logs_an_answer_in_the_line_can_be_read(message, args, said, rf):
    record = logging.LogRecord("django.request", logging.WARNING, "x", 1, message, args, None)
    record.request, record.status_code = rf.get("/f/Quill/"), 400
    record.request.resolver_match = None
    line = logs.PlainFormatter().format(record)
    assert f"WARNING django.request: {said} view=none method=GET status=400" in line
    assert "Quill" not in line


@pytest.mark.parametrize(
    ("message", "args", "said"),
    [
        ("took %.1f s for %s", (2.34, "Quill"), "took 2.3 s for …"),
        ("%(who)s is late", ({"who": "Quill"},), "… is late"),
        ("%d of them", ("Quill",), "%d of them"),
        ("100 % sure", (), "100 % sure"),
    ],
)
def test_of_a_library_s_line_numbers_stay_and_words_that_it_filled_in_do_not(message, args, said):
    record = logging.LogRecord("library", logging.WARNING, "x", 1, message, args, None)
    assert json.loads(logs.JsonFormatter().format(record))["message"] == said
