"""The safety programme for esketamine spray: is this site certified, who is enrolled."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL


class Site(models.TextChoices):
    """What kind of setting is certified. Inpatient units enrol nobody and send no forms."""

    OUTPATIENT = "outpatient", gettext_lazy("Outpatient clinic or office")
    INPATIENT = "inpatient", gettext_lazy("Inpatient unit")


class Certification(models.Model):
    """The programme's certification of this site, as it was told to the clinic."""

    kind = models.CharField(max_length=12, choices=Site.choices, default=Site.OUTPATIENT)
    reference = models.CharField(max_length=60, help_text="The programme's number for this site")
    setting_name = models.CharField(max_length=160)
    address = models.CharField(max_length=300)
    representative = models.CharField(max_length=160)
    certified_on = models.DateField()
    recorded_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=clock.now)
    ended_on = models.DateField(null=True)
    ended_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=Q(ended_on=None), name="one_certification_in_force"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reference}, {self.setting_name}"

    @property
    def enrols(self) -> bool:
        """Whether patients are enrolled and forms sent: inpatient units do neither."""
        return self.kind == Site.OUTPATIENT


class Enrolment(models.Model):
    """One patient's enrolment, made outside this program by patient and prescriber together."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="rems_enrolments")
    reference = models.CharField(max_length=60, blank=True)
    enrolled_on = models.DateField()
    prescriber = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    recorded_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=clock.now)
    ended_on = models.DateField(null=True)
    ended_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"], condition=Q(ended_on=None), name="one_enrolment_in_force"
            ),
        ]

    def __str__(self) -> str:
        return _("%(person)s, enrolled %(day)s") % {
            "person": self.person,
            "day": date_format(self.enrolled_on, "d F Y"),
        }
