"""A chair, and a session in it. What happened in the session is in the record; see `timeline`."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.record import clock
from openketamine.clinic.said import retold
from openketamine.clinic.sites.models import FIRST, Site


class Phase(models.TextChoices):
    """Where a session stands, in order."""

    CHECK = "check", _("Check")
    READY = "ready", _("Ready to start")
    INFUSION = "infusion", _("Infusion")
    PAUSED = "paused", _("Paused")
    SPRAYING = "spraying", _("Spraying")
    RECOVERY = "recovery", _("Recovery")
    DISCHARGED = "discharged", _("Discharged")
    TRANSFERRED = "transferred", _("Transferred to hospital")
    CANCELLED = "cancelled", _("Cancelled")


OPEN = (
    Phase.CHECK,
    Phase.READY,
    Phase.INFUSION,
    Phase.PAUSED,
    Phase.SPRAYING,
    Phase.RECOVERY,
)
# The drug is in, and the patient is watched.
UNDER_THE_DRUG = (Phase.INFUSION, Phase.PAUSED, Phase.SPRAYING, Phase.RECOVERY)


# How the drug of a route goes in; which acts a session of it has follows from that.
BY_INJECTION = frozenset({"IM", "SC"})
BY_SPRAY = frozenset({"IN_ESKETAMINE", "IN_RACEMIC"})


class Chair(models.Model):
    site = models.ForeignKey(Site, default=FIRST, on_delete=models.PROTECT, related_name="chairs")
    # Of the whole installation, not of its site: a monitor says where it stands by this name alone.
    name = models.CharField(max_length=40, unique=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class Session(models.Model):
    """One patient in one chair. `phase` repeats what the fold of the record says, for lists."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    planned = models.OneToOneField(PlannedSession, on_delete=models.PROTECT, related_name="session")
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="sessions")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="sessions")
    chair = models.ForeignKey(Chair, on_delete=models.PROTECT, related_name="sessions")
    # The signed policy that governs it to its end: one that is signed meanwhile governs the next.
    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="sessions")
    phase = models.CharField(max_length=12, choices=Phase.choices, default=Phase.CHECK)
    opened_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["chair"],
                condition=models.Q(closed_at=None),
                name="one_open_session_per_chair",
            ),
            models.UniqueConstraint(
                fields=["person"],
                condition=models.Q(closed_at=None),
                name="one_open_session_per_person",
            ),
            models.CheckConstraint(
                condition=models.Q(phase__in=Phase.values), name="session_phase_is_known"
            ),
        ]
        indexes = [models.Index(fields=["opened_at"])]

    def __str__(self) -> str:
        return f"session {self.planned.number} of {self.person}"

    @property
    def stream(self) -> str:
        return f"session:{self.id}"

    @property
    def is_injected(self) -> bool:
        """Whether the drug goes in by injection, not by a pump."""
        return self.course.route in BY_INJECTION

    @property
    def is_sprayed(self) -> bool:
        """Whether the patient sprays the drug into the nose."""
        return self.course.route in BY_SPRAY

    @property
    def way(self) -> str:
        """How the drug goes in: "infusion", "injection" or "spray"."""
        return "spray" if self.is_sprayed else "injection" if self.is_injected else "infusion"


# What is ordered, as it is kept and told.
ORDERED = {
    "rate": gettext_noop("A rate of %(amount)s mg/h"),
    "bolus": gettext_noop("A bolus of %(amount)s mg"),
    "total": gettext_noop("A total of %(amount)s mg"),
    "injection": gettext_noop("A further injection of %(amount)s mg"),
    "device": gettext_noop("A further device or spray of %(amount)s mg"),
}


class VerbalOrder(models.Model):
    """An order by voice that its prescriber has yet to sign. The order itself is in the record."""

    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="verbal_orders")
    event_seq = models.BigIntegerField(unique=True)
    prescriber = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="verbal_orders"
    )
    statement = models.CharField(max_length=300)
    given_at = models.DateTimeField()
    cosigned_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["given_at"]
        indexes = [
            models.Index(
                fields=["prescriber"],
                condition=models.Q(cosigned_at=None),
                name="verbal_orders_to_cosign",
            )
        ]

    def __str__(self) -> str:
        return self.statement

    @property
    def told(self) -> str:
        """What was ordered in the words of whoever reads it, with its reason as it was written."""
        what, _colon, reason = self.statement.partition(": ")
        return f"{retold(what, *ORDERED.values())}: {retold(reason)}"


class TransferDecision(models.Model):
    """What a transfer to hospital leaves for a prescriber to decide about the course."""

    class Way(models.TextChoices):
        GO_ON = "go_on", _("Goes on as planned")
        PAUSE = "pause", _("Pauses until decided anew")
        STOP = "stop", _("Stops")

    session = models.OneToOneField(
        Session, on_delete=models.PROTECT, related_name="transfer_decision"
    )
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="transfer_decisions")
    raised_at = models.DateTimeField(default=clock.now)
    way = models.CharField(max_length=5, choices=Way.choices, blank=True)
    reason = models.TextField(blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(way="", decided_at=None)
                | (models.Q(way__in=["go_on", "pause", "stop"]) & ~models.Q(decided_at=None)),
                name="transfer_decided_when_it_says_how",
            )
        ]

    def __str__(self) -> str:
        return f"after the transfer from {self.session}"


class Learned(models.Model):
    """What one session has taught the forecast of this patient: worked out, never a fact."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, related_name="learned")
    seq = models.BigIntegerField(help_text="The last event of the session that it was made of")
    state = models.JSONField()

    def __str__(self) -> str:
        return f"learned from {self.session}"


class MonitoringForm(models.Model):
    """What a session of the esketamine spray still owes to the safety programme, and how it stands.

    The form itself is made from the record each time it is asked for; `answers` is what only a
    clinician can say.
    """

    session = models.OneToOneField(
        Session, on_delete=models.PROTECT, related_name="monitoring_form"
    )
    due_on = models.DateField()
    answers = models.JSONField(null=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)
    sent_on = models.DateField(null=True)
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    sent_how = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["due_on"]
        indexes = [
            models.Index(
                fields=["due_on"],
                condition=models.Q(sent_on=None),
                name="monitoring_forms_to_send",
            )
        ]

    def __str__(self) -> str:
        return f"monitoring form of {self.session}, due {self.due_on:%d %B %Y}"
