"""What a token may do: the one place that decides it. Denied unless a scope says otherwise.

Scopes are those of SMART App Launch 2 (`patient/Observation.rs`); those of version 1
(`patient/Observation.read`) are understood and mean the same. Pure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from openketamine.clinic.accounts.models import STAFF, Role

Level = Literal["patient", "user", "system"]
# Create, read, update, delete, search: in this order, as SMART writes them.
LETTERS = "cruds"
_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
_SCOPE = re.compile(
    r"(?P<level>patient|user|system)/(?P<kind>\*|[A-Z][A-Za-z]+)\."
    r"(?P<letters>c?r?u?d?s?|read|write|\*)"
)
# What is no access to data.
PLAIN = ("openid", "fhirUser", "launch", "launch/patient", "offline_access", "online_access")
# Kinds that belong to nobody's chart: whoever may read some chart may read them.
SHARED = frozenset({"Practitioner", "Organization", "Questionnaire"})
# Who looked at a chart is the director's to see, and the patient's own.
AUDITORS = frozenset({Role.DIRECTOR})


@dataclass(frozen=True)
class Scope:
    """One scope on data."""

    level: Level
    kind: str
    letters: frozenset[str]

    def __str__(self) -> str:
        letters = "".join(letter for letter in LETTERS if letter in self.letters)
        return f"{self.level}/{self.kind}.{letters}"

    def covers(self, kind: str, letter: str) -> bool:
        return self.kind in ("*", kind) and letter in self.letters

    def within(self, other: "Scope") -> bool:
        """Whether `other` allows all that this one asks for."""
        return (
            self.level == other.level
            and other.kind in ("*", self.kind)
            and self.letters <= other.letters
        )


def parse(word: str) -> Scope | None:
    """One word of a scope parameter; None where it is no scope on data that is known here."""
    found = _SCOPE.fullmatch(word)
    if found is None or not found["letters"]:
        return None
    letters = _V1.get(found["letters"], found["letters"])
    return Scope(found["level"], found["kind"], frozenset(letters))  # type: ignore[arg-type]


def parse_all(text: str) -> list[Scope]:
    """The scopes on data in a scope parameter."""
    return [scope for word in text.split() if (scope := parse(word))]


def is_known(word: str) -> bool:
    return word in PLAIN or parse(word) is not None


def narrowed(asked: str, allowed: str) -> str:
    """Of what is asked for, what is allowed: as asked where wholly, else the part that is common.

    Unknown words, and whatever the registration does not allow, are left out.
    """
    limits, kept = parse_all(allowed), []
    for word in dict.fromkeys(asked.split()):
        scope = parse(word)
        if scope is None:
            if word in PLAIN and word in allowed.split():
                kept.append(word)
            continue
        if any(scope.within(limit) for limit in limits):
            kept.append(str(scope))
            continue
        for limit in limits:
            same_kind = scope.kind == limit.kind or "*" in (scope.kind, limit.kind)
            letters = scope.letters & limit.letters
            if limit.level == scope.level and same_kind and letters:
                kind = limit.kind if scope.kind == "*" else scope.kind
                kept.append(str(Scope(scope.level, kind, letters)))
    return " ".join(dict.fromkeys(kept))


@dataclass(frozen=True)
class Reach:
    """How far an interaction may go: every chart, or one person's alone."""

    person_id: UUID | None = None

    @property
    def everyone(self) -> bool:
        return self.person_id is None


EVERYONE = Reach()


def reach(
    scopes: Iterable[Scope],
    kind: str,
    letter: str,
    *,
    role: str | None,
    own_person: UUID | None,
    patient: UUID | None,
) -> Reach | None:
    """How far a token reaches for one interaction on one kind; None refuses it.

    Args:
        role: of the user who let the program in; None for a program of its own.
        own_person: whose chart is that user's own, where the user is a patient.
        patient: the patient in context.
    """
    widest: Reach | None = None
    for scope in scopes:
        if not scope.covers(kind, letter):
            continue
        found = _reach_of(scope.level, kind, role, own_person, patient)
        if found is not None and (widest is None or found.everyone):
            widest = found
    return widest


def _reach_of(
    level: Level, kind: str, role: str | None, own_person: UUID | None, patient: UUID | None
) -> Reach | None:
    match level:
        case "system":
            return EVERYONE if role is None else None
        case "user" if role in STAFF:
            return EVERYONE if kind != "AuditEvent" or role in AUDITORS else None
        case "user" if role == Role.PATIENT and own_person:
            return EVERYONE if kind in SHARED else Reach(own_person)
        case "patient" if patient and role == Role.PATIENT and patient != own_person:
            return None
        case "patient" if patient:
            return EVERYONE if kind in SHARED else Reach(patient)
    return None


# What each kind is to whoever is asked, beside its name in FHIR.
_KINDS = {
    "Patient": _noop("who the patient is and how to reach them"),
    "Practitioner": _noop("who works here"),
    "Organization": _noop("the clinic"),
    "Condition": _noop("diagnoses and problems"),
    "AllergyIntolerance": _noop("allergies"),
    "MedicationRequest": _noop("medicines that were ordered"),
    "MedicationAdministration": _noop("medicines that were given, with their doses"),
    "Observation": _noop("measurements and scores"),
    "Questionnaire": _noop("the questionnaires that are asked"),
    "QuestionnaireResponse": _noop("answers to questionnaires"),
    "Consent": _noop("consents that were signed"),
    "CarePlan": _noop("the plan of treatment"),
    "Encounter": _noop("sessions and visits"),
    "Procedure": _noop("treatments"),
    "AdverseEvent": _noop("side effects and emergencies"),
    "DocumentReference": _noop("notes and documents"),
    "Provenance": _noop("who wrote what, and when"),
    "AuditEvent": _noop("who has looked at the chart"),
    "Binary": _noop("documents as files"),
}
_ACTS = (("rs", _noop("read")), ("c", _noop("add")), ("u", _noop("change")), ("d", _noop("remove")))
_WHOSE = {
    "patient": _noop("of the patient chosen"),
    "user": _noop("of everybody you may see"),
    "system": _noop("of every patient, without anybody signed in"),
}


def in_words(text: str) -> list[str]:
    """What a person is asked to agree to, in their language."""
    lines = []
    for scope in parse_all(text):
        acts = [_(words) for letters, words in _ACTS if scope.letters & set(letters)]
        if scope.kind == "*":
            what = _("everything")
        else:
            known = _KINDS.get(scope.kind)
            what = f"{_(known)} ({scope.kind})" if known else scope.kind
        may = _(" and ").join(filter(None, (", ".join(acts[:-1]), acts[-1])))
        said = f"{may} {what} {_(_WHOSE[scope.level])}"
        lines.append(said[:1].upper() + said[1:])
    words = text.split()
    if "openid" in words or "fhirUser" in words:
        lines.append(_("Know who you are"))
    if "offline_access" in words:
        lines.append(_("Keep this access until it is taken back, also when you are signed out"))
    return lines
