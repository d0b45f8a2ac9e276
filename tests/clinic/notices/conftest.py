"""A clinic with somebody first and somebody second on call, and senders that keep what they get."""

from datetime import UTC, datetime, timedelta

import pytest

from openketamine.clinic.notices import senders, services
from openketamine.clinic.notices.models import Line
from openketamine.clinic.record import clock

START = datetime(2026, 11, 25, 14, 0, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


class KeptTexts:
    """A sender of texts that keeps them; `fails` holds what it raises instead, one by one."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.fails: list[Exception] = []

    def send(self, *, to: str, body: str, key: str) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.sent.append((to, body, key))


@pytest.fixture
def texts(monkeypatch) -> KeptTexts:
    kept = KeptTexts()
    monkeypatch.setattr(senders, "text_sender", lambda: kept)
    return kept


@pytest.fixture
def email(settings):
    settings.EMAIL_IS_SET_UP = True


@pytest.fixture
def rota(director, nurse, second_nurse, prescriber, texts, email):
    """The nurse is first on call and the prescriber second; both can be texted."""
    with clock.at(START):
        for user, line in ((nurse, Line.FIRST), (prescriber, Line.SECOND)):
            services.add_shift(
                director, user=user, line=line, starts_at=START, ends_at=minutes(12 * 60)
            )
        services.set_address(nurse, phone="+1 555 0101", email="nurse@clinic.example")
        services.set_address(prescriber, phone="+15550102", email="")
        services.set_address(director, phone="+15550103", email="")


def raised(key: str = "test:1", priority: str = "red", **changes):
    from django.db import transaction

    with transaction.atomic():
        return services.raise_call(
            "a test", key=key, priority=priority, headline="A check-in was missed", **changes
        )
