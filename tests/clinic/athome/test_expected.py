"""What a patient is told of the hours ahead, in the figures of the pharmacology."""

import pytest

from openketamine.clinic.athome import expected, links

pytestmark = pytest.mark.django_db


def test_it_works(taken, client):
    found = expected.work_out(taken)
    assert 0 < found["onset_min"] <= found["peak_min"] <= found["over_min"] <= 240
    assert max(found["shares"]) == 1
    assert expected.work_out(taken) == found  # the same for the same session
    taken.expected = found
    taken.save()
    page = client.get(f"/h/{links.token_for(taken, 'patient')}/").content.decode()
    assert f"most at about {found['peak_min']}" in page
    assert "You may feel more, less, or nothing." in page


def test_what_is_not_known_is_not_guessed(session):
    assert expected.work_out(session) is None  # no reading before the dose yet
    assert expected.drawn(None) == {"curve": "", "hours": []}
