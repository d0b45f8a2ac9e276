"""Messages: kept with their cause, sent once, tried again, and shown where they fail."""

import json
import smtplib
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import translation

from openketamine.clinic.errors import Refused
from openketamine.clinic.notices import runner, senders, services, wordings
from openketamine.clinic.notices.models import Notice
from openketamine.clinic.record import clock

from .conftest import START, minutes


def text(key: str = "form:1", **changes) -> Notice:
    values = {
        "key": key,
        "channel": "text",
        "to": "+15550199",
        "to_name": "Maria Example",
        "wording": "form_due",
        "values": {"link": "https://clinic.example/f/x/"},
    }
    with transaction.atomic():
        return services.send("a test", **{**values, **changes})


@pytest.mark.django_db
def test_it_works(texts):
    with clock.at(START):
        notice = text()
        assert runner.run_once().messages == 1
        assert runner.run_once().idle
    notice.refresh_from_db()
    assert notice.state == Notice.State.SENT
    assert texts.sent == [
        (
            "+15550199",
            "Your clinic: a form waits for you at https://clinic.example/f/x/",
            str(notice.pk),
        ),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_message_whose_cause_is_taken_back_is_not_sent(texts, nurse):
    with transaction.atomic():
        text()
        transaction.set_rollback(True)
    assert runner.run_once().idle
    assert texts.sent == []
    with pytest.raises(RuntimeError, match="transaction"):
        services.send(
            "a test", key="k", channel="text", to="+15550199", to_name="x", wording="call"
        )


@pytest.mark.django_db
def test_the_same_cause_sends_once(texts):
    with clock.at(START):
        assert text() == text()
        runner.run_once()
        text()
        runner.run_once()
    assert len(texts.sent) == 1


@pytest.mark.django_db
def test_it_is_not_sent_before_its_time_nor_after(texts):
    with clock.at(START):
        text("early", due_at=minutes(10))
        text("late", expires_at=minutes(5))
        text("withdrawn", due_at=minutes(10))
        assert services.withdraw("withdrawn")
    with clock.at(minutes(6)):
        runner.run_once()
    assert Notice.objects.get(key="late").state == Notice.State.EXPIRED
    assert texts.sent == []
    with clock.at(minutes(10)):
        runner.run_once()
    assert [key for _, _, key in texts.sent] == [str(Notice.objects.get(key="early").pk)]


@pytest.mark.django_db
def test_it_is_tried_again_ever_more_patiently_and_then_shown(texts, nurse, client):
    texts.fails = [senders.SendingError("The gateway answered 503.")] * 20
    with clock.at(START):
        notice = text()
    offered = []
    for second in range(0, 4000, 5):
        with clock.at(START + timedelta(seconds=second)):
            if runner.run_once().messages:
                offered.append(second)
    assert offered == [0, 15, 60, 180, 480, 1380, 3180]
    notice.refresh_from_db()
    assert notice.state == Notice.State.FAILED
    assert notice.problem == "The gateway answered 503."
    client.force_login(nurse)
    assert b"could not be sent" in client.get("/on-call/").content
    texts.fails = []
    client.post(f"/on-call/messages/{notice.pk}/again/")
    runner.run_once()
    assert len(texts.sent) == 1
    assert b"could not be sent" not in client.get("/on-call/").content


@pytest.mark.django_db
def test_what_cannot_help_is_not_tried_again(texts, nurse):
    texts.fails = [senders.SendingError("The gateway answered 400.", for_good=True)]
    with clock.at(START):
        notice = text()
        runner.run_once()
    notice.refresh_from_db()
    assert (notice.state, notice.attempts) == (Notice.State.FAILED, 1)
    services.set_aside(nurse, notice)
    with pytest.raises(Refused, match="does not wait"):
        services.set_aside(nurse, notice)


@pytest.mark.django_db
def test_one_who_dies_while_sending_leaves_it_to_the_next(texts):
    with clock.at(START):
        text()
        (claimed,) = services.claim_due()
        assert services.claim_due() == []  # nobody else sends it meanwhile
    with clock.at(minutes(2)):
        runner.run_once()
        services.deliver(claimed)  # not dead, only slow: its late answer changes nothing
    notice = Notice.objects.get()
    assert notice.state == Notice.State.SENT
    assert notice.sent_at == minutes(2)
    assert {key for _, _, key in texts.sent} == {str(notice.pk)}  # the gateway knows it by its key


@pytest.mark.django_db
def test_without_a_sender_it_fails_in_words(settings):
    settings.TEXTS = {**settings.TEXTS, "sender": ""}
    with clock.at(START):
        notice = text()
        runner.run_once()
    notice.refresh_from_db()
    assert notice.problem == "Texts are not set up on this server."


@pytest.mark.django_db
def test_an_e_mail_goes_by_djangos_backend(email):
    with clock.at(START):
        text(channel="email", to="maria@example.org", language="es")
        runner.run_once()
    (message,) = mail.outbox
    with translation.override("es"):
        assert message.subject == str(wordings.WORDINGS["form_due"].subject)
    assert message.to == ["maria@example.org"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "for_good"),
    [
        (smtplib.SMTPRecipientsRefused({"x": (550, b"no")}), True),
        (smtplib.SMTPRecipientsRefused({"x": (450, b"later")}), False),
        (smtplib.SMTPAuthenticationError(535, b"no"), True),
        (ConnectionRefusedError(), False),
    ],
)
def test_what_a_mail_server_says_decides_whether_to_try_again(email, monkeypatch, error, for_good):
    def fail(self):
        raise error

    monkeypatch.setattr("django.core.mail.EmailMessage.send", fail)
    with pytest.raises(senders.SendingError) as caught:
        senders.deliver(channel="email", to="a@b.example", subject="s", body="b", key="k")
    assert caught.value.for_good is for_good


@pytest.mark.django_db
@pytest.mark.parametrize("to", ["", "no number", "12", "+1 555 01a0", "+123456789012345678"])
def test_a_number_that_is_none_is_refused(to):
    with pytest.raises(Refused, match="no telephone number"):
        text(to=to)
    assert not Notice.objects.exists()


@pytest.mark.django_db
def test_no_message_can_carry_anything_about_health():
    with pytest.raises(ValueError, match="No message carries 'phq9'"):
        text(values={"link": "x", "phq9": 21})
    with pytest.raises(ValueError, match="no wording"):
        text(wording="Your PHQ-9 is 21")
    with pytest.raises(ValueError, match="needs 'link'"):
        text(values={})
    telling = ("ketamine", "dose", "depress", "phq", "suicid", "score", "lozenge", "tablet")
    for key in wordings.WORDINGS:
        for language in ("en", "es"):
            values = {"link": "L", "when": "W", "clinic_phone": "P", "minutes": 5}
            words = " ".join(wordings.rendered(key, values, language)).lower()
            assert not any(word in words.replace("openketamine", "") for word in telling), words


@pytest.fixture
def gateway():
    """A gateway on this machine; `answers` are its statuses, `asked` what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        answers: list[int] = []
        asked: list[tuple[dict, str]] = []

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.asked.append((dict(self.headers), body))
            self.send_response(self.answers.pop(0) if self.answers else 201)
            self.send_header("Location", "http://elsewhere.example/")
            self.end_headers()

        def log_message(self, *args):
            pass

    Handler.answers, Handler.asked = [], []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, Handler
    server.shutdown()
    server.server_close()


def sender_to(server, **changes):
    options = {
        "headers": {"Authorization": "Bearer secret"},
        "fields": {"to": "To", "body": "Body", "from": "From"},
        "sender": "+15550100",
    }
    url = f"http://127.0.0.1:{server.server_port}/texts"
    return senders.GatewaySender(url, **{**options, **changes})


def test_a_gateway_gets_the_text_under_its_own_names(gateway):
    server, handler = gateway
    sender_to(server).send(to="+15550199", body="Hello", key="k1")
    headers, body = handler.asked[0]
    assert json.loads(body) == {"To": "+15550199", "Body": "Hello", "From": "+15550100"}
    assert headers["Idempotency-Key"] == "k1"
    assert headers["Authorization"] == "Bearer secret"
    sender_to(server, form=True).send(to="+15550199", body="Hello", key="k1")
    assert handler.asked[1][1] == "To=%2B15550199&Body=Hello&From=%2B15550100"


@pytest.mark.parametrize(("status", "for_good"), [(400, True), (429, False), (503, False)])
def test_a_gateway_that_refuses_is_believed(gateway, status, for_good):
    server, handler = gateway
    handler.answers.append(status)
    with pytest.raises(senders.SendingError, match=str(status)) as caught:
        sender_to(server).send(to="+15550199", body="Hello", key="k1")
    assert caught.value.for_good is for_good


def test_a_gateway_that_points_elsewhere_is_not_followed(gateway):
    server, handler = gateway
    handler.answers.append(302)
    with pytest.raises(senders.SendingError, match="302"):
        sender_to(server).send(to="+15550199", body="Hello", key="k1")


def test_a_gateway_that_is_away_is_tried_again():
    sender = senders.GatewaySender(
        "http://127.0.0.1:9/", headers={}, fields={"to": "t", "body": "b"}
    )
    with pytest.raises(senders.SendingError, match="cannot be reached") as caught:
        sender.send(to="+15550199", body="Hello", key="k1")
    assert not caught.value.for_good


def test_a_gateway_without_https_is_refused():
    with pytest.raises(ImproperlyConfigured, match="https"):
        senders.GatewaySender("http://sms.example/", headers={}, fields={"to": "t", "body": "b"})
    with pytest.raises(ImproperlyConfigured, match="at least to and body"):
        senders.GatewaySender("https://sms.example/", headers={}, fields={"to": "t"})
