"""Questionnaires that a patient answers at home, by a link."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from openketamine.clinic.intake.models import InstrumentResponse
from openketamine.clinic.people.models import Course, Person


class FormRequest(models.Model):
    """One questionnaire asked for at one time. Its link carries a signed token; see `services`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="form_requests")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="form_requests")
    session_number = models.PositiveSmallIntegerField(null=True)
    instrument = models.CharField(max_length=24)
    occasion = models.CharField(max_length=16)
    round = models.PositiveSmallIntegerField(
        default=0, help_text="Which time, where the occasion repeats"
    )
    due_at = models.DateTimeField()
    closes_at = models.DateTimeField()
    draft = models.JSONField(default=dict, help_text="Answers saved so far")
    reminded_h = models.FloatField(
        default=-1, help_text="The last reminder taken care of, in hours after it fell due"
    )
    opened_at = models.DateTimeField(null=True)
    alarmed_at = models.DateTimeField(null=True, help_text="When a saved answer first alarmed")
    completed_at = models.DateTimeField(null=True)
    response = models.OneToOneField(
        InstrumentResponse, null=True, on_delete=models.PROTECT, related_name="form_request"
    )

    class Meta:
        ordering = ["due_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["course", "session_number", "instrument", "occasion", "round"],
                name="one_form_request_per_occasion",
            ),
            models.CheckConstraint(
                condition=Q(closes_at__gt=F("due_at")), name="form_closes_after_it_is_due"
            ),
            models.CheckConstraint(
                condition=Q(completed_at=None, response=None)
                | Q(completed_at__isnull=False, response__isnull=False),
                name="completed_form_has_its_response",
            ),
        ]
        indexes = [models.Index(fields=["completed_at", "due_at"])]

    def __str__(self) -> str:
        return f"{self.instrument} {self.occasion} of {self.person}"


class CourseSummary(models.Model):
    """One course as the outcomes pages count it: worked out from the record, never a fact.

    `seq` is the last event of the record that it was made of. Days count from the first dose.
    """

    course = models.OneToOneField(Course, primary_key=True, on_delete=models.CASCADE)
    seq = models.BigIntegerField()
    condition = models.CharField(max_length=24)
    route = models.CharField(max_length=16)
    regimen = models.CharField(max_length=40, blank=True)
    prescriber = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    therapist = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    sex = models.CharField(max_length=8)
    age_years = models.PositiveSmallIntegerField(null=True, help_text="At the first dose")
    first_dose_at = models.DateTimeField(null=True, help_text="None: not begun")
    last_dose_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    sessions_planned = models.PositiveSmallIntegerField(default=0)
    sessions_given = models.PositiveSmallIntegerField(default=0, help_text="In the clinic")
    home_doses = models.PositiveSmallIntegerField(default=0, help_text="Taken at home")
    # Sessions with at least one side effect noted, and with one of moderate or severe degree.
    sessions_with_effect = models.PositiveSmallIntegerField(default=0)
    sessions_with_moderate = models.PositiveSmallIntegerField(default=0)
    transfers = models.PositiveSmallIntegerField(default=0)
    emergencies = models.PositiveSmallIntegerField(default=0)
    effects = models.TextField(
        default="{}", help_text="JSON: effect -> sessions whose worst degree was mild, moderate…"
    )

    class Meta:
        indexes = [
            models.Index(fields=["condition", "first_dose_at"]),
            models.Index(fields=["first_dose_at"]),
        ]
        verbose_name_plural = "course summaries"

    def __str__(self) -> str:
        return f"summary of {self.course_id}"


class ScoreSummary(models.Model):
    """The scores of one questionnaire in one course, ready to be counted.

    JSON is kept as text, so that the scores of ten thousand courses are read in one piece.
    """

    summary = models.ForeignKey(CourseSummary, on_delete=models.CASCADE, related_name="scores")
    instrument = models.CharField(max_length=24)
    baseline = models.FloatField(null=True, help_text="The last total before the first dose")
    points = models.TextField(
        default="[]", help_text="JSON: [day, total] of every in-window score after the first dose"
    )
    asked = models.TextField(
        default="[]", help_text="JSON: [due day, closing day, 1 if answered] of in-window forms"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["summary", "instrument"], name="one_score_summary_per_instrument"
            )
        ]
        indexes = [models.Index(fields=["instrument"])]
        verbose_name_plural = "score summaries"

    def __str__(self) -> str:
        return f"{self.instrument} of {self.summary_id}"


class SummaryState(models.Model):
    """Up to which event of the record the summaries stand. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_summary_state")]

    def __str__(self) -> str:
        return f"summaries up to {self.seq}"


class ModelFit(models.Model):
    """A mixed model that was fitted to a cohort as it stood: worked out, never a fact."""

    key = models.CharField(max_length=64, unique=True, help_text="SHA-256 of what was asked for")
    instrument = models.CharField(max_length=24)
    data = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the scores")
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    took_s = models.FloatField(null=True)
    fit = models.JSONField(null=True)
    refused = models.CharField(max_length=300, blank=True, help_text="Why there is no fit")

    def __str__(self) -> str:
        return f"{self.instrument}, {self.key[:8]}"
