"""`openketamine doctor`: what is in order, what deserves attention, what is wrong; and what to do.

Says nothing about any patient.
"""

import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from openketamine.clinic.errors import Refused

from . import stores
from .backup import listed

Verdict = Literal["ok", "attention", "wrong"]
LOW_SPACE_BYTES = 2 * 2**30
BACKUP_TOO_OLD = timedelta(hours=26)


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    verdict: Verdict
    said: str
    to_do: str = ""


def examine(backups: Path | None = None) -> list[Finding]:
    """Look at everything. A check that fails in itself is a finding, too."""
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found.extend(check())
        except DatabaseError as error:
            what = check.__name__.strip("_").replace("_", " ")
            found.append(Finding(what, "wrong", f"The database does not answer: {error}"))
    found.extend(_backups(backups))
    return found


def _home() -> Iterator[Finding]:
    mode = stat.S_IMODE(settings.HOME.stat().st_mode)
    if mode & 0o077:
        yield Finding(
            "data folder",
            "wrong",
            f"Others may look into {settings.HOME} (mode {mode:o}).",
            f"chmod 700 {settings.HOME}",
        )
    else:
        yield Finding("data folder", "ok", f"{settings.HOME}, its owner's alone")
    key = settings.HOME / "secret.key"
    key_mode = stat.S_IMODE(key.stat().st_mode)
    if key_mode & 0o077:
        yield Finding(
            "key", "wrong", f"Others may read {key} (mode {key_mode:o}).", f"chmod 600 {key}"
        )
    else:
        yield Finding("key", "ok", "its owner's alone")
    free = shutil.disk_usage(settings.HOME).free
    said = f"{free / 2**30:.1f} GiB free"
    if free < LOW_SPACE_BYTES:
        yield Finding("disk", "wrong", said, "Make room before a write fails.")
    else:
        yield Finding("disk", "ok", said)


def _database() -> Iterator[Finding]:
    connection.ensure_connection()
    name = "SQLite" if connection.vendor == "sqlite" else "PostgreSQL"
    yield Finding("database", "ok", f"{name} answers")
    executor = MigrationExecutor(connection)
    if waiting := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield Finding(
            "schema",
            "wrong",
            f"{len(waiting)} changes of the schema wait.",
            "Back up, then start the new version once: it brings the schema up to date.",
        )
    else:
        yield Finding("schema", "ok", "this version's")
    if connection.vendor == "sqlite":
        try:
            stores.check_sqlite(Path(connection.settings_dict["NAME"]))
            yield Finding("pages", "ok", "every page and reference is whole")
        except Refused as refusal:
            yield Finding("pages", "wrong", refusal.message, "Restore the last good backup.")


def _record() -> Iterator[Finding]:
    from openketamine.clinic.record import clock
    from openketamine.clinic.record import services as record
    from openketamine.clinic.record.models import ChainHead

    result = record.verify()
    if result.intact:
        yield Finding("record", "ok", f"{result.events} events, chain intact")
    else:
        yield Finding(
            "record",
            "wrong",
            f"NOT intact: {result.fault}",
            "Keep this copy as it is and find out who could write to the database.",
        )
    head = ChainHead.objects.filter(id=1).first()
    if head and head.recorded_at and head.recorded_at > clock.now() + timedelta(seconds=5):
        yield Finding(
            "clock",
            "wrong",
            f"The last event was stored at {head.recorded_at:%Y-%m-%d %H:%M:%S} UTC, which lies "
            "ahead of the machine's clock.",
            "Set the clock; keep it with NTP.",
        )
    else:
        yield Finding("clock", "ok", "not behind the record")


def _people() -> Iterator[Finding]:
    from allauth.mfa.models import Authenticator

    from openketamine.clinic.accounts.models import Role, User
    from openketamine.clinic.policy.models import Approval

    active = User.objects.exclude(role=Role.PATIENT).filter(is_active=True)
    if not active.filter(role=Role.DIRECTOR).exists():
        yield Finding(
            "director",
            "attention",
            "Nobody can sign in as medical director.",
            "openketamine create-account NAME --role director --name …",
        )
    else:
        yield Finding("director", "ok", "can sign in")
    protected = Authenticator.objects.filter(type=Authenticator.Type.TOTP).values("user")
    without = active.exclude(pk__in=protected).count()
    if without:
        yield Finding(
            "second factor",
            "attention",
            f"{without} of {active.count()} staff sign in with a password alone.",
            "Each sets it up at their account.",
        )
    else:
        yield Finding("second factor", "ok", "every account of the staff has one")
    if Approval.objects.exists():
        yield Finding("policy", "ok", "signed")
    else:
        yield Finding(
            "policy",
            "attention",
            "The clinic's policy is not signed; no session can start.",
            "The medical director signs it at Policy.",
        )


def _sites() -> Iterator[Finding]:
    from openketamine.clinic.sites import rules
    from openketamine.clinic.sites.queries import several

    if not several():
        return
    if connection.vendor != "postgresql":
        yield Finding(
            "sites",
            "attention",
            "Several sites on SQLite: the program alone keeps them apart.",
            "openketamine migrate-store --to postgresql://…",
        )
    elif bare := rules.without(connection.alias):
        yield Finding(
            "sites",
            "wrong",
            f"{len(bare)} tables of patients stand under no row-level rule, {bare[0]} among them.",
            "Run `openketamine manage migrate` as the owner of the tables.",
        )
    elif not rules.is_bound(connection.alias):
        yield Finding(
            "sites",
            "wrong",
            "The server's role is a superuser or has BYPASSRLS: no row-level rule binds it.",
            "Let it connect as a plain role; see docs/deployment.md, A network of clinics.",
        )
    else:
        yield Finding("sites", "ok", "kept apart by the database as well")


def _settings() -> Iterator[Finding]:
    issues = checks.run_checks(include_deployment_checks=True)
    said = [issue for issue in issues if not issue.is_silenced()]
    for issue in said:
        yield Finding("settings", "attention", f"{issue.msg} ({issue.id})", issue.hint or "")
    if settings.DEBUG:
        yield Finding(
            "debug pages",
            "wrong",
            "They show patients' data to anybody.",
            "Unset OPENKETAMINE_DEBUG.",
        )
    if not said:
        yield Finding("settings", "ok", "`manage check --deploy` finds nothing")


def _backups(folder: Path | None) -> Iterator[Finding]:
    if folder is None:
        yield Finding(
            "backup",
            "attention",
            "No folder was named to look for backups in.",
            "openketamine doctor --backups FOLDER, or OPENKETAMINE_BACKUPS",
        )
        return
    found = listed(folder)
    if not found:
        yield Finding(
            "backup", "wrong", f"None in {folder}.", f"openketamine backup {folder} --recipient …"
        )
        return
    moment, kind, path = found[-1]
    age = datetime.now(UTC) - moment
    said = f"{path.name} ({kind}), {age.total_seconds() / 3600:.1f} h old"
    if age > BACKUP_TOO_OLD:
        yield Finding("backup", "wrong", said, "See why the backup no longer runs.")
    else:
        yield Finding("backup", "ok", said)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _home,
    _database,
    _record,
    _people,
    _sites,
    _settings,
)
