"""The people in care, what was known of them at referral, and their course of treatment."""

import uuid
from datetime import date

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from openketamine.clinic.accounts.models import Role
from openketamine.clinic.record import clock
from openketamine.clinic.sites.models import FIRST, Site


class Sex(models.TextChoices):
    """Administrative sex, as FHIR names it."""

    FEMALE = "female", _("Female")
    MALE = "male", _("Male")
    OTHER = "other", _("Other")
    UNKNOWN = "unknown", _("Unknown")


class Person(models.Model):
    """One patient."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(
        Site, default=FIRST, on_delete=models.PROTECT, related_name="people", db_index=False
    )
    mrn = models.CharField("MRN", max_length=12, unique=True)
    given_name = models.CharField(max_length=120)
    family_name = models.CharField(max_length=120)
    birth_date = models.DateField()
    sex = models.CharField(max_length=8, choices=Sex.choices)
    phone = models.CharField(max_length=40, blank=True)
    email = models.EmailField(blank=True)
    address = models.CharField(max_length=300, blank=True)
    language = models.CharField(max_length=20, blank=True)
    source_system = models.CharField(max_length=200, blank=True)
    source_id = models.CharField(max_length=200, blank=True)
    external_mrn = models.CharField(max_length=200, blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="person",
        limit_choices_to={"role": Role.PATIENT},
    )
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name_plural = "people"
        constraints = [
            models.UniqueConstraint(
                fields=["source_system", "source_id"],
                condition=~models.Q(source_id=""),
                name="one_person_per_source_identity",
            )
        ]
        indexes = [
            models.Index(fields=["family_name", "given_name"]),
            models.Index(fields=["site", "family_name", "given_name"]),
        ]

    def __str__(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def stream(self) -> str:
        return f"person:{self.id}"

    def age_years(self, on: date | None = None) -> int:
        """Completed years on a day; today where left out."""
        on = on or clock.today()
        birthday_passed = (on.month, on.day) >= (self.birth_date.month, self.birth_date.day)
        return on.year - self.birth_date.year - (not birthday_passed)


class _ReferredItem(models.Model):
    """What a referral (or a clinician) listed, coded where the sender coded it."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="%(class)ss")
    source_key = models.CharField(max_length=200)
    system = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=40, blank=True)
    display = models.CharField(max_length=400)
    status = models.CharField(max_length=24)

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(
                fields=["person", "source_key"], name="%(class)s_once_per_source_key"
            )
        ]

    def __str__(self) -> str:
        return self.display


# What a sender calls the standing of an entry, and how grave an allergy is.
STANDINGS = (
    gettext_noop("active"),
    gettext_noop("recurrence"),
    gettext_noop("relapse"),
    gettext_noop("inactive"),
    gettext_noop("remission"),
    gettext_noop("resolved"),
    gettext_noop("completed"),
    gettext_noop("stopped"),
    gettext_noop("on-hold"),
    gettext_noop("draft"),
    gettext_noop("cancelled"),
    gettext_noop("entered-in-error"),
    gettext_noop("unknown"),
    gettext_noop("low"),
    gettext_noop("high"),
    gettext_noop("unable-to-assess"),
)


class Condition(_ReferredItem):
    class Category(models.TextChoices):
        DISORDER = "disorder", _("Disorder")
        FINDING = "finding", _("Finding")
        SOCIAL = "social", _("Social")
        PROCEDURE = "procedure", _("Procedure")

    category = models.CharField(max_length=12, choices=Category.choices)
    onset = models.DateField(null=True)
    abated = models.DateField(null=True)


class Medication(_ReferredItem):
    authored_on = models.DateField(null=True)
    dosage = models.CharField(max_length=300, blank=True)


class Allergy(_ReferredItem):
    criticality = models.CharField(max_length=24, blank=True)
    reactions = models.CharField(max_length=400, blank=True)

    class Meta(_ReferredItem.Meta):
        verbose_name_plural = "allergies"


class MeasurementKind(models.TextChoices):
    """What can be measured; the unit is in the name."""

    WEIGHT_KG = "weight_kg", _("Weight")
    HEIGHT_CM = "height_cm", _("Height")
    SYSTOLIC_MMHG = "systolic_mmhg", _("Systolic pressure")
    DIASTOLIC_MMHG = "diastolic_mmhg", _("Diastolic pressure")
    HEART_RATE_BPM = "heart_rate_bpm", _("Heart rate")
    SPO2_PERCENT = "spo2_percent", _("SpO2")
    ALT_U_PER_L = "alt_u_per_l", _("ALT")
    AST_U_PER_L = "ast_u_per_l", _("AST")
    GGT_U_PER_L = "ggt_u_per_l", _("GGT")
    BILIRUBIN_UMOL_PER_L = "bilirubin_umol_per_l", _("Bilirubin")
    ALBUMIN_G_PER_L = "albumin_g_per_l", _("Albumin")
    EGFR_ML_PER_MIN = "egfr_ml_per_min", _("eGFR")
    PHQ9_TOTAL = "phq9_total", _("PHQ-9 total")
    GAD7_TOTAL = "gad7_total", _("GAD-7 total")


class Measurement(models.Model):
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="measurements")
    source_key = models.CharField(max_length=200)
    kind = models.CharField(max_length=24, choices=MeasurementKind.choices)
    value = models.FloatField()
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "source_key", "kind"], name="measurement_once_per_source_key"
            )
        ]
        indexes = [models.Index(fields=["person", "kind", "-taken_at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.value:g}"


class Stage(models.TextChoices):
    """The steps of care, in the order in which a patient meets them."""

    REFERRED = "referred", _("Referred")
    SCREENING = "screening", _("Screening")
    CONSENT = "consent", _("Consent")
    PLANNING = "planning", _("Planning")
    TREATMENT = "treatment", _("Treatment")
    FOLLOW_UP = "follow_up", _("Follow-up")
    CLOSED = "closed", _("Closed")
    DECLINED = "declined", _("Not eligible")


class Setting(models.TextChoices):
    """Where the patient is when the drug is taken."""

    CLINIC = "clinic", _("In the clinic")
    HOME = "home", _("At home")


class Course(models.Model):
    """One course of treatment of one person, with the one prescriber who answers for it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="courses")
    condition = models.CharField(max_length=24, default="TRD", help_text="Protocol condition")
    route = models.CharField(max_length=16, default="IV", help_text="Protocol route")
    setting = models.CharField(max_length=8, choices=Setting.choices, default=Setting.CLINIC)
    stage = models.CharField(max_length=12, choices=Stage.choices, default=Stage.REFERRED)
    prescriber = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="courses_prescribed",
        limit_choices_to={"role": Role.PRESCRIBER},
    )
    therapist = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="courses_accompanied",
        limit_choices_to={"role": Role.THERAPIST},
    )
    opened_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"],
                condition=models.Q(closed_at=None),
                name="one_open_course_per_person",
            ),
            models.CheckConstraint(
                condition=models.Q(stage__in=Stage.values), name="course_stage_is_known"
            ),
        ]
        indexes = [models.Index(fields=["stage", "opened_at"])]

    def __str__(self) -> str:
        return f"{self.person}: {self.get_stage_display()}"

    @property
    def stream(self) -> str:
        return f"course:{self.id}"
