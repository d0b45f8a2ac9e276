"""The sheet for the safety programme, field by field, from the record and a clinician's answers.

The list of fields is that of the clinical reference, section 4.5 (the form of 11/2021 and the
overview of the current one).
"""

import csv
import io
from datetime import timedelta

import pytest

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.sessions import monitoring_form, queries, services, spray
from openketamine.clinic.sessions.models import MonitoringForm

from ..conftest import SPRAY_CHECK, SPRAY_HOME, take

# Clinical reference 4.5, line by line: what the form asks for, and the field that answers it.
ASKED = {
    "Patient: first": "first_name",
    "Patient: middle": "middle_name",
    "Patient: last name": "last_name",
    "Patient: date of birth": "birth_date",
    "Patient: sex": "sex",
    "Current form: first treatment yes/no": "first_treatment",
    "if yes, enrolled yes/no": "enrolled",
    "Concomitant: benzodiazepines": "benzodiazepine",
    "Concomitant: non-benzodiazepine sedative-hypnotics": "sedative_hypnotic",
    "Concomitant: psychostimulants": "psychostimulant",
    "Concomitant: MAOIs": "maoi",
    "Current form: opioids": "opioid",
    "Provider: name": "provider_name",
    "Provider: telephone": "provider_telephone",
    "Provider: email": "provider_email",
    "Setting: name": "setting_name",
    "Setting: address": "setting_address",
    "Session: date": "treatment_date",
    "Session: dose 56 / 84 / other": "dose",
    "Session: lot": "lots",
    "Session: total minutes from first device to end of monitoring": "total_min",
    "Session: ready to leave without the two hours, minutes from start": "ready_after_min",
    "Vital signs acceptable before administration": "vitals_ok_before",
    "Vital signs acceptable before completion": "vitals_ok_after",
    "BP before": "pressure_before",
    "BP at 40 min": "pressure_40_min",
    "BP before completion": "pressure_end",
    "Sedation yes/no": "sedation",
    "Sedation onset": "sedation_onset_min",
    "Sedation resolution": "sedation_resolved_min",
    "Dissociation yes/no": "dissociation",
    "Dissociation onset": "dissociation_onset_min",
    "Dissociation resolution": "dissociation_resolved_min",
    "Respiratory depression yes/no": "respiratory_depression",
    "Respiratory depression onset": "respiratory_depression_onset_min",
    "Respiratory depression resolution": "respiratory_depression_resolved_min",
    "Serious adverse event": "serious",
    "Serious adverse event: what": "serious_what",
    "Serious adverse event: outcome": "serious_outcome",
}
ANSWERS = {
    "benzodiazepine": False,
    "sedative_hypnotic": False,
    "opioid": False,
    "psychostimulant": True,
    "maoi": False,
    "provider_name": "Nadia Example",
    "provider_telephone": "555-0100",
    "provider_email": "nadia@clinic.example",
    "ready_after_min": 95,
    "vitals_ok_before": True,
    "vitals_ok_after": True,
    "sedation": True,
    "sedation_onset_min": 25,
    "sedation_resolved_min": 65,
    "dissociation": True,
    "dissociation_onset_min": 25,
    "dissociation_resolved_min": 85,
    "respiratory_depression": False,
    "serious": False,
}


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
def given(spray_taken, nurse):
    """A whole session: two devices, watched by the schedule, home after two hours."""
    last = queries.timeline_of(spray_taken).ended_at
    for minute, systolic, awake, away in (
        (20, 138, 4, 5),
        (40, 144, 4, 6),
        (60, 139, 5, 3),
        (80, 134, 5, 0),
        (100, 131, 5, 0),
        (121, 130, 5, 0),
    ):
        with clock.at(last + minutes(minute)):
            services.record_vitals(
                nurse,
                spray_taken,
                systolic_mmhg=systolic,
                diastolic_mmhg=82,
                heart_rate_bpm=74,
                spo2_percent=98,
                respiratory_rate_bpm=14,
            )
            services.record_observation(
                nurse, spray_taken, sedation_moaas=awake, dissociation_0_10=away, nausea_0_10=0
            )
            timeline = queries.timeline_of(spray_taken)
            for alert in queries.alerts_of(spray_taken, timeline, clock.now()):
                if not alert.acknowledged:
                    services.acknowledge_alert(
                        nurse, spray_taken, rule_id=alert.rule_id, reason="Looked; no signs."
                    )
    with clock.at(last + minutes(122)):
        services.discharge(nurse, spray_taken, answers=SPRAY_HOME, escort_name="Ines Example")
    spray_taken.refresh_from_db()
    return spray_taken


def entries(session) -> dict[str, monitoring_form.Entry]:
    return {e.key: e for e in monitoring_form.fill(session, queries.timeline_of(session))}


def test_every_field_that_the_reference_names_is_there(given):
    there = entries(given)
    assert [name for name, key in ASKED.items() if key not in there] == []


def test_what_the_record_knows_is_filled_in_and_nothing_else(given):
    found = entries(given)
    day = clock.today().isoformat()
    expected = {
        "first_name": "Maria",
        "middle_name": None,
        "last_name": "Example1",
        "birth_date": "1983-03-14",
        "sex": "Female",
        "first_treatment": True,
        "enrolled": True,
        "setting_name": "Example Clinic",
        "setting_address": "1 Example Street, Exampleton",
        "certificate": "REMS-0001",
        "treatment_date": day,
        "dose": "56 mg",
        "dose_mg": 56,
        "devices": 2,
        "lots": "21LK",
        "total_min": 127,  # from the first device; the gate opened 120 min after the last
        "pressure_before": "128/79",
        "pressure_40_min": "144/82",
        "pressure_end": "130/82",
    }
    assert {key: found[key].value for key in expected} == expected
    by_a_clinician = [e.key for e in monitoring_form.missing(list(found.values()))]
    assert set(by_a_clinician) == {
        *monitoring_form.MEDICINES,
        *monitoring_form.EVENTS,
        "provider_name",
        "provider_telephone",
        "provider_email",
        "ready_after_min",
        "vitals_ok_before",
        "vitals_ok_after",
        "serious",
    }


def test_what_the_record_shows_of_events_is_proposed_with_its_times(given, nurse):
    timeline = queries.timeline_of(given)
    told = monitoring_form.proposed(given, timeline)
    sedation, dissociation = told["sedation"], told["dissociation"]
    assert (sedation.happened, sedation.onset_min, sedation.resolved_min) == (True, 25, 65)
    assert (dissociation.happened, dissociation.onset_min) == (True, 25)
    assert dissociation.resolved_min == 85
    assert told["respiratory_depression"].happened is False
    initial = monitoring_form.initial(given, timeline, nurse)
    assert initial["serious"] is False
    assert initial["benzodiazepine"] is False
    assert "opioid" not in initial  # nobody was asked: unknown is not No


def test_what_nobody_looked_at_is_not_taken_for_no(spray_taken):
    told = monitoring_form.proposed(spray_taken, queries.timeline_of(spray_taken))
    assert {event.happened for event in told.values()} == {None}


def test_it_is_answered_by_a_clinician_and_sent_by_a_person(given, nurse, coordinator):
    form = MonitoringForm.objects.get()
    assert form.due_on == given.closed_at.date() + timedelta(days=7)
    with pytest.raises(Refused, match="clinician has to answer"):
        monitoring_form.mark_sent(coordinator, given, sent_on=clock.today(), how="online")
    with pytest.raises(Refused, match="Your role does not answer"):
        monitoring_form.answer_form(coordinator, given, answers=ANSWERS)
    monitoring_form.answer_form(nurse, given, answers=ANSWERS)
    found = entries(MonitoringForm.objects.select_related("session").get().session)
    assert monitoring_form.missing(list(found.values())) == []
    assert found["psychostimulant"].value is True
    with pytest.raises(Refused, match="Say how it was sent"):
        monitoring_form.mark_sent(coordinator, given, sent_on=clock.today(), how=" ")
    with pytest.raises(Refused, match="in the future"):
        monitoring_form.mark_sent(
            coordinator, given, sent_on=clock.today() + timedelta(days=1), how="online"
        )
    monitoring_form.mark_sent(coordinator, given, sent_on=clock.today(), how="online, 4711")
    assert monitoring_form.forms_to_send() == []
    with pytest.raises(Refused, match="has been sent"):
        monitoring_form.answer_form(nurse, given, answers=ANSWERS)
    kinds = list(Event.objects.filter(stream=given.stream).values_list("kind", flat=True))
    assert kinds[-2:] == ["session.monitoring_form_answered", "session.monitoring_form_sent"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"opioid": None}, "opioid"),
        ({"vitals_ok_before": None}, "vitals_ok_before"),
        ({"provider_email": ""}, "provider_email"),
        ({"ready_after_min": None}, "ready_after_min"),
        ({"sedation_onset_min": None}, "sedation_onset_min"),
        ({"sedation_resolved_min": 5}, "sedation_resolved_min"),
        ({"serious": None}, "serious"),
        ({"serious": True}, "serious_what"),
        ({"serious": True, "serious_what": "Fell."}, "serious_outcome"),
        ({"ready_after_min": 5000}, "ready_after_min"),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(given, nurse, change, field):
    before = Event.objects.count()
    with pytest.raises(Refused) as refusal:
        monitoring_form.answer_form(nurse, given, answers={**ANSWERS, **change})
    assert refusal.value.field == field
    assert MonitoringForm.objects.get().answers is None
    assert Event.objects.count() == before


def test_a_session_that_ends_in_hospital_is_flagged_and_never_answered_as_harmless(
    spray_taken, nurse
):
    last = queries.timeline_of(spray_taken).ended_at
    with clock.at(last + minutes(30)):
        services.call_emergency(nurse, spray_taken, sign="chest_pain")
        services.transfer_to_hospital(
            nurse, spray_taken, where="Example General", why="chest pain", accompanied_by="crew"
        )
    spray_taken.refresh_from_db()
    timeline = queries.timeline_of(spray_taken)
    signs = monitoring_form.serious_signs(timeline)
    assert signs == ["emergency called: chest pain", "transferred to Example General"]
    assert monitoring_form.initial(spray_taken, timeline, nurse)["serious"] is None
    with pytest.raises(Refused, match="Say what it was, and why it was not serious"):
        monitoring_form.answer_form(nurse, spray_taken, answers=ANSWERS)
    monitoring_form.answer_form(
        nurse,
        spray_taken,
        answers={
            **ANSWERS,
            "serious": True,
            "serious_what": "Chest pain, kept overnight.",
            "serious_outcome": "hospital",
        },
    )
    assert entries(spray_taken)["serious_outcome"].value.startswith("Taken to hospital")


def test_a_second_session_is_no_first_treatment_and_a_failed_device_is_told(
    given, nurse, prescriber, chair
):
    planned = given.course.planned_sessions.get(number=2)
    with clock.at(planned.planned_for):
        second = services.open_session(nurse, planned, chair)
        fresh = dict.fromkeys(SPRAY_CHECK["waits"])
        services.complete_check(nurse, second, **{**SPRAY_CHECK, "waits": fresh})
        take(second, nurse, left="full", right="none")
        spray.end_spray(nurse, second, reason="Nose blocked.")
    found = entries(second)
    assert found["first_treatment"].value is False
    assert (found["dose"].value, found["dose_mg"].value) == ("other", 14)
    assert found["devices_odd"].value == "device 1: left full, right none"


def test_as_a_document_and_as_data(client, given, nurse, coordinator):
    monitoring_form.answer_form(
        nurse, given, answers={**ANSWERS, "medicines_named": "=cmd|' /C calc'!A0"}
    )
    client.force_login(coordinator)
    base = f"/sessions/{given.pk}/monitoring"
    page = client.get(f"{base}.pdf?format=html").content.decode()
    assert "From the first device to the end of monitoring" in page
    assert "127 min" in page
    answer = client.get(f"{base}.pdf")
    assert answer.status_code in {200, 503}  # 503 where this machine has no Pango
    data = client.get(f"{base}/data.json").json()
    fields = {field["key"]: field for field in data["fields"]}
    assert set(ASKED.values()) <= set(fields)
    assert fields["total_min"] == {
        "section": "Treatment",
        "key": "total_min",
        "label": "From the first device to the end of monitoring",
        "value": 127,
        "unit": "min",
        "source": "record",
        "required": True,
    }
    assert data["missing"] == []
    assert data["report_as_serious"] == []
    rows = list(csv.DictReader(io.StringIO(client.get(f"{base}/data.csv").content.decode())))
    by_key = {row["key"]: row["value"] for row in rows}
    assert by_key["pressure_40_min"] == "144/82"
    assert by_key["sedation"] == "yes"
    assert by_key["medicines_named"].startswith("'=")
    assert client.get(f"{base}/data.xml").status_code == 404


def test_the_screens_of_the_form(client, given, nurse, coordinator, django_user_model):
    client.force_login(nurse)
    url = f"/sessions/{given.pk}/monitoring-form/"
    page = client.get(url).content.decode()
    assert "not known yet" in page
    assert "The record: MOAA/S below 5" in page
    typed = {
        key: {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        for key, value in ANSWERS.items()
    }
    wrong = client.post(url, {**typed, "serious": ""})
    assert wrong.status_code == 422
    assert client.post(url, typed).status_code == 302
    assert "Today" in client.get("/today/").content.decode()
    client.force_login(coordinator)
    assert client.post(url, typed).status_code == 403
    fragment = client.get("/rems/forms/").content.decode()
    assert "ready to send" in fragment
    sent = client.post(f"{url}sent/", {"sent_on": clock.today().isoformat(), "how": "online 4711"})
    assert sent.status_code == 302
    assert "None is owed" in client.get("/rems/forms/").content.decode()
    therapist = django_user_model.objects.create_user(
        username="t", role=Role.THERAPIST, display_name="T"
    )
    client.force_login(therapist)
    assert client.get(url).status_code == 403
