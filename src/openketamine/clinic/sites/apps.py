from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class SitesConfig(AppConfig):
    name = "openketamine.clinic.sites"
    label = "clinic_sites"

    def ready(self) -> None:
        from . import rules, separation

        separation.install()
        connection_created.connect(rules.introduce, dispatch_uid="openketamine.sites")
        post_migrate.connect(_after_migrating, sender=self, dispatch_uid="openketamine.sites")


def _after_migrating(using: str, **kwargs: Any) -> None:
    """There is always a first site, and tables that are new stand under the rules as well."""
    from . import rules
    from .models import FIRST, Site

    if Site._meta.db_table not in connections[using].introspection.table_names():
        return  # migrated to before there were any
    Site.objects.using(using).get_or_create(pk=FIRST)
    rules.follow(using)
