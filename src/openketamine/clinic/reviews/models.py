"""Reviews of a course, what was looked at and noted between them, and loose ends taken up."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL


class Decision(models.TextChoices):
    """What a review comes to."""

    CONTINUE = "continue", _("Go on as it is")
    SPACE_OUT = "space out", _("Space the sessions out")
    CHANGE = "change", _("Change the dose or the route")
    STOP = "stop", _("Stop")
    REFER = "refer", _("Refer")


class CourseReview(models.Model):
    """One review: the prescriber's decision with its reason, and what was known that day."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="reviews")
    rule = models.CharField(max_length=24, help_text="The rule by which it was due; empty: early")
    due_on = models.DateField(null=True)
    held_at = models.DateTimeField(default=clock.now)
    decided_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=12, choices=Decision.choices)
    reason = models.TextField()
    refer_to = models.CharField(max_length=200, blank=True)
    next_on = models.DateField(help_text="When the course is reviewed again")
    known = models.JSONField(help_text="The facts that stood on the page, and what they spoke for")
    library_version = models.CharField(max_length=80)

    class Meta:
        ordering = ["held_at"]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="review_has_a_reason"),
            models.CheckConstraint(
                condition=Q(decision__in=Decision.values), name="review_decision_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(decision=Decision.REFER) | ~Q(refer_to=""),
                name="referral_says_where_to",
            ),
        ]
        indexes = [models.Index(fields=["course", "-held_at"])]

    def __str__(self) -> str:
        return f"{self.get_decision_display()}, {self.held_at:%d %b %Y}"


class MisuseNote(models.Model):
    """A sign of misuse that somebody saw. Taken back with a reason where it was none."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="misuse_notes")
    sign = models.CharField(max_length=24, help_text="The rule's id")
    seen_on = models.DateField()
    note = models.CharField(max_length=300)
    noted_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    noted_at = models.DateTimeField(default=clock.now)
    taken_back_at = models.DateTimeField(null=True)
    taken_back_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    taken_back_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-seen_on"]
        constraints = [
            models.CheckConstraint(condition=~Q(note=""), name="misuse_note_says_what"),
            models.CheckConstraint(
                condition=Q(taken_back_at=None, taken_back_by=None)
                | Q(taken_back_at__isnull=False, taken_back_by__isnull=False)
                & ~Q(taken_back_reason=""),
                name="misuse_note_taken_back_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sign}, {self.seen_on}"


class CheckResult(models.Model):
    """What a check came to, where no questionnaire and no measurement says it."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="check_results")
    check_id = models.CharField(max_length=24)
    done_on = models.DateField()
    result = models.CharField(max_length=300)
    done_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-done_on"]
        constraints = [
            models.CheckConstraint(condition=~Q(result=""), name="check_result_says_something")
        ]

    def __str__(self) -> str:
        return f"{self.check_id}, {self.done_on}"


class Step(models.TextChoices):
    """What was done about a loose end."""

    REACHED = "reached", _("Spoke with the patient")
    TRIED = "tried", _("Tried to reach the patient")
    BOOKED = "booked", _("Booked a next step")
    CLOSED = "closed", _("Nothing more to do")


class LooseEndStep(models.Model):
    """What somebody did about a loose end. It comes back on `again_on`; closed, it stays away.

    `key` names what it was about (a missed session, the form that closed last …), so that the next
    one of the same kind is a new loose end.
    """

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="loose_end_steps")
    rule = models.CharField(max_length=24)
    key = models.CharField(max_length=80)
    step = models.CharField(max_length=8, choices=Step.choices)
    words = models.CharField(max_length=300)
    again_on = models.DateField(null=True)
    taken_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    taken_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["taken_at"]
        constraints = [
            models.CheckConstraint(condition=~Q(words=""), name="loose_end_step_has_words"),
            models.CheckConstraint(
                condition=Q(step=Step.CLOSED, again_on=None)
                | ~Q(step=Step.CLOSED) & Q(again_on__isnull=False),
                name="loose_end_closes_or_comes_back",
            ),
        ]
        indexes = [models.Index(fields=["course", "rule", "key"])]

    def __str__(self) -> str:
        return f"{self.rule}: {self.get_step_display()}"
