"""Reads for the programme: does it apply, is the site certified, is a patient enrolled."""

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_noop as _

from openketamine.clinic.people.models import Course, Person, Stage
from openketamine.clinic.said import say

from .models import Certification, Enrolment

ROUTE = "IN_ESKETAMINE"
_OVER = (Stage.CLOSED, Stage.DECLINED)


def applies() -> bool:
    """Whether the programme binds this clinic: it is one of the United States."""
    return str(settings.JURISDICTION).split("-")[0] == "US"


def certification() -> Certification | None:
    """The certification in force; of an outpatient and an inpatient one, the outpatient."""
    return (
        Certification.objects.filter(ended_on=None)
        .select_related("recorded_by")
        .order_by("-kind")
        .first()
    )


def enrolment_of(person: Person) -> Enrolment | None:
    """The enrolment in force of one patient."""
    return person.rems_enrolments.filter(ended_on=None).select_related("prescriber").first()


def what_is_missing(course: Course) -> str:
    """What the programme still asks for before this patient may have the spray, or nothing."""
    if course.route != ROUTE or not applies():
        return ""
    site = certification()
    if site is None:
        return say(
            _(
                "This site is not certified in the esketamine REMS, so the spray is not given "
                "here. The medical director records the certification."
            )
        )
    if site.enrols and enrolment_of(course.person) is None:
        return say(
            _(
                "The patient is not enrolled in the esketamine REMS. Enrol first, before the first "
                "treatment."
            )
        )
    return ""


def forms_are_due() -> bool:
    """Whether a monitoring form follows each session: at certified outpatient sites."""
    site = certification() if applies() else None
    return site is not None and site.enrols


def spray_courses() -> QuerySet[Course]:
    """The open courses by esketamine spray; each says by `is_enrolled` how it stands."""
    in_force = Enrolment.objects.filter(person=OuterRef("person_id"), ended_on=None)
    return (
        Course.objects.filter(route=ROUTE, closed_at=None)
        .exclude(stage__in=_OVER)
        .select_related("person", "prescriber")
        .annotate(is_enrolled=Exists(in_force))
        .order_by("is_enrolled", "opened_at")
    )


def past_certifications() -> QuerySet[Certification]:
    return Certification.objects.exclude(ended_on=None).order_by("-ended_on")
