"""The on-call screen and one call's page."""

import pytest
from django.urls import reverse

from openketamine.clinic.notices import services
from openketamine.clinic.notices.models import Call
from openketamine.clinic.record import clock

from .conftest import START, raised

pytestmark = pytest.mark.django_db


def test_a_call_is_answered_and_closed_on_screen(client, rota, nurse):
    with clock.at(START):
        call = raised(subject="Maria Example, MRN 0042", detail="No answer for 6 minutes.")
        client.force_login(nurse)
        assert b"Maria Example" in client.get("/on-call/").content
        assert b"A check-in was missed" in client.get("/alarms/").content  # on every page of hers
        client.post(reverse("call_answer", args=[call.pk]))
        assert b"A check-in was missed" not in client.get("/alarms/").content
        page = reverse("call", args=[call.pk])
        assert client.post(page, {"words": "ok"}).status_code == 422
        assert client.post(page, {"words": "Spoke with her: she is well."}).status_code == 302
    assert Call.objects.get().closing_words == "Spoke with her: she is well."
    assert b"Spoke with her" in client.get(page).content


def test_who_does_not_answer_calls_sees_them(client, rota, coordinator):
    call = raised()
    client.force_login(coordinator)
    assert b"I have it" not in client.get("/on-call/").content
    assert client.post(reverse("call_answer", args=[call.pk])).status_code == 403


def test_more_calls_cost_no_more_queries(client, rota, nurse, django_assert_num_queries):
    client.force_login(nurse)

    def queries_of_the_page() -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(
            connection,
        ) as caught:
            client.get("/on-call/")
        return len(caught)

    raised("one")
    few = queries_of_the_page()
    for number in range(10):
        services.answer_call(nurse, raised(f"more {number}"))
        raised(f"and more {number}")
    assert queries_of_the_page() == few
