"""What another record system sends of a patient, judged by the clinic's rules, as cards. Pure
but for the library that governs.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from openketamine import protocols
from openketamine.clinic.intake.queries import jurisdiction
from openketamine.clinic.people.models import Setting
from openketamine.clinic.people.referral import ReferralData
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.exchange.fhir import bundle
from openketamine.protocols import Coding, Finding
from openketamine.protocols.schema import RouteDefinition
from openketamine.words import in_english

SUMMARY_LETTERS = 140
_ACTIVE = frozenset({"active", "recurrence", "relapse", "on-hold", "draft"})
_DRUGS = frozenset({"ketamine", "esketamine"})
_WHERE = {
    "47625008": "IV", "78421000": "IM", "34206005": "SC", "46713006": "IN", "37839007": "SL",
    "26643006": "ORAL",
}  # fmt: skip
_WORDS = (
    ("IV", ("intraven", "iv ")),
    ("IM", ("intramusc", "im ")),
    ("SC", ("subcutan",)),
    ("IN", ("nasal",)),
    ("SL", ("subling", "buccal", "troche", "lozenge")),
    ("ORAL", ("oral", "by mouth")),
)

# The label's spray, and the racemic one of a pharmacy: two routes of the protocols.
_NASAL = {True: "IN_ESKETAMINE", False: "IN_RACEMIC"}


class Unusable(Exception):  # noqa: N818 - an answer, not a fault
    """What was sent cannot be judged, with the reason."""


@dataclass(frozen=True)
class Known:
    """What another record system says of a patient."""

    referral: ReferralData


def read(prefetch: dict[str, Any]) -> Known:
    """Take what was prefetched apart.

    Args:
        prefetch: by name, resources or Bundles of them; one is the Patient.

    Raises:
        Unusable: no patient in it, or a resource that cannot be read.
    """
    entries: list[bundle.Entry] = []
    for name, value in prefetch.items():
        for number, resource in enumerate(_resources(value)):
            place = f"prefetch.{name}[{number}]"
            kind = resource.get("resourceType")
            if not isinstance(kind, str):
                raise Unusable(f"{place} is no resource")
            entries.append(bundle.Entry(place, {"id": place, **resource}, ""))
    patients = [e for e in entries if e.resource["resourceType"] == "Patient"]
    if len(patients) != 1:
        raise Unusable(f"one Patient is expected in the prefetch, found {len(patients)}")
    # No rule asks for a name; without one nothing else should fail.
    nameless = {**patients[0].resource, "name": [{"family": "unnamed", "given": ["unnamed"]}]}
    patient = bundle.Entry(patients[0].place, nameless, "")
    others = [entry for entry in entries if entry is not patients[0]]
    try:
        return Known(bundle.referral_of(patient, [patient, *others]))
    except bundle.BundleError as error:
        raise Unusable(str(error)) from error
    except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        raise Unusable(f"the prefetch cannot be read: {error}") from error


def _resources(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    if value.get("resourceType") != "Bundle":
        return [value]
    found = value.get("entry") or []
    if not isinstance(found, list):
        raise Unusable("a Bundle's entry is a list")
    resources = [item.get("resource") for item in found if isinstance(item, dict)]
    return [resource for resource in resources if isinstance(resource, dict)]


def facts_of(known: Known, route: RouteDefinition) -> tuple[dict[str, Any], dict[str, date]]:
    """The facts that the rules read, and the day of each measurement."""
    said, current = known.referral, library()
    birth, today = said.birth_date, clock.today()
    had_birthday = (today.month, today.day) >= (birth.month, birth.day)
    medicines = [
        Coding(m.coded.system, m.coded.code, m.coded.display, active=m.status in _ACTIVE)
        for m in said.medications
    ]
    facts: dict[str, Any] = {
        "age_years": today.year - birth.year - (not had_birthday),
        "sex": said.sex,
        "at_home": route.settings[0] == Setting.HOME,
        "unrecognised_medicines": [
            taken.text
            for item in medicines
            if item.active and not (taken := protocols.recognise(current, item.display)).is_whole
        ],
    }
    listed = [*said.conditions, *said.history]
    evidence = protocols.facts_from_record(
        current,
        conditions=[
            Coding(c.coded.system, c.coded.code, c.coded.display, active=c.status in _ACTIVE)
            for c in listed
        ],
        medications=medicines,
        allergies=[
            Coding(a.coded.system, a.coded.code, a.coded.display, active=a.status in _ACTIVE)
            for a in said.allergies
        ],
    )
    facts |= {name: found.value for name, found in evidence.items()}
    tests = {fact.id for fact in current.facts.values() if fact.test}
    days: dict[str, date] = {}
    for item in sorted(said.measurements, key=lambda m: m.taken_at):
        if item.kind in tests:
            facts[item.kind], days[item.kind] = item.value, item.taken_at.date()
    return facts, days


def judge(known: Known, route_id: str, condition: str = "TRD") -> list[Finding]:
    """What the clinic's rules find for one route today, in English."""
    current = library()
    route = next(r for r in current.programmes.routes if r.id == route_id)
    facts, days = facts_of(known, route)
    with in_english():
        return protocols.screen(
            current,
            facts,
            route=route_id,
            condition=condition,
            on=clock.today(),
            jurisdiction=jurisdiction(),
            dates=days,
        )


def ordered_routes(orders: Any) -> list[str]:
    """By which routes ketamine or esketamine is ordered in a Bundle of draft orders."""
    found = []
    for resource in _resources(orders):
        if resource.get("resourceType") != "MedicationRequest":
            continue
        concept = resource.get("medicationCodeableConcept") or {}
        codings = concept.get("coding") or []
        words = [concept.get("text"), *(c.get("display") for c in codings if isinstance(c, dict))]
        name = " ".join(word for word in words if isinstance(word, str))
        drugs = _DRUGS.intersection(protocols.recognise(library(), name).ingredients)
        if not drugs:
            continue
        route = "IN" if drugs == {"esketamine"} else _route(resource, name)
        found.append(_NASAL["esketamine" in drugs] if route == "IN" else route)
    offered = [route.id for route in library().programmes.routes]
    return [route for route in dict.fromkeys(found) if route in offered]


def _route(resource: dict[str, Any], name: str) -> str:
    """The route of an order: by its code, else by its words; by vein where it says neither."""
    dosages = resource.get("dosageInstruction") or []
    words = name
    for dosage in dosages if isinstance(dosages, list) else []:
        route = dosage.get("route") or {}
        for coding in route.get("coding") or []:
            if coding.get("code") in _WHERE:
                return _WHERE[coding["code"]]
            words += f" {coding.get('display') or ''}"
        words += f" {route.get('text') or ''} {dosage.get('text') or ''}"
    lowered = words.lower() + " "
    for route_id, signs in _WORDS:
        if any(sign in lowered for sign in signs):
            return route_id
    return "IV"


def cards(findings: list[Finding], route_id: str, *, overridable: bool) -> list[dict[str, Any]]:
    """The findings as cards: each stop and each caution one, what is unknown together in one."""
    shown = [_card(finding, route_id, overridable) for finding in findings if _stands(finding)]
    missing = [finding for finding in findings if finding.kind == "missing"]
    return [*shown, *([_unknown(missing, route_id)] if missing else [])]


def _stands(finding: Finding) -> bool:
    return finding.kind != "missing"


def _card(finding: Finding, route_id: str, overridable: bool) -> dict[str, Any]:
    stop = finding.kind == "contraindication"
    checked = finding.certainty.startswith("verified")
    read = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in
                     finding.facts_read.items())  # fmt: skip
    card = {
        "uuid": str(uuid5(NAMESPACE_URL, f"{finding.rule_id}:{route_id}:{read}")),
        "summary": _short(f"Ketamine {route_id}: {finding.statement}"),
        # What nobody has checked against its source is never shown as strongly as a label.
        "indicator": "critical" if stop and checked else "warning" if stop or checked else "info",
        "detail": "\n\n".join(
            part
            for part in (
                f"**{finding.statement}**",
                finding.explanation,
                f"Read from what was sent: {read}" if read else "",
                f"Rule {finding.rule_id}. Source: {finding.source} ({finding.certainty}; "
                f"{finding.authority}).",
                "This supports a clinician's decision; it makes none.",
            )
            if part
        ),
        "source": {"label": _short(f"OpenKetamine, {finding.rule_id}: {finding.source}")},
    }
    if overridable:
        card["overrideReasons"] = [
            {"code": code, "system": "urn:openketamine:override", "display": words}
            for code, words in (
                ("judged", "Judged, and the benefit outweighs it"),
                ("not-so", "It is not so: the record is out of date"),
                ("managed", "It is treated or watched"),
            )
        ]
    return card


def _unknown(missing: list[Finding], route_id: str) -> dict[str, Any]:
    names = list(dict.fromkeys(name for finding in missing for name in finding.missing))
    labels = {fact.id: fact.label for fact in library().facts.values()}
    listed = "\n".join(f"- {labels.get(name, name.replace('_', ' '))}" for name in names)
    count = len(names)
    return {
        "uuid": str(uuid5(NAMESPACE_URL, f"missing:{route_id}:{','.join(names)}")),
        "summary": _short(
            f"Ketamine {route_id}: {count} thing{'s' * (count != 1)} that the rules ask for "
            f"{'are' if count != 1 else 'is'} not known"
        ),
        "indicator": "info",
        "detail": f"Unknown is not No. Ask before treatment:\n\n{listed}",
        "source": {"label": "OpenKetamine, rules of eligibility"},
    }


def _short(text: str) -> str:
    return text if len(text) <= SUMMARY_LETTERS else f"{text[: SUMMARY_LETTERS - 1]}…"
