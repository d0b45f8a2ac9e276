"""What a route costs at this clinic, and what a patient's insurer pays of it.

Both are filled in by the clinic: no figure of either comes with the software.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.clinic.said import asked

USER = settings.AUTH_USER_MODEL


class RoutePrice(models.Model):
    """What one visit by a route costs at this clinic."""

    route = models.CharField(max_length=16, unique=True)
    offered = models.BooleanField(null=True, help_text="None: nobody has said yet")
    price_per_visit = models.DecimalField(max_digits=9, decimal_places=2, null=True)
    note = models.CharField(max_length=300, blank=True)
    set_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(price_per_visit=None) | Q(price_per_visit__gte=0),
                name="price_per_visit_is_not_negative",
            )
        ]

    def __str__(self) -> str:
        return f"price of {self.route}"


class Cover(models.TextChoices):
    """What the insurer says."""

    ASKED = "asked", _("Asked, no answer yet")
    # A lone "Covered" is what a talk covered.
    COVERED = "covered", asked(lambda: capfirst(_("covered")))
    PARTLY = "partly", _("Covered in part")
    APPROVAL = "approval", _("Needs prior approval")
    NOT_COVERED = "not_covered", _("Not covered")


class RouteCoverage(models.Model):
    """What one patient's insurer pays of a route. No row: nobody has asked."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="coverages")
    route = models.CharField(max_length=16)
    payer = models.CharField(max_length=120, blank=True)
    cover = models.CharField(max_length=12, choices=Cover.choices)
    patient_pays_per_visit = models.DecimalField(max_digits=9, decimal_places=2, null=True)
    note = models.CharField(max_length=300, blank=True)
    asked_on = models.DateField()
    set_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["course", "route"], name="one_coverage_per_route"),
            models.CheckConstraint(
                condition=Q(patient_pays_per_visit=None) | Q(patient_pays_per_visit__gte=0),
                name="patient_pays_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_cover_display()}: {self.route}"
