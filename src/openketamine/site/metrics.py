"""Figures for Prometheus. Labels are names of views and methods, never of people."""

import os
from collections.abc import Iterator

from django.db import DatabaseError
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

disable_created_metrics()

REQUESTS = Counter("openketamine_requests", "Requests answered", ["view", "method", "status"])
DURATION = Histogram(
    "openketamine_request_seconds",
    "Time until the answer began",
    ["view"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class ClinicCollector(Collector):
    """What the database says at this moment; the same in every process."""

    def collect(self) -> Iterator[Metric]:
        try:
            figures = clinic_figures()
        except DatabaseError:
            figures = {}
        yield GaugeMetricFamily(
            "openketamine_database_up", "Whether the database answers", float(bool(figures))
        )
        for name, (words, value) in figures.items():
            yield GaugeMetricFamily(f"openketamine_{name}", words, value)


def clinic_figures() -> dict[str, tuple[str, float]]:
    from openketamine.clinic.devices.models import HeldReading
    from openketamine.clinic.record.models import ChainHead
    from openketamine.clinic.sessions.models import OPEN, Session
    from openketamine.clinic.sites.scope import everything

    with everything():
        head = ChainHead.objects.filter(id=1).first()
        sessions_open = Session.objects.filter(phase__in=OPEN).count()
        readings_held = HeldReading.objects.filter(settled_at=None).count()
    return {
        "record_events": ("Events in the record", head.seq if head else 0),
        "sessions_open": ("Sessions that nobody has left yet", sessions_open),
        "readings_held": ("Readings that nobody could place", readings_held),
    }


def page() -> bytes:
    """Everything in the text format of Prometheus."""
    clinic = CollectorRegistry()
    clinic.register(ClinicCollector())
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)
    else:
        together = REGISTRY
    return generate_latest(together) + generate_latest(clinic)
