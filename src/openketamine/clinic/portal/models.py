"""The patient's own page: the links that open it, and what the patient leaves on it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from openketamine.clinic.notices.models import Channel
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL


class PatientLink(models.Model):
    """A link that opens one patient's page for a while. Its token is signed and not kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="links")
    made_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    wrong_answers = models.PositiveSmallIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, help_text="When it was last opened")

    class Meta:
        ordering = ["-made_at"]
        indexes = [models.Index(fields=["person", "expires_at"])]

    def __str__(self) -> str:
        return f"link of {self.person}"


class ContactChoice(models.Model):
    """How a patient wants to be written to. Where there is none, nobody is."""

    person = models.OneToOneField(Person, on_delete=models.PROTECT, related_name="contact_choice")
    channel = models.CharField(max_length=8, choices=Channel.choices, blank=True)
    quiet_from = models.TimeField()
    quiet_until = models.TimeField()
    language = models.CharField(max_length=8, default="en")
    chosen_at = models.DateTimeField(default=clock.now)
    chosen_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="+", help_text="None: the patient"
    )

    def __str__(self) -> str:
        return self.channel or "nothing"


class MoodEntry(models.Model):
    """How a day was, from 0 to 10. A later entry of the same day takes its place; the record keeps
    both."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="moods")
    day = models.DateField()
    mood_0_10 = models.PositiveSmallIntegerField()
    at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["person", "day"], name="one_mood_a_day"),
            models.CheckConstraint(condition=Q(mood_0_10__lte=10), name="mood_is_from_0_to_10"),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.mood_0_10}"


class Message(models.Model):
    """One message between a patient and the care team. Never changed."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="messages")
    course = models.ForeignKey(Course, null=True, on_delete=models.PROTECT, related_name="+")
    from_patient = models.BooleanField()
    author = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    author_name = models.CharField(max_length=160)
    text = models.TextField()
    sent_at = models.DateTimeField(default=clock.now)
    # A patient's message waits until somebody has answered it, or has said that it needs none.
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    seen_at = models.DateTimeField(null=True, help_text="When the patient saw the staff's answer")

    class Meta:
        ordering = ["sent_at", "pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="message_has_text"),
            models.CheckConstraint(
                condition=Q(from_patient=True) | Q(author__isnull=False, settled_at=None),
                name="staff_message_has_its_author",
            ),
        ]
        indexes = [
            models.Index(fields=["person", "sent_at"]),
            models.Index(
                fields=["sent_at"],
                condition=Q(from_patient=True, settled_at=None),
                name="messages_that_wait",
            ),
        ]

    def __str__(self) -> str:
        return f"message of {self.sent_at:%Y-%m-%d %H:%M}"
