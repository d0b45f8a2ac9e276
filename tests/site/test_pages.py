"""What belongs to no patient: health, theme, headers, the words of an error."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

import openketamine
from openketamine.clinic.record import clock
from openketamine.site.templatetags.openketamine import age

TEMPLATES = sorted(Path(openketamine.__file__).parent.rglob("templates/**/*.html"))


def test_health_says_nothing_about_anybody(client):
    response = client.get("/healthy/")
    assert response.json() == {"status": "ok"}


def test_the_theme_is_kept_on_this_device(client):
    response = client.post("/theme/", {"theme": "dark", "next": "/account/login/"})
    assert response.url == "/account/login/"
    assert client.cookies["theme"].value == "dark"
    assert 'data-theme="dark"' in client.get("/account/login/").content.decode()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_the_theme_switch_leads_nowhere_else(client, target):
    assert client.post("/theme/", {"theme": "dark", "next": target}).url == "/"


def test_the_policy_of_the_page_is_strict(client):
    headers = client.get("/account/login/").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_template_holds_inline_script_or_style():
    assert len(TEMPLATES) > 40
    for path in TEMPLATES:
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"", text), path


def test_an_unknown_address_says_so_in_words(client):
    response = client.get("/nothing-here/")
    assert response.status_code == 404
    assert "There is nothing at this address" in response.content.decode()


def test_somebody_elses_page_says_so_in_words(client, db):
    from openketamine.clinic.accounts.models import Role, User

    client.force_login(User.objects.create(username="n", role=Role.NURSE, display_name="N"))
    response = client.get("/policy/")
    assert response.status_code == 403
    assert "not for your role" in response.content.decode()


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0, "just now"),
        (1, "24 h ago"),
        (3, "3 days ago"),
        (729, "729 days ago"),
        (1567, "4 years ago"),
    ],
)
def test_an_age_is_told_in_words_that_can_be_grasped(days, said):
    assert age(clock.now() - timedelta(days=days)) == said


def test_no_page_links_to_a_password_reset_that_nobody_may_open(client, nurse):
    client.force_login(nurse)
    page = client.get("/account/reauthenticate/").content.decode()
    assert "Password" in page
    assert "password/reset" not in page
