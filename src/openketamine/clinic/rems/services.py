"""The acts of the programme that this clinic keeps: certification and enrolment.

Both are made with the programme itself, outside this program; here it is written down that they
were, by whom and when.
"""

from datetime import date

from django.db import transaction
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record

from . import queries
from .models import Certification, Enrolment, Site

MAY_ENROL = frozenset({Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE})


def _required(**texts: str) -> None:
    for name, text in texts.items():
        if not text.strip():
            raise Refused(_("This is needed for the monitoring form."), field=name)


def _not_to_come(day: date, field: str) -> None:
    if day > clock.today():
        raise Refused(_("The day lies in the future."), field=field)


@transaction.atomic
def record_certification(
    director: User,
    *,
    kind: str,
    reference: str,
    setting_name: str,
    address: str,
    representative: str,
    certified_on: date,
) -> Certification:
    """Write down that the programme has certified this site.

    Args:
        representative: who carried the certification out for the site, by name.

    Raises:
        Refused: not the medical director, a field is empty, a day to come, or one is in force.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(_("The medical director records the certification."))
    _required(
        reference=reference,
        setting_name=setting_name,
        address=address,
        representative=representative,
    )
    if kind not in Site.values:
        raise Refused(_("Choose what kind of setting it is."), field="kind")
    _not_to_come(certified_on, "certified_on")
    record.lock()
    if Certification.objects.filter(kind=kind, ended_on=None).exists():
        raise Refused(_("A certification is in force already. End it first."))
    made = Certification.objects.create(
        kind=kind,
        reference=reference.strip(),
        setting_name=setting_name.strip(),
        address=address.strip(),
        representative=representative.strip(),
        certified_on=certified_on,
        recorded_by=director,
    )
    record.append(
        director,
        "clinic",
        "rems.site_certified",
        {
            "certification": made.pk,
            "kind": made.kind,
            "reference": made.reference,
            "setting_name": made.setting_name,
            "address": made.address,
            "representative": made.representative,
            "certified_on": certified_on.isoformat(),
        },
    )
    return made


@transaction.atomic
def end_certification(
    director: User, certification: Certification, *, ended_on: date, reason: str
) -> None:
    """The certification no longer holds: no further spray is given here.

    Raises:
        Refused: not the medical director, it has ended, no reason, or a day that cannot be.
    """
    if director.role != Role.DIRECTOR:
        raise Refused(_("The medical director records the certification."))
    certification = Certification.objects.select_for_update().get(pk=certification.pk)
    if certification.ended_on:
        raise Refused(_("It has ended already."))
    reason = require_reason(reason)
    _not_to_come(ended_on, "ended_on")
    if ended_on < certification.certified_on:
        raise Refused(_("It cannot end before it began."), field="ended_on")
    certification.ended_on, certification.ended_reason = ended_on, reason
    certification.save(update_fields=["ended_on", "ended_reason"])
    record.append(
        director,
        "clinic",
        "rems.site_certification_ended",
        {
            "certification": certification.pk,
            "ended_on": ended_on.isoformat(),
            "reason": reason,
        },
    )


@transaction.atomic
def enrol_patient(
    actor: User,
    person: Person,
    *,
    prescriber: User,
    enrolled_on: date,
    reference: str = "",
    counselled: bool,
) -> Enrolment:
    """Write down that a patient is enrolled in the programme.

    Args:
        prescriber: who signed the enrolment form with the patient.
        counselled: that the patient was told of sedation, dissociation, slowed breathing, changes
            of vital signs, and the need for a safe way home.

    Raises:
        Refused: a role that may not, not counselled, the site not certified, a day that cannot be,
            enrolled already.
    """
    if actor.role not in MAY_ENROL:
        raise Refused(_("Your role does not enrol patients."))
    if prescriber.role != Role.PRESCRIBER or not prescriber.is_active:
        raise Refused(_("Name the prescriber who signed the form."), field="prescriber")
    if not counselled:
        raise Refused(_("Counsel the patient first, and confirm it here."), field="counselled")
    _not_to_come(enrolled_on, "enrolled_on")
    if enrolled_on < person.birth_date:
        raise Refused(_("The day lies before the patient's birth."), field="enrolled_on")
    if queries.certification() is None:
        raise Refused(
            _("This site is not certified. Patients are enrolled by certified sites only.")
        )
    record.lock()
    if queries.enrolment_of(person):
        raise Refused(_("The patient is enrolled already."))
    made = Enrolment.objects.create(
        person=person,
        reference=reference.strip(),
        enrolled_on=enrolled_on,
        prescriber=prescriber,
        recorded_by=actor,
    )
    record.append(
        actor,
        person.stream,
        "rems.patient_enrolled",
        {
            "enrolment": made.pk,
            "reference": made.reference,
            "enrolled_on": enrolled_on.isoformat(),
            "prescriber": prescriber.pk,
            "prescriber_name": str(prescriber),
            "counselled": counselled,
        },
        person_id=person.pk,
    )
    return made


@transaction.atomic
def end_enrolment(actor: User, enrolment: Enrolment, *, ended_on: date, reason: str) -> None:
    """The patient is no longer enrolled: no further spray is given.

    Raises:
        Refused: a role that may not, it has ended, no reason, or a day that cannot be.
    """
    if actor.role not in MAY_ENROL:
        raise Refused(_("Your role does not enrol patients."))
    enrolment = Enrolment.objects.select_for_update().select_related("person").get(pk=enrolment.pk)
    if enrolment.ended_on:
        raise Refused(_("It has ended already."))
    reason = require_reason(reason)
    _not_to_come(ended_on, "ended_on")
    if ended_on < enrolment.enrolled_on:
        raise Refused(_("It cannot end before it began."), field="ended_on")
    enrolment.ended_on, enrolment.ended_reason = ended_on, reason
    enrolment.save(update_fields=["ended_on", "ended_reason"])
    record.append(
        actor,
        enrolment.person.stream,
        "rems.enrolment_ended",
        {"enrolment": enrolment.pk, "ended_on": ended_on.isoformat(), "reason": reason},
        person_id=enrolment.person_id,
    )
