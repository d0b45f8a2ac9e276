"""The day's list, the session screen and what is entered on it."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.errors import Refused
from openketamine.clinic.forms import attempt
from openketamine.clinic.intake.queries import all_open_safety_reviews
from openketamine.clinic.notices import queries as notices
from openketamine.clinic.people.models import Course
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.plans.queries import current_plan, plannable
from openketamine.clinic.policy.queries import current_approval
from openketamine.clinic.record import clock
from openketamine.clinic.rems import queries as rems

from . import forms, live, monitoring_form, queries, screen, services, spray, transfers
from .models import Chair, Session, TransferDecision, VerbalOrder
from .wording import describe

BEDSIDE = (Role.NURSE, Role.PRESCRIBER)
ENTRY = (*BEDSIDE, Role.THERAPIST)


@staff_only
@never_cache
@require_GET
def today(request: HttpRequest) -> HttpResponse:
    """All chairs in the order in which they need attention, and what the day still brings."""
    return render(
        request,
        "sessions/today.html",
        {
            "today": clock.today(),
            "board": screen.board(),
            "audible": request.user.role in ENTRY,
            "arrivals": queries.arrivals(),
            "coming": queries.coming(),
            "finished": queries.finished_today(),
            "reviews": all_open_safety_reviews(),
            "orders": queries.orders_to_cosign(),
            "transfers": transfers.waiting(),
            "forms_owed": monitoring_form.forms_to_send(),
            "rems_binds": rems.applies(),
            "rems_site": (site := rems.certification()),
            "rems_enrols": site is not None and site.enrols,
            "policy_signed": current_approval() is not None,
            "chairs": list(Chair.objects.all()),
            "free_chairs": queries.free_chairs(),
            "may_open": request.user.role in BEDSIDE,
            "may_add_chair": request.user.role in services.MAY_ADD_CHAIRS,
            "chair_form": forms.ChairForm(),
        },
    )


@staff_only
@never_cache
@require_GET
def today_board(request: HttpRequest) -> HttpResponse:
    """The rows of the chairs alone, as the live page fetches them."""
    return render(
        request,
        "sessions/_board.html",
        {"board": screen.board(), "audible": request.user.role in ENTRY},
    )


@staff_only
@require_GET
async def today_stream(request: HttpRequest) -> StreamingHttpResponse:
    return _stream(request, live.ALL_SESSIONS)


@allow(Role.DIRECTOR, *BEDSIDE)
@require_POST
def chair_add(request: HttpRequest) -> HttpResponse:
    try:
        chair = services.add_chair(request.user, name=request.POST.get("name", ""))
        messages.success(request, _("%(chair)s is set up.") % {"chair": chair})
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("today")


@allow(*BEDSIDE)
@require_POST
def session_open(request: HttpRequest, planned_id: uuid.UUID) -> HttpResponse:
    """The patient takes a chair; the check follows."""
    planned = get_object_or_404(PlannedSession, pk=planned_id)
    form = forms.OpenForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a free chair."))
        return redirect("today")
    opened = attempt(
        form,
        lambda: services.open_session(request.user, planned, form.cleaned_data["chair"]),
    )
    if opened is None:
        for errors in form.errors.values():
            messages.error(request, f"{planned.person}: {' '.join(map(str, errors))}")
        return redirect("today")
    return redirect("session_check", opened.pk)


@allow(*BEDSIDE, Role.DIRECTOR)
@never_cache
@require_GET
def doses_compare(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """What other doses are forecast to do in this patient. Orders nothing."""
    from . import (
        doses,
        forecasts,
    )  # the pharmacology takes a second to load: only where it is asked for

    course = get_object_or_404(Course.objects.select_related("person"), pk=course_id)
    offered = plannable(course)
    if not offered:
        raise Http404(_("No regimen of this clinic is for this course."))
    ordered = current_plan(course)
    initial = {
        "duration_min": ordered.duration_min if ordered else offered[0].duration_min,
        "systolic_limit_mmhg": doses.default_limit_mmhg(course),
        "systolic_at_most": 5,
    }
    form = forms.TargetForm(request.GET or initial, at_once=course.route != "IV")
    comparison = None
    ready = forecasts.is_ready()
    if ready and form.is_valid():
        asked = form.cleaned_data
        try:
            comparison = doses.compare(course, offered[0], asked)
        except ValueError as error:
            form.add_error(None, str(error))
    return render(
        request,
        "sessions/doses.html",
        {
            "course": course,
            "person": course.person,
            "form": form,
            "comparison": comparison,
            "ready": ready,
        },
        status=422 if form.errors else 200,
    )


@staff_only
@never_cache
@require_GET
def session(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    return _screen(request, queries.session_for_screen(session_id), "sessions/session.html")


@staff_only
@never_cache
@require_GET
def session_state(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """The parts of the screen that change, for htmx to put in their places."""
    found = queries.session_for_screen(session_id)
    return _screen(request, found, "sessions/_state.html", swap=True)


@staff_only
@never_cache
@require_GET
def session_chart(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    found = queries.session_for_screen(session_id)
    return JsonResponse(screen.chart(found, queries.timeline_of(found), clock.now()))


@staff_only
@require_GET
async def session_stream(request: HttpRequest, session_id: uuid.UUID) -> StreamingHttpResponse:
    """Server-sent events: "changed" whenever this session's record has grown."""
    if not await Session.objects.filter(pk=session_id).aexists():
        raise Http404(_("There is no such session."))
    return _stream(request, Session(pk=session_id).stream)


def _stream(request: HttpRequest, prefix: str) -> StreamingHttpResponse:
    # What the page says that it shows; a browser that comes back by itself says what it has heard.
    said = (request.GET.get("after", ""), request.headers.get("Last-Event-ID", ""))
    shown = [int(seq) for seq in said if seq.isascii() and seq.isdecimal()]
    return StreamingHttpResponse(
        live.events(prefix, after=max(shown, default=None)),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _screen(
    request: HttpRequest, found: Session, template: str, *, status: int = 200, **extra: Any
) -> HttpResponse:
    now = clock.now()
    context = screen.session_screen(found, queries.timeline_of(found), request.user, now)
    return render(request, template, {**context, **extra}, status=status)


@allow(*BEDSIDE)
@require_http_methods(["GET", "POST"])
def session_check(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """The pre-session check, on a page of its own."""
    found = queries.session_for_screen(session_id)
    form = forms.CheckForm(request.POST or None, protocol=queries.protocol_of(found))
    if request.method == "POST" and _done(
        request, found, form, lambda: services.complete_check(request.user, found, **form.entry())
    ):
        return redirect("session", found.pk)
    return _screen(
        request,
        found,
        "sessions/check.html",
        form=form,
        consent=queries.consent_of(found),
        status=422 if form.errors else 200,
    )


@allow(*BEDSIDE)
@require_http_methods(["GET", "POST"])
def session_discharge(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """The criteria for going home: what the record knows, and what the bedside answers."""
    found = queries.session_for_screen(session_id)
    check = queries.timeline_of(found).check
    form = forms.DischargeForm(
        request.POST or None,
        protocol=queries.library_of(found).discharge[found.course.route],
        initial={"escort_name": check["escort"]["name"] if check else ""},
    )
    if request.method == "POST" and _done(
        request, found, form, lambda: services.discharge(request.user, found, **form.entry())
    ):
        messages.success(request, _("%(person)s is discharged.") % {"person": found.person})
        return redirect("session", found.pk)
    return _screen(
        request,
        found,
        "sessions/discharge.html",
        form=form,
        status=422 if form.errors else 200,
    )


@allow(Role.PRESCRIBER)
@never_cache
@require_http_methods(["GET", "POST"])
def transfer_decide(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """After a transfer to hospital: whether the course goes on, pauses or stops."""
    decision = get_object_or_404(
        TransferDecision.objects.select_related("session__person", "course", "decided_by"),
        session_id=session_id,
    )
    form = forms.TransferDecisionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        decided = attempt(
            form, lambda: transfers.decide(request.user, decision, **form.cleaned_data)
        )
        if decided is not None:
            messages.success(
                request,
                {
                    TransferDecision.Way.GO_ON: _("%(person)s: the course goes on as planned."),
                    TransferDecision.Way.PAUSE: _(
                        "%(person)s: the course pauses until decided anew."
                    ),
                    TransferDecision.Way.STOP: _("%(person)s: the course stops."),
                }[TransferDecision.Way(decided.way)]
                % {"person": decision.session.person},
            )
            return redirect("today")
    return render(
        request,
        "sessions/transfer_decision.html",
        {
            "decision": decision,
            "session": decision.session,
            "person": decision.session.person,
            "transfer": queries.timeline_of(decision.session).transfer,
            "left": decision.course.planned_sessions.filter(done_at=None, cancelled_at=None),
            "form": form,
        },
        status=422 if form.errors else 200,
    )


@dataclass(frozen=True)
class Act:
    """One sheet of the session screen: its form, and the service that the form feeds."""

    title: str
    submit: str
    form: type[forms.SheetForm]
    service: Callable[..., Any]
    needs: tuple[str, ...] = ()  # of "protocol", "actor", "session", "timeline", for the form
    danger: bool = False


ACTS = {
    "vitals": Act(
        gettext_lazy("Vital signs"),
        gettext_lazy("Save"),
        forms.VitalsForm,
        services.record_vitals,
        ("protocol",),
    ),
    "observation": Act(
        gettext_lazy("How is it?"),
        gettext_lazy("Save"),
        forms.ObservationForm,
        services.record_observation,
        ("protocol",),
    ),
    "side-effect": Act(
        gettext_lazy("Side effect"),
        gettext_lazy("Save"),
        forms.SideEffectForm,
        services.record_side_effect,
        ("protocol",),
    ),
    "medicine": Act(
        gettext_lazy("Medicine given"),
        gettext_lazy("Save"),
        forms.MedicineForm,
        services.give_medicine,
        ("protocol",),
    ),
    "note": Act(gettext_lazy("Note"), gettext_lazy("Save"), forms.NoteForm, services.write_note),
    "start": Act(
        gettext_lazy("Start the infusion"),
        gettext_lazy("Start now"),
        forms.StartForm,
        services.start_infusion,
    ),
    "pause": Act(
        gettext_lazy("Pause the infusion"),
        gettext_lazy("Pause now"),
        forms.PauseForm,
        services.pause_infusion,
    ),
    "resume": Act(
        gettext_lazy("Resume the infusion"),
        gettext_lazy("Resume now"),
        forms.StartForm,
        services.resume_infusion,
    ),
    "rate": Act(
        gettext_lazy("Change the rate"),
        gettext_lazy("Set the rate"),
        forms.RateForm,
        services.change_rate,
        ("actor",),
    ),
    "bolus": Act(
        gettext_lazy("Bolus"),
        gettext_lazy("Bolus given"),
        forms.BolusForm,
        services.give_bolus,
        ("actor",),
    ),
    "total": Act(
        gettext_lazy("Change the total"),
        gettext_lazy("Set the total"),
        forms.TotalForm,
        services.change_total,
        ("actor",),
    ),
    "order": Act(
        gettext_lazy("Order"),
        gettext_lazy("Order it"),
        forms.OrderForm,
        services.give_order,
        ("session",),
    ),
    "prepare": Act(
        gettext_lazy("Draw up a dose"),
        gettext_lazy("Drawn up"),
        forms.PrepareForm,
        services.prepare_syringe,
    ),
    "check-syringe": Act(
        gettext_lazy("Check the syringe"),
        gettext_lazy("Confirm"),
        forms.CheckSyringeForm,
        services.check_syringe,
    ),
    "syringe": Act(
        gettext_lazy("Change the syringe"),
        gettext_lazy("Changed"),
        forms.ChangeSyringeForm,
        services.change_syringe,
    ),
    "injection": Act(
        gettext_lazy("Injection"),
        gettext_lazy("Injected"),
        forms.InjectionForm,
        services.give_injection,
        ("actor",),
    ),
    "device": Act(
        gettext_lazy("Nasal device"),
        pgettext_lazy("a spray", "Taken"),
        forms.DeviceForm,
        spray.take_device,
        ("actor", "session", "timeline"),
    ),
    "sprays": Act(
        gettext_lazy("Sprays of the bottle"),
        pgettext_lazy("a spray", "Taken"),
        forms.BottleForm,
        spray.take_sprays,
        ("actor", "session", "timeline"),
    ),
    "end-spray": Act(
        gettext_lazy("No further device or spray"),
        gettext_lazy("End it here"),
        forms.ReasonForm,
        spray.end_spray,
        danger=True,
    ),
    "no-wait": Act(
        gettext_lazy("No need to wait"), gettext_lazy("Go on"), forms.WaiveForm, spray.waive_wait
    ),
    "emergency": Act(
        gettext_lazy("Emergency"),
        "",
        forms.EmergencyForm,
        services.call_emergency,
        ("session",),
        danger=True,
    ),
    "stop": Act(
        gettext_lazy("Stop the infusion"),
        gettext_lazy("Stop now"),
        forms.EndForm,
        services.end_infusion,
        danger=True,
    ),
    "go-on": Act(
        gettext_lazy("Decide about the pressure"),
        gettext_lazy("Go on"),
        forms.DecideForm,
        services.decide_go,
    ),
    "transfer": Act(
        gettext_lazy("Transfer to hospital"),
        gettext_lazy("Transferred"),
        forms.TransferForm,
        services.transfer_to_hospital,
        danger=True,
    ),
    "cancel": Act(
        gettext_lazy("Cancel the session"),
        gettext_lazy("Cancel the session"),
        forms.CancelForm,
        services.cancel_session,
        danger=True,
    ),
}


@allow(*ENTRY)
@require_http_methods(["GET", "POST"])
def session_enter(request: HttpRequest, session_id: uuid.UUID, act: str) -> HttpResponse:
    """One entry: a sheet over the session screen, or a page where there is no script."""
    if act not in ACTS:
        raise Http404(_("There is no such entry."))
    found = queries.session_for_screen(session_id)
    return _sheet(
        request,
        found,
        **_face(act),
        form=_form(request, found, ACTS[act]),
        service=lambda **entry: ACTS[act].service(request.user, found, **entry),
    )


@allow(*ENTRY)
@never_cache
@require_GET
def session_sheets(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """Several empty sheets at once, which a screen keeps for the time when the line is cut."""
    found = queries.session_for_screen(session_id)
    shared = {"session": found, **_beside(found)}
    return JsonResponse(
        {
            act: render_to_string(
                "sessions/_sheet.html",
                {
                    **shared,
                    **_face(act),
                    "form": _form(request, found, ACTS[act]),
                    "action": reverse("session_enter", args=[found.pk, act]),
                },
                request,
            )
            for act in request.GET.getlist("act")
            if act in ACTS
        }
    )


def _beside(found: Session) -> dict[str, Any]:
    """What a sheet shows of the session beside its fields."""
    timeline = queries.timeline_of(found)
    return {
        "timeline": timeline,
        "pump": screen.pump(found, timeline, clock.now()),
        "sequence": screen.sequence_of(found, timeline),
        "undecided": services.said_of(services.undecided(found, timeline)),
    }


def _face(act: str) -> dict[str, Any]:
    chosen = ACTS[act]
    return {"act": act, "title": chosen.title, "submit": chosen.submit, "danger": chosen.danger}


def _form(request: HttpRequest, found: Session, act: Act) -> forms.SheetForm:
    given = {
        "protocol": lambda: queries.protocol_of(found),
        "actor": lambda: request.user,
        "session": lambda: found,
        "timeline": lambda: queries.timeline_of(found),
    }
    return act.form(request.POST or None, **{name: given[name]() for name in act.needs})


@allow(*BEDSIDE)
@require_http_methods(["GET", "POST"])
def alert_acknowledge(request: HttpRequest, session_id: uuid.UUID, rule_id: str) -> HttpResponse:
    """Quiet one alert, with a name and a reason."""
    found = queries.session_for_screen(session_id)
    return _sheet(
        request,
        found,
        title=_("Acknowledge the alert"),
        submit=_("Acknowledge"),
        form=forms.AcknowledgeForm(request.POST or None),
        service=lambda **entry: services.acknowledge_alert(
            request.user, found, rule_id=rule_id, **entry
        ),
    )


@allow(*BEDSIDE)
@require_http_methods(["GET", "POST"])
def emergency_over(request: HttpRequest, session_id: uuid.UUID, seq: int) -> HttpResponse:
    """Say that an emergency is over, or was none."""
    found = queries.session_for_screen(session_id)
    return _sheet(
        request,
        found,
        title=_("Emergency over"),
        submit=_("It is over"),
        form=forms.EmergencyOverForm(request.POST or None),
        service=lambda **entry: services.end_emergency(request.user, found, emergency=seq, **entry),
    )


@allow(*ENTRY)
@require_GET
def session_more(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """The rarer acts of a session, one tap further away than the frequent ones."""
    found = queries.session_for_screen(session_id)
    template = "sessions/_more.html" if request.htmx else "sessions/more_page.html"
    return _screen(request, found, template)


@staff_only
@never_cache
@require_GET
def alarms(request: HttpRequest) -> HttpResponse:
    """The alarms that reach this person wherever in the clinic's pages they are."""
    reaching = [call for call in queries.calls() if request.user.role in call.alert.reaches]
    return render(
        request,
        "sessions/_calls.html",
        {"calls": reaching, "unanswered": notices.calls_reaching(request.user)},
    )


@allow(*ENTRY)
@require_http_methods(["GET", "POST"])
def alarms_silence(request: HttpRequest) -> HttpResponse:
    """Silence the sound of one device for a while, by name and with a reason."""
    form = forms.SilenceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        event = attempt(form, lambda: services.silence_sound(request.user, **form.entry()))
        if event is not None:
            return JsonResponse(
                {"minutes": form.cleaned_data["minutes"], "alarms": event.data["alarms"]}
            )
    status = 422 if form.errors else 200
    return render(request, "sessions/_silence.html", {"form": form}, status=status)


@allow(Role.PRESCRIBER)
@require_POST
def order_cosign(request: HttpRequest, order_id: int) -> HttpResponse:
    """Sign an order that was given by voice."""
    order = get_object_or_404(VerbalOrder, pk=order_id)
    try:
        services.cosign_order(request.user, order)
        messages.success(request, _("The order is signed."))
    except Refused as refusal:
        messages.error(request, refusal.message)
    return redirect("today")


@allow(*BEDSIDE)
@require_http_methods(["GET", "POST"])
def event_correct(request: HttpRequest, session_id: uuid.UUID, seq: int) -> HttpResponse:
    """Put an earlier entry right, by a new one."""
    found = queries.session_for_screen(session_id)
    lines = queries.timeline_of(found).lines
    line = next((line for line in lines if line.seq == seq), None)
    if line is None or not (
        line.can_be_corrected or line.can_be_retimed or _sent_before(request, found)
    ):
        raise Http404(_("There is no such entry, or it cannot be corrected."))
    return _sheet(
        request,
        found,
        title=_("Correct an entry"),
        submit=_("Correct"),
        about=describe(line),
        form=forms.CorrectForm(
            request.POST or None, line=line, protocol=queries.protocol_of(found)
        ),
        service=lambda **entry: services.correct_event(request.user, found, seq=seq, **entry),
    )


def _sheet(
    request: HttpRequest,
    found: Session,
    *,
    form: forms.SheetForm,
    service: Callable[..., Any],
    **context: Any,
) -> HttpResponse:
    """Show the form; done, tell the screen. A refusal comes back at its field, with 422."""
    if request.method == "POST" and _done(
        request,
        found,
        form,
        lambda: service(**{**form.entry(), "client_id": form.cleaned_data["client_id"]}),
    ):
        if not request.htmx:
            return redirect("session", found.pk)
        tell = {"sheet-done": True, "session-changed": True}
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(tell)})
    context = {**context, "form": form, "action": request.path, "session": found}
    status = 422 if form.errors else 200
    if request.htmx:
        return render(request, "sessions/_sheet.html", {**context, **_beside(found)}, status=status)
    context["back"] = reverse("session", args=[found.pk])
    return _screen(request, found, "sessions/sheet_page.html", status=status, **context)


def _done(
    request: HttpRequest, found: Session, form: forms.SheetForm, act: Callable[[], Any]
) -> bool:
    """Whether the entry is in the record now, by this sending or by an earlier one of the same."""
    if _sent_before(request, found):  # what it did may be what no longer lets its form be valid
        return True
    return form.is_valid() and attempt(form, act) is not None


def _sent_before(request: HttpRequest, found: Session) -> bool:
    try:
        client_id = uuid.UUID(request.POST.get("client_id", ""))
    except ValueError:
        return False
    return services.stored(found, client_id) is not None


MAY_ANSWER = tuple(monitoring_form.MAY_ANSWER)
MAY_SEND = tuple(monitoring_form.MAY_SEND)


@staff_only
@require_GET
def rems_forms(request: HttpRequest) -> HttpResponse:
    """A fragment: the monitoring forms that are owed to the safety programme, and those sent."""
    return render(
        request,
        "sessions/_rems_forms.html",
        {
            "owed": monitoring_form.forms_to_send(),
            "sent": monitoring_form.forms_sent(),
            "today": clock.today(),
        },
    )


@allow(*MAY_SEND)
@never_cache
@require_http_methods(["GET", "POST"])
def monitoring(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """The sheet of one session: as filled, the clinician's part of it, and that it was sent."""
    found = _owing(session_id)
    timeline = queries.timeline_of(found)
    may_answer = request.user.role in MAY_ANSWER
    if request.method == "POST" and not may_answer:
        raise PermissionDenied
    told = found.monitoring_form.answers or monitoring_form.initial(found, timeline, request.user)
    proposed = monitoring_form.proposed(found, timeline)
    form = forms.MonitoringAnswersForm(
        request.POST or None,
        because={key: event.because for key, event in proposed.items()},
        initial=told,
    )
    if request.method == "POST" and form.is_valid():
        attempt(
            form,
            lambda: monitoring_form.answer_form(request.user, found, answers=form.cleaned_data),
        )
        if not form.errors:
            messages.success(request, _("Answered. Now it can be sent."))
            return redirect("monitoring_form", found.pk)
        found = _owing(session_id)
    return _show_monitoring(
        request, found, form, forms.SentForm(initial={"sent_on": clock.today()})
    )


@allow(*MAY_SEND)
@require_POST
def monitoring_sent(request: HttpRequest, session_id: uuid.UUID) -> HttpResponse:
    """A person has sent the sheet to the programme."""
    found = _owing(session_id)
    form = forms.SentForm(request.POST)
    if form.is_valid():
        attempt(
            form,
            lambda: monitoring_form.mark_sent(request.user, found, **form.cleaned_data),
        )
        if not form.errors:
            messages.success(request, _("Kept: the form was sent."))
            return redirect("rems")
    timeline = queries.timeline_of(found)
    proposed = monitoring_form.proposed(found, timeline)
    answers = forms.MonitoringAnswersForm(
        because={key: event.because for key, event in proposed.items()},
        initial=found.monitoring_form.answers,
    )
    return _show_monitoring(request, found, answers, form)


def _owing(session_id: uuid.UUID) -> Session:
    return get_object_or_404(
        Session.objects.select_related(
            "person", "course__person", "planned__plan", "chair", "monitoring_form"
        ),
        pk=session_id,
        monitoring_form__isnull=False,
    )


def _show_monitoring(
    request: HttpRequest, found: Session, form: forms.MonitoringAnswersForm, sent: forms.SentForm
) -> HttpResponse:
    timeline = queries.timeline_of(found)
    entries = monitoring_form.fill(found, timeline)
    return render(
        request,
        "sessions/monitoring.html",
        {
            "session": found,
            "person": found.person,
            "owed": found.monitoring_form,
            "entries": entries,
            "missing": monitoring_form.missing(entries),
            "serious_signs": monitoring_form.serious_signs(timeline),
            "form": form,
            "sent_form": sent,
            "may_answer": request.user.role in MAY_ANSWER and not found.monitoring_form.sent_on,
            "today": clock.today(),
        },
        status=422 if form.errors or sent.errors else 200,
    )
