"""What the FHIR server keeps: each resource as it stands, found by its search parameters.

A resource is a projection: rows and events of the clinic, written once more in FHIR's words. The
clinic's own tables are the truth, and `projection.catch_up` brings these after them.
"""

import uuid

from django.db import models

from openketamine.clinic.record import clock
from openketamine.exchange.smart.models import ClientApp


class Resource(models.Model):
    """One resource, its text ready to be sent. `id` counts upwards and orders a search."""

    kind = models.CharField(max_length=28)
    key = models.CharField(max_length=64, help_text="The resource's id in FHIR")
    unit = models.CharField(
        max_length=64, help_text="What it is worked out with, e.g. session:<id>"
    )
    person_id = models.UUIDField(null=True, help_text="Whose chart it belongs to")
    made_by = models.BigIntegerField(null=True, help_text="The event that made it")
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()
    fingerprint = models.CharField(max_length=32)
    content = models.TextField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="one_resource_per_id")]
        indexes = [
            models.Index(fields=["kind", "id"]),
            models.Index(fields=["person_id", "kind", "id"]),
            models.Index(fields=["person_id", "kind", "starts_at", "id"]),
            models.Index(fields=["kind", "starts_at", "id"]),
            models.Index(fields=["kind", "updated_at", "id"]),
            models.Index(fields=["unit"]),
            models.Index(fields=["made_by"]),
        ]

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"


class _Indexed(models.Model):
    """One value by which a resource is found. `param` is kind and parameter, "Patient.gender"."""

    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="%(class)ss")
    param = models.CharField(max_length=60)

    class Meta:
        abstract = True


class Token(_Indexed):
    """A code with its system, an identifier, or true and false."""

    system = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=200)

    class Meta:
        indexes = [models.Index(fields=["param", "code", "resource"])]

    def __str__(self) -> str:
        return f"{self.param}={self.system}|{self.code}"


class Text(_Indexed):
    """Words, in lower case and without accents."""

    value = models.CharField(max_length=200)

    class Meta:
        indexes = [
            models.Index(fields=["param", "value", "resource"]),
            # For PostgreSQL, whose ordinary index orders as people do and finds no beginnings.
            models.Index(
                fields=["param", "value"],
                name="fhir_text_beginning",
                opclasses=["varchar_pattern_ops", "varchar_pattern_ops"],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.param}={self.value}"


class Moment(_Indexed):
    """A date or a stretch of time, as its first and last moment."""

    low = models.DateTimeField()
    high = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["param", "low", "resource"])]

    def __str__(self) -> str:
        return f"{self.param}={self.low}"


class Link(_Indexed):
    """A reference to another resource, "Encounter/<id>"."""

    target = models.CharField(max_length=120)

    class Meta:
        indexes = [models.Index(fields=["param", "target", "resource"])]

    def __str__(self) -> str:
        return f"{self.param}={self.target}"


class Quantity(_Indexed):
    """A measured value with the code of its unit."""

    value = models.FloatField()
    unit = models.CharField(max_length=40, blank=True)

    class Meta:
        indexes = [models.Index(fields=["param", "value", "resource"])]

    def __str__(self) -> str:
        return f"{self.param}={self.value:g} {self.unit}"


class Cursor(models.Model):
    """Up to which event of the record the resources have come, in one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    library = models.CharField(max_length=80, blank=True, help_text="Whose questionnaires stand")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_fhir_cursor")]

    def __str__(self) -> str:
        return str(self.seq)


class Export(models.Model):
    """One bulk export: what was asked for, how far it is, and the files that it wrote."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(ClientApp, on_delete=models.CASCADE, related_name="exports")
    request = models.TextField(help_text="The address that was asked, as it was")
    kinds = models.JSONField()
    whole = models.BooleanField(default=False, help_text="With each event's own text")
    since = models.DateTimeField(null=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    asked_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now, help_text="When its worker last lived")
    as_of = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    written = models.PositiveBigIntegerField(default=0)
    output = models.JSONField(default=list, help_text="[kind, file, lines]")
    deleted = models.JSONField(default=list)
    fault = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["client", "state"])]

    def __str__(self) -> str:
        return f"export {self.id} of {self.client_id}"
