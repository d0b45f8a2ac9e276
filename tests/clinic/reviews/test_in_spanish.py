"""Reviews, continuity and follow-up in Spanish, where there is something to review."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews import queries, services

from ...site.test_spanish import left_in_english, what_is_stored
from .conftest import score

pytestmark = pytest.mark.words


@pytest.fixture
def reads_spanish(client, prescriber):
    prescriber.language = "es"
    prescriber.save()
    client.force_login(prescriber)
    return client


def test_a_course_with_scores_and_signs_is_whole(followed_up, nurse, prescriber, reads_spanish):
    note(followed_up, nurse, prescriber)
    with clock.at(clock.now() + timedelta(days=40)):
        page = said(reads_spanish, f"/courses/{followed_up.pk}/review/")
        assert "A favor: " in page
        assert "Decidir como Prescriber Example, MD" in page
        page = said(reads_spanish, f"/courses/{followed_up.pk}/")
    assert "Sesión 1, indicados" in page
    assert "Seguir igual" in page
    event = Event.objects.get(kind="reviews.held")
    assert event.data["decision"] == "continue"  # the record keeps its own words


def test_nothing_of_it_is_left_in_english(
    followed_up, nurse, prescriber, reads_spanish, bracketed
):  # fmt: skip
    sign = note(followed_up, nurse, prescriber)
    with clock.at(clock.now() + timedelta(days=60)):
        end = queries.loose_ends()[0]
        where = urlencode({"rule": end.rule.id, "key": end.key})
        stored = what_is_stored()
        left = {
            address: left_in_english(reads_spanish.get(address).content.decode(), stored)
            for address in (
                f"/courses/{followed_up.pk}/",
                f"/courses/{followed_up.pk}/review/",
                f"/courses/{followed_up.pk}/close/",
                f"/courses/{followed_up.pk}/trajectory/",
                f"/courses/{followed_up.pk}/line/",
                f"/courses/{followed_up.pk}/loose-end/?{where}",
                f"/misuse/{sign.pk}/take-back/",
                "/continuity/",
                "/continuity/due/",
                "/follow-up/",
                "/follow-up/summary/",
            )
        }
    assert not {address: found for address, found in left.items() if found}


def note(course, nurse, prescriber):
    """A score of six on day 7, a sign of misuse, a review; the sign is returned."""
    score(course, nurse, 6, days=7)
    with clock.at(clock.now() + timedelta(days=8)):
        sign = services.note_misuse(
            nurse, course, sign="MU-EARLY", seen_on=clock.today(), note="Asked twice."
        )
        services.hold_review(
            prescriber,
            course,
            decision="continue",
            reason="Better.",
            next_on=clock.today() + timedelta(days=30),
        )
    return sign


def said(client, address: str) -> str:
    words = re.sub(r"<[^>]+>", " ", client.get(address).content.decode())
    return re.sub(r"\s+", " ", words)
