"""What the patient agreed to, what the prescriber ordered, and on which days."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL


class Consent(models.Model):
    """A signature under one exact text."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="consents")
    document_id = models.CharField(max_length=40)
    document_version = models.CharField(max_length=24)
    document_digest = models.CharField(max_length=64)
    document = models.JSONField(help_text="The text as it was signed")
    signed_name = models.CharField(max_length=160)
    signed_at = models.DateTimeField(default=clock.now)
    presented_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_reason = models.TextField(blank=True)
    withdrawn_recorded_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["course"], condition=Q(withdrawn_at=None), name="one_consent_in_force"
            )
        ]

    def __str__(self) -> str:
        return f"{self.document_id} {self.document_version}, signed by {self.signed_name}"


class Plan(models.Model):
    """An order for a course. In force once a second person has worked it out too.

    Only what goes in by a pump has a duration and rates; for an injection they are None.
    """

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="plans")
    version = models.PositiveSmallIntegerField()
    regimen = models.CharField(max_length=40)
    route = models.CharField(max_length=16)
    dose_mg_per_kg = models.FloatField()
    weight_kg = models.FloatField()
    weight_taken_at = models.DateTimeField()
    concentration_mg_per_ml = models.FloatField()
    duration_min = models.FloatField(null=True)
    dose_mg = models.FloatField()
    volume_ml = models.FloatField()
    rate_mg_per_h = models.FloatField(null=True)
    rate_ml_per_h = models.FloatField(null=True)
    sessions = models.PositiveSmallIntegerField()
    first_on = models.DateField()
    library_version = models.CharField(max_length=80)
    ordered_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="plans_ordered")
    ordered_at = models.DateTimeField(default=clock.now)
    verified_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="plans_verified"
    )
    verified_at = models.DateTimeField(null=True)
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["course", "version"], name="plan_version_once"),
            models.UniqueConstraint(
                fields=["course"], condition=Q(superseded_at=None), name="one_current_plan"
            ),
            models.CheckConstraint(
                condition=Q(verified_by=None) | ~Q(verified_by=F("ordered_by")),
                name="plan_is_verified_by_a_second_person",
            ),
            models.CheckConstraint(
                condition=Q(dose_mg__gt=0) & Q(volume_ml__gt=0),
                name="plan_quantities_are_above_zero",
            ),
            models.CheckConstraint(
                # A comparison with nothing is neither true nor false, and a check lets it pass.
                condition=Q(
                    route="IV",
                    duration_min__isnull=False,
                    rate_mg_per_h__isnull=False,
                    rate_ml_per_h__isnull=False,
                    duration_min__gt=0,
                    rate_mg_per_h__gt=0,
                    rate_ml_per_h__gt=0,
                )
                | ~Q(route="IV") & Q(duration_min=None, rate_mg_per_h=None, rate_ml_per_h=None),
                name="plan_has_rates_where_it_has_a_pump",
            ),
        ]

    def __str__(self) -> str:
        over = f" over {self.duration_min:g} min" if self.duration_min else f" {self.route}"
        return f"{self.dose_mg:g} mg{over}, {self.sessions} session{'s'[: self.sessions != 1]}"

    @property
    def is_verified(self) -> bool:
        return self.verified_at is not None


class PlannedSession(models.Model):
    """One session on the calendar."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="planned_sessions")
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="planned_sessions")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="planned_sessions")
    number = models.PositiveSmallIntegerField()
    planned_for = models.DateTimeField()
    started_at = models.DateTimeField(null=True, help_text="When the patient took a chair")
    done_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    cancel_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["planned_for"]
        constraints = [
            models.UniqueConstraint(
                fields=["course", "number"],
                condition=Q(cancelled_at=None),
                name="one_planned_session_per_number",
            )
        ]
        indexes = [models.Index(fields=["planned_for"])]

    def __str__(self) -> str:
        return f"session {self.number} of {self.person}"
