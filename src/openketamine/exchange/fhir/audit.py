"""Who has looked: every request for data is noted with the charts that it has shown."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest

from openketamine.clinic.privacy import queries as privacy
from openketamine.clinic.privacy import reads
from openketamine.exchange.smart.grants import Grant
from openketamine.exchange.smart.models import Access, Accessed

from .outcomes import Problem

_ACTIONS = {"read": "R", "search-type": "R", "create": "C", "update": "U", "operation": "E"}


def note(
    request: HttpRequest,
    grant: Grant,
    *,
    interaction: str,
    kind: str,
    status: int,
    people: Collection[UUID],
) -> None:
    """Note one request, before it is answered. Two writes, however many charts.

    Raises:
        Problem: one of the charts is restricted, and not open to the person behind the token.
    """
    if grant.user and people and privacy.shut_to(grant.user, people):
        raise Problem(403, "forbidden", "A chart among these is restricted. Open it in the clinic.")
    reads.note(grant.user or grant.client.name, f"FHIR {interaction} {kind}", people=people)
    shown = sorted(set(people))
    if shown and status < 400:
        # The patient's own log of who has looked, chained with the record.
        reader = grant.user or f"{grant.client.name} (program)"
        reads.note(reader, f"FHIR {kind}", people=shown)
    address = request.META.get("REMOTE_ADDR") or ""
    path = request.get_full_path()
    with transaction.atomic():
        access = Access.objects.create(
            client=grant.client,
            client_name=grant.client.name,
            user=grant.user,
            user_name=str(grant.user) if grant.user else "",
            action=_ACTIONS[interaction],
            interaction=interaction,
            kind=kind,
            query=path[:2000].replace("\x00", ""),
            status=status,
            address=address[:45],
        )
        Accessed.objects.bulk_create(
            Accessed(access=access, person_id=person_id) for person_id in shown
        )
