"""The day's list, the session screen and what is entered on it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from openketamine.clinic.accounts.access import staff_only
from openketamine.clinic.record import clock


@staff_only
@require_GET
def today(request: HttpRequest) -> HttpResponse:
    return render(request, "sessions/today.html", {"today": clock.today()})
