"""The two links of a session at home. Only this installation can make one; nothing is stored."""

from typing import Literal
from uuid import UUID

from django.core import signing
from django.utils.translation import gettext as _

from openketamine.clinic.errors import Refused
from openketamine.clinic.sites import scope as sites

from .models import HomeSession

Who = Literal["patient", "adult"]
_SALT = {"patient": "openketamine.athome.patient", "adult": "openketamine.athome.adult"}


def token_for(session: HomeSession, who: Who) -> str:
    """The key in the link of the patient, or of the adult at hand."""
    return signing.dumps(session.pk.hex, salt=_SALT[who])


def session_by_token(token: str, who: Who) -> HomeSession:
    """The session that a link opens.

    Raises:
        Refused: the link is not one of this clinic's.
    """
    try:
        key = UUID(signing.loads(token, salt=_SALT[who]))
        with sites.everything():
            return HomeSession.objects.select_related(
                "person", "planned__plan", "enrolment__doctor", "course"
            ).get(pk=key)
    except (signing.BadSignature, ValueError, HomeSession.DoesNotExist) as error:
        raise Refused(
            _("This link does not work. Open it again from the message, or call the clinic.")
        ) from error
