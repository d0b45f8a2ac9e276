"""What is asked and decided before anybody is treated."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.people.words import alarm_in_words
from openketamine.clinic.record import clock
from openketamine.protocols import instruments

USER = settings.AUTH_USER_MODEL


class InstrumentResponse(models.Model):
    """One filled-in questionnaire."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="responses")
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="responses")
    instrument = models.CharField(max_length=24)
    answers = models.JSONField()
    # An incomplete response has no result and counts for nothing but its alarm.
    complete = models.BooleanField(default=True)
    total = models.FloatField(null=True)
    band = models.CharField(max_length=40, blank=True)
    subscores = models.JSONField(default=dict)
    result = models.CharField(max_length=160, help_text="The result in words")
    total_entered = models.BooleanField(
        default=False, help_text="Added up on the clinic's own form"
    )
    language = models.CharField(max_length=8, default="en", help_text="In which it was answered")
    library_version = models.CharField(max_length=80, help_text="Whose rules scored it")
    occasion = models.CharField(max_length=16)
    session_number = models.PositiveSmallIntegerField(null=True)
    off_window = models.BooleanField(default=False)
    taken_at = models.DateTimeField()
    entered_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT)

    class Meta:
        indexes = [models.Index(fields=["course", "instrument", "taken_at"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(complete=True) | models.Q(total=None, band=""),
                name="incomplete_response_has_no_result",
            )
        ]

    def __str__(self) -> str:
        return f"{self.instrument}: {self.result}"

    @property
    def result_in_words(self) -> str:
        """The result, in the language of whoever reads it."""
        return instruments.result_in_words(self.result)


class SafetyReview(models.Model):
    """An answer that a clinician must look at. While it is open, nothing else may be done."""

    class Outcome(models.TextChoices):
        SAFE = "safe", _("Safe to go on with the course")
        PLAN = "safety_plan", _("Safety plan made, course goes on")
        # The course waits: a further review is open until one says that it may go on.
        URGENT = "urgent", _("Urgent care arranged, course waits")

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="safety_reviews")
    response = models.ForeignKey(InstrumentResponse, on_delete=models.PROTECT)
    statement = models.CharField(max_length=300)
    demands = models.CharField(max_length=300)
    opened_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)
    reviewer = models.ForeignKey(USER, null=True, on_delete=models.PROTECT)
    outcome = models.CharField(max_length=16, choices=Outcome.choices, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(closed_at=None)
                | (models.Q(reviewer__isnull=False) & ~models.Q(outcome="") & ~models.Q(note="")),
                name="closed_safety_review_has_reviewer_and_note",
            )
        ]
        indexes = [models.Index(fields=["course", "closed_at"])]

    def __str__(self) -> str:
        return self.statement

    @property
    def statement_in_words(self) -> str:
        """The statement, in the language of whoever reads it."""
        return alarm_in_words(self.statement)


class MedicalHistory(models.Model):
    """What the patient answered to the questions that the rules need. Blank is unknown."""

    course = models.OneToOneField(Course, on_delete=models.PROTECT, related_name="history")
    answers = models.JSONField(default=dict)
    taken_at = models.DateTimeField()
    taken_by = models.ForeignKey(USER, on_delete=models.PROTECT)

    class Meta:
        verbose_name_plural = "medical histories"

    def __str__(self) -> str:
        return f"history of {self.course_id}"


class TestResult(models.Model):
    """One test with the day on which it was done. A later result stands beside the earlier one."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="test_results")
    fact = models.CharField(max_length=40)
    value = models.JSONField()
    done_on = models.DateField()
    note = models.CharField(max_length=300, blank=True)
    entered_by = models.ForeignKey(USER, on_delete=models.PROTECT)
    entered_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["person", "fact", "-done_on"])]

    def __str__(self) -> str:
        return f"{self.fact} {self.value}"


class AntidepressantTrial(models.Model):
    """One antidepressant trial of the patient. Null is unknown, and not No."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="trials")
    drug = models.CharField(max_length=120)
    drug_class = models.CharField(max_length=24)
    dose_mg_per_day = models.FloatField("highest dose", null=True, blank=True)
    started = models.DateField(null=True, blank=True)
    stopped = models.DateField(null=True, blank=True)
    in_this_episode = models.BooleanField(null=True)
    adequate_dose = models.BooleanField(null=True)
    adequate_duration = models.BooleanField(null=True)
    outcome = models.CharField(max_length=24)
    reason_stopped = models.CharField(max_length=200, blank=True)
    source = models.CharField("source of the history", max_length=120)
    entered_by = models.ForeignKey(USER, on_delete=models.PROTECT)
    entered_at = models.DateTimeField(default=clock.now)
    withdrawn_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.drug


class ResistanceStaging(models.Model):
    """What the staging score needs beside the trials. A missing answer is unknown."""

    course = models.OneToOneField(Course, on_delete=models.PROTECT, related_name="staging")
    answers = models.JSONField(default=dict)
    by = models.ForeignKey(USER, on_delete=models.PROTECT)
    at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"staging of {self.course_id}"


class FindingDecision(models.Model):
    """What a prescriber decided about one finding, and why."""

    class Decision(models.TextChoices):
        PROCEED = "proceed", _("Proceed")
        OVERRIDE = "override", _("Override and proceed")
        WAIVE = "waive", _("Go on without knowing")

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="finding_decisions")
    route = models.CharField(
        max_length=16, help_text="A decision for one route is none for another"
    )
    rule_id = models.CharField(max_length=40)
    decision = models.CharField(max_length=12, choices=Decision.choices)
    facts_read = models.JSONField(help_text="What was known when this was decided")
    reason = models.TextField()
    by = models.ForeignKey(USER, on_delete=models.PROTECT)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["course", "route", "rule_id"], name="one_decision_per_finding"
            ),
            models.CheckConstraint(
                condition=~models.Q(reason=""), name="finding_decision_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.decision}"


class Screening(models.Model):
    """The signed answer to the question whether this person may have this treatment."""

    class Outcome(models.TextChoices):
        ELIGIBLE = "eligible", _("Eligible")
        NOT_ELIGIBLE = "not_eligible", _("Not eligible")

    course = models.OneToOneField(Course, on_delete=models.PROTECT, related_name="screening")
    programme = models.JSONField(help_text="Condition, route, setting and jurisdiction judged")
    facts = models.JSONField()
    findings = models.JSONField()
    library_version = models.CharField(max_length=80)
    library_digest = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    note = models.TextField(blank=True)
    signed_by = models.ForeignKey(USER, on_delete=models.PROTECT)
    signed_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return self.get_outcome_display()
