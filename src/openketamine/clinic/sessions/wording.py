"""What an event of a session says, in the words of a flow sheet and of whoever reads it."""

import re
from typing import Any

from django.utils.translation import gettext, gettext_lazy, gettext_noop, ngettext
from django.utils.translation import gettext as _

from openketamine.clinic.said import retold

from .alerts import EMERGENCY_OF, WHAT_IS_LATE
from .ending import NOT_YET, UNANSWERED
from .opening import said_of
from .spray import BARRED, DEVICE_NUMBER, WHAT_AT
from .timeline import Line, kind_in_words

_UNITS = {
    "heart_rate_bpm": (gettext_noop("HR"), "/min"),
    "spo2_percent": ("SpO2", "%"),
    "respiratory_rate_bpm": (gettext_noop("RR"), "/min"),
    "sedation_moaas": ("MOAA/S", gettext_noop("of 5")),
    "dissociation_0_10": (gettext_noop("dissociation"), gettext_noop("of 10")),
    "nausea_0_10": (gettext_noop("nausea"), gettext_noop("of 10")),
    "distress_0_10": (gettext_noop("distress"), gettext_noop("of 10")),
}

# The letter under which an event stands on the chart, and what the letter means.
LETTERS = {
    "session.infusion_started": ("S", gettext_lazy("start")),
    "session.infusion_paused": ("P", gettext_lazy("pause")),
    "session.infusion_resumed": ("R", gettext_lazy("resumed")),
    "session.rate_changed": ("C", gettext_lazy("rate changed")),
    "session.total_changed": ("T", gettext_lazy("total changed")),
    "session.syringe_changed": ("Y", gettext_lazy("syringe changed")),
    "session.bolus_given": ("B", gettext_lazy("bolus")),
    "session.injection_given": ("I", gettext_lazy("injection")),
    "session.spray_taken": ("D", gettext_lazy("device")),
    "session.spray_ended": ("E", gettext_lazy("no further device")),
    "session.infusion_ended": ("E", gettext_lazy("end")),
    "session.emergency_called": ("!", gettext_lazy("emergency")),
    "session.transferred": ("H", gettext_lazy("to hospital")),
    "session.side_effect_noted": ("X", gettext_lazy("side effect")),
    "session.medicine_given": ("M", gettext_lazy("medicine")),
    "session.note_written": ("N", gettext_lazy("note")),
}


def values(data: dict[str, Any]) -> str:
    """Readings in a line: "141/86 mmHg, HR 80 /min, SpO2 98 %"."""
    parts = []
    systolic, diastolic = data.get("systolic_mmhg"), data.get("diastolic_mmhg")
    if systolic is not None or diastolic is not None:
        shown = ("–" if value is None else f"{value:g}" for value in (systolic, diastolic))
        parts.append(f"{'/'.join(shown)} mmHg")
    for name, (label, unit) in _UNITS.items():
        if data.get(name) is not None:
            parts.append(f"{gettext(label)} {data[name]:g} {gettext(unit)}")
    return ", ".join(parts)


# How a dose is given, as the record has it from the plan.
_HOW = (
    gettext_noop("over %(figure)s min"),
    gettext_noop("in %(count)s device of %(mg)s mg"),
    gettext_noop("in %(count)s devices of %(mg)s mg"),
    gettext_noop("in %(count)s spray of %(mg)s mg"),
    gettext_noop("in %(count)s sprays of %(mg)s mg"),
)
# What may be ordered, by the code that the record keeps.
_ORDERED = {
    "rate": gettext_noop("rate"),
    "bolus": gettext_noop("bolus"),
    "total": gettext_noop("total"),
    "injection": gettext_noop("injection"),
    "device": gettext_noop("device"),
}


def ordered(what: str) -> str:
    """What an order is for, in a word."""
    return gettext(_ORDERED.get(what, what))


def describe(line: Line) -> str:
    """One line of the log.

    What people wrote stands as they wrote it; what they chose from a list is in the words of the
    reader.
    """
    data = _told(line.data)
    match line.kind:
        case "session.opened":
            if data.get("duration_min"):
                return (
                    _("Opened in %(chair)s: %(dose_mg)s mg over %(duration_min)s min ordered")
                    % data
                )
            how = retold(line.data.get("how", line.data["route"]), *_HOW)
            return _("Opened in %(chair)s: %(dose_mg)s mg %(how)s ordered") % {**data, "how": how}
        case "session.check_completed":
            asks = f". {said_of(data['asks_prescriber'])}" if data["asks_prescriber"] else ""
            return _(
                "Pre-session check: %(values)s, %(weight_kg)s kg, escort %(name)s; medicines "
                "today: %(medicines_today)s%(asks)s"
            ) % {
                **data,
                "values": values(line.data["vitals"]),
                "name": line.data["escort"]["name"],
                "asks": asks,
            }
        case "session.go_decided":
            return _("Prescriber: go on. %(reason)s") % data
        case "session.infusion_started":
            return _("Infusion started: %(programmed_mg)s mg at %(rate_mg_per_h)s mg/h") % data
        case "session.infusion_paused":
            return _("Infusion paused: %(reason)s") % data
        case "session.infusion_resumed":
            return _("Infusion resumed at %(rate_mg_per_h)s mg/h") % data
        case "session.rate_changed":
            return _("Rate changed to %(rate_mg_per_h)s mg/h: %(reason)s") % data
        case "session.total_changed":
            return _("Total changed to %(programmed_mg)s mg: %(reason)s") % data
        case "session.syringe_prepared":
            prepared = _(
                "Prepared: %(volume_ml)s mL of %(concentration_mg_per_ml)s mg/mL = %(amount_mg)s "
                "mg, lot %(lot)s"
            )
            return _joined(prepared % data, data["note"])
        case "session.syringe_checked":
            return _("Preparation checked by a second person")
        case "session.syringe_check_failed":
            return (
                _(
                    "Preparation NOT confirmed: read as %(volume_ml)s mL of "
                    "%(concentration_mg_per_ml)s mg/mL"
                )
                % data
            )
        case "session.syringe_changed":
            return _("Syringe changed, %(wasted_mg)s mg wasted: %(reason)s") % data
        case "session.bolus_given":
            return _("Bolus %(dose_mg)s mg: %(reason)s") % data
        case "session.injection_given":
            return _("Injected %(dose_mg)s mg = %(volume_ml)s mL, %(site)s") % data
        case "session.spray_taken":
            return _spray(line.data)
        case "session.spray_ended":
            return _("No further spray, %(not_taken)s not taken: %(reason)s") % data
        case "session.wait_waived":
            about = retold(line.data["about"], WHAT_AT)
            return _("Prescriber: no need to wait (%(about)s). %(reason)s") % {
                **data,
                "about": about,
            }
        case "session.attempt_refused":
            return _("Refused: %(act)s. %(because)s") % {
                "act": retold(line.data["act"], DEVICE_NUMBER),
                "because": _because(line.data["because"]),
            }
        case "session.order_given":
            what = _("%(what)s up to %(amount)s %(unit)s") % {
                **data,
                "what": ordered(line.data["what"]),
            }
            told = {"name": data["prescriber_name"], "order": what, "reason": data["reason"]}
            if data["verbal"]:
                return _("Order of %(name)s by voice, read back: %(order)s. %(reason)s") % told
            return _("Order of %(name)s on the screen: %(order)s. %(reason)s") % told
        case "session.order_cosigned":
            return _("Order %(order)s signed") % data
        case "session.infusion_ended":
            # As entered then; after a correction of times the fold's figure is the right one.
            if line.data["wasted_mg"]:
                return (
                    _("Infusion ended: %(reason)s (%(given_mg)s mg in, %(wasted_mg)s mg left)")
                    % data
                )
            return _("Infusion ended: %(reason)s (%(given_mg)s mg in)") % data
        case "session.vitals_recorded":
            return _("Vital signs %(values)s") % {"values": values(line.data)}
        case "session.observed":
            return _joined(values(line.data), line.data.get("note"))
        case "session.side_effect_noted":
            return _joined(f"{data['label']}, {data['severity']}", line.data.get("note"))
        case "session.medicine_given":
            return _("%(label)s %(dose)s %(unit)s %(route)s for %(reason)s") % data
        case "session.note_written":
            return _("Note: %(text)s") % {"text": line.data["text"]}
        case "session.alert_acknowledged":
            statement = _statement(line.data["statement"])
            return _("Alert acknowledged (%(statement)s): %(reason)s") % {
                **data,
                "statement": statement,
            }
        case "session.emergency_called":
            called = _("EMERGENCY: %(sign)s") % {"sign": data["label"].lower()}
            return _joined(called, line.data.get("note"))
        case "session.emergency_over":
            return _("Emergency over: %(reason)s") % data
        case "session.corrected":
            return _("Correction of entry %(corrects)s: %(reason)s") % data
        case "session.discharged":
            went = _("Discharged with %(escort_name)s") % data
            return _joined(went, line.data.get("note"))
        case "session.transferred":
            return (
                _(
                    "TRANSFERRED to %(where)s with %(accompanied_by)s: %(why)s "
                    "(%(given_mg)s mg given)"
                )
                % data
            )
        case "session.cancelled":
            return _("Cancelled: %(reason)s") % data
    words = kind_in_words(line.kind)
    return words[:1].upper() + words[1:]


def _told(data: dict[str, Any]) -> dict[str, Any]:
    """What an event holds, as it stands in a sentence: figures short, texts of lists translated."""
    return {
        name: f"{value:g}"
        if isinstance(value, float)
        else gettext(value)
        if isinstance(value, str) and name in _CHOSEN
        else value
        for name, value in data.items()
    }


# What is chosen from a list, or tapped where one may also write.
_CHOSEN = frozenset({"reason", "label", "severity", "unit", "route", "site", "why"})


def _statement(text: str) -> str:
    """What an alert or a rule says, one or several in a row, as the record keeps it."""
    told = retold(text, EMERGENCY_OF, WHAT_IS_LATE, WHAT_AT)
    return told if told != text else said_of(text)


def _because(text: str) -> str:
    """Why an attempt was barred, as the record keeps it."""
    told = retold(text, UNANSWERED, *BARRED, part=_statement)
    return told if told != text else retold(text, NOT_YET, part=_open)


def _open(items: str) -> str:
    """Criteria that are not met, each with how it stands: "Awake (no); 60 minutes (12 min)"."""
    found = (re.fullmatch(r"(.+) \((.+)\)", item) or item for item in items.split("; "))
    return "; ".join(
        item if isinstance(item, str) else f"{retold(item[1])} ({retold(item[2])})"
        for item in found
    )


def _joined(text: str, note: str | None) -> str:
    return f"{text}. {note}" if note else text


_CAME_OUT = {
    "full": gettext_noop("whole"),
    "partial": gettext_noop("in part"),
    "none": gettext_noop("nothing"),
}


def _spray(data: dict[str, Any]) -> str:
    """One device, or some sprays of a bottle: what came out, and off which package."""
    told = {
        "dose": f"{data['dose_mg']:g}",
        "nominal": f"{data['nominal_mg']:g}",
        "number": data["number"],
        "lot": data["lot"],
        "day": data["expires_on"],
    }
    if data["unit"] == "device" and data["outcome"] == "complete":
        what = (
            _("Device %(number)s: %(dose)s of %(nominal)s mg, lot %(lot)s, use by %(day)s") % told
        )
    elif data["unit"] == "device":
        for side in ("left", "right"):
            told[side] = gettext(_CAME_OUT[data[side]])
        if data["outcome"] == "failed":
            form = _(
                "Device %(number)s FAILED: %(dose)s of %(nominal)s mg (left %(left)s, right "
                "%(right)s), lot %(lot)s, use by %(day)s"
            )
        elif "partial" in (data["left"], data["right"]):
            form = _(
                "Device %(number)s PARTIAL: at most %(dose)s of %(nominal)s mg (left %(left)s, "
                "right %(right)s), lot %(lot)s, use by %(day)s"
            )
        else:
            form = _(
                "Device %(number)s PARTIAL: %(dose)s of %(nominal)s mg (left %(left)s, right "
                "%(right)s), lot %(lot)s, use by %(day)s"
            )
        what = form % told
    else:
        what = ngettext(
            "%(count)s spray: %(dose)s mg, lot %(lot)s, use by %(day)s",
            "%(count)s sprays: %(dose)s mg, lot %(lot)s, use by %(day)s",
            data["units"],
        ) % {**told, "count": data["units"]}
    deviation = data["deviation"] and _("DEVIATION: %(what)s") % {"what": data["deviation"]}
    return _joined(what, deviation)
