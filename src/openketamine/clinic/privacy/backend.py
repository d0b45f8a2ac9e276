"""Signing in as allauth does it; a user knows, without a query of its own, whether any charts are
restricted, and whether there is more than one site.
"""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.db.models import Exists

from openketamine.clinic.accounts.models import User
from openketamine.clinic.sites.queries import several_sites

from .models import ChartRestriction


class Backend(AuthenticationBackend):
    def get_user(self, user_id: Any) -> User | None:
        """The user of a session; the annotations spare most pages a question each."""
        standing = Exists(ChartRestriction.objects.filter(lifted_at=None))
        users = User.objects.annotate(
            some_charts_are_restricted=standing, several_sites=several_sites()
        )
        user = users.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
