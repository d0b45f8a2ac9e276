"""Signing in as allauth does it; a user knows, without a query of its own, of restricted charts."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.db.models import Exists

from openketamine.clinic.accounts.models import User

from .models import ChartRestriction


class Backend(AuthenticationBackend):
    def get_user(self, user_id: Any) -> User | None:
        """The user of a session; `some_charts_are_restricted` spares most pages the question."""
        standing = Exists(ChartRestriction.objects.filter(lifted_at=None))
        user = User.objects.annotate(some_charts_are_restricted=standing).filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
