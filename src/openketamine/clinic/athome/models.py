"""The programme's switch, who takes part, what was handed out, and the sessions at home."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL


class HomeProgramme(models.Model):
    """One signature by which treatment at home was switched on in one jurisdiction."""

    jurisdiction = models.CharField(max_length=8)
    warnings = models.JSONField(help_text="The warnings as they were read")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the warnings")
    signed_name = models.CharField(max_length=160)
    signed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField(default=clock.now)
    off_at = models.DateTimeField(null=True)
    off_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    off_because = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["jurisdiction"], condition=Q(off_at=None), name="switched_on_once_a_place"
            ),
            models.CheckConstraint(
                condition=Q(off_at=None) | (Q(off_by__isnull=False) & ~Q(off_because="")),
                name="switched_off_by_somebody_with_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.jurisdiction}, signed by {self.signed_name}"


class HomeScreening(models.Model):
    """A prescriber's signature that this person may be treated at home, for a while."""

    class How(models.TextChoices):
        VIDEO = "video", gettext_lazy("By video")
        IN_PERSON = "in_person", gettext_lazy("In person")

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="home_screenings")
    how = models.CharField(max_length=10, choices=How.choices)
    facts = models.JSONField()
    findings = models.JSONField()
    library_version = models.CharField(max_length=80)
    library_digest = models.CharField(max_length=64)
    note = models.TextField(blank=True)
    signed_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-signed_at"]
        indexes = [models.Index(fields=["course", "-signed_at"])]

    def __str__(self) -> str:
        return f"screened for home {self.get_how_display().lower()} by {self.signed_by}"


class AfterHold(models.TextChoices):
    """What becomes of what is left in the mouth: it changes the dose."""

    SWALLOW = "swallow", gettext_lazy("Swallow")
    SPIT = "spit", gettext_lazy("Spit out")


class Enrolment(models.Model):
    """One course in the programme: the doctor who answers for it, and how the dose is taken."""

    course = models.OneToOneField(Course, on_delete=models.PROTECT, related_name="enrolment")
    doctor = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="home_courses"
    )
    hold_min = models.FloatField(help_text="How long it stays in the mouth; 0: swallowed at once")
    after_hold = models.CharField(max_length=8, choices=AfterHold.choices)
    enrolled_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    enrolled_at = models.DateTimeField(default=clock.now)
    # The first dose, taken while a clinician watched.
    supervised_at = models.DateTimeField(null=True)
    supervised_how = models.CharField(max_length=10, blank=True)
    supervised_by = models.ForeignKey(USER, null=True, on_delete=models.PROTECT, related_name="+")
    supervised_note = models.TextField(blank=True)
    supervised_mg = models.FloatField(null=True, help_text="Where it was taken in the clinic")
    # The first dose at home, and until when a prescriber reviews it.
    first_dose_at = models.DateTimeField(null=True)
    review_by = models.DateTimeField(null=True)
    review_called_at = models.DateTimeField(null=True, help_text="When its absence called")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(hold_min__gte=0) & Q(hold_min__lte=60), name="hold_is_at_most_an_hour"
            ),
            models.CheckConstraint(
                condition=Q(supervised_at=None)
                | (Q(supervised_by__isnull=False) & ~Q(supervised_note="")),
                name="a_supervised_dose_has_its_clinician",
            ),
        ]

    def __str__(self) -> str:
        return _("%(person)s at home") % {"person": self.course.person}


class FirstDoseReview(models.Model):
    """A prescriber's review after the first dose at home. The newest one counts."""

    class How(models.TextChoices):
        VIDEO = "video", gettext_lazy("By video")
        TELEPHONE = "telephone", gettext_lazy("By telephone")
        IN_PERSON = "in_person", gettext_lazy("In person")

    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="reviews")
    how = models.CharField(max_length=10, choices=How.choices)
    words = models.TextField(help_text="How the dose and the days since were")
    may_go_on = models.BooleanField(help_text="False: no further session begins")
    held_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    held_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-held_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=~Q(words=""), name="a_first_dose_review_has_words")
        ]

    def __str__(self) -> str:
        return f"reviewed {self.get_how_display().lower()} by {self.held_by}"


class Movement(models.Model):
    """Pieces of one strength that went from one hand to another. Never changed, never deleted."""

    class Kind(models.TextChoices):
        DISPENSED = "dispensed", gettext_lazy("handed out")
        TAKEN = "taken", gettext_lazy("taken")
        RETURNED = "returned", gettext_lazy("brought back")
        LOST = "lost", gettext_lazy("reported lost")

    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="movements")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    piece_mg = models.FloatField()
    pieces = models.PositiveSmallIntegerField()
    lot = models.CharField(max_length=40, blank=True)
    note = models.CharField(max_length=300, blank=True)
    session = models.ForeignKey(
        "HomeSession", null=True, on_delete=models.PROTECT, related_name="movements"
    )
    at = models.DateTimeField(default=clock.now)
    by_name = models.CharField(max_length=160)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(pieces__gt=0) & Q(piece_mg__gt=0), name="a_movement_moves_something"
            ),
            models.CheckConstraint(
                condition=Q(kind="taken", session__isnull=False) | ~Q(kind="taken"),
                name="what_is_taken_has_its_session",
            ),
        ]

    def __str__(self) -> str:
        words = _("%(pieces)s of %(mg)s mg %(what)s")
        return words % {
            "pieces": self.pieces,
            "mg": f"{self.piece_mg:g}",
            "what": self.get_kind_display(),
        }


class Phase(models.TextChoices):
    """Where a session at home stands, in order."""

    CHECK = "check", gettext_lazy("Questions before the dose")
    DECIDE = "decide", gettext_lazy("Waits for the clinic")
    GO = "go", gettext_lazy("May take the dose")
    HOLD = "hold", gettext_lazy("Dose in the mouth")
    REST = "rest", gettext_lazy("Resting")
    FINISHED = "finished", gettext_lazy("Waits for the last call")
    CLOSED = "closed", gettext_lazy("Closed")
    NO_GO = "no_go", gettext_lazy("No dose today")
    CANCELLED = "cancelled", gettext_lazy("Cancelled")


OPEN = (Phase.CHECK, Phase.DECIDE, Phase.GO, Phase.HOLD, Phase.REST, Phase.FINISHED)
AFTER_DOSE = (Phase.HOLD, Phase.REST, Phase.FINISHED)


class HomeSession(models.Model):
    """One planned dose at home. `phase` and `look_at` repeat the fold, for lists and the clock."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    planned = models.OneToOneField(
        PlannedSession, on_delete=models.PROTECT, related_name="home_session"
    )
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="home_sessions")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="home_sessions")
    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="sessions")
    # The signed policy that governs it to its end: one that is signed meanwhile governs the next.
    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="home_sessions")
    phase = models.CharField(max_length=10, choices=Phase.choices, default=Phase.CHECK)
    watched_live = models.BooleanField(default=False, help_text="A clinician watches by video")
    adult_name = models.CharField(max_length=120)
    adult_phone = models.CharField(max_length=20)
    opened_at = models.DateTimeField(default=clock.now)
    look_at = models.DateTimeField(null=True, help_text="When the clinic's clock looks at it next")
    missed = models.PositiveSmallIntegerField(default=0, help_text="Check-ins missed and not made")
    closed_at = models.DateTimeField(null=True)
    # What the pharmacology expects of this dose, in minutes from it; worked out in the background.
    expected = models.JSONField(null=True)
    learned = models.JSONField(
        null=True, help_text="What it has taught of the patient, for the next session's forecast"
    )
    expect_anew = models.BooleanField(
        default=False,
        db_index=True,
        help_text="Something was read or taken that it does not know of yet",
    )

    class Meta:
        ordering = ["opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["person"],
                condition=Q(closed_at=None),
                name="one_open_home_session_per_person",
            ),
            models.CheckConstraint(
                condition=Q(phase__in=Phase.values), name="home_session_phase_is_known"
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None) | Q(closed_at__gte=F("opened_at")),
                name="home_session_closes_after_it_opens",
            ),
        ]
        indexes = [
            models.Index(fields=["closed_at", "opened_at"]),
            models.Index(fields=["look_at"]),
        ]

    def __str__(self) -> str:
        return _("session %(number)s of %(person)s at home") % {
            "number": self.planned.number,
            "person": self.person,
        }

    @property
    def stream(self) -> str:
        return f"home:{self.id}"


class CuffPhoto(models.Model):
    """A picture of the cuff's display beside the figures that were typed. Without its metadata."""

    session = models.ForeignKey(HomeSession, on_delete=models.PROTECT, related_name="photos")
    client_id = models.UUIDField(unique=True, help_text="Of the entry that it belongs to")
    jpeg = models.BinaryField()
    digest = models.CharField(max_length=64, help_text="SHA-256, repeated in the record")
    kept_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"cuff of {self.session_id}"
