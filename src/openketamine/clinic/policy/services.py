"""The medical director's signature under the clinic's policy."""

from django.db import transaction

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record

from . import queries
from .models import Approval


@transaction.atomic
def sign_policy(director: User, *, digest: str) -> Approval:
    """Put the policy that the director has read in force.

    Args:
        digest: of the text that was on the director's screen.

    Raises:
        Refused: not a medical director, the text has changed since, or it is signed already.
    """
    if director.role != Role.DIRECTOR:
        raise Refused("Only the medical director can sign the clinic's policy.")
    library = queries.library()
    if digest != library.policy_digest:
        raise Refused("The policy has changed since you opened it. Read it again, then sign.")
    if queries.current_approval():
        raise Refused("This policy is signed already.")
    approval = Approval.objects.create(
        digest=digest,
        library_version=library.version,
        approved_by=director,
        approved_at=clock.now(),
    )
    record.append(
        director,
        "clinic",
        "policy.signed",
        {"digest": digest, "library": library.version, "library_digest": library.digest},
    )
    return approval


def require_signed_policy() -> Approval:
    """The approval in force.

    Raises:
        Refused: there is none, so nothing that rests on clinic policy may be done.
    """
    approval = queries.current_approval()
    if approval is None:
        raise Refused(
            "The clinic's policy is not signed. The medical director must read and sign it "
            "before the first session."
        )
    return approval
