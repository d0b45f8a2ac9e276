"""Questionnaires that a patient answers at home, by a link."""

import uuid

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
