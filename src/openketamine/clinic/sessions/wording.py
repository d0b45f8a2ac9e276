"""What an event of a session says, in the words of a flow sheet. Pure."""

from typing import Any

from .timeline import Line

_UNITS = {
    "heart_rate_bpm": ("HR", "/min"),
    "spo2_percent": ("SpO2", "%"),
    "respiratory_rate_bpm": ("RR", "/min"),
    "sedation_moaas": ("MOAA/S", "of 5"),
    "dissociation_0_10": ("dissociation", "of 10"),
    "nausea_0_10": ("nausea", "of 10"),
    "distress_0_10": ("distress", "of 10"),
}

# The letter under which an event stands on the chart, and what the letter means.
LETTERS = {
    "session.infusion_started": ("S", "start"),
    "session.infusion_paused": ("P", "pause"),
    "session.infusion_resumed": ("R", "resumed"),
    "session.rate_changed": ("C", "rate changed"),
    "session.total_changed": ("T", "total changed"),
    "session.syringe_changed": ("Y", "syringe changed"),
    "session.bolus_given": ("B", "bolus"),
    "session.injection_given": ("I", "injection"),
    "session.spray_taken": ("D", "device"),
    "session.spray_ended": ("E", "no further device"),
    "session.infusion_ended": ("E", "end"),
    "session.emergency_called": ("!", "emergency"),
    "session.transferred": ("H", "to hospital"),
    "session.side_effect_noted": ("X", "side effect"),
    "session.medicine_given": ("M", "medicine"),
    "session.note_written": ("N", "note"),
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
            parts.append(f"{label} {data[name]:g} {unit}")
    return ", ".join(parts)


def describe(line: Line) -> str:
    """One line of the log."""
    data = line.data
    match line.kind:
        case "session.opened":
            duration_min = data.get("duration_min")
            over = f"over {duration_min:g} min" if duration_min else data.get("how", data["route"])
            return f"Opened in {data['chair']}: {data['dose_mg']:g} mg {over} ordered"
        case "session.check_completed":
            asks = f". {data['asks_prescriber']}" if data["asks_prescriber"] else ""
            return (
                f"Pre-session check: {values(data['vitals'])}, {data['weight_kg']:g} kg, escort "
                f"{data['escort']['name']}; medicines today: {data['medicines_today']}{asks}"
            )
        case "session.go_decided":
            return f"Prescriber: go on. {data['reason']}"
        case "session.infusion_started":
            return (
                f"Infusion started: {data['programmed_mg']:g} mg at {data['rate_mg_per_h']:g} mg/h"
            )
        case "session.infusion_paused":
            return f"Infusion paused: {data['reason']}"
        case "session.infusion_resumed":
            return f"Infusion resumed at {data['rate_mg_per_h']:g} mg/h"
        case "session.rate_changed":
            return f"Rate changed to {data['rate_mg_per_h']:g} mg/h: {data['reason']}"
        case "session.total_changed":
            return f"Total changed to {data['programmed_mg']:g} mg: {data['reason']}"
        case "session.syringe_prepared":
            drawn = f"{data['volume_ml']:g} mL of {data['concentration_mg_per_ml']:g} mg/mL"
            return _joined(
                f"Prepared: {drawn} = {data['amount_mg']:g} mg, lot {data['lot']}", data["note"]
            )
        case "session.syringe_checked":
            return "Preparation checked by a second person"
        case "session.syringe_check_failed":
            read = f"{data['volume_ml']:g} mL of {data['concentration_mg_per_ml']:g} mg/mL"
            return f"Preparation NOT confirmed: read as {read}"
        case "session.syringe_changed":
            return f"Syringe changed, {data['wasted_mg']:g} mg wasted: {data['reason']}"
        case "session.bolus_given":
            return f"Bolus {data['dose_mg']:g} mg: {data['reason']}"
        case "session.injection_given":
            return f"Injected {data['dose_mg']:g} mg = {data['volume_ml']:g} mL, {data['site']}"
        case "session.spray_taken":
            return _spray(data)
        case "session.spray_ended":
            return f"No further spray, {data['not_taken']} not taken: {data['reason']}"
        case "session.wait_waived":
            return f"Prescriber: no need to wait ({data['about']}). {data['reason']}"
        case "session.attempt_refused":
            return f"Refused: {data['act']}. {data['because']}"
        case "session.order_given":
            how = "by voice, read back" if data["verbal"] else "on the screen"
            what = f"{data['what']} up to {data['amount']:g} {data['unit']}"
            return f"Order of {data['prescriber_name']} {how}: {what}. {data['reason']}"
        case "session.order_cosigned":
            return f"Order {data['order']} signed"
        case "session.infusion_ended":
            # As entered then; after a correction of times the fold's figure is the right one.
            wasted = f", {data['wasted_mg']:g} mg left" if data["wasted_mg"] else ""
            return f"Infusion ended: {data['reason']} ({data['given_mg']:g} mg in{wasted})"
        case "session.vitals_recorded":
            return f"Vital signs {values(data)}"
        case "session.observed":
            return _joined(values(data), data.get("note"))
        case "session.side_effect_noted":
            return _joined(f"{data['label']}, {data['severity']}", data.get("note"))
        case "session.medicine_given":
            given = f"{data['label']} {data['dose']:g} {data['unit']} {data['route']}"
            return f"{given} for {data['reason']}"
        case "session.note_written":
            return f"Note: {data['text']}"
        case "session.alert_acknowledged":
            return f"Alert acknowledged ({data['statement']}): {data['reason']}"
        case "session.emergency_called":
            return _joined(f"EMERGENCY: {data['label'].lower()}", data.get("note"))
        case "session.emergency_over":
            return f"Emergency over: {data['reason']}"
        case "session.corrected":
            return f"Correction of entry {data['corrects']}: {data['reason']}"
        case "session.discharged":
            return _joined(f"Discharged with {data['escort_name']}", data.get("note"))
        case "session.transferred":
            return (
                f"TRANSFERRED to {data['where']} with {data['accompanied_by']}: {data['why']} "
                f"({data['given_mg']:g} mg given)"
            )
        case "session.cancelled":
            return f"Cancelled: {data['reason']}"
    return line.kind.removeprefix("session.").replace("_", " ").capitalize()


def _joined(text: str, note: str | None) -> str:
    return f"{text}. {note}" if note else text


_CAME_OUT = {"full": "whole", "partial": "in part", "none": "nothing"}


def _spray(data: dict[str, Any]) -> str:
    """One device, or some sprays of a bottle: what came out, and off which package."""
    package = f"lot {data['lot']}, use by {data['expires_on']}"
    if data["unit"] == "device":
        what = f"Device {data['number']}: {data['dose_mg']:g} of {data['nominal_mg']:g} mg"
        if data["outcome"] != "complete":
            left, right = (_CAME_OUT[data[side]] for side in ("left", "right"))
            most = "at most " if "partial" in (data["left"], data["right"]) else ""
            what = (
                f"Device {data['number']} {data['outcome'].upper()}: {most}{data['dose_mg']:g} of "
                f"{data['nominal_mg']:g} mg (left {left}, right {right})"
            )
    else:
        count = data["units"]
        what = f"{count} spray{'s'[: count != 1]}: {data['dose_mg']:g} mg"
    return _joined(f"{what}, {package}", data["deviation"] and f"DEVIATION: {data['deviation']}")
