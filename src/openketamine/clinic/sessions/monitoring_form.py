"""What the safety programme asks of every session of the esketamine spray, filled from the record.

A data sheet and not the programme's own form, which is its maker's: a person copies it there, or
sends it. It asks for what the form of 11/2021 and the overview of the current one ask for (clinical
reference 4.5); the wording is our own. The blocks on events were not seen word for word, so whoever
sends it compares them with the live form.

What the record knows is proposed, and a clinician answers what only a person can say. Nothing that
is unknown is filled in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy, gettext_noop, pgettext
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.intake.queries import facts_for
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.rems import queries as rems

from . import queries
from .models import MonitoringForm, Phase, Session
from .timeline import Reading, Timeline

MAY_ANSWER = frozenset({Role.NURSE, Role.PRESCRIBER})
MAY_SEND = MAY_ANSWER | {Role.COORDINATOR, Role.DIRECTOR}

# Medicines that the form asks about, each with the fact of the screening that answers it.
MEDICINES = {
    "benzodiazepine": (gettext_lazy("Benzodiazepine"), "takes_benzodiazepine"),
    "sedative_hypnotic": (gettext_lazy("Another sedative or sleeping tablet"), ""),
    "opioid": (gettext_lazy("Opioid"), ""),
    "psychostimulant": (gettext_lazy("Psychostimulant"), "takes_stimulant"),
    "maoi": (gettext_lazy("MAO inhibitor"), "takes_maoi"),
}
EVENTS = {
    "sedation": gettext_lazy("Sedation"),
    "dissociation": gettext_lazy("Dissociation"),
    "respiratory_depression": gettext_lazy("Respiratory depression"),
}
# What makes an event serious, as regulators of medicines use the word. The live form's own list was
# not read.
OUTCOMES = {
    "death": gettext_lazy("Death"),
    "life_threatening": gettext_lazy("Danger to life"),
    "hospital": gettext_lazy("Taken to hospital, or kept there longer"),
    "disability": gettext_lazy("Lasting disability"),
    "important": gettext_lazy("Another medically important event"),
}
# What came out of a device on one side, in the words that the record uses.
_CAME_OUT = {
    "full": gettext_noop("full"),
    "partial": gettext_noop("partial"),
    "none": gettext_noop("none"),
}
_NEAR_40_MIN = timedelta(minutes=10)
_LONGEST_MIN = 24 * 60
_SEDATED_BELOW = 5.0  # MOAA/S 5 is the normal response (ESK-SED-1), where none was taken before


@dataclass(frozen=True)
class Entry:
    """One field of the sheet.

    Attributes:
        value: as it goes into data: text, number, True, False, or None where it is not known.
        source: "record", "clinician" or "" where nobody has said it.
        required: whether the form cannot go without it.
    """

    section: str
    key: str
    label: str
    value: Any
    unit: str = ""
    source: str = "record"
    required: bool = True

    @property
    def shown(self) -> str:
        if self.value is None or self.value == "":
            return _("not known") if self.required else "–"
        if isinstance(self.value, bool):
            return _("yes") if self.value else _("no")
        if isinstance(self.value, float):
            return f"{self.value:g}"
        return str(self.value)

    @property
    def is_missing(self) -> bool:
        return self.required and (self.value is None or self.value == "")


@dataclass(frozen=True)
class Proposed:
    """What the record says of one kind of event, in minutes from the first device."""

    happened: bool | None
    onset_min: int | None = None
    resolved_min: int | None = None
    because: str = ""


def fill(session: Session, timeline: Timeline) -> list[Entry]:
    """The whole sheet, in the order of the programme's form."""
    form = getattr(session, "monitoring_form", None)
    answers: dict[str, Any] = (form and form.answers) or {}
    return [
        *_patient(session),
        *_medicines(answers),
        *_provider(answers),
        *_treatment(session, timeline, answers),
        *_vital_signs(session, timeline, answers),
        *_events(answers),
        *_serious(timeline, answers),
    ]


def missing(entries: list[Entry]) -> list[Entry]:
    """What the form cannot go without and nobody has said yet."""
    return [entry for entry in entries if entry.is_missing]


def _patient(session: Session) -> list[Entry]:
    person = session.person
    earlier = Session.objects.filter(
        person=person,
        course__route=rems.ROUTE,
        opened_at__lt=session.opened_at,
        phase__in=[Phase.DISCHARGED, Phase.TRANSFERRED],
    )
    enrolled = rems.enrolment_of(person)
    name = _("Patient")
    return [
        Entry(name, "first_name", _("First name"), person.given_name),
        Entry(name, "middle_name", _("Middle name"), None, required=False, source=""),
        Entry(name, "last_name", _("Last name"), person.family_name),
        Entry(name, "birth_date", _("Date of birth"), person.birth_date.isoformat()),
        Entry(name, "sex", _("Sex"), person.get_sex_display()),
        Entry(name, "first_treatment", _("First treatment (in this clinic)"), not earlier.exists()),
        Entry(name, "enrolled", _("Enrolled in the programme"), enrolled is not None),
        Entry(
            name,
            "enrolment_number",
            _("Enrolment number"),
            enrolled.reference if enrolled else None,
            required=False,
        ),
    ]


def _said(answers: Mapping[str, Any], key: str) -> tuple[Any, str]:
    value = answers.get(key)
    return value, "clinician" if value is not None else ""


def _answered(
    section: str,
    key: str,
    label: str,
    answers: Mapping[str, Any],
    *,
    unit: str = "",
    required: bool = True,
) -> Entry:
    value, source = _said(answers, key)
    return Entry(section, key, label, value, unit, source, required)


def _medicines(answers: Mapping[str, Any]) -> list[Entry]:
    name = _("Medicines taken now")
    return [
        *(_answered(name, key, str(label), answers) for key, (label, _fact) in MEDICINES.items()),
        _answered(name, "medicines_named", _("By name"), answers, required=False),
    ]


def _provider(answers: Mapping[str, Any]) -> list[Entry]:
    site = rems.certification()
    who, where = _("Who did the monitoring"), _("Site")
    return [
        _answered(who, "provider_name", _("Name"), answers),
        _answered(who, "provider_telephone", _("Telephone"), answers),
        _answered(who, "provider_email", _("E-mail"), answers),
        Entry(where, "setting_name", _("Name"), site.setting_name if site else None),
        Entry(where, "setting_address", _("Address"), site.address if site else None),
        Entry(where, "certificate", _("Certificate"), site.reference if site else None),
    ]


def _treatment(session: Session, timeline: Timeline, answers: Mapping[str, Any]) -> list[Entry]:
    name = _("Treatment")
    given = sum(dose.dose_mg for dose in timeline.sprays)
    lots = dict.fromkeys(dose.line.data["lot"] for dose in timeline.sprays)
    serials = [s for dose in timeline.sprays if (s := dose.line.data["serial"])]
    first = timeline.started_at
    end = timeline.closed_at
    total = round((end - first).total_seconds() / 60) if end and first else None
    odd = [d for d in timeline.sprays if d.line.data["outcome"] != "complete"]
    deviations = [d.line.data["deviation"] for d in timeline.sprays if d.line.data["deviation"]]
    return [
        Entry(name, "treatment_date", _("Day"), _day(first)),
        Entry(
            name,
            "dose",
            _("Dose"),
            f"{given:g} mg" if given in (56.0, 84.0) else pgettext("a dose", "other"),
        ),
        Entry(name, "dose_mg", _("Dose in all"), given, "mg"),
        Entry(name, "devices", _("Devices used"), timeline.units_taken),
        Entry(name, "lots", _("Lot"), ", ".join(lots)),
        Entry(name, "serials", _("Serial numbers"), ", ".join(serials), required=False),
        Entry(
            name,
            "devices_odd",
            _("Devices that gave a part or nothing"),
            "; ".join(
                _("device %(number)s: left %(left)s, right %(right)s")
                % {
                    "number": d.line.data["number"],
                    "left": gettext(_CAME_OUT[d.line.data["left"]]),
                    "right": gettext(_CAME_OUT[d.line.data["right"]]),
                }
                for d in odd
            )
            or _("none"),
            required=False,
        ),
        Entry(
            name, "deviations", _("Deviations"), "; ".join(deviations) or _("none"), required=False
        ),
        Entry(
            name,
            "total_min",
            _("From the first device to the end of monitoring"),
            total,
            "min",
        ),
        _answered(
            name,
            "ready_after_min",
            _("Would have been ready to leave, without the two-hour minimum, after"),
            answers,
            unit=_("min from the first device"),
        ),
    ]


def _day(moment: datetime | None) -> str | None:
    return timezone.localtime(moment).date().isoformat() if moment else None


def _pressure(reading: Reading | None) -> str | None:
    if reading is None:
        return None
    return f"{reading.values['systolic_mmhg']:g}/{reading.values['diastolic_mmhg']:g}"


def pressures(timeline: Timeline) -> tuple[Reading | None, Reading | None, Reading | None]:
    """The pressure before the first device, about 40 minutes after the last, and at the end."""
    whole = [
        reading
        for reading in timeline.vitals
        if {"systolic_mmhg", "diastolic_mmhg"} <= reading.values.keys()
    ]
    first, last = timeline.started_at, timeline.ended_at
    if first is None or last is None:
        return (whole[-1] if whole else None), None, None
    before = [reading for reading in whole if reading.at <= first]
    due = last + timedelta(minutes=40)
    near = [reading for reading in whole if abs(reading.at - due) <= _NEAR_40_MIN]
    after = [reading for reading in whole if reading.at > last]
    return (
        before[-1] if before else None,
        min(near, key=lambda reading: abs(reading.at - due)) if near else None,
        after[-1] if after else None,
    )


def _vital_signs(session: Session, timeline: Timeline, answers: Mapping[str, Any]) -> list[Entry]:
    name = _("Vital signs")
    before, at_40, end = pressures(timeline)
    return [
        _answered(name, "vitals_ok_before", _("Acceptable before the first device"), answers),
        _answered(name, "vitals_ok_after", _("Acceptable before monitoring ended"), answers),
        Entry(name, "pressure_before", _("Pressure before"), _pressure(before), "mmHg"),
        Entry(name, "pressure_40_min", _("Pressure at 40 minutes"), _pressure(at_40), "mmHg"),
        Entry(name, "pressure_end", _("Pressure before monitoring ended"), _pressure(end), "mmHg"),
    ]


def _events(answers: Mapping[str, Any]) -> list[Entry]:
    found = []
    for key, label in EVENTS.items():
        happened = answers.get(key)
        found += [
            _answered(str(label), key, str(label), answers),
            _answered(
                str(label),
                f"{key}_onset_min",
                _("Began"),
                answers,
                unit=_("min from the first device"),
                required=happened is True,
            ),
            _answered(
                str(label),
                f"{key}_resolved_min",
                _("Had gone"),
                answers,
                unit=_("min from the first device"),
                required=happened is True,
            ),
        ]
    return found


def _serious(timeline: Timeline, answers: Mapping[str, Any]) -> list[Entry]:
    name = _("Serious adverse event")
    is_serious = answers.get("serious") is True
    outcome = answers.get("serious_outcome")
    flags = serious_signs(timeline)
    return [
        _answered(name, "serious", _("A serious event happened"), answers),
        _answered(name, "serious_what", _("What happened"), answers, required=is_serious),
        Entry(
            name,
            "serious_outcome",
            _("Why it is serious"),
            str(OUTCOMES[outcome]) if outcome in OUTCOMES else None,
            source="clinician" if outcome else "",
            required=is_serious,
        ),
        Entry(
            name,
            "serious_signs",
            _("Signs in the record"),
            "; ".join(flags) or _("none"),
            required=False,
        ),
    ]


def serious_signs(timeline: Timeline) -> list[str]:
    """What of the session may have been serious: to be looked at, and reported where it was."""
    found = [
        _("emergency called: %(sign)s") % {"sign": gettext(line.data["label"]).lower()}
        for line in timeline.emergencies
    ]
    if timeline.transfer:
        found.append(_("transferred to %(where)s") % {"where": timeline.transfer.data["where"]})
    if any(r.values["sedation_moaas"] == 0 for r in timeline.series("sedation_moaas")):
        found.append(_("no response at all (MOAA/S 0)"))
    found += [
        _("%(effect)s, severe") % {"effect": gettext(line.data["label"]).lower()}
        for line in timeline.side_effects
        if line.data["severity"] == "severe"
    ]
    return found


def proposed(session: Session, timeline: Timeline) -> dict[str, Proposed]:
    """What the record says of the three kinds of event; a clinician says what is so."""
    before = [
        r.values["sedation_moaas"]
        for r in timeline.series("sedation_moaas")
        if timeline.started_at is None or r.at <= timeline.started_at
    ]
    awake = before[-1] if before else _SEDATED_BELOW
    low = [t for t in queries.protocol_of(session).thresholds if t.below is not None]
    breathing = {  # of two limits the one that is crossed first
        t.quantity: t.below
        for t in sorted(low, key=lambda t: t.below or 0.0)
        if t.quantity in {"respiratory_rate_bpm", "spo2_percent"}
    }
    return {
        "sedation": _course(
            timeline,
            {"sedation_moaas": lambda v: v < awake},
            _("MOAA/S below %(score)s") % {"score": f"{awake:g}"},
            _("never MOAA/S below %(score)s") % {"score": f"{awake:g}"},
        ),
        "dissociation": _course(
            timeline,
            {"dissociation_0_10": lambda v: v > 0},
            _("dissociation above 0 of 10"),
            _("never dissociation above 0 of 10"),
        ),
        "respiratory_depression": _course(
            timeline,
            {quantity: (lambda v, limit=limit: v < limit) for quantity, limit in breathing.items()},
            _("breathing rate or SpO2 below the limits of clinic policy"),
            _("never breathing rate or SpO2 below the limits of clinic policy"),
        ),
    }


def _course(timeline: Timeline, tests: Mapping[str, Any], words: str, never: str) -> Proposed:
    """When a sign began and when it had gone, by the readings since the first device.

    Args:
        words: the sign, to say what was seen; `never` says that it was not.
    """
    zero = timeline.started_at
    readings = sorted(
        {
            (r.at, r.seq): any(test(r.values[q]) for q, test in tests.items() if q in r.values)
            for q in tests
            for r in timeline.series(q)
            if zero is not None and r.at > zero
        }.items()
    )
    if not readings or zero is None:
        return Proposed(None, because=_("nobody has looked"))
    marked = [at for (at, _), shown in readings if shown]
    if not marked:
        return Proposed(False, because=never)
    later = [at for (at, _), shown in readings if at > marked[-1] and not shown]

    def minute(moment: datetime) -> int:
        return round((moment - zero).total_seconds() / 60)

    return Proposed(
        True,
        minute(marked[0]),
        minute(later[0]) if later else None,
        because=words if later else _("%(sign)s; not seen to have gone") % {"sign": words},
    )


def initial(session: Session, timeline: Timeline, actor: User) -> dict[str, Any]:
    """What stands in the clinician's part before anybody has answered: what the record says."""
    facts = facts_for(session.course)
    found: dict[str, Any] = {
        key: facts[fact].value for key, (_label, fact) in MEDICINES.items() if fact in facts
    }
    for key, event in proposed(session, timeline).items():
        found |= {
            key: event.happened,
            f"{key}_onset_min": event.onset_min,
            f"{key}_resolved_min": event.resolved_min,
        }
    active = [m.display for m in session.person.medications.all() if m.status == "active"]
    return {
        **found,
        "medicines_named": "; ".join(active),
        "provider_name": actor.display_name,
        "provider_email": actor.email,
        # A sign in the record is not taken for an answer: with one, a person has to say.
        "serious": None if serious_signs(timeline) else False,
    }


@transaction.atomic
def answer_form(actor: User, session: Session, *, answers: Mapping[str, Any]) -> MonitoringForm:
    """A clinician says what only a person can say. Later answers replace earlier ones.

    Raises:
        Refused: a role that may not, no form is owed, sent already, an answer is missing, or times
            that cannot be.
    """
    if actor.role not in MAY_ANSWER:
        raise Refused(_("Your role does not answer the monitoring form."))
    form = _form(session)
    if form.sent_on:
        raise Refused(_("It has been sent. Send a correction to the programme itself."))
    timeline = queries.timeline_of(session)
    given = {name: value for name, value in answers.items() if value not in (None, "")}
    form.answers = given
    session.monitoring_form = form
    wanting = [e for e in missing(fill(session, timeline)) if e.source != "record"]
    if wanting:
        entry = wanting[0]
        raise Refused(
            _("%(section)s, %(label)s: not answered.")
            % {"section": entry.section, "label": entry.label.lower()},
            field=entry.key,
        )
    _require_times(given, timeline)
    signs = serious_signs(timeline)
    if signs and not given["serious"] and not given.get("serious_what"):
        raise Refused(
            _("The record shows: %(signs)s. Say what it was, and why it was not serious.")
            % {"signs": "; ".join(signs)},
            field="serious_what",
        )
    form.answered_by, form.answered_at = actor, clock.now()
    form.save(update_fields=["answers", "answered_by", "answered_at"])
    record.append(
        actor,
        session.stream,
        "session.monitoring_form_answered",
        {"answers": given},
        person_id=session.person_id,
    )
    return form


def _require_times(given: Mapping[str, Any], timeline: Timeline) -> None:
    for key, label in EVENTS.items():
        onset, gone = given.get(f"{key}_onset_min"), given.get(f"{key}_resolved_min")
        if onset is not None and gone is not None and gone < onset:
            raise Refused(
                _("%(event)s cannot have gone before it began.") % {"event": label},
                field=f"{key}_resolved_min",
            )
    for name, value in given.items():
        if name.endswith("_min") and not 0 <= value <= _LONGEST_MIN:
            raise Refused(_("Enter whole minutes from the first device."), field=name)
    if given.get("serious") and given.get("serious_outcome") not in OUTCOMES:
        raise Refused(_("Say why it is serious."), field="serious_outcome")


@transaction.atomic
def mark_sent(actor: User, session: Session, *, sent_on: date, how: str) -> MonitoringForm:
    """A person has sent the form to the programme: on which day, and how.

    Raises:
        Refused: a role that may not, not answered yet, a field is missing, sent already, or a day
            that cannot be.
    """
    if actor.role not in MAY_SEND:
        raise Refused(_("Your role does not send the monitoring form."))
    form = _form(session)
    if form.sent_on:
        raise Refused(_("It has been sent already."))
    if form.answers is None:
        raise Refused(_("A clinician has to answer the form first."))
    session.monitoring_form = form
    if wanting := missing(fill(session, queries.timeline_of(session))):
        raise Refused(
            _("Not known yet: %(section)s, %(label)s.")
            % {"section": wanting[0].section, "label": wanting[0].label.lower()}
        )
    if sent_on > clock.today():
        raise Refused(_("The day lies in the future."), field="sent_on")
    if session.closed_at and sent_on < session.opened_at.date():
        raise Refused(_("The day lies before the session."), field="sent_on")
    if not how.strip():
        raise Refused(_("Say how it was sent, with the confirmation's number."), field="how")
    form.sent_on, form.sent_by, form.sent_how = sent_on, actor, how.strip()
    form.save(update_fields=["sent_on", "sent_by", "sent_how"])
    record.append(
        actor,
        session.stream,
        "session.monitoring_form_sent",
        {"sent_on": sent_on.isoformat(), "how": how.strip()},
        person_id=session.person_id,
    )
    return form


def _form(session: Session) -> MonitoringForm:
    form = MonitoringForm.objects.select_for_update().filter(session=session).first()
    if form is None:
        raise Refused(_("No monitoring form is owed for this session."))
    return form


def forms_to_send() -> list[MonitoringForm]:
    """What is owed to the programme, the soonest due first. One query."""
    return list(
        MonitoringForm.objects.filter(sent_on=None)
        .select_related("session__person", "session__planned")
        .order_by("due_on", "pk")
    )


def forms_sent(limit: int = 20) -> list[MonitoringForm]:
    """What was sent last. One query."""
    return list(
        MonitoringForm.objects.exclude(sent_on=None)
        .select_related("session__person", "session__planned", "sent_by")
        .order_by("-sent_on", "-pk")[:limit]
    )
