"""A patient is asked for consent in their own language, down to each line of what an app may."""

import re
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.utils import translation

import openketamine
from openketamine.exchange.fhir.kinds import KINDS
from openketamine.exchange.smart import scopes

from .conftest import Browser, question

SITE = Path(openketamine.__file__).parent
CATALOGUE = (SITE / "site/locale/es/LC_MESSAGES/django.po").read_text(encoding="utf-8")
PAGES = SITE / "exchange/smart/templates/smart"


@pytest.fixture
def at_home(person):
    """The patient, signed in on their own device."""
    user = get_user_model().objects.create_user(
        "maria", password="a long enough password", role="patient", display_name="Maria"
    )
    person.user = user
    person.save()
    return Browser(user)


def test_the_whole_page_is_in_spanish(at_home, phone_app):
    at_home.post("/language/", {"language": "es", "next": "/"})
    page = at_home.get(question(phone_app)).content.decode()
    assert '<html lang="es"' in page
    assert "Mood diary pide acceso" in page
    assert "Leer todo del paciente elegido" in page
    assert "Saber quién es usted" in page
    assert "Conservar este acceso" in page
    assert "Permitir" in page
    for english in ("Read ", "everything", "Know who", "Keep this access", "It may then", "Allow<"):
        assert english not in page


def test_every_kind_and_every_act_has_its_words():
    assert scopes._KINDS.keys() >= KINDS.keys()
    every = "patient/*.cruds user/Observation.r system/Patient.cud openid offline_access"
    english = scopes.in_words(every)
    with translation.override("es"):
        spanish = scopes.in_words(every)
        for kind, words in scopes._KINDS.items():
            assert translation.gettext(words) != words, kind
    assert english[1] == "Read measurements and scores (Observation) of everybody you may see"
    assert spanish[1].startswith("Leer mediciones y puntuaciones (Observation)")
    assert not set(english) & set(spanish)


@pytest.mark.parametrize("page", ["authorize.html", "refused.html"])
def test_every_sentence_of_the_page_is_in_the_catalogue(page):
    text = (PAGES / page).read_text()
    said = re.findall(r'{% translate "([^"]+)" %}', text)
    assert said
    for sentence in said:
        assert f'msgid "{sentence}"' in CATALOGUE, sentence
    for block in re.findall(r"{% blocktranslate[^%]*%}(.+?){% endblocktranslate %}", text):
        words = re.sub(r"{{ (\w+) }}", r"%(\1)s", block)
        assert f'msgid "{words}"' in CATALOGUE, words
