"""Talk therapy in tandem with the sessions.

Everything here but `PsychotherapyNote` is part of the medical record. Psychotherapy notes are kept
apart from it (45 CFR 164.501): they are in no event, no export and no summary, and only their
author, and whom the author names, can read them; see `access`.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL


class TherapyVisit(models.Model):
    """A visit with the therapist: due in a window, planned for an hour, held or cancelled."""

    class Kind(models.TextChoices):
        PREPARATION = "preparation", _("Preparation")
        INTEGRATION = "integration", _("Integration")
        THERAPY = "therapy", _("Talk therapy")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="therapy_visits")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="therapy_visits")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    # In the clinic or at home: what both have in common is the session on the calendar.
    after = models.ForeignKey(
        PlannedSession, null=True, on_delete=models.PROTECT, related_name="therapy_visits"
    )
    rule = models.CharField(max_length=40, blank=True, help_text="The rule that made it due")
    opens_at = models.DateTimeField(null=True)
    closes_at = models.DateTimeField(null=True)
    planned_for = models.DateTimeField(null=True)
    held_at = models.DateTimeField(null=True)
    held_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    cancelled_at = models.DateTimeField(null=True)
    cancel_reason = models.CharField(max_length=300, blank=True)
    # What was written in the chart, by the field names of `content`; and which of it the patient
    # may read on the own page.
    content = models.JSONField(default=dict)
    shared = models.JSONField(default=list)

    class Meta:
        ordering = ["opens_at", "planned_for"]
        constraints = [
            models.UniqueConstraint(
                fields=["after", "rule"],
                condition=~Q(rule=""),
                name="one_visit_per_session_and_rule",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["preparation", "integration", "therapy"]),
                name="therapy_visit_kind_is_known",
            ),
            models.CheckConstraint(
                condition=Q(held_at=None) | Q(cancelled_at=None, held_by__isnull=False),
                name="held_visit_is_not_cancelled",
            ),
            models.CheckConstraint(
                condition=Q(closes_at=None) | Q(closes_at__gte=F("opens_at")),
                name="visit_window_closes_after_it_opens",
            ),
        ]
        indexes = [
            models.Index(
                fields=["closes_at"],
                condition=Q(held_at=None, cancelled_at=None),
                name="therapy_visits_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.person}"

    @property
    def title(self) -> str:
        """What it is called in a list: "Integration after session 2"."""
        return title_of(self.kind, self.after.number if self.after else None)


def title_of(kind: str, session_number: int | None) -> str:
    """What a visit is called, in the reader's language."""
    words = {"kind": TherapyVisit.Kind(kind).label, "number": session_number}
    if session_number is None:
        return str(words["kind"])
    return gettext("%(kind)s after session %(number)s") % words


class TouchAgreement(models.Model):
    """Which kinds of touch the patient agreed to, signed; an empty list is "no touch".

    A later agreement replaces it; a withdrawal ends it at once.
    """

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="touch_agreements")
    kinds = models.JSONField(help_text="Ids of the kinds agreed to")
    words = models.CharField(max_length=300, blank=True, help_text="Limits in the patient's words")
    statement = models.CharField(max_length=300, help_text="The rule as it was read out")
    signed_name = models.CharField(max_length=160)
    signed_at = models.DateTimeField(default=clock.now)
    presented_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    withdrawn = models.BooleanField(default=False, help_text="Ended by the patient")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["course"], condition=Q(ended_at=None), name="one_touch_agreement_in_force"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn=False) | Q(ended_at__isnull=False),
                name="withdrawn_touch_agreement_has_ended",
            ),
        ]

    def __str__(self) -> str:
        return ", ".join(self.kinds) or "no touch"


class Goal(models.Model):
    """What the patient works towards."""

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("a goal", "Open")
        REACHED = "reached", pgettext_lazy("a goal", "Reached")
        DROPPED = "dropped", pgettext_lazy("a goal", "Let go")

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="goals")
    kind = models.CharField(max_length=16)
    text = models.CharField(max_length=300)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    shared = models.BooleanField(default=False, help_text="The patient sees it on the own page")
    set_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["set_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="open", ended_at=None) | ~Q(state="open") & ~Q(ended_at=None),
                name="goal_that_is_not_open_has_ended",
            )
        ]

    def __str__(self) -> str:
        return self.text


class Homework(models.Model):
    """One small thing to do until a day, for a goal or for itself."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="homework")
    goal = models.ForeignKey(Goal, null=True, on_delete=models.PROTECT, related_name="homework")
    text = models.CharField(max_length=300)
    due_on = models.DateField(null=True)
    shared = models.BooleanField(default=True)
    set_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True)
    done_by_patient = models.BooleanField(default=False)

    class Meta:
        ordering = ["due_on", "set_at"]

    def __str__(self) -> str:
        return self.text


class LifeEvent(models.Model):
    """Something in the patient's life that its course must be read with."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="life_events")
    happened_on = models.DateField()
    title = models.CharField(max_length=160)
    detail = models.TextField(blank=True)
    recorded_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["happened_on"]

    def __str__(self) -> str:
        return self.title


class PsychotherapyNote(models.Model):
    """A therapist's own note on what was said. Never changed: an addition is a note of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    author = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="psychotherapy_notes")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    written_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-written_at"]
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="psychotherapy_note_has_text")
        ]
        indexes = [models.Index(fields=["person", "author"])]

    def __str__(self) -> str:
        # Never the text: this ends up in logs and messages.
        return f"psychotherapy note {self.pk}"


class NoteGrant(models.Model):
    """The author lets one colleague read the author's notes on one patient, until taken back."""

    author = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="note_grants_made")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    reader = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="note_grants_held")
    reason = models.CharField(max_length=300)
    granted_at = models.DateTimeField(default=clock.now)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["author", "person", "reader"],
                condition=Q(revoked_at=None),
                name="one_note_grant_in_force",
            ),
            models.CheckConstraint(condition=~Q(author=F("reader")), name="note_grant_is_to_other"),
            models.CheckConstraint(condition=~Q(reason=""), name="note_grant_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.reader} may read {self.author}'s notes"
