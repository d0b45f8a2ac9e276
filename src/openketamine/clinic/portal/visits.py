"""Whose page is open in this browser: by the patient's sign-in, or by a link that still stands."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from openketamine.clinic.accounts.access import LINK_SESSION_KEY, patients_own
from openketamine.clinic.errors import Refused
from openketamine.clinic.outcomes.views import patient_context
from openketamine.clinic.people.language import language_for
from openketamine.clinic.people.models import Course, Person
from openketamine.clinic.sites import scope as sites

from . import services
from .models import PatientLink

# A page that a link has opened shuts after so long without a tap: a phone is lent, or lost.
IDLE = timedelta(minutes=30)


@dataclass(frozen=True)
class Visit:
    """One patient at the own page. `by_link` where nobody is signed in."""

    person: Person
    course: Course | None
    by_link: bool


def remember_link(request: HttpRequest, link: PatientLink) -> None:
    """This browser has opened a link: a fresh session, which knows nothing else."""
    request.session.flush()
    request.session[LINK_SESSION_KEY] = link.pk.hex
    request.session.set_expiry(int(IDLE.total_seconds()))


def visit_of(request: HttpRequest) -> Visit | None:
    """Whose page this browser may see; None where nobody's.

    Raises:
        Refused: a link opened it, and no longer stands.
    """
    user: Any = request.user
    if user.is_authenticated:
        person = Person.objects.filter(user=user).first()
        return _visit(person, by_link=False) if person else None
    key = request.session.get(LINK_SESSION_KEY)
    with sites.everything():
        links = PatientLink.objects.select_related("person")
        link = links.filter(pk=UUID(key)).first() if key else None
    if link is None:
        raise Refused(_("This link does not work any more. Ask the clinic for a new one."))
    sites.narrow(sites.of_person(link.person_id))
    services.require_standing(link)
    request.session.set_expiry(int(IDLE.total_seconds()))
    return _visit(link.person, by_link=True)


def _visit(person: Person, *, by_link: bool) -> Visit:
    course = person.courses.filter(closed_at=None).select_related("therapist").first()
    return Visit(person, course, by_link)


View = Callable[..., HttpResponse]


def own_page(view: View) -> View:
    """For patients, of themselves alone: the view is given their `Visit`, in their language."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with translation.override(language_for(request, None)):
            try:
                visit = visit_of(request)
            except Refused as refusal:
                request.session.flush()
                return closed(request, refusal.message)
            if visit is None:
                return closed(
                    request,
                    _("Your sign-in is not joined to a chart yet. Please call the clinic."),
                    status=200,
                )
        with translation.override(language_for(request, visit.person)):
            return view(request, visit, *args, **kwargs)

    return patients_own(never_cache(inner))


def closed(request: HttpRequest, message: str, *, status: int = 403) -> HttpResponse:
    return render(
        request, "portal/closed.html", {**patient_context(), "message": message}, status=status
    )


def leave(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return redirect("patient_left")
