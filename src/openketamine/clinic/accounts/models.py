"""Who may sign in, and as what."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    COORDINATOR = "coordinator", _("Intake coordinator")
    PRESCRIBER = "prescriber", _("Prescriber")
    NURSE = "nurse", _("Session nurse")
    THERAPIST = "therapist", _("Therapist")
    PATIENT = "patient", _("Patient")
    DIRECTOR = "director", _("Medical director")
    RESEARCHER = "researcher", _("Researcher")


# A researcher sees the clinic's figures and no patient.
STAFF = frozenset(Role) - {Role.PATIENT, Role.RESEARCHER}


class User(AbstractUser):
    """One person who signs in, with exactly one role.

    There is no superuser's back door: `is_staff` and `is_superuser` open nothing in the clinic.
    """

    role = models.CharField(max_length=16, choices=Role.choices)
    display_name = models.CharField(max_length=120)
    credentials = models.CharField(max_length=40, blank=True, help_text="As signed, e.g. MD or RN")
    language = models.CharField(
        max_length=8, blank=True, help_text="Of the pages that they see; the clinic's where empty"
    )

    REQUIRED_FIELDS = ["role", "display_name"]

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="user_role_is_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.display_name}, {self.credentials}" if self.credentials else self.display_name

    @property
    def is_clinic_staff(self) -> bool:
        return self.role in STAFF
