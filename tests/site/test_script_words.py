"""The words of the scripts: in the language that their address names, kept by the browser."""

import re
from pathlib import Path

import pytest
from django.urls import reverse

import openketamine

SCRIPTS = Path(openketamine.__file__).parent / "site" / "static" / "openketamine" / "js"
# The patient's own page at home brings its words with it.
WITH_WORDS_OF_ITS_OWN = {"home.js"}


def test_it_works(client, db):
    spanish = client.get(reverse("script_words", args=["es"]))
    assert spanish["Content-Type"].startswith("text/javascript")
    assert '"just now": "ahora mismo"' in spanish.content.decode()
    assert "max-age" in spanish["Cache-Control"]
    english = client.get(reverse("script_words", args=["en"])).content.decode()
    assert "ahora mismo" not in english
    assert "django.gettext" in english


def test_a_browser_that_has_them_is_not_sent_them_again(client, db):
    first = client.get(reverse("script_words", args=["es"]))
    again = client.get(
        reverse("script_words", args=["es"]), headers={"If-None-Match": first["ETag"]}
    )
    assert again.status_code == 304


def test_a_language_that_nobody_speaks_here_is_not_found(client, db):
    assert client.get(reverse("script_words", args=["de"])).status_code == 404


@pytest.mark.django_db
def test_a_page_of_the_staff_loads_them_before_its_scripts(client, django_user_model):
    user = django_user_model.objects.create(username="n", role="nurse", display_name="N")
    for language in ("en", "es"):
        user.language = language
        user.save()
        client.force_login(user)
        page = client.get(reverse("today")).content.decode()
        assert page.index(f'<script src="/words/{language}.js">') < page.index("alarm.js")


# A text in quotes that a person could read: a capital or a small letter, then words.
TEXT = re.compile(r'(?<![\w.])(["`])((?:(?!\1).)*[a-z]{2,} [a-z]{2,}(?:(?!\1).)*)\1')
NOT_FOR_PEOPLE = re.compile(
    r"querySelector|matches\(|closest\(|getElementById|import |className|font|fetch\(|Math\.|"
    r"toLocale|`\$\{|addEventListener"
)


def test_every_text_of_a_script_is_marked():
    left = []
    for path in sorted(SCRIPTS.glob("*.js")):
        if path.name in WITH_WORDS_OF_ITS_OWN:
            continue
        script = re.sub(r"^\s*(//|/?\*).*$", "", path.read_text(), flags=re.MULTILINE)
        script = re.sub(r" // .*$", "", script, flags=re.MULTILINE)
        script = re.sub(r'\bn?gettext\((\s*"(?:[^"\\]|\\.)*",?)+', "", script)
        for line in script.splitlines():
            if (found := TEXT.search(line)) and not NOT_FOR_PEOPLE.search(line):
                left.append(f"{path.name}: {found[2]}")
    assert not left, left
