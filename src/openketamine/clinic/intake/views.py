"""Screening: questionnaires, history, findings, decisions, safety reviews."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import get_language, gettext_noop
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from openketamine import protocols
from openketamine.clinic.accounts.access import allow, staff_only
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.forms import attempt
from openketamine.clinic.people.models import Course, Stage
from openketamine.clinic.policy.queries import current_approval, library
from openketamine.clinic.record import clock
from openketamine.protocols import eligibility, schema, staging

from . import queries, services
from .forms import (
    DecisionForm,
    HistoryForm,
    ProgrammeForm,
    QuestionnaireForm,
    SafetyReviewForm,
    SignScreeningForm,
    StagingForm,
    TestForm,
    TrialForm,
)
from .models import (
    AntidepressantTrial,
    FindingDecision,
    InstrumentResponse,
    SafetyReview,
    Screening,
)

INVALID = 422
# How a regulator stands to a programme, as the protocols name it.
STANDINGS = (
    gettext_noop("approved"),
    gettext_noop("off-label"),
    gettext_noop("not recommended"),
    gettext_noop("subsidised"),
)
# Short names of instruments that are words.
NAMES = (
    gettext_noop("Bladder"),
    gettext_noop("Dissociation"),
    gettext_noop("Pain 0-10"),
    gettext_noop("Side effects"),
)
INTAKE = (Role.COORDINATOR, Role.PRESCRIBER, Role.NURSE, Role.THERAPIST)


def _course(course_id: uuid.UUID) -> Course:
    return get_object_or_404(
        Course.objects.select_related("person", "prescriber", "history__taken_by", "staging"),
        pk=course_id,
    )


@dataclass(frozen=True)
class FindingRow:
    """A finding as the screen shows it: with its source in words and what was decided."""

    finding: protocols.Finding
    source: str
    explanation: str
    facts: list[tuple[str, Any, str]]
    decision: FindingDecision | None


@dataclass(frozen=True)
class UnknownRow:
    """What must be found out, where it is entered, and every rule that waits for it."""

    asks: list[tuple[str, str]]  # (what, address or nothing)
    why: str
    waiting: list[FindingRow]

    @property
    def is_waived(self) -> bool:
        return all(row.decision for row in self.waiting)


def _rows(course: Course, facts: dict[str, queries.Fact]) -> list[FindingRow]:
    current = library()
    findings = queries.findings_for(course, facts, shown=True)
    decided = queries.standing_decisions(course, findings)
    return [
        FindingRow(
            finding,
            current.source(finding.source),
            queries.explained(finding),
            [
                (
                    _(current.facts[name].label),
                    _in_words(value, current.facts[name].unit),
                    facts[name].because if name in facts and value is not None else "",
                )
                for name, value in finding.facts_read.items()
            ],
            decided.get(finding.rule_id),
        )
        for finding in findings
    ]


def _unknown(course: Course, rows: list[FindingRow]) -> list[UnknownRow]:
    """The missing facts, each with all rules that wait for it: one thing to do is one row."""
    waiting: dict[tuple[str, ...], list[FindingRow]] = {}
    for row in rows:
        if row.finding.kind == "missing":
            waiting.setdefault(row.finding.missing, []).append(row)
    return [
        UnknownRow(
            [(_(library().facts[name].label), _where(course, name)) for name in names],
            found[0].explanation,
            found,
        )
        for names, found in waiting.items()
    ]


def _where(course: Course, name: str) -> str:
    """The address at which a fact is entered; nothing where the page itself settles it."""
    fact = library().facts[name]
    if name == "failed_adequate_trials":
        return reverse("trials", args=[course.pk])
    if fact.section:
        return f"{reverse('history', args=[course.pk])}#id_{name}"
    if name in _MEASURED:
        return reverse("measure", args=[course.person_id])
    if fact.test:
        return reverse("test_result", args=[course.pk, name])
    instrument = name.removesuffix("_total").replace("_", "-")
    if instrument in library().instruments:
        return reverse("questionnaire", args=[course.pk, instrument])
    return ""


_MEASURED = frozenset({"weight_kg", "systolic_mmhg", "diastolic_mmhg"})


def _in_words(value: Any, unit: str = "") -> str:
    match value:
        case None:
            return _("not known")
        case bool():
            return _("yes") if value else _("no")
        case list() | tuple():
            return ", ".join(value) or _("none")
        case float():
            value = f"{value:g}"
        case str():
            value = _(value)
    return f"{value} {_(unit)}".rstrip()


@staff_only
@require_GET
def screening(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    return _show_screening(request, _course(course_id))


def _show_screening(
    request: HttpRequest,
    course: Course,
    *,
    form: Any = None,
    programme_form: Any = None,
    status: int = 200,
) -> HttpResponse:
    facts = queries.facts_for(course, shown=True)
    rows = _rows(course, facts)
    signed = Screening.objects.filter(course=course).select_related("signed_by").first()
    known = {name: fact.value for name, fact in facts.items()}
    asked = queries.programme_of(course)
    tests = eligibility.asked_tests(library(), known, **asked)
    return render(
        request,
        "intake/screening.html",
        {
            "course": course,
            "person": course.person,
            **_programme_in_words(course),
            "stops": [r for r in rows if r.finding.kind == "contraindication"],
            "cautions": [r for r in rows if r.finding.kind == "caution"],
            "unknown": _unknown(course, rows),
            "responses": queries.latest_responses(course, occasion="intake"),
            "instruments": [library().instruments[i] for i in queries.instruments_asked(course)],
            "tests": [
                (test, fact, _(fact.value) if fact and isinstance(fact.value, str) else value)
                for test in tests
                if test.id not in _MEASURED
                for fact in [facts.get(test.id)]
                for value in [fact.value if fact else None]
            ],
            "asks_trials": "failed_adequate_trials" in eligibility.facts_asked(library(), **asked),
            "trials": facts.get("failed_adequate_trials"),
            "signed": signed,
            "form": form or SignScreeningForm(),
            "programme_form": programme_form
            or ProgrammeForm(
                initial={
                    "condition": course.condition,
                    "route": course.route,
                    "setting": course.setting,
                }
            ),
            "library": library(),
            "approval": current_approval(),
            "reviews": queries.open_safety_reviews(course),
        },
        status=status,
    )


def _programme_in_words(course: Course) -> dict[str, Any]:
    """Route, condition, place, what its regulators say, and which law is about to lapse."""
    current, asked = library(), queries.programme_of(course)
    place = current.jurisdictions.get(asked["jurisdiction"].split("-")[0])
    return {
        "route": next(r for r in current.programmes.routes if r.id == course.route),
        "condition": next(c for c in current.programmes.conditions if c.id == course.condition),
        "place": place,
        "jurisdiction": asked["jurisdiction"],
        "standing": [
            (status, current.source(status.source))
            for status in eligibility.standing(current, **asked)
        ],
        "lapsing": [
            item
            for item in eligibility.laws_lapsing(
                current, on=asked["on"], jurisdiction=asked["jurisdiction"]
            )
            if course.setting == "home" and item.rule.stance(course.route)
        ],
    }


@allow(Role.PRESCRIBER)
@require_POST
def programme(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """Choose condition, route and setting; the findings are then those of that programme."""
    course = _course(course_id)
    form = ProgrammeForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.choose_programme(request.user, course, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("These are the findings for the programme chosen."))
            return redirect("screening", course.pk)
    return _show_screening(request, course, programme_form=form, status=INVALID)


@allow(*INTAKE, Role.DIRECTOR)
@require_GET
def tests(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """The measurements and tests that this programme asks of this person, and how old each is."""
    course = _course(course_id)
    facts = queries.facts_for(course, shown=True)
    known = {name: fact.value for name, fact in facts.items()}
    asked = eligibility.asked_tests(library(), known, **queries.programme_of(course))
    names = {test.id for test in asked}
    others = [fact for fact in library().facts.values() if fact.test and fact.id not in names]
    return render(
        request,
        "intake/tests.html",
        {
            "course": course,
            "person": course.person,
            "asked": [_test_row(course, test, facts.get(test.id)) for test in asked],
            "others": [_test_row(course, test, facts.get(test.id)) for test in others],
            "ages": library().facts_file.ages,
        },
    )


def _test_row(
    course: Course, test: schema.FactDefinition, fact: queries.Fact | None
) -> dict[str, Any]:
    days = library().facts_file.ages.days.get(test.id)
    too_old = bool(fact and fact.on and days and (clock.today() - fact.on).days > days)
    value = _in_words(fact.value, test.unit) if fact else ""
    address = _where(course, test.id)
    return {
        "test": test,
        "fact": fact,
        "value": value,
        "days": days,
        "too_old": too_old,
        "url": address,
    }


@allow(*INTAKE)
@require_http_methods(["GET", "POST"])
def test_result(request: HttpRequest, course_id: uuid.UUID, fact_id: str) -> HttpResponse:
    course = _course(course_id)
    fact = library().facts.get(fact_id)
    if fact is None or not fact.test:
        raise Http404
    form = TestForm(request.POST or None, fact=fact)
    if request.method == "POST" and form.is_valid():
        attempt(
            form,
            lambda: services.record_test_result(
                request.user, course, fact=fact_id, **form.cleaned_data
            ),
        )
        if not form.errors:
            messages.success(request, _("%(fact)s is kept.") % {"fact": _(fact.label)})
            return redirect("screening", course.pk)
    return render(
        request,
        "intake/test_result.html",
        {"form": form, "fact": fact, "course": course, "person": course.person},
        status=INVALID if form.errors else 200,
    )


@staff_only
@require_GET
def trials(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """The antidepressant trials, why each counts or not, and the staging."""
    return _show_trials(request, _course(course_id), None)


def _show_trials(request: HttpRequest, course: Course, form: StagingForm | None) -> HttpResponse:
    rows = list(
        course.trials.filter(withdrawn_at=None)
        .select_related("entered_by")
        .order_by("started", "pk")
    )
    count = staging.count_failed(library(), queries.trials_of(course), on=clock.today())
    kept = getattr(course, "staging", None)
    answers = dict(kept.answers) if kept else {}
    failed = count.at_least if count.at_least == count.at_most and rows else None
    (score,) = library().staging.scores
    return render(
        request,
        "intake/trials.html",
        {
            "course": course,
            "person": course.person,
            "rows": list(zip(rows, count.judged, strict=True)),
            "count": count,
            "rules": library().staging,
            "score": score,
            "source": library().source(score.source),
            "stage": staging.stage(score, {**answers, "failed_antidepressants": failed or None}),
            "form": form or StagingForm(score=score, initial=answers),
            "signed": Screening.objects.filter(course=course).exists(),
            "may_enter": request.user.role in INTAKE,
        },
        status=INVALID if form is not None else 200,
    )


@allow(*INTAKE)
@require_http_methods(["GET", "POST"])
def trial_new(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    form = TrialForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.record_trial(request.user, course, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The trial is kept."))
            return redirect("trials", course.pk)
    return render(
        request,
        "intake/trial_new.html",
        {"form": form, "course": course, "person": course.person},
        status=INVALID if form.errors else 200,
    )


@allow(*INTAKE)
@require_POST
def withdraw_trial(request: HttpRequest, trial_id: int) -> HttpResponse:
    trial = get_object_or_404(AntidepressantTrial.objects.select_related("course"), pk=trial_id)
    form = forms.Form(request.POST)
    form.is_valid()
    attempt(form, lambda: services.withdraw_trial(request.user, trial))
    for error in form.non_field_errors():
        messages.error(request, error)
    return redirect("trials", trial.course_id)


@allow(*INTAKE)
@require_POST
def stage_resistance(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    (score,) = library().staging.scores
    form = StagingForm(request.POST, score=score)
    if form.is_valid():
        attempt(form, lambda: services.record_staging(request.user, course, form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The staging is kept."))
            return redirect("trials", course.pk)
    return _show_trials(request, course, form)


@allow(Role.PRESCRIBER)
@require_POST
def sign_screening(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    form = SignScreeningForm(request.POST)
    if form.is_valid():
        attempt(form, lambda: services.sign_screening(request.user, course, **form.cleaned_data))
        if not form.errors:
            messages.success(request, _("The screening is signed."))
            return redirect("person", course.person_id)
    return _show_screening(request, course, form=form, status=INVALID)


@allow(Role.PRESCRIBER)
@require_POST
def decide(request: HttpRequest, course_id: uuid.UUID, rule_id: str) -> HttpResponse:
    course = _course(course_id)
    form = DecisionForm(request.POST)
    if form.is_valid():
        attempt(
            form,
            lambda: services.decide_finding(
                request.user, course, rule_id=rule_id, **form.cleaned_data
            ),
        )
    if form.errors:
        messages.error(request, " ".join(e for errors in form.errors.values() for e in errors))
    return redirect("screening", course.pk)


@staff_only
@require_GET
def questionnaires(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """Every questionnaire and rating that can be entered, those of the measurement plan first."""
    course = _course(course_id)
    planned, others = queries.questionnaires_for(course)
    return render(
        request,
        "intake/questionnaires.html",
        {
            "course": course,
            "person": course.person,
            "planned": planned,
            "others": others,
            "reviews": queries.open_safety_reviews(course),
        },
    )


@allow(*INTAKE)
@require_http_methods(["GET", "POST"])
def questionnaire(request: HttpRequest, course_id: uuid.UUID, instrument_id: str) -> HttpResponse:
    """All of one questionnaire on one page; `?entry=total` for a form added up elsewhere."""
    course = _course(course_id)
    at_intake = course.stage in {Stage.REFERRED, Stage.SCREENING}
    return enter_questionnaire(
        request,
        course,
        instrument_id,
        keep=lambda **answers: services.record_response(
            request.user,
            course,
            instrument=instrument_id,
            occasion="intake" if at_intake else services.VISIT,
            **answers,
        ),
        back=reverse("screening" if at_intake else "questionnaires", args=[course.pk]),
    )


def enter_questionnaire(
    request: HttpRequest,
    course: Course,
    instrument_id: str,
    *,
    keep: Callable[..., InstrumentResponse],
    back: str,
) -> HttpResponse:
    """One questionnaire, all on one page; `keep` gets its `answers`, `total` and `language`."""
    definition = library().instruments.get(instrument_id)
    if definition is None:
        raise Http404
    asked_in = request.GET.get("language", get_language() or "en")
    language = asked_in if asked_in in definition.translations else "en"
    instrument = definition.in_language(language)
    only_total = not instrument.items or (
        request.GET.get("entry") == "total" and instrument.total_may_be_entered
    )
    form = QuestionnaireForm(request.POST or None, instrument=instrument, only_total=only_total)
    if request.method == "POST" and form.is_valid():
        response = attempt(
            form,
            lambda: keep(answers=form.answers(), total=form.total(), language=language),
        )
        if response:
            tell_result(request, response)
            if reviews := queries.open_safety_reviews(course):
                return redirect("safety_review", reviews[0].pk)
            return redirect(back)
    return render(
        request,
        "intake/questionnaire.html",
        {
            "form": form,
            "instrument": instrument,
            "course": course,
            "person": course.person,
            "only_total": only_total,
            "language": language,
            "back": back,
        },
        status=INVALID if form.errors else 200,
    )


def tell_result(request: HttpRequest, response: InstrumentResponse) -> None:
    """Say what was kept, and where a form is unfinished that its alarm stands."""
    name = _(library().instruments[response.instrument].short_name)
    if response.complete:
        messages.success(request, f"{name}: {response.result_in_words}.")
    else:
        words = _("%(name)s is incomplete. Its alarm stands all the same.")
        messages.warning(request, words % {"name": name})


@allow(*INTAKE)
@require_http_methods(["GET", "POST"])
def history(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    course = _course(course_id)
    facts = queries.facts_for(course, shown=True)
    known = {name: fact.value for name, fact in facts.items()}
    words = {True: "yes", False: "no"}
    asked = getattr(course, "history", None)
    form = HistoryForm(
        request.POST or None,
        sections=protocols.questions_for(library(), known, **queries.programme_of(course)),
        because={
            name: _("Referral says: %(what)s") % {"what": fact.because}
            for name, fact in facts.items()
            if asked is None or name not in asked.answers
        },
        initial={
            name: words[value] if isinstance(value, bool) else value
            for name, value in known.items()
        },
    )
    if request.method == "POST" and form.is_valid():
        attempt(form, lambda: services.record_history(request.user, course, form.answers()))
        if not form.errors:
            messages.success(request, _("The history is kept."))
            return redirect("screening", course.pk)
    return render(
        request,
        "intake/history.html",
        {"form": form, "course": course, "person": course.person},
        status=INVALID if form.errors else 200,
    )


@staff_only
@require_http_methods(["GET", "POST"])
def safety_review(request: HttpRequest, review_id: int) -> HttpResponse:
    review = get_object_or_404(
        SafetyReview.objects.select_related("course__person", "response", "reviewer"), pk=review_id
    )
    form = SafetyReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        shown = [int(key) for key in request.POST.getlist("also") if key.isdecimal()]
        attempt(
            form,
            lambda: services.close_safety_review(
                request.user, review, also=shown, **form.cleaned_data
            ),
        )
        if not form.errors:
            messages.success(request, _("The safety review is recorded."))
            return redirect("person", review.course.person_id)
    return render(
        request,
        "intake/safety_review.html",
        {
            "form": form,
            "review": review,
            "beside": [] if review.closed_at else queries.open_beside(review),
            "course": review.course,
            "person": review.course.person,
            "instrument": library().instruments[review.response.instrument],
            "may_record": request.user.role in services.CLINICIANS,
        },
        status=INVALID if form.errors else 200,
    )


@staff_only
@require_GET
def safety_banner(request: HttpRequest, course_id: uuid.UUID) -> HttpResponse:
    """A fragment: what nobody may overlook on the pages of this person."""
    return render(
        request,
        "intake/_safety_banner.html",
        {"reviews": queries.open_safety_reviews(_course(course_id))},
    )
