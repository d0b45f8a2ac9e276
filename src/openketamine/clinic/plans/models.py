"""What the patient agreed to, what the prescriber ordered, and on which days."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.template.defaultfilters import floatformat
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.record import clock
from openketamine.clinic.record.told import all_of, keep, retold

USER = settings.AUTH_USER_MODEL


# Lines of a sum, and why a session falls off the calendar, as the record keeps them.
keep(
    gettext_noop("%(sum)s, rounded %(rounded)s"),
    gettext_noop("%(sum)s mg a device = %(count)s devices"),
    gettext_noop("%(sum)s mg a device = 1 device"),
    gettext_noop("%(sum)s mg a spray = %(count)s sprays"),
    gettext_noop("%(sum)s mg a spray = 1 spray"),
    gettext_noop("%(sum)s sprays = %(count)s sprays, one in each nostril from each device"),
    gettext_noop("%(sum)s mg of the hydrochloride"),
    gettext_noop(
        "%(sum)s min of rest = at least %(minutes)s min from the first device to the last"
    ),
    gettext_noop("plan version %(number)s"),
    gettext_noop("%(regimen)s has no schedule: %(reason)s"),
    gettext_noop("Nobody came."),
    gettext_noop("no open day within %(days)s days of %(day)s"),
    gettext_noop("no day fits within %(days)s days of %(day)s"),
    gettext_noop("no dose: %(reason)s"),
)


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


class GivenAs(models.TextChoices):
    """How a dose goes in, and so what an order states and what a second person works out."""

    INFUSION = "infusion", gettext_lazy("run in by a pump")
    AT_ONCE = "at once", gettext_lazy("a measured volume at once")
    DEVICES = "devices", gettext_lazy("devices of a nasal spray")
    SPRAYS = "sprays", gettext_lazy("sprays of a compounded bottle")
    PIECES = "pieces", gettext_lazy("lozenges or tablets")


# What is drawn up has a strength and a volume; everything else is counted out.
DRAWN_UP = (GivenAs.INFUSION, GivenAs.AT_ONCE)
# What only a compounding pharmacy makes.
COMPOUNDED = (GivenAs.SPRAYS, GivenAs.PIECES)


class Plan(models.Model):
    """An order for a course. In force once a second person has worked it out too.

    What a way of giving does not have is None: only a pump has a duration and rates, only what is
    drawn up a strength and a volume, only a dose by weight mg/kg. A regimen that is counted in
    weeks has no number of sessions.
    """

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="plans")
    version = models.PositiveSmallIntegerField()
    regimen = models.CharField(max_length=40)
    route = models.CharField(max_length=16)
    drug = models.CharField(max_length=16)
    given_as = models.CharField(max_length=12, choices=GivenAs.choices)
    dose_mg_per_kg = models.FloatField(null=True)
    weight_kg = models.FloatField(null=True)
    weight_taken_at = models.DateTimeField(null=True)
    concentration_mg_per_ml = models.FloatField(null=True)
    duration_min = models.FloatField(null=True)
    dose_mg = models.FloatField()
    volume_ml = models.FloatField(null=True)
    rate_mg_per_h = models.FloatField(null=True)
    rate_ml_per_h = models.FloatField(null=True)
    units = models.JSONField(default=list, help_text="[[mg of one, how many], …] where counted out")
    arithmetic = models.JSONField(help_text="The sum, step by step, as it was ordered")
    sessions = models.PositiveSmallIntegerField(null=True)
    begins_after = models.PositiveSmallIntegerField(
        default=0, help_text="The last session of the series before; this one counts from there"
    )
    rhythms = models.JSONField(default=dict, help_text="By phase, the rhythm that was chosen")
    worsened = models.BooleanField(null=True, help_text="Since a missed session; None: not asked")
    first_on = models.DateField()
    library_version = models.CharField(max_length=80)
    ordered_by = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="plans_ordered")
    ordered_at = models.DateTimeField(default=clock.now)
    verified_by = models.ForeignKey(
        USER, null=True, on_delete=models.PROTECT, related_name="plans_verified"
    )
    verified_at = models.DateTimeField(null=True)
    superseded_at = models.DateTimeField(null=True)
    laid_out_at = models.DateTimeField(null=True, help_text="When its days were last proposed")

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
                condition=Q(dose_mg__gt=0) & (Q(volume_ml=None) | Q(volume_ml__gt=0)),
                name="plan_quantities_are_above_zero",
            ),
            models.CheckConstraint(
                # A comparison with nothing is neither true nor false, and a check lets it pass.
                condition=Q(
                    given_as=GivenAs.INFUSION,
                    duration_min__isnull=False,
                    rate_mg_per_h__isnull=False,
                    rate_ml_per_h__isnull=False,
                    duration_min__gt=0,
                    rate_mg_per_h__gt=0,
                    rate_ml_per_h__gt=0,
                )
                | ~Q(given_as=GivenAs.INFUSION)
                & Q(duration_min=None, rate_mg_per_h=None, rate_ml_per_h=None),
                name="plan_has_rates_where_it_has_a_pump",
            ),
            models.CheckConstraint(
                condition=Q(
                    given_as__in=DRAWN_UP,
                    volume_ml__isnull=False,
                    concentration_mg_per_ml__isnull=False,
                    concentration_mg_per_ml__gt=0,
                )
                | ~Q(given_as__in=DRAWN_UP) & Q(volume_ml=None, concentration_mg_per_ml=None),
                name="plan_has_a_volume_where_it_is_drawn_up",
            ),
        ]

    def __str__(self) -> str:
        if not self.sessions:
            return f"{self.dose_mg:g} mg {self.how}"
        return ngettext(
            "%(mg)s mg %(how)s, %(count)s session",
            "%(mg)s mg %(how)s, %(count)s sessions",
            self.sessions,
        ) % {"mg": f"{self.dose_mg:g}", "how": self.how, "count": self.sessions}

    @property
    def is_verified(self) -> bool:
        return self.verified_at is not None

    @property
    def is_drawn_up(self) -> bool:
        """Whether it has a volume, and not a count of devices, sprays or pieces."""
        return self.given_as in DRAWN_UP

    @property
    def unit_count(self) -> int:
        """How many devices, sprays or pieces make up the dose; 0 where it is drawn up."""
        return sum(count for _, count in self.units)

    @property
    def unit_mg(self) -> float:
        """What one device or spray holds; 0 where the dose is drawn up or of several strengths."""
        return float(self.units[0][0]) if len(self.units) == 1 else 0.0

    @property
    def standing(self) -> str:
        """What stands beside it wherever it is shown: that nobody has approved the product."""
        return _("compounded, off-label") if self.given_as in COMPOUNDED else ""

    @property
    def how(self) -> str:
        """Over what time, in what form or else by which route the dose is given, in words."""
        if self.duration_min:
            return _("over %(minutes)s min") % {"minutes": f"{self.duration_min:g}"}
        if self.units:
            parts = [self._units_shown(mg, count) for mg, count in self.units]
            return _("in %(units)s") % {"units": all_of(parts)}
        return self.route

    @property
    def how_recorded(self) -> str:
        """The same as the record keeps it, whoever opens the session."""
        with translation.override("en"):
            return self.how

    def _units_shown(self, mg: float, count: int) -> str:
        if self.given_as == GivenAs.DEVICES:
            words = ngettext(
                "%(count)s device of %(mg)s mg", "%(count)s devices of %(mg)s mg", count
            )
        elif self.given_as == GivenAs.SPRAYS:
            words = ngettext("%(count)s spray of %(mg)s mg", "%(count)s sprays of %(mg)s mg", count)
        else:
            words = ngettext("%(count)s piece of %(mg)s mg", "%(count)s pieces of %(mg)s mg", count)
        return words % {"count": count, "mg": f"{mg:g}"}

    @property
    def arithmetic_shown(self) -> list[str]:
        """The sum as it was kept, for whoever reads."""
        return [retold(line) for line in self.arithmetic]

    @property
    def order_shown(self) -> str:
        """The order as whoever checks it reads it, without what they work out themselves."""
        if self.dose_mg_per_kg:
            dose = f"{floatformat(self.dose_mg_per_kg, '-3')} mg/kg"
        else:
            dose = f"{floatformat(self.dose_mg, '-1')} mg {_(self.drug)}"
        values = {"dose": dose, "by": self.ordered_by}
        if self.duration_min:
            minutes = floatformat(self.duration_min, "-1")
            return _("%(dose)s over %(minutes)s min, by %(by)s") % {**values, "minutes": minutes}
        if self.given_as == GivenAs.AT_ONCE:
            route = {"route": self.route}
            return _("%(dose)s %(route)s as one dose, by %(by)s") % {**values, **route}
        given_as = {"given_as": self.get_given_as_display()}
        return _("%(dose)s as %(given_as)s, by %(by)s") % {**values, **given_as}


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
    missed = models.BooleanField(default=False, help_text="Cancelled because nobody came")
    phase = models.CharField(max_length=40, blank=True, help_text="Of the regimen, by its name")

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
        return _("session %(number)s of %(person)s") % {
            "number": self.number,
            "person": self.person,
        }

    @property
    def place(self) -> str:
        """Which session of how many; a course that is counted in weeks has no number of them."""
        if whole := self.plan.sessions:
            words = _("session %(number)s of %(whole)s")
            return words % {"number": self.number, "whole": self.plan.begins_after + whole}
        if self.phase:
            words = _("session %(number)s, %(phase)s")
            return words % {"number": self.number, "phase": self.phase_shown.lower()}
        return _("session %(number)s") % {"number": self.number}

    @property
    def why_cancelled(self) -> str:
        """Why it is off the calendar, for whoever reads: what somebody wrote stays as written."""
        return retold(self.cancel_reason)

    @property
    def phase_shown(self) -> str:
        """The phase of the regimen, for whoever reads."""
        return _(self.phase) if self.phase else ""
