"""Charts that are not open to everybody on the staff, who opened one all the same, and holds."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.people.models import Person
from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL

# How long a chart stays open to somebody who broke the glass: a shift's half.
GLASS_OPEN = timedelta(hours=4)


class ChartRestriction(models.Model):
    """A chart that only its own team opens, e.g. that of a colleague. Others break the glass."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="restrictions")
    reason = models.CharField(max_length=300)
    team = models.ManyToManyField(USER, related_name="+", blank=True)
    placed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    placed_at = models.DateTimeField(default=clock.now)
    lifted_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"],
                condition=models.Q(lifted_at=None),
                name="one_restriction_of_a_chart_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"restriction of the chart of {self.person}"


class Purpose(models.TextChoices):
    """Why somebody opens a restricted chart."""

    EMERGENCY = "emergency", _("An emergency")
    COVERING = "covering", _("I stand in for a colleague of the team")
    ASKED = "asked", _("The patient asked me to")
    OTHER = "other", _("Another reason, written below")


class BrokenGlass(models.Model):
    """Somebody outside the team opened a restricted chart, and why; the director looks at each."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="broken_glass")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=12, choices=Purpose.choices)
    reason = models.CharField(max_length=300)
    at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    reviewed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_at = models.DateTimeField(null=True)
    justified = models.BooleanField(null=True)
    review = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name_plural = "broken glass"
        indexes = [models.Index(fields=["person", "user", "until"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reviewed_at=None, justified=None)
                | models.Q(reviewed_at__isnull=False, justified__isnull=False),
                name="glass_is_judged_when_it_is_reviewed",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} opened the chart of {self.person}"


class LegalHold(models.Model):
    """Nothing of this person may be disposed of while it stands, whatever the period of keeping."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="legal_holds")
    reason = models.CharField(max_length=300)
    placed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    placed_at = models.DateTimeField(default=clock.now)
    lifted_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"],
                condition=models.Q(lifted_at=None),
                name="one_hold_of_a_person_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"legal hold on the chart of {self.person}"
