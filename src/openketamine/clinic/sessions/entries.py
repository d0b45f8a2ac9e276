"""What is noted during a session: observations, effects, medicines, alerts, and corrections."""

import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event
from openketamine.clinic.said import in_english

from . import queries
from .acts import (
    BEDSIDE,
    ENTRY,
    LONGEST_BACKDATING,
    act,
    append,
    plausible,
    require_open,
    require_role,
)
from .models import Session
from .timeline import CORRECTABLE, OBSERVATIONS, RETIMABLE, VITALS


@act
def record_observation(
    actor: User,
    session: Session,
    *,
    note: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
    **values: float | None,
) -> Event:
    """Keep how the patient is: sedation, dissociation, nausea, distress.

    Raises:
        Refused: nothing is given, or a value is impossible.
    """
    require_role(actor, ENTRY, _("Your role does not record observations."))
    session = require_open(session, at)
    observed = plausible(session, {name: values.get(name) for name in OBSERVATIONS})
    if not observed:
        raise Refused(_("Enter at least one observation."))
    return append(
        actor,
        session,
        "session.observed",
        {**observed, "note": note.strip()},
        at=at,
        client_id=client_id,
    )


@act
def record_side_effect(
    actor: User,
    session: Session,
    *,
    effect: str,
    severity: str,
    note: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Keep a side effect with its severity.

    Raises:
        Refused: it is not on the list, or 'another' comes without words.
    """
    require_role(actor, ENTRY, _("Your role does not record side effects."))
    session = require_open(session, at)
    listed = queries.protocol_of(session).side_effects
    labels = {item.id: item.label for item in listed.items}
    if effect not in labels:
        raise Refused(_("Choose a side effect from the list."), field="effect")
    if severity not in listed.severities:
        severities = ", ".join(gettext(name) for name in listed.severities)
        raise Refused(
            _("Choose how bad: %(severities)s.") % {"severities": severities}, field="severity"
        )
    if effect == "other" and not note.strip():
        raise Refused(_("Say in words what it is."), field="note")
    return append(
        actor,
        session,
        "session.side_effect_noted",
        {"effect": effect, "label": labels[effect], "severity": severity, "note": note.strip()},
        at=at,
        client_id=client_id,
    )


@act
def give_medicine(
    actor: User,
    session: Session,
    *,
    medicine: str,
    dose: float,
    route: str,
    reason: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Keep a rescue medicine or antiemetic that was given.

    Raises:
        Refused: it is not in the clinic's list, by a route not listed, above the policy's dose, or
            without a reason.
    """
    require_role(actor, BEDSIDE, _("Your role does not give medicines."))
    session = require_open(session, at)
    listed = {item.id: item for item in queries.protocol_of(session).medicines.items}
    item = listed.get(medicine)
    if item is None:
        raise Refused(_("Choose a medicine from the clinic's list."), field="medicine")
    if not (dose > 0 and math.isfinite(dose)):
        raise Refused(_("A dose is a number above zero."), field="dose")
    if item.maximum is not None and dose > item.maximum:
        raise Refused(
            _("%(medicine)s %(dose)s %(unit)s is above the clinic's policy of %(most)s %(unit)s.")
            % {
                "medicine": gettext(item.label),
                "dose": f"{dose:g}",
                "unit": item.unit,
                "most": f"{item.maximum:g}",
            },
            field="dose",
        )
    if route not in item.routes:
        raise Refused(
            _("%(medicine)s is listed for %(routes)s.")
            % {
                "medicine": gettext(item.label),
                "routes": ", ".join(gettext(name) for name in item.routes),
            },
            field="route",
        )
    reason = require_reason(reason, _("Say what it is given for."))
    return append(
        actor,
        session,
        "session.medicine_given",
        {
            "medicine": medicine,
            "label": item.label,
            "dose": dose,
            "unit": item.unit,
            "route": route,
            "reason": reason,
        },
        at=at,
        client_id=client_id,
    )


@act
def write_note(
    actor: User,
    session: Session,
    *,
    text: str,
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Keep a note.

    Raises:
        Refused: it is empty.
    """
    require_role(actor, ENTRY, _("Your role does not write session notes."))
    session = require_open(session, at)
    if not text.strip():
        raise Refused(_("The note is empty."), field="text")
    return append(
        actor, session, "session.note_written", {"text": text.strip()}, at=at, client_id=client_id
    )


@act
def acknowledge_alert(
    actor: User,
    session: Session,
    *,
    rule_id: str,
    reason: str,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Quiet one alert, with a name and a reason.

    Raises:
        Refused: it does not stand open, or no reason is given.
    """
    require_role(actor, BEDSIDE, _("Your role does not acknowledge alerts."))
    session = require_open(session)
    reason = require_reason(reason, _("An alert is acknowledged with a reason."))
    timeline = queries.timeline_of(session)
    standing = queries.alerts_of(session, timeline, clock.now())
    alert = next((a for a in standing if a.rule_id == rule_id and not a.acknowledged), None)
    if alert is None:
        raise Refused(_("This alert no longer stands open."))
    return append(
        actor,
        session,
        "session.alert_acknowledged",
        {
            "rule_id": rule_id,
            "quantity": alert.quantity,
            "priority": alert.priority,
            "statement": in_english(alert.statement),
            "reason": reason,
            **queries.stamp_of(session),
        },
        client_id=client_id,
    )


@act
def call_emergency(
    actor: User,
    session: Session,
    *,
    sign: str,
    note: str = "",
    at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """A sign of an emergency is seen: a red alert on every staff screen until it is over.

    Raises:
        Refused: the sign is not on the policy's list.
    """
    require_role(actor, ENTRY, _("Your role does not call emergencies."))
    session = require_open(session)
    labels = {item.id: item.label for item in queries.library_of(session).alarms.emergency.signs}
    if sign not in labels:
        raise Refused(_("Choose a sign from the list."), field="sign")
    return append(
        actor,
        session,
        "session.emergency_called",
        {"sign": sign, "label": labels[sign], "note": note.strip()},
        at=at,
        client_id=client_id,
    )


@act
def end_emergency(
    actor: User,
    session: Session,
    *,
    emergency: int,
    reason: str,
    client_id: uuid.UUID | None = None,
) -> Event:
    """The emergency is over, or was none: who says so, and why.

    Args:
        emergency: the number of the event that called it.

    Raises:
        Refused: it does not stand, or no reason is given.
    """
    require_role(actor, BEDSIDE, _("Your role does not end emergencies."))
    session = require_open(session)
    timeline = queries.timeline_of(session)
    called = {line.seq for line in timeline.emergencies}
    if emergency not in called or emergency in timeline.emergencies_over:
        raise Refused(_("This emergency is over already."))
    reason = require_reason(reason, _("Say what was done, or why it was none."))
    return append(
        actor,
        session,
        "session.emergency_over",
        {"emergency": emergency, "reason": reason},
        client_id=client_id,
    )


@transaction.atomic
def silence_sound(
    actor: User,
    *,
    device: uuid.UUID,
    minutes: float,
    reason: str,
    alarms: Sequence[str],
    client_id: uuid.UUID | None = None,
) -> Event:
    """One device is quiet for a while about the alarms that sound on it now.

    The screens go on showing them, other devices go on sounding, and a new alarm sounds here too.

    Args:
        device: the id that the device has given itself.
        alarms: the keys of the alarms about which it is quiet.

    Raises:
        Refused: for longer than the policy allows, without a reason, or about nothing.
    """
    require_role(actor, ENTRY, _("Your role does not silence alarms."))
    policy = library().alarms.quiet
    if not 0 < minutes <= policy.longest_min:
        raise Refused(
            _("A device is silenced for at most %(minutes)s minutes.")
            % {"minutes": f"{policy.longest_min:g}"},
            field="minutes",
        )
    reason = require_reason(reason, _("Say why the sound is silenced."))
    if not alarms:
        raise Refused(_("No alarm sounds here."))
    return record.append(
        actor,
        "clinic",
        "sessions.sound_silenced",
        {
            "device": str(device),
            "minutes": minutes,
            "reason": reason,
            "alarms": sorted(alarms),
        },
        client_id=client_id,
    )


@act
def correct_event(
    actor: User,
    session: Session,
    *,
    seq: int,
    reason: str,
    data: Mapping[str, Any] | None = None,
    occurred_at: datetime | None = None,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Correct an earlier entry by a new event that names it. The entry itself stays as it is.

    With `data` it is restated, with `occurred_at` its time is put right, with neither it is taken
    back.

    Raises:
        Refused: no such entry, of a kind that cannot be corrected so, no reason, or the result
            would contradict the rest of the session.
    """
    require_role(actor, BEDSIDE, _("Your role does not correct entries."))
    session = (
        Session.objects.select_for_update(of=("self",)).select_related("course").get(pk=session.pk)
    )
    target = Event.objects.filter(stream=session.stream, seq=seq).first()
    if target is None:
        raise Refused(_("There is no such entry in this session."))
    reason = require_reason(reason, _("A correction needs its reason."))
    correction: dict[str, Any]
    if occurred_at is not None:
        if target.kind not in CORRECTABLE | RETIMABLE:
            raise Refused(_("The time of this entry cannot be corrected."))
        if occurred_at > clock.now():
            raise Refused(_("The time lies in the future."), field="occurred_at")
        if occurred_at < session.opened_at - LONGEST_BACKDATING:
            raise Refused(_("The time lies long before this session."), field="occurred_at")
        correction = {"action": "retime", "occurred_at": occurred_at.isoformat()}
    elif target.kind not in CORRECTABLE:
        raise Refused(
            _("What the pump did cannot be taken back. Correct its time, or write a note.")
        )
    elif data is not None:
        correction = {"action": "restate", "data": _restated(session, target, data)}
    else:
        correction = {"action": "retract"}
    return append(
        actor,
        session,
        "session.corrected",
        {**correction, "reason": reason},
        corrects=target,
        client_id=client_id,
    )


def _restated(session: Session, target: Event, data: Mapping[str, Any]) -> dict[str, Any]:
    """The whole new content of an entry, checked as the entry itself would have been."""
    if target.kind == "session.vitals_recorded":
        return dict(plausible(session, {name: data.get(name) for name in VITALS}))
    if target.kind in {"session.bolus_given", "session.injection_given"}:
        dose_mg = data.get("dose_mg")
        if dose_mg is None or not (dose_mg > 0 and math.isfinite(dose_mg)):
            raise Refused(_("A dose is a number above zero."), field="dose_mg")
        return {**target.data, "dose_mg": dose_mg}
    raise Refused(_("Take the entry back and enter it anew."))
