"""Which sites there are, who works where, and what that puts in scope."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.apps import apps
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused

from .models import FIRST, Membership, Site
from .scope import EVERYTHING, Scope, current
from .separation import PERSON

# Under this name a browser's session says which of one's sites is looked at.
CHOSEN = "site"


def several_sites() -> Exists:
    """To annotate with: whether there is more than one site. A closed one has patients still."""
    return Exists(Site.objects.exclude(pk=FIRST))


def several() -> bool:
    """One query."""
    return Site.objects.exclude(pk=FIRST).exists()


@dataclass(frozen=True)
class Here:
    """Where somebody is at work, for one request.

    `scope` is what lists show: the chosen site, or all where one works. `reach` is the widest, for
    a chart that was asked for by its address. `own` is empty where there is one site.
    """

    scope: Scope
    reach: Scope = EVERYTHING
    own: tuple[Site, ...] = ()
    chosen: Site | None = None
    names: dict[int, str] = field(default_factory=dict)

    @property
    def is_staff(self) -> bool:
        return bool(self.names)


def here(user: User, opened: frozenset[UUID], *, chosen: int | None) -> Here:
    """Where one of the staff is at work, where there are several sites. One query.

    Args:
        opened: people of other sites whose charts this user may see all the same.
        chosen: the site that this browser looks at; None: all of the user's.
    """
    mine = Membership.objects.filter(site=OuterRef("pk"), user=user)
    every = list(Site.objects.annotate(is_mine=Exists(mine)))
    own = tuple(site for site in every if site.is_mine)
    one = own[0] if len(own) == 1 else next((s for s in own if s.pk == chosen), None)
    home = one.pk if one and not one.closed_at else None
    reach = Scope(
        None if len(own) == len(every) else frozenset(site.pk for site in own), opened, home
    )
    scope = Scope(frozenset({one.pk}), opened, home) if one else reach
    return Here(scope, reach, own, one, {site.pk: site.short_name for site in every})


def home() -> int:
    """The site to which something new belongs.

    Raises:
        Refused: whoever asks works at several, and has chosen none.
    """
    pk = current().home
    if pk is None:
        raise Refused(
            _(
                "Choose one of your open sites first, at the top of the page: what you add belongs "
                "to it. A program adds only where it is bound to one site."
            )
        )
    return pk


def sites_at_hand() -> QuerySet[Site]:
    """The sites for which the work in hand is."""
    scope = current()
    return Site.objects.all() if scope.sites is None else Site.objects.filter(pk__in=scope.sites)


def at(users: QuerySet[User], site_id: int | Subquery) -> QuerySet[User]:
    """Of these users, those who work at a site; all of them where there is one site."""
    works = Membership.objects.filter(user=OuterRef("pk"), site=site_id)
    return users.filter(Exists(works) | ~several_sites())


def working_for(person_id: UUID, users: Iterable[User]) -> list[User]:
    """Of these users, those who work at a patient's site. One query."""
    known = list(users)
    person = apps.get_model(PERSON)._base_manager.filter(pk=person_id)
    found = at(User.objects.filter(pk__in=[u.pk for u in known]), Subquery(person.values("site")))
    admitted = set(found.values_list("pk", flat=True))
    return [user for user in known if user.pk in admitted]
