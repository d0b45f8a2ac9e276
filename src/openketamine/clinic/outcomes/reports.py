"""The clinic's own outcomes, for its director and its researcher.

Every figure stands with its denominator, its missing data and what was published beside it; small
cells stay hidden from everybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST

from openketamine.clinic.accounts.access import allow
from openketamine.clinic.accounts.models import Role
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sites.queries import Here
from openketamine.clinic.sites.scope import EVERYTHING, narrow
from openketamine.protocols import Library
from openketamine.protocols.evidence import Result
from openketamine.protocols.schema import InstrumentFile, OutcomesFile

from . import cohort as cohorts
from . import figures, fits, plot, published, statistics, summaries
from .cohort import Cohort, Filters, Scores
from .forms import CohortForm, filters_of, raw_filters
from .suppression import Shown, hidden, is_small, may_be_shown, proportion_shown, shown

READERS = (Role.DIRECTOR, Role.RESEARCHER)
TABS = (
    ("outcomes", gettext_lazy("Response and remission")),
    ("outcomes_time", gettext_lazy("Onset and relapse")),
    ("outcomes_trajectory", gettext_lazy("Scores over time")),
    ("outcomes_events", gettext_lazy("Adverse events")),
    ("outcomes_clinicians", gettext_lazy("Clinicians")),
    ("outcomes_exports", gettext_lazy("Exports")),
)
# By what a condition is measured first, where it was answered; else the most answered.
FIRST = {"PTSD": "pcl5", "PAIN": "peg", "AUD": "audit", "SUD": "dast-10", "GAD": "gad7"}
SHARES = {
    "response": gettext_lazy("Share that responded by %(name)s in %(when)s"),
    "remission": gettext_lazy("Share that came into remission by %(name)s in %(when)s"),
    "important_change": gettext_lazy("Share that improved by %(name)s in %(when)s"),
}


@dataclass
class Page:
    """What every outcomes page knows. `cohort` is None where it may not be shown; `why` says so."""

    tab: str
    now: datetime
    library: Library
    fresh: summaries.Freshness
    form: CohortForm
    filters: Filters
    query: str
    sites: dict[int, str]  # of whoever asks; empty where there is one
    cohort: Cohort | None = None
    why: str = ""
    instrument: InstrumentFile | None = None
    tabs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rules(self) -> OutcomesFile:
        return self.library.outcomes

    @property
    def fewer_than(self) -> int:
        return self.rules.small_cells.fewer_than

    @property
    def began(self) -> int:
        return len(self.cohort) if self.cohort else 0

    @property
    def scores(self) -> Scores:
        assert self.cohort is not None
        assert self.instrument is not None
        return cohorts.load_scores(self.filters, self.cohort, self.instrument.id)


def page_of(request: HttpRequest, tab: str) -> Page:
    """What was chosen, and the cohort that comes of it. A number of queries that never grows."""
    statistics.warm_up()  # the next tabs need it
    now = clock.now()
    current = library()
    fresh = summaries.freshen()
    data, own = _asked(request, request.GET)
    filters = raw_filters(data, clock.today())
    with_clinicians = request.user.role == Role.DIRECTOR
    if not with_clinicians:
        filters = filters.without("prescriber")
    sizes = cohorts.sizes(filters, with_sites=bool(own))
    if "condition" not in request.GET and (largest := _largest(sizes.condition, current)):
        data["condition"] = largest
        filters = raw_filters(data, clock.today())
        if not with_clinicians:
            filters = filters.without("prescriber")
        sizes = cohorts.sizes(filters, with_sites=bool(own))
    instruments = _instruments(filters, current)
    chosen = data.get("instrument", "")
    if not chosen and instruments:
        preferred = FIRST.get(filters.condition, "phq9")
        names = [name for name, _label in instruments]
        data["instrument"] = chosen = preferred if preferred in names else names[0]
    form = CohortForm(
        data,
        sizes=sizes,
        names=cohorts.names_of(sizes.prescriber),
        library=current,
        instruments=instruments,
        with_clinicians=with_clinicians,
        sites=own,
    )
    chosen_now = {key: value for key, value in data.items() if key in form.fields}
    page = Page(tab, now, current, fresh, form, filters, urlencode(chosen_now), own)
    page.tabs = [
        {"name": name, "title": title, "url": reverse(name), "here": name == tab}
        for name, title in TABS
        if with_clinicians or name != "outcomes_clinicians"
    ]
    if not form.is_valid():
        page.why = _("One of the choices is not there any more. Choose again.")
        return page
    page.filters = filters_of(form.cleaned_data, clock.today())
    page.instrument = current.instruments.get(form.cleaned_data["instrument"])
    found = cohorts.load(page.filters, now)
    wider = [cohorts.size(each) for each in page.filters.wider()]
    if not len(found):
        page.why = _(
            "No course of this kind has begun yet. A course begins to count with its first dose."
        )
    elif not may_be_shown(len(found), wider, page.fewer_than):
        page.why = _(
            "Too few courses: this cohort, or what it leaves of a wider one, has under %(n)d. "
            "Choose a wider one."
        ) % {"n": page.fewer_than}
    else:
        page.cohort = found
    return page


def _asked(request: HttpRequest, query: QueryDict) -> tuple[dict[str, Any], dict[int, str]]:
    """What was chosen, and the sites among which the reader may choose.

    The site at which the browser looks is a choice like the others here, which the page shows and
    the small cells are held against: what it leaves of all sites must not be told either.
    """
    here: Here = getattr(request, "here", Here(EVERYTHING))
    data: dict[str, Any] = query.dict()
    if len(here.own) < 2:
        return data, {}
    narrow(here.reach)
    if "site" not in data and here.chosen:
        data["site"] = str(here.chosen.pk)
    return data, {site.pk: site.name for site in here.own}


def _largest(counts: Mapping[str, int], current: Library) -> str:
    """The condition to begin with: the one of most courses, unless it leaves a small rest."""
    name = max(counts, key=lambda each: counts[each], default="")
    rest = sum(counts.values()) - counts.get(name, 0)
    return "" if is_small(rest, current.outcomes.small_cells.fewer_than) else name


def _instruments(filters: Filters, current: Library) -> list[tuple[str, str]]:
    """Those answered in the cohort by which something can be counted, the most answered first."""
    found = cohorts.answered_instruments(filters)
    return [
        (name, _(current.instruments[name].short_name))
        for name, _n in sorted(found.items(), key=lambda item: (-item[1], item[0]))
        if name in current.instruments and figures.measures_of(current.instruments[name])
    ]


def _show(request: HttpRequest, page: Page, **context: Any) -> HttpResponse:
    name = page.tab.removeprefix("outcomes").strip("_") or "response"
    return render(
        request,
        f"outcomes/report_{name}.html",
        {"report": page, "rules": page.rules, **context},
        status=200 if page.form.is_valid() else 422,
    )


def percent(share: float | None) -> str:
    """In words: whole from 10 % on, one decimal below."""
    if share is None:
        return "–"
    value = 100 * share
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.1f} %"


def _range(low: str, high: str) -> str:
    return _("%(low)s to %(high)s") % {"low": low, "high": high}


def in_words(found: Shown) -> str:
    """A proportion with its interval, or that it stays hidden."""
    if found.n == 0:
        return _("nobody yet")
    if found.under is not None and found.n:
        return _("fewer than %(under)d of %(n)d") % {"under": found.under, "n": found.n}
    if found.is_hidden:
        return _("not shown: too few")
    return _with_interval(found.share, found.low, found.high)


def _with_interval(share: float | None, low: float | None, high: float | None) -> str:
    return f"{percent(share)} ({_range(percent(low)[:-2], percent(high))})"


def published_in_words(result: Result) -> str:
    unit = "%" if result.unit == "percent" else _(result.unit)
    words = f"{result.value:g} {unit}"
    if interval := result.interval:
        both = _range(f"{interval.low:.0f}", f"{interval.high:.0f} {unit}")
        words += f" ({both}, {_(interval.how)})"
    return words


@dataclass(frozen=True)
class PublishedRow:
    """A published result as a line of a table."""

    trial: str  # its name, as it was published
    arm: str
    words: str
    control: str
    people: str
    differs: str
    certainty: str
    source: str
    at: str


def _published_rows(found: Sequence[published.Beside]) -> list[PublishedRow]:
    return [
        PublishedRow(
            f"{r.trial}{f' ({r.year})' if r.year else ''}",
            f"{_(r.arm)}, {_(r.dose)} {_(r.dose_unit)}",
            published_in_words(r),
            f"{_(beside.control.arm)}: {published_in_words(beside.control)}"
            if beside.control
            else _("no control arm at that time"),
            f"{_(r.population)}, {f'n = {r.n_arm}' if r.n_arm else _('number not seen')}",
            "; ".join(beside.differs) or _("alike in instrument, route, condition and time"),
            _(r.certainty),
            r.source,
            _("day %(day)s") % {"day": f"{beside.day:g}"}
            if beside.day is not None
            else _("at no fixed time"),
        )
        for beside in found
        for r in [beside.result]
    ]


@dataclass(frozen=True)
class FigureRow:
    """A figure at one landmark as it may be shown."""

    landmark: str
    main: bool
    began: str
    reached: str
    measured: str
    words: str
    bounds: str
    missing: list[tuple[str, str]]
    counted: Shown


def _under(fewer_than: int) -> str:
    return _("under %(n)d") % {"n": fewer_than}


def _figure_row(found: figures.Figure, fewer_than: int) -> FigureRow:
    """Who is counted at a landmark and who is not; the parts of a whole hide together."""
    counted = proportion_shown(found.counted, fewer_than)
    not_yet = found.began - found.reached
    outside = found.reached - found.measured - found.unmeasured  # was never above the cut
    parts = {"not yet": not_yet, "measured": found.measured, "outside": outside, **found.missing}
    may = shown(parts, fewer_than)
    under = _under(fewer_than)

    def word(count: int | None) -> str:
        return _("hidden") if count is None else str(count)

    gone = [(_(reason), word(may[reason])) for reason, n in found.missing.items() if n]
    if outside:
        gone.append((_(figures.ALREADY), word(may["outside"])))
    # How many are missing in all can be told from what is shown, unless a part of it is hidden.
    told = all(may[part] is not None for part in ("not yet", "measured", "outside"))
    if not found.unmeasured:
        bounds = _("nobody is missing")
    elif told and counted.count is not None:
        bounds = _range(percent(found.if_none), percent(found.if_all))
    else:
        bounds = _("not shown: too few")
    if may["measured"] is None and found.measured:
        counted = Shown(None, None, None, None, None)
    return FigureRow(
        _(found.landmark.label),
        found.landmark.main,
        str(found.began),
        under if is_small(found.reached, fewer_than) else word(
            None if may["not yet"] is None else found.reached
        ),
        word(may["measured"]),
        in_words(counted),
        bounds,
        gone,
        counted,
    )  # fmt: skip


def _share(place: float, found: Shown, title: str) -> plot.Share:
    def scaled(value: float | None) -> float | None:
        return None if value is None else 100 * value

    return plot.Share(place, scaled(found.share), scaled(found.low), scaled(found.high), title)


def _published_share(place: float, beside: published.Beside) -> plot.Share:
    result = beside.result
    interval = result.interval
    return plot.Share(
        place,
        result.value,
        interval.low if interval else None,
        interval.high if interval else None,
        _("%(trial)s: %(words)s, %(certainty)s")
        % {
            "trial": result.trial,
            "words": published_in_words(result),
            "certainty": _(result.certainty),
        },
    )


@allow(*READERS)
@require_GET
def response(request: HttpRequest) -> HttpResponse:
    """Response and remission at each landmark, with everybody who is not in them."""
    page = page_of(request, "outcomes")
    if page.cohort is None or page.instrument is None:
        return _show(request, page)
    scores, instrument = page.scores, page.instrument
    ats = [figures.at_landmark(page.cohort, scores, each) for each in page.rules.landmarks]
    sections = []
    for measure in figures.measures_of(instrument):
        found = [figures.figure(measure, instrument, scores, at) for at in ats]
        rows = [_figure_row(each, page.fewer_than) for each in found]
        own = [_share(i, row.counted, f"{row.landmark}: {row.words}") for i, row in enumerate(rows)]
        beside = {
            i: published.outcomes(
                measure,
                condition=page.filters.condition,
                route=page.filters.route,
                instrument=instrument.short_name,
                day=at.landmark.day,
                most=2,
            )
            for i, at in enumerate(ats)
        }
        main = next(i for i, at in enumerate(ats) if at.landmark.main)
        table = published.outcomes(
            measure,
            condition=page.filters.condition,
            route=page.filters.route,
            instrument=instrument.short_name,
            day=ats[main].landmark.day,
        )
        rule = getattr(instrument, measure)
        sections.append(
            {
                "measure": measure,
                "title": _(figures.MEASURES[measure]),
                "rule": _("%(statement)s (%(certainty)s)")
                % {"statement": _(rule.statement), "certainty": _(rule.certainty)},
                "rows": rows,
                "main": rows[main],
                "chart": plot.shares_over_time(
                    _("%(measure)s by %(name)s at each landmark; the table below has the figures")
                    % {
                        "measure": _(figures.MEASURES[measure]),
                        "name": _(instrument.short_name),
                    },
                    [_(at.landmark.label) for at in ats],
                    own,
                    [_published_share(i, b) for i, found in beside.items() for b in found],
                ),
                "published": _published_rows(table),
                "caveats": published.caveats_for(table, about="outcomes"),
            }
        )
    return _show(request, page, sections=sections)


# Where a curve is read off for its table, in days.
READ_AT = (7, 14, 21, 28, 42, 56, 84, 112, 182, 365)


def _curve(
    found: figures.TimeTo, fewer_than: int, *, rising: bool, label: str, y_title: str
) -> dict[str, Any]:
    """A curve, cut off where too few are left, and its table."""
    context: dict[str, Any] = {
        "n": found.n,
        "left_out": [
            (_(reason), _("hidden") if n is None else str(n))
            for reason, n in shown({**found.left_out, "": found.n}, fewer_than).items()
            if reason and found.left_out[reason]
        ],
        "label": label,
        "hidden": found.survival is None
        or found.n < fewer_than
        or is_small(found.events, fewer_than)
        or is_small(found.n - found.events, fewer_than),
    }
    if context["hidden"] or found.survival is None:
        return context
    curve = found.survival
    still = curve.at_risk >= fewer_than
    until = float(curve.days[still][-1])
    rows = []
    for day in READ_AT:
        if day > until:
            break
        survival, low, high, left = curve.at(day)
        values = (1 - survival, 1 - high, 1 - low) if rising else (survival, low, high)
        rows.append(
            {
                "day": day,
                "words": percent(values[0])
                if np.isnan(values[1:]).any()
                else _with_interval(*values),
                "left": _under(fewer_than) if is_small(left, fewer_than) else str(left),
            }
        )
    median, low_day, high_day = curve.median
    if median is None or median > until:
        median_words = _("not reached while enough people were followed")
    else:
        ends = [_("not reached") if d is None else f"{d:.0f}" for d in (low_day, high_day)]
        median_words = _("day %(day)s (95 %% interval %(low)s to %(high)s)") % {
            "day": f"{median:.0f}",
            "low": ends[0],
            "high": ends[1],
        }
    return {
        **context,
        "events": found.events,
        "median": median_words,
        "rows": rows,
        "chart": plot.survival(label, curve, until_day=until, rising=rising, y_title=y_title),
    }


@allow(*READERS)
@require_GET
def onset_and_relapse(request: HttpRequest) -> HttpResponse:
    """How long until a response, and how long it lasts."""
    page = page_of(request, "outcomes_time")
    if page.cohort is None or page.instrument is None:
        return _show(request, page)
    if page.instrument.response is None:
        page.why = _(
            "The %(name)s has no published rule of response, so there is no time to one. "
            "Choose another questionnaire, or look at its scores over time."
        ) % {"name": _(page.instrument.short_name)}
        return _show(request, page)
    scores = page.scores
    name = _(page.instrument.short_name)
    onset = _curve(
        figures.time_to_response(page.instrument, page.cohort, scores),
        page.fewer_than,
        rising=True,
        label=_("Share that has responded by %(name)s, by day since the first dose")
        % {"name": name},
        y_title=_("have responded"),
    )
    relapse = _curve(
        figures.time_to_relapse(
            page.instrument, page.cohort, scores, in_a_row=page.rules.relapse.scores_in_a_row
        ),
        page.fewer_than,
        rising=False,
        label=_("Share still in response by %(name)s, by day since the response was first seen")
        % {"name": name},
        y_title=_("still in response"),
    )
    beside = published.relapses(condition=page.filters.condition, route=page.filters.route)
    return _show(
        request,
        page,
        onset=onset,
        relapse=relapse,
        published=_published_rows(beside),
        caveats=published.caveats_for(beside, about="relapse"),
    )


@allow(*READERS)
@require_GET
def trajectory(request: HttpRequest) -> HttpResponse:
    """Mean scores at each landmark: of a mixed model, and of those who were measured."""
    page = page_of(request, "outcomes_trajectory")
    if page.cohort is None or page.instrument is None:
        return _show(request, page)
    key = fits.key_of(page.filters, page.instrument.id, page.rules)
    row = fits.kept(key)
    scores = page.scores
    data = fits.data_of(page.cohort, scores, page.rules)
    current = row is not None and row.done_at is not None and row.data == data.digest
    if not current and data.scores.size <= fits.AT_ONCE:
        row = fits.keep(key, page.instrument, data)
        current = True
    ats = [figures.at_landmark(page.cohort, scores, each) for each in page.rules.landmarks]
    names = [fits.BASELINE, *(at.landmark.label for at in ats)]
    observed = _observed(page, scores, ats)
    modelled: list[plot.Level] = []
    table: list[dict[str, Any]] = []
    fitted = fits.as_fit(row) if row and row.fit else None
    for i, name in enumerate(names):
        line: dict[str, Any] = {"name": _(name), "observed": observed[i].title, "model": "–",
                                "change": "–"}  # fmt: skip
        if fitted and name in fitted.visits:
            j = fitted.visits.index(name)
            both = _range(f"{fitted.low[j]:.1f}", f"{fitted.high[j]:.1f}")
            line["model"] = f"{fitted.means[j]:.1f} ({both})"
            if j:
                both = _range(f"{fitted.change_low[j]:+.1f}", f"{fitted.change_high[j]:+.1f}")
                line["change"] = f"{fitted.change[j]:+.1f} ({both})"
            modelled.append(
                plot.Level(
                    i, fitted.means[j], fitted.low[j], fitted.high[j], f"{_(name)}: {line['model']}"
                )
            )
        table.append(line)
    highest = (page.instrument.total_range or (0, 100))[1]
    return _show(
        request,
        page,
        row=row,
        fitted=fitted,
        is_current=current,
        waits=row is not None and row.done_at is None,
        table=table,
        missing=[_figure_row(_as_figure(at), page.fewer_than) for at in ats],
        chart=plot.means(
            _("Mean %(name)s at each landmark; the table below has the figures")
            % {"name": _(page.instrument.short_name)},
            [_(name) for name in names],
            highest,
            modelled,
            observed,
            unit=_("points of %(n)s") % {"n": f"{highest:g}"},
        ),
    )


def _as_figure(at: figures.At) -> figures.Figure:
    """Who was measured at a landmark, as a figure of nobody's improvement."""
    measured = int(at.measured.sum())
    return figures.Figure(
        "measured",
        at.landmark,
        at.began,
        int(at.reached.sum()),
        statistics.proportion(0, measured),
        {reason: int(mask.sum()) for reason, mask in at.missing.items()},
    )


def _observed(page: Page, scores: Scores, ats: Sequence[figures.At]) -> list[plot.Level]:
    """The plain means: before treatment, and of those measured at each landmark."""
    before = statistics.mean(scores.baseline[~np.isnan(scores.baseline)])
    found = [before, *(figures.mean_change(scores, at).total for at in ats)]
    levels = []
    for i, each in enumerate(found):
        if each.n < max(page.fewer_than, 1) or each.mean is None:
            levels.append(
                plot.Level(i, None, None, None, _("too few") if each.n else _("nobody yet"))
            )
            continue
        interval = (
            ""
            if each.low is None or each.high is None
            else f" ({_range(f'{each.low:.1f}', f'{each.high:.1f}')})"
        )
        words = f"{each.mean:.1f}{interval}, n = {each.n}"
        levels.append(plot.Level(i, each.mean, each.low, each.high, words))
    return levels


@allow(*READERS)
@require_GET
def method(request: HttpRequest) -> HttpResponse:
    """How the figures come about, with the rules that are in force here."""
    current = library()
    return render(
        request,
        "outcomes/report_method.html",
        {
            "rules": current.outcomes,
            "instruments": [
                each for each in current.instruments.values() if figures.measures_of(each)
            ],
        },
    )


@allow(*READERS)
@require_POST
def ask_for_fit(request: HttpRequest) -> HttpResponse:
    """Have the model of a large cohort fitted in the background."""
    query = request.POST.get("query", "")[:500]
    data, _sites = _asked(request, QueryDict(query))
    current = library()
    filters = raw_filters(data, clock.today())
    instrument = current.instruments.get(data.get("instrument", ""))
    if request.user.role != Role.DIRECTOR:
        filters = filters.without("prescriber")
    if instrument is None:
        messages.error(request, _("Choose a questionnaire first."))
    else:
        fits.ask(filters, instrument)
        messages.success(request, _("The model is being fitted. Load the page again in a minute."))
    return redirect(f"{reverse('outcomes_trajectory')}?{query}")


@allow(*READERS)
@require_POST
def bring_up_to_date(request: HttpRequest) -> HttpResponse:
    """Work out the summaries of every course that has changed, however many."""
    done = summaries.rebuild()
    messages.success(
        request,
        ngettext("%(n)d course worked out anew.", "%(n)d courses worked out anew.", done)
        % {"n": done},
    )
    return redirect(f"{reverse('outcomes')}?{request.POST.get('query', '')[:500]}")


@dataclass(frozen=True)
class EventRow:
    label: str
    sessions: str
    moderate: str
    people: str
    published: list[dict[str, str]]


@allow(*READERS)
@require_GET
def adverse_events(request: HttpRequest) -> HttpResponse:
    """What was noted in sessions: of all sessions, and of all people."""
    page = page_of(request, "outcomes_events")
    if page.cohort is None:
        return _show(request, page)
    # Noted in sessions in the clinic and told from home; whoever had neither is not counted.
    cohort, fewer_than = page.cohort.part(page.cohort.sessions > 0), page.fewer_than
    sessions, n = int(cohort.sessions.sum()), len(cohort)
    if sessions == 0 or is_small(n, fewer_than):
        page.why = _("Too few of these courses had a session in the clinic or at home.")
        return _show(request, page)
    labels = {
        item.id: _(item.label)
        for route in ([page.filters.route] if page.filters.route else page.library.monitoring)
        if (file := page.library.monitoring.get(route)) and file.side_effects
        for item in file.side_effects.items
    }
    by_session: dict[str, int] = {}
    graver: dict[str, int] = {}
    by_person: dict[str, int] = {}
    for noted in (json.loads(text) for text in cohort.effects if text != "{}"):
        for effect, counts in noted.items():
            by_session[effect] = by_session.get(effect, 0) + sum(counts)
            graver[effect] = graver.get(effect, 0) + sum(counts[1:])
            by_person[effect] = by_person.get(effect, 0) + 1
    order = sorted(by_session, key=lambda effect: (-by_session[effect], effect))
    rows, own, beside_shares, all_beside = [], [], [], []
    for place, effect in enumerate(order):
        label = labels.get(effect, effect.replace("_", " ").capitalize())
        people = proportion_shown(
            statistics.exact_proportion(by_person[effect], n), fewer_than, both_sides=False
        )
        beside = published.events(effect, route=page.filters.route)
        all_beside += beside
        rows.append(
            EventRow(
                label,
                _rare(by_session[effect], sessions, fewer_than),
                _rare(graver[effect], sessions, fewer_than),
                in_words(people),
                [
                    {
                        "words": published_in_words(b.result),
                        "trial": b.result.trial,
                        "certainty": _(b.result.certainty),
                        "differs": ", ".join(b.differs),
                    }
                    for b in beside
                ],
            )
        )
        own.append(
            _share(
                place,
                people,
                _("%(effect)s: %(share)s of patients")
                % {"effect": label, "share": in_words(people)},
            )
        )
        beside_shares += [_published_share(place, b) for b in beside[:1]]
    whole = [
        (
            _("A side effect of any degree"),
            _rare(int(cohort.with_effect.sum()), sessions, fewer_than),
        ),
        (
            _("A moderate or severe side effect"),
            _rare(int(cohort.with_moderate.sum()), sessions, fewer_than),
        ),
        (_("Transfer to a hospital"), _rare(int(cohort.transfers.sum()), sessions, fewer_than)),
        (
            _("An emergency was called, or its sign told from home"),
            _rare(int(cohort.emergencies.sum()), sessions, fewer_than),
        ),
    ]
    names = [row.label for row in rows]
    return _show(
        request,
        page,
        sessions=sessions,
        people=n,
        whole=whole,
        rows=rows,
        chart=plot.shares_by_row(
            _(
                "Share of patients in whom each side effect was noted at least once; the table "
                "below has the figures"
            ),
            names,
            own,
            beside_shares,
        )
        if rows
        else None,
        caveats=published.caveats_for(all_beside, about="events"),
    )


def _rare(count: int, n: int, fewer_than: int) -> str:
    return in_words(
        proportion_shown(statistics.exact_proportion(count, n), fewer_than, both_sides=False)
    )


MEASURES = (
    ("improved", gettext_lazy("Improvement at the main landmark")),
    ("missing", gettext_lazy("Missing at the main landmark")),
    ("moderate", gettext_lazy("Sessions with a moderate or severe side effect")),
)


@dataclass(frozen=True)
class Group:
    """What the funnel is drawn over, in words. `chart` says what a chart shows, over it."""

    name: Promise
    every: Promise
    chart: Promise


GROUPS = {
    "prescriber": Group(
        gettext_lazy("Prescriber"),
        gettext_lazy("Every prescriber"),
        gettext_lazy(
            "%(words)s by prescriber, against the number it rests on; the table below has the "
            "figures"
        ),
    ),
    "therapist": Group(
        gettext_lazy("Therapist"),
        gettext_lazy("Every therapist"),
        gettext_lazy(
            "%(words)s by therapist, against the number it rests on; the table below has the "
            "figures"
        ),
    ),
    "site": Group(
        gettext_lazy("Site"),
        gettext_lazy("Every site"),
        gettext_lazy(
            "%(words)s by site, against the number it rests on; the table below has the figures"
        ),
    ),
}


@allow(Role.DIRECTOR)
@require_GET
def clinicians(request: HttpRequest) -> HttpResponse:
    """A funnel over the clinicians: who differs from all by more than chance would explain."""
    page = page_of(request, "outcomes_clinicians")
    measure = request.GET.get("measure", "improved")
    whose = request.GET.get("whose", "prescriber")
    measure = measure if measure in dict(MEASURES) else "improved"
    groups = {key: each for key, each in GROUPS.items() if key != "site" or page.sites}
    whose = whose if whose in groups else "prescriber"
    group = groups[whose]
    context: dict[str, Any] = {
        "measures": MEASURES,
        "measure": measure,
        "groups": [(key, each.name) for key, each in groups.items()],
        "whose": whose,
        "group": group.name,
        "every": group.every,
        "several_sites": bool(page.sites),
    }
    if page.cohort is None or (page.instrument is None and measure != "moderate"):
        return _show(request, page, **context)
    if whose == "site":
        who = cohorts.sites_of(page.filters, page.cohort)
    else:
        who = page.cohort.prescribers if whose == "prescriber" else page.cohort.therapists
    counts, sizes, words = _counted(page, measure)
    people = [int(each) for each in np.unique(who[sizes > 0])]
    n = [int(sizes[who == each].sum()) for each in people]
    k = [int(counts[who == each].sum()) for each in people]
    names = page.sites if whose == "site" else cohorts.names_of(people)
    fewer_than = page.fewer_than
    hide = [
        any(marks)
        for marks in zip(
            hidden(n, fewer_than),
            hidden(k, fewer_than),
            hidden([a - b for a, b in zip(n, k, strict=True)], fewer_than),
            strict=True,
        )
    ]
    total_n, total_k = sum(n), sum(k)
    shown_all = proportion_shown(statistics.proportion(total_k, total_n), fewer_than)
    context |= {"words": words, "all": in_words(shown_all)}
    if shown_all.share is None:
        return _show(request, page, **context, too_few=True)
    centre = shown_all.share
    rows = []
    levels = (page.rules.funnel.inner_percent / 100, page.rules.funnel.outer_percent / 100)
    limits = [statistics.binomial_limits(centre, np.maximum(n, 1), level) for level in levels]
    points = []
    for i, each in enumerate(people):
        name = names.get(each, _("Nobody named"))
        if hide[i]:
            rows.append(
                {"name": name, "n": _("hidden"), "words": _("not shown: too few"), "place": ""}
            )
            continue
        share = k[i] / n[i]
        beyond = sum(not low[i] <= share <= high[i] for low, high in limits)
        place = (
            _("within what chance explains"),
            _outside(page.rules.funnel.inner_percent),
            _outside(page.rules.funnel.outer_percent),
        )[beyond]
        own = proportion_shown(statistics.proportion(k[i], n[i]), fewer_than)
        rows.append({"name": name, "n": n[i], "words": in_words(own), "place": place})
        points.append((n[i], 100 * share, name, beyond))
    most = max([point[0] for point in points], default=10)
    along = np.unique(np.linspace(max(fewer_than, 2), most * 1.08, 80).astype(np.int64))
    inner, outer = (statistics.binomial_limits(centre, along, level) for level in levels)
    chart = plot.funnel(
        group.chart % {"words": words},
        100 * centre,
        plot.Limits(along.tolist(), *((100 * c).tolist() for c in (*inner, *outer))),
        points,
    )
    return _show(request, page, **context, rows=rows, chart=chart)


def _outside(limit_percent: float) -> str:
    return _("outside the %(percent)s %% limits") % {"percent": f"{limit_percent:g}"}


def _counted(page: Page, measure: str) -> tuple[Any, Any, str]:
    """(how many, of how many, in words) for each course."""
    assert page.cohort is not None
    if measure == "moderate":
        return (
            page.cohort.with_moderate,
            page.cohort.sessions,
            _("Share of sessions with a moderate or severe side effect"),
        )
    assert page.instrument is not None
    scores = page.scores
    at = figures.at_landmark(page.cohort, scores, page.rules.main)
    said = {"name": _(page.instrument.short_name), "when": _(at.landmark.label).lower()}
    if measure == "missing":
        missing = at.reached & ~at.measured
        return (
            missing.astype(np.int64),
            at.reached.astype(np.int64),
            _("Share without a %(name)s before treatment and in %(when)s") % said,
        )
    kind = figures.measures_of(page.instrument)[0]
    met = figures.improved(kind, page.instrument, scores, at)
    of = figures.countable(kind, page.instrument, scores, at)
    return (
        (met & of).astype(np.int64),
        of.astype(np.int64),
        SHARES[kind] % said,
    )
