"""What the resources are worked out from: the rows of the clinic's tables, as Basic resources.

They go along with an export that is to come back; see `moving`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import models
from django.utils.encoding import is_protected_type

from openketamine import __version__
from openketamine.clinic.accounts.models import User
from openketamine.clinic.record.models import GENESIS, ChainHead

from .live import events
from .resources.common import OWN

ROWS = "Basic"
ROW, CONTENTS = f"{OWN}:fhir:row", f"{OWN}:fhir:contents"
TABLE = f"{OWN}:table"
AT_ONCE = 500

# Every table of the clinic's steps goes along, but for these, each for its reason.
STAYS = {
    "record.event": "it goes inside its Provenance",
    "record.chainhead": "it is made anew with the chain",
    "therapy.psychotherapynote": "what is kept apart from the chart leaves no trace outside",
    "therapy.notegrant": "it opens such notes",
    "devices.devicetoken": "a secret of one installation",
}
# Of an account goes who somebody is, and nothing that lets anybody sign in.
_ACCOUNT = ("id", "username", "display_name", "credentials", "role", "is_active", "date_joined")


def carried() -> list[type[models.Model]]:
    """The tables that go along."""
    return [
        model
        for app in apps.get_app_configs()
        if app.name.startswith("openketamine.clinic.")
        for model in app.get_models(include_auto_created=True)
        if model._meta.managed
        and not model._meta.proxy
        and model._meta.label_lower not in STAYS
        and not (model._meta.auto_created and model._meta.label_lower.startswith("accounts."))
    ]


def rows() -> Iterator[str]:
    """Each row of the clinic's tables as a Basic, and last what all of them are, as a line each."""
    counted: Counter[str] = Counter()
    for model in carried():
        label = model._meta.label_lower
        for item in model._base_manager.order_by("pk").iterator(chunk_size=AT_ONCE):
            counted[label] += 1
            yield _basic(
                f"row-{label}-{counted[label]}", label, ROW, json.dumps(_plain(item), default=str)
            )
    head = ChainHead.objects.filter(id=1).first()
    contents = {
        "release": __version__,
        "events": events().count(),
        "last": head.seq if head else 0,
        "hash": head.hash if head else GENESIS,
        "rows": counted,
    }
    yield _basic("contents", "contents", CONTENTS, json.dumps(contents))


def _basic(key: str, table: str, url: str, text: str) -> str:
    return json.dumps(
        {
            "resourceType": ROWS,
            "id": key.replace("_", "-")[:64],
            "extension": [{"url": url, "valueString": text}],
            "code": {"coding": [{"system": TABLE, "code": table}]},
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def columns_of(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """The columns of a table that go along."""
    columns = list(model._meta.local_concrete_fields)
    return [c for c in columns if c.attname in _ACCOUNT] if model is User else columns


def _plain(item: models.Model) -> dict[str, Any]:
    """A row as JSON has it, to the microsecond."""
    found = {}
    for column in columns_of(type(item)):
        value = column.value_from_object(item)
        if isinstance(value, datetime):
            value = value.isoformat()
        elif not is_protected_type(value):
            value = column.value_to_string(item)
        found[column.attname] = value
    return found
