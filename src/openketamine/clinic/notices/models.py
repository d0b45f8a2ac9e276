"""Messages on their way out, calls that wait for a clinician, and who is on call."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL


class Channel(models.TextChoices):
    TEXT = "text", _("Text")
    EMAIL = "email", _("E-mail")


class Notice(models.Model):
    """One message to one address, kept until it has gone out or somebody has looked at why not."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waits")
        SENDING = "sending", _("is being sent")
        SENT = "sent", _("sent")
        FAILED = "failed", _("could not be sent")
        EXPIRED = "expired", _("came too late to be sent")
        WITHDRAWN = "withdrawn", _("withdrawn")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=160, unique=True, help_text="So that a cause sends once")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    to = models.CharField(max_length=254, help_text="Address or telephone number")
    to_name = models.CharField(max_length=160)
    wording = models.CharField(max_length=40)
    values = models.JSONField(default=dict, help_text="What the wording leaves open")
    language = models.CharField(max_length=8, default="en")
    person_id = models.UUIDField(null=True, help_text="The patient, where it goes to one")
    call = models.ForeignKey("Call", null=True, on_delete=models.PROTECT, related_name="notices")
    created_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField(help_text="Not to be sent before")
    expires_at = models.DateTimeField(null=True, help_text="Not worth sending after")
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, help_text="When the runner looks at it")
    problem = models.CharField(max_length=300, blank=True, help_text="Why the last attempt failed")
    sent_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="When somebody dealt with the failure")
    seen_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "sending"], next_attempt_at__isnull=False)
                | ~Q(state__in=["waiting", "sending"]) & Q(next_attempt_at=None),
                name="a_notice_that_waits_has_its_time",
            ),
            models.CheckConstraint(
                condition=Q(state="sent", sent_at__isnull=False) | ~Q(state="sent"),
                name="a_sent_notice_has_its_time",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"]),
            models.Index(fields=["state", "created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} to {self.to_name}: {self.wording}"


class Call(models.Model):
    """A task that a clinician must answer, and close with words."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=160, unique=True, help_text="So that a cause calls once")
    priority = models.CharField(max_length=5, choices=[("red", _("Red")), ("amber", _("Amber"))])
    headline = models.CharField(max_length=200)
    detail = models.TextField(blank=True)
    person_id = models.UUIDField(null=True)
    subject = models.CharField(max_length=200, blank=True, help_text="The patient, for the screen")
    link = models.CharField(max_length=300, blank=True, help_text="Where in the clinic to look")
    responsible = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    raised_at = models.DateTimeField(default=clock.now)
    rings_from = models.DateTimeField(help_text="From when its steps are counted")
    step = models.PositiveSmallIntegerField(default=0, help_text="How many steps have been taken")
    rung = models.PositiveSmallIntegerField(default=0, help_text="How often since the last step")
    round = models.PositiveSmallIntegerField(default=1, help_text="How often it was opened")
    looked_at_again = models.DateTimeField(null=True, help_text="When the runner looks at it")
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    closing_words = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(priority__in=["red", "amber"]), name="call_priority_is_known"
            ),
            models.CheckConstraint(
                condition=Q(answered_at=None, answered_by=None)
                | Q(answered_at__isnull=False, answered_by__isnull=False),
                name="an_answered_call_has_its_clinician",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None)
                | Q(closed_at__isnull=False, closed_by__isnull=False) & ~Q(closing_words=""),
                name="a_closed_call_says_by_whom_and_how",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None) | Q(looked_at_again=None),
                name="a_closed_call_rings_no_more",
            ),
        ]
        indexes = [
            models.Index(fields=["closed_at", "raised_at"]),
            models.Index(fields=["looked_at_again"]),
            models.Index(fields=["person_id"]),
        ]

    def __str__(self) -> str:
        return f"{self.headline}: {self.subject}" if self.subject else self.headline

    @property
    def stream(self) -> str:
        return f"call:{self.id}"

    @property
    def reached_names(self) -> str:
        """Whom it has reached, in their order."""
        return "; ".join(str(each.user) for each in self.reached.all())

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


class Reached(models.Model):
    """Somebody whom a call has reached, and by which step first."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="reached")
    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    step = models.CharField(max_length=40, help_text="The rule by which")
    at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["call", "user"], name="reached_once_by_a_call")
        ]

    def __str__(self) -> str:
        return f"{self.user} by {self.step}"


class Line(models.IntegerChoices):
    FIRST = 1, _("First on call")
    SECOND = 2, _("Second on call")


class Shift(models.Model):
    """From when to when somebody is on call."""

    user = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="shifts")
    line = models.PositiveSmallIntegerField(choices=Line.choices)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["starts_at", "line"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="a_shift_ends_after_it_starts"
            ),
            models.CheckConstraint(condition=Q(line__in=[1, 2]), name="a_shift_has_a_known_line"),
        ]
        indexes = [models.Index(fields=["ends_at", "starts_at"])]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_line_display()}"


class Address(models.Model):
    """Where the clinic reaches one of its own away from the screen."""

    user = models.OneToOneField(USER, on_delete=models.CASCADE, related_name="notice_address")
    phone = models.CharField(max_length=20, blank=True, help_text="As +15550100")
    email = models.EmailField(blank=True)

    def __str__(self) -> str:
        return f"{self.user}: {self.phone or self.email or 'none'}"
