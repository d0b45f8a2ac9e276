"""Acts about sites: open, rename, close one, and say who works where. The director's."""

from collections.abc import Iterable

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record

from . import rules, separation
from .models import FIRST, Membership, Site
from .queries import several, sites_at_hand
from .scope import everything


@transaction.atomic
@everything()
def open_site(actor: User, *, name: str, short_name: str, address: str = "") -> Site:
    """Open one more site. Whoever opens it works there; the director then says who else does.

    With the second one the sites are kept apart: all who have worked here, and all that stands
    here, are put down at the first.

    Raises:
        Refused: not a director, or a name is missing or taken.
    """
    _require_director(actor)
    record.lock()
    said = _checked(None, name, short_name, address)
    if not several():
        _put_all_at_the_first()
    last = Site.objects.aggregate(last=Max("pk"))["last"] or 0
    site = Site.objects.create(pk=last + 1, **said)
    Membership.objects.create(user=actor, site=site)
    record.append(actor, "clinic", "sites.opened", {"site": site.pk, **said, "members": [actor.pk]})
    rules.follow(DEFAULT_DB_ALIAS)
    return site


def _put_all_at_the_first() -> None:
    Membership.objects.bulk_create(
        Membership(user_id=pk, site_id=FIRST)
        for pk in User.objects.exclude(role=Role.PATIENT).values_list("pk", flat=True)
    )
    for model, hangs in separation.hangs().items():
        if not hangs and model._meta.get_field("site").null:
            model._default_manager.filter(site=None).update(site=FIRST)


@transaction.atomic
def change_site(actor: User, site: Site, *, name: str, short_name: str, address: str = "") -> None:
    """Rename a site, or say where it is.

    Raises:
        Refused: as `open_site`, or the director does not work there.
    """
    _require_director(actor, site)
    record.lock()
    said = _checked(site, name, short_name, address)
    for key, value in said.items():
        setattr(site, key, value)
    site.save(update_fields=list(said))
    record.append(actor, "clinic", "sites.changed", {"site": site.pk, **said})


@transaction.atomic
def close_site(actor: User, site: Site) -> None:
    """Treat nobody there any more. Its charts stay where they are, and open to its staff.

    Raises:
        Refused: not its director, it is closed, or the only one open.
    """
    _require_director(actor, site)
    record.lock()
    if site.closed_at:
        raise Refused(_("%(site)s is closed already.") % {"site": site})
    if not Site.objects.filter(closed_at=None).exclude(pk=site.pk).exists():
        raise Refused(_("This is the only site that is open."))
    site.closed_at = clock.now()
    site.save(update_fields=["closed_at"])
    record.append(actor, "clinic", "sites.closed", {"site": site.pk})


@transaction.atomic
def set_members(actor: User, site: Site, users: Iterable[User]) -> None:
    """Say who works at a site: all of these and nobody else.

    Raises:
        Refused: not its director, a patient is among them, or no director would be left.
    """
    _require_director(actor, site)
    record.lock()
    wanted = {user.pk: user for user in users}
    if any(user.role == Role.PATIENT for user in wanted.values()):
        raise Refused(_("Patients do not work at a site."), field="members")
    if not any(u.role == Role.DIRECTOR and u.is_active for u in wanted.values()):
        raise Refused(
            _("A site needs a medical director: the last step of every call goes there."),
            field="members",
        )
    now = set(Membership.objects.filter(site=site).values_list("user_id", flat=True))
    come, gone = sorted(wanted.keys() - now), sorted(now - wanted.keys())
    if not come and not gone:
        return
    Membership.objects.filter(site=site, user__in=gone).delete()
    Membership.objects.bulk_create(Membership(user_id=pk, site=site) for pk in come)
    record.append(
        actor, "clinic", "sites.members_set", {"site": site.pk, "come": come, "gone": gone}
    )


def join_here(user: User) -> None:
    """A new account works where it is made: at the chosen site, or all of the director's.

    Call it inside the transaction of the act. Nothing to do where there is one site.
    """
    if user.role != Role.PATIENT and several():
        Membership.objects.bulk_create(Membership(user=user, site=site) for site in sites_at_hand())


def _require_director(actor: User, site: Site | None = None) -> None:
    if actor.role != Role.DIRECTOR:
        raise Refused(_("The medical director does that."))
    if site and several() and not Membership.objects.filter(user=actor, site=site).exists():
        raise Refused(_("A director of %(site)s does that.") % {"site": site})


def _checked(site: Site | None, name: str, short_name: str, address: str) -> dict[str, str]:
    name, short = " ".join(name.split()), " ".join(short_name.split())
    others = Site.objects.exclude(pk=site.pk) if site else Site.objects.all()
    for field, value, most in (("name", name, 80), ("short_name", short, 16)):
        if not 0 < len(value) <= most:
            said = _("Enter a name of up to %(most)d letters.")
            raise Refused(said % {"most": most}, field=field)
        if others.filter(**{f"{field}__iexact": value}).exists():
            raise Refused(_("Another site is called %(name)s.") % {"name": value}, field=field)
    return {"name": name, "short_name": short, "address": address.strip()[:300]}
