"""Who has looked: every request for data is noted with the charts that it has shown."""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest

from openketamine.exchange.smart.grants import Grant
from openketamine.exchange.smart.models import Access, Accessed

_ACTIONS = {"read": "R", "search-type": "R", "create": "C", "update": "U", "operation": "E"}


def note(
    request: HttpRequest,
    grant: Grant,
    *,
    interaction: str,
    kind: str,
    status: int,
    people: Iterable[UUID],
) -> None:
    """Note one request, before it is answered. Two writes, however many charts."""
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
            Accessed(access=access, person_id=person_id) for person_id in sorted(set(people))
        )
