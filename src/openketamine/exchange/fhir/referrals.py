"""A bundle into the clinic: read, then referred in one transaction; taken whole or not at all."""

from dataclasses import dataclass, field
from typing import Literal

from django.utils.translation import gettext_noop as _noop
from django.utils.translation import pgettext_lazy

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused
from openketamine.clinic.people.models import Person
from openketamine.clinic.people.services import receive_referral

from .bundle import BundleError, read_bundle

_STATUSES = {
    "created": pgettext_lazy("a referral", "created"),
    "updated": pgettext_lazy("a referral", "updated"),
    "unchanged": pgettext_lazy("a referral", "unchanged"),
    "refused": pgettext_lazy("a referral", "refused"),
}


@dataclass(frozen=True)
class ImportSummary:
    """What became of one file."""

    name: str
    status: Literal["created", "updated", "unchanged", "refused"]
    person: Person | None = None
    counts: dict[str, int] = field(default_factory=dict)
    place: str = ""
    reason: str = ""

    @property
    def status_in_words(self) -> str:
        return str(_STATUSES[self.status])

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "file": self.name,
            "status": self.status,
            "mrn": self.person.mrn if self.person else None,
            "name": str(self.person) if self.person else None,
            "counts": self.counts,
            "place": self.place or None,
            "reason": self.reason or None,
        }


def import_referral(actor: User | str, raw: bytes, *, name: str) -> ImportSummary:
    """Import one bundle. Nothing of a refused one is written."""
    try:
        referral = read_bundle(raw, name=name)
        outcome = receive_referral(actor, referral, origin=name)
    except BundleError as error:
        return ImportSummary(name, "refused", place=error.place, reason=error.reason)
    except Refused as refusal:
        place = f"Patient {refusal.field}" if refusal.field else "Patient"  # the kind in FHIR
        return ImportSummary(name, "refused", place=place, reason=refusal.message)
    counts = {
        _noop("conditions"): len(referral.conditions),
        _noop("medicines"): len(referral.medications),
        _noop("allergies"): len(referral.allergies),
        _noop("measurements"): len(referral.measurements),
        _noop("procedures"): len(referral.history),
    }
    return ImportSummary(name, outcome.status, outcome.person, counts)
