"""An act whose answer was lost is sent again: it is answered as done, and nothing is written twice.

The stories below go through the sheets and pages as a tablet does, and send each entry twice.
"""

import inspect
import uuid
from datetime import timedelta

import pytest
from django.apps import apps
from django.urls import reverse

from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import queries, services, spray
from openketamine.clinic.sessions.models import VerbalOrder
from openketamine.clinic.sessions.views import ACTS

from ..conftest import CHECK, HOME, IM_CHECK, IM_SYRINGE, SPRAY_CHECK, SYRINGE

HTMX = {"HX-Request": "true"}
HIGH = {"systolic_mmhg": "186", "diastolic_mmhg": "92"}


def rows() -> dict[str, int]:
    """How much is stored of everything, the browsers' own sign-ins aside."""
    kinds = (m for m in apps.get_models() if m.__module__ != "django.contrib.sessions.models")
    return {kind._meta.label: kind._base_manager.count() for kind in kinds}


class Twice:
    """A tablet of which every answer is lost once."""

    def __init__(self, client) -> None:
        self.client = client
        self.sent: set[str] = set()

    def at(self, session, user, minute: float = 0.0):
        self.session, self.user = session, user
        return clock.at(self.start + timedelta(minutes=minute))

    def begin(self, session) -> None:
        self.session, self.start = session, clock.now()

    def post(self, name: str, address: str, answer: int, **data: str) -> None:
        self.client.force_login(self.user)
        entry = {"client_id": str(uuid.uuid4()), **data}
        first = self.client.post(address, entry, headers=HTMX)
        assert first.status_code == answer, first.content.decode()
        before = rows()
        again = self.client.post(address, entry, headers=HTMX)
        assert again.status_code == answer, f"{name}: {again.content.decode()}"
        assert rows() == before, name
        assert again.headers.get("HX-Trigger") == first.headers.get("HX-Trigger")
        self.sent.add(name)

    def enter(self, act: str, answer: int = 204, **data: str) -> None:
        address = reverse("session_enter", args=[self.session.pk, act])
        self.post(act, address, answer, **data)

    def page(self, name: str, *more: object, answer: int = 204, **data: str) -> None:
        self.post(name, reverse(name, args=[self.session.pk, *more]), answer, **data)

    def check(self, standard, **changes: str) -> None:
        """The page of the pre-session check."""
        form = dict.fromkeys(standard["confirmed"], "on")
        form["medicines_today_confirmed"] = "on"
        form |= {name: f"{value:g}" for name, value in standard["vitals"].items()}
        form |= {"weight_kg": "82", "escort_name": "Ines Example", "medicines_today": "none"}
        self.page("session_check", answer=302, **{**form, **changes})


@pytest.fixture
def twice(client) -> Twice:
    return Twice(client)


def last(kind: str) -> Event:
    return Event.objects.filter(kind=kind).latest("seq")


def an_infusion(twice, session, nurse, prescriber) -> None:
    figures = {name: f"{value:g}" for name, value in SYRINGE.items()}
    by_voice = {"ordered_by": str(prescriber.pk), "read_back": "on"}
    twice.begin(session)
    with twice.at(session, nurse):
        twice.check(CHECK, systolic_mmhg="172")
        twice.enter("prepare", **figures, lot="L1")
        twice.user = prescriber
        twice.enter("go-on", reason="calm now, known hypertension")
        wrong = {**figures, "volume_ml": "4.3"}
        twice.enter("check-syringe", answer=422, **wrong)
        twice.enter("check-syringe", **figures)
    with twice.at(session, nurse, 1):
        twice.enter("start")
        twice.enter("vitals", heart_rate_bpm="77")
        twice.enter("observation", sedation_moaas="5")
        twice.enter("side-effect", effect="nausea", severity="mild")
        twice.enter("medicine", medicine="ondansetron", dose="4", route="IV", reason="nausea")
        twice.enter("note", text="calm")
    with twice.at(session, nurse, 5):
        twice.enter("rate", rate_mg_per_h="40", reason="drowsy")
        twice.enter("bolus", dose_mg="2", reason="too light", **by_voice)
        twice.enter("total", total_mg="42", reason="too light", **by_voice)
        twice.user = prescriber
        twice.enter("order", what="bolus", amount="2", reason="if too light")
        twice.user = nurse
        twice.enter("vitals", **HIGH)
        twice.page("alert_acknowledge", "IV-SYS-R", reason="paused, called")
        twice.enter("emergency", sign=queries.library_of(session).alarms.emergency.signs[0].id)
        seq = last("session.emergency_called").seq
        twice.page("emergency_over", seq, reason="it was none")
        typed = last("session.vitals_recorded").seq
        twice.page("event_correct", typed, action="retract", reason="wrong arm")
    with twice.at(session, nurse, 8):
        twice.enter("pause", reason="bathroom")
        twice.enter("prepare", **figures, lot="L2")
        twice.user = prescriber
        twice.enter("check-syringe", **figures)
        twice.enter("syringe", wasted_mg="3", reason="air in the line")
        twice.enter("resume")
    with twice.at(session, nurse, 20):
        twice.enter("stop", reason="enough")
        twice.user = prescriber
        for order in VerbalOrder.objects.all():
            twice.post("order_cosign", reverse("order_cosign", args=[order.pk]), 302)


def test_a_session_of_which_every_answer_is_lost_once(twice, session, nurse, prescriber):
    an_infusion(twice, session, nurse, prescriber)
    with twice.at(session, nurse, 85):
        recovered = {**CHECK["vitals"], "systolic_mmhg": 150}
        twice.enter("vitals", **{name: f"{v:g}" for name, v in recovered.items()})
        twice.page(
            "session_discharge",
            answer=302,
            **dict.fromkeys(HOME, "on"),
            escort_name="Ines Example",
        )
    session.refresh_from_db()
    assert session.closed_at
    assert record.verify().intact


def test_a_transfer_of_which_the_answer_is_lost(twice, session, nurse, prescriber):
    an_infusion(twice, session, nurse, prescriber)
    with twice.at(session, nurse, 21):
        twice.enter("transfer", where="General", why="chest pain", accompanied_by="the crew")
    assert record.verify().intact


def test_a_cancellation_of_which_the_answer_is_lost(twice, session, nurse):
    twice.begin(session)
    with twice.at(session, nurse):
        twice.enter("cancel", reason="fever")


def test_an_injection_of_which_the_answer_is_lost(twice, im_opened, nurse, prescriber):
    twice.begin(im_opened)
    figures = {name: f"{value:g}" for name, value in IM_SYRINGE.items()}
    with twice.at(im_opened, nurse):
        twice.check(IM_CHECK)
        twice.enter("prepare", **figures, lot="L1")
        twice.user = prescriber
        twice.enter("check-syringe", **figures)
        twice.enter("injection", dose_mg="41", site="deltoid left")
    assert last("session.injection_given").data["dose_mg"] == 41


PACK = {"lot": "21LK", "expires_on": "2029-01-31"}
WHOLE = {"left": "full", "right": "full", **PACK}


def test_a_spray_of_which_the_answer_is_lost(twice, spray_opened, nurse, prescriber):
    waits = {**SPRAY_CHECK["waits"], "food": clock.now() - timedelta(minutes=100)}
    services.complete_check(nurse, spray_opened, **{**SPRAY_CHECK, "waits": waits})
    twice.begin(spray_opened)
    with twice.at(spray_opened, prescriber):
        twice.enter("no-wait", reason="a biscuit")
        twice.user = nurse
        twice.enter("device", **WHOLE)
    with twice.at(spray_opened, nurse, 6):
        twice.enter("end-spray", reason="enough")
    assert Event.objects.filter(kind="session.spray_taken").count() == 1


def test_a_bottle_of_which_the_answer_is_lost(twice, bottle_ready, nurse):
    twice.begin(bottle_ready)
    with twice.at(bottle_ready, nurse):
        twice.enter("sprays", sprays="2", **PACK)


def test_a_sound_silenced_twice_is_silenced_once(client, running, nurse):
    client.force_login(nurse)
    entry = {
        "client_id": str(uuid.uuid4()),
        "device": str(uuid.uuid4()),
        "minutes": "2",
        "reason": "on the telephone",
        "alarms": "IV-SYS-R.7",
    }
    answers = [client.post(reverse("alarms_silence"), entry) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"minutes": 2.0, "alarms": ["IV-SYS-R.7"]}] * 2
    assert Event.objects.filter(kind="sessions.sound_silenced").count() == 1


def test_every_act_is_sent_twice_above():
    """An act that is added to the screens, or to the services, is added here."""
    source = inspect.getsource(inspect.getmodule(Twice))
    assert not [act for act in ACTS if f'enter("{act}"' not in source]
    once = {
        (module, name): function
        for module in (services, spray)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and (name in services.__all__ or function.__module__ == spray.__name__)
        and not name.startswith("_")
        and "client_id" in inspect.signature(function).parameters
    }
    on_sheets = {act.service for act in ACTS.values()}
    elsewhere = {
        services.complete_check,
        services.discharge,
        services.acknowledge_alert,
        services.end_emergency,
        services.correct_event,
        services.silence_sound,
    }
    helpers = {services.stored, services.tried}
    assert set(once.values()) == on_sheets | elsewhere | helpers
