"""The places where the clinic works, and who works at which."""

from django.conf import settings
from django.db import models

from openketamine.clinic.record import clock

USER = settings.AUTH_USER_MODEL

# The site that every installation has from the start.
FIRST = 1


class Site(models.Model):
    """One place: a house with chairs, and the patients who are treated from there."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    name = models.CharField(max_length=80, unique=True, default="The clinic")
    short_name = models.CharField(max_length=16, unique=True, default="Clinic")
    address = models.CharField(max_length=300, blank=True)
    opened_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """Somebody works at a site. An installation with one site has none: all work there."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="memberships")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="memberships")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "site"], name="works_once_at_a_site")
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.site}"
