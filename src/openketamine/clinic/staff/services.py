"""Who works here: accounts are made and shut by the medical director, and never deleted."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import services as record
from openketamine.clinic.sites.services import join_here


@transaction.atomic
def create_account(
    actor: User | str,
    *,
    username: str,
    password: str,
    role: str,
    display_name: str,
    credentials: str = "",
) -> User:
    """Let somebody sign in, with one role.

    Raises:
        Refused: the sign-in name is taken, the role unknown or the password too weak.
    """
    if role not in Role.values:
        raise Refused(
            _("There is no role '%(role)s'. Choose one of: %(roles)s.")
            % {"role": role, "roles": ", ".join(Role.values)},
            field="role",
        )
    if User.objects.filter(username__iexact=username).exists():
        raise Refused(
            _("The sign-in name '%(name)s' is taken.") % {"name": username}, field="username"
        )
    user = User(
        username=username, role=role, display_name=display_name.strip(), credentials=credentials
    )
    try:
        User.username_validator(username)
    except ValidationError as error:
        raise Refused(" ".join(error.messages), field="username") from error
    if not user.display_name:
        raise Refused(_("Enter the name as it is to stand in the record."), field="display_name")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Refused(" ".join(error.messages), field="password") from error
    user.set_password(password)
    user.save()
    join_here(user)
    record.append(
        actor,
        "clinic",
        "staff.account_created",
        {"user": user.pk, "username": username, "role": role, "display_name": display_name},
    )
    return user


@transaction.atomic
def set_active(actor: User, user: User, *, active: bool) -> None:
    """Shut an account, or open it again. A shut account signs out at its next request.

    Raises:
        Refused: the director would shut the account that is in use.
    """
    if user == actor and not active:
        raise Refused(_("You cannot shut your own account. Ask another director to do it."))
    if user.is_active == active:
        return
    user.is_active = active
    user.save(update_fields=["is_active"])
    record.append(
        actor,
        "clinic",
        "staff.account_opened" if active else "staff.account_shut",
        {"user": user.pk, "username": user.username},
    )


def choose_language(user: User, language: str) -> None:
    """Show somebody their pages in one of `settings.LANGUAGES` from now on."""
    user.language = language
    user.save(update_fields=["language"])
