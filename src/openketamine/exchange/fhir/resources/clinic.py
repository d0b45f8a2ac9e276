"""The clinic: itself, who works here, and the questionnaires it asks."""

from collections.abc import Iterator

from django.conf import settings

from openketamine.clinic.accounts.models import STAFF, User
from openketamine.clinic.policy.queries import library
from openketamine.protocols import Library
from openketamine.protocols.schema import InstrumentFile, Item

from .common import LOINC, OWN, Content, Draft, concept, draft, identifier, meta, without_nothing

UNIT = "clinic"
LIBRARY_UNIT = "library"


def drafts() -> Iterator[Draft]:
    """The organisation and every member of staff. One query."""
    yield draft(
        UNIT, "Organization", "clinic",
        meta=meta("us-core-organization"),
        identifier=[identifier(f"{OWN}:organization", "clinic")],
        active=True,
        name="Ketamine-therapy programme",
        telecom=[{"system": "phone", "value": settings.CLINIC_PHONE}]
        if settings.CLINIC_PHONE
        else None,
    )  # fmt: skip
    for user in User.objects.filter(role__in=STAFF).order_by("pk"):
        family, given = _name(user.display_name)
        yield draft(
            UNIT, "Practitioner", user.pk,
            meta=meta("us-core-practitioner"),
            identifier=[identifier(f"{OWN}:sign-in-name", user.username)],
            active=user.is_active,
            name=[
                without_nothing(
                    {
                        "text": user.display_name,
                        "family": family,
                        "given": given,
                        "suffix": [user.credentials] if user.credentials else None,
                    }
                )
            ],
            qualification=[{"code": concept(user.credentials)}] if user.credentials else None,
        )  # fmt: skip


def _name(words: str) -> tuple[str, list[str]]:
    *given, family = words.split() or [""]
    return family, given


def questionnaires(current: Library | None = None) -> Iterator[Draft]:
    """Every instrument of the library; its wording only where its licence lets it travel."""
    for instrument in (current or library()).instruments.values():
        yield draft(
            LIBRARY_UNIT, "Questionnaire", instrument.id,
            url=canonical(instrument.id),
            identifier=[identifier(f"{OWN}:instrument", instrument.id)],
            version=instrument.reviewed_on.isoformat(),
            name=instrument.id.replace("-", "_").upper(),
            title=instrument.name,
            status="active",
            subjectType=["Patient"],
            description=f"Scoring: {instrument.source} ({instrument.certainty})",
            copyright=f"{instrument.licence.terms}: {instrument.licence.statement}",
            code=_codings(instrument.loinc_panel),
            item=[*_items(instrument), *_total(instrument)],
        )  # fmt: skip


def canonical(instrument: str) -> str:
    return f"{OWN}:questionnaire:{instrument}"


def _codings(code: str | None) -> list[Content]:
    return [{"system": LOINC, "code": code}] if code else []


def _items(instrument: InstrumentFile) -> Iterator[Content]:
    for number, item in enumerate(instrument.items, start=1):
        options = instrument.options_of(item)
        yield without_nothing(
            {
                "linkId": item.id,
                "prefix": str(number),
                "code": _codings(item.loinc),
                "text": item.text if instrument.text_shipped else "",
                "type": "choice",
                "required": not item.asked_if,
                "enableWhen": [_opened_by(instrument, name) for name in item.asked_if],
                "enableBehavior": "any" if len(item.asked_if) > 1 else None,
                "answerOption": [
                    {"valueCoding": answer(instrument, item, option.value)} for option in options
                ],
            }
        )


def _opened_by(instrument: InstrumentFile, name: str) -> Content:
    """An item that is asked only after another answer than 0 to an earlier one."""
    nought = {"system": f"{OWN}:answer:{instrument.id}", "code": "0"}
    return {"question": name, "operator": "!=", "answerCoding": nought}


def answer(instrument: InstrumentFile, item: Item, value: int) -> Content:
    """One answer as a coding: its number, and its words where they may travel."""
    label = next((o.label for o in instrument.options_of(item) if o.value == value), "")
    shown = label if instrument.text_shipped and label != str(value) else ""
    return without_nothing(
        {"system": f"{OWN}:answer:{instrument.id}", "code": str(value), "display": shown}
    )


def _total(instrument: InstrumentFile) -> Iterator[Content]:
    if instrument.total_range is not None:
        yield without_nothing(
            {
                "linkId": "total",
                "code": _codings(instrument.loinc_total),
                "text": "Total",
                "type": "decimal",
                "readOnly": not instrument.total_may_be_entered or None,
            }
        )
