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
    ("outcomes", "Response and remission"),
    ("outcomes_time", "Onset and relapse"),
    ("outcomes_trajectory", "Scores over time"),
    ("outcomes_events", "Adverse events"),
    ("outcomes_clinicians", "Clinicians"),
    ("outcomes_exports", "Exports"),
)
# By what a condition is measured first, where it was answered; else the most answered.
FIRST = {"PTSD": "pcl5", "PAIN": "peg", "AUD": "audit", "SUD": "dast-10", "GAD": "gad7"}
SHORT = {
    "response": "responded",
    "remission": "came into remission",
    "important_change": "improved",
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
        names = [name for name, _ in instruments]
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
        page.why = "One of the choices is not there any more. Choose again."
        return page
    page.filters = filters_of(form.cleaned_data, clock.today())
    page.instrument = current.instruments.get(form.cleaned_data["instrument"])
    found = cohorts.load(page.filters, now)
    wider = [cohorts.size(each) for each in page.filters.wider()]
    if not len(found):
        page.why = (
            "No course of this kind has begun yet. A course begins to count with its first dose."
        )
    elif not may_be_shown(len(found), wider, page.fewer_than):
        page.why = (
            f"Too few courses: this cohort, or what it leaves of a wider one, has under "
            f"{page.fewer_than}. Choose a wider one."
        )
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
        (name, current.instruments[name].short_name)
        for name, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))
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


def in_words(found: Shown) -> str:
    """A proportion with its interval, or that it stays hidden."""
    if found.n == 0:
        return "nobody yet"
    if found.under is not None and found.n:
        return f"fewer than {found.under} of {found.n}"
    if found.is_hidden:
        return "not shown: too few"
    return f"{percent(found.share)} ({percent(found.low)[:-2]} to {percent(found.high)})"


def published_in_words(result: Result) -> str:
    unit = {"percent": "%"}.get(result.unit, result.unit)
    words = f"{result.value:g} {unit}"
    if interval := result.interval:
        words += f" ({interval.low:.0f} to {interval.high:.0f} {unit}, {interval.how})"
    return words


@dataclass(frozen=True)
class PublishedRow:
    """A published result as a line of a table."""

    where: str
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
            f"{r.trial}{f' ({r.year})' if r.year else ''}: {r.arm}, {r.dose} {r.dose_unit}",
            published_in_words(r),
            f"{beside.control.arm}: {published_in_words(beside.control)}"
            if beside.control
            else "no control arm at that time",
            f"{r.population}{f', n = {r.n_arm}' if r.n_arm else ', number not seen'}",
            "; ".join(beside.differs) or "alike in instrument, route, condition and time",
            r.certainty,
            r.source,
            f"day {beside.day:g}" if beside.day is not None else "at no fixed time",
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


def _figure_row(found: figures.Figure, fewer_than: int) -> FigureRow:
    """Who is counted at a landmark and who is not; the parts of a whole hide together."""
    counted = proportion_shown(found.counted, fewer_than)
    not_yet = found.began - found.reached
    outside = found.reached - found.measured - found.unmeasured  # was never above the cut
    parts = {"not yet": not_yet, "measured": found.measured, "outside": outside, **found.missing}
    may = shown(parts, fewer_than)
    under = f"under {fewer_than}"

    def word(count: int | None) -> str:
        return "hidden" if count is None else str(count)

    gone = [(reason, word(may[reason])) for reason, n in found.missing.items() if n]
    if outside:
        gone.append((figures.ALREADY, word(may["outside"])))
    # How many are missing in all can be told from what is shown, unless a part of it is hidden.
    told = all(may[part] is not None for part in ("not yet", "measured", "outside"))
    if not found.unmeasured:
        bounds = "nobody is missing"
    elif told and counted.count is not None:
        bounds = f"{percent(found.if_none)} to {percent(found.if_all)}"
    else:
        bounds = "not shown: too few"
    if may["measured"] is None and found.measured:
        counted = Shown(None, None, None, None, None)
    return FigureRow(
        found.landmark.label,
        found.landmark.main,
        str(found.began),
        under if is_small(found.reached, fewer_than) else word(
            None if may["not yet"] is None else found.reached
        ),
        word(may["measured"]),
        in_words(counted),
        bounds,
        gone,
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
        f"{result.trial}: {published_in_words(result)}, {result.certainty}",
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
        own = [
            _share(
                i, proportion_shown(each.counted, page.fewer_than), f"{row.landmark}: {row.words}"
            )
            for i, (each, row) in enumerate(zip(found, rows, strict=True))
            if not row.words.startswith("not shown")
        ]
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
                "title": figures.MEASURES[measure],
                "rule": f"{rule.statement} ({rule.certainty})",
                "rows": rows,
                "main": rows[main],
                "chart": plot.shares_over_time(
                    f"{figures.MEASURES[measure]} by {instrument.short_name} at each landmark; "
                    "the table below has the figures",
                    [at.landmark.label for at in ats],
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
            (reason, "hidden" if n is None else str(n))
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
                else f"{percent(values[0])} ({percent(values[1])[:-2]} to {percent(values[2])})",
                "left": f"under {fewer_than}" if is_small(left, fewer_than) else str(left),
            }
        )
    median, low_day, high_day = curve.median
    if median is None or median > until:
        median_words = "not reached while enough people were followed"
    else:
        ends = ["not reached" if d is None else f"{d:.0f}" for d in (low_day, high_day)]
        median_words = f"day {median:.0f} (95 % interval {ends[0]} to {ends[1]})"
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
        page.why = (
            f"The {page.instrument.short_name} has no published rule of response, so there is no "
            "time to one. Choose another questionnaire, or look at its scores over time."
        )
        return _show(request, page)
    scores = page.scores
    name = page.instrument.short_name
    onset = _curve(
        figures.time_to_response(page.instrument, page.cohort, scores),
        page.fewer_than,
        rising=True,
        label=f"Share that has responded by {name}, by day since the first dose",
        y_title="have responded",
    )
    relapse = _curve(
        figures.time_to_relapse(
            page.instrument, page.cohort, scores, in_a_row=page.rules.relapse.scores_in_a_row
        ),
        page.fewer_than,
        rising=False,
        label=f"Share still in response by {name}, by day since the response was first seen",
        y_title="still in response",
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
        line: dict[str, Any] = {"name": name, "observed": observed[i].title, "model": "–",
                                "change": "–"}  # fmt: skip
        if fitted and name in fitted.visits:
            j = fitted.visits.index(name)
            line["model"] = f"{fitted.means[j]:.1f} ({fitted.low[j]:.1f} to {fitted.high[j]:.1f})"
            if j:
                line["change"] = (
                    f"{fitted.change[j]:+.1f} ({fitted.change_low[j]:+.1f} to "
                    f"{fitted.change_high[j]:+.1f})"
                )
            modelled.append(
                plot.Level(
                    i, fitted.means[j], fitted.low[j], fitted.high[j], f"{name}: {line['model']}"
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
            f"Mean {page.instrument.short_name} at each landmark; the table below has the figures",
            names,
            highest,
            modelled,
            observed,
            unit=f"points of {highest:g}",
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
            levels.append(plot.Level(i, None, None, None, "too few" if each.n else "nobody yet"))
            continue
        interval = (
            "" if each.low is None or each.high is None else f" ({each.low:.1f} to {each.high:.1f})"
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
    data, _ = _asked(request, QueryDict(query))
    current = library()
    filters = raw_filters(data, clock.today())
    instrument = current.instruments.get(data.get("instrument", ""))
    if request.user.role != Role.DIRECTOR:
        filters = filters.without("prescriber")
    if instrument is None:
        messages.error(request, "Choose a questionnaire first.")
    else:
        fits.ask(filters, instrument)
        messages.success(request, "The model is being fitted. Load the page again in a minute.")
    return redirect(f"{reverse('outcomes_trajectory')}?{query}")


@allow(*READERS)
@require_POST
def bring_up_to_date(request: HttpRequest) -> HttpResponse:
    """Work out the summaries of every course that has changed, however many."""
    done = summaries.rebuild()
    messages.success(request, f"{done} course{'s' * (done != 1)} worked out anew.")
    return redirect(f"{reverse('outcomes')}?{request.POST.get('query', '')[:500]}")


@dataclass(frozen=True)
class EventRow:
    label: str
    sessions: str
    moderate: str
    people: str
    published: str


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
        page.why = "Too few of these courses had a session in the clinic or at home."
        return _show(request, page)
    labels = {
        item.id: item.label
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
                "; ".join(
                    f"{published_in_words(b.result)}, {b.result.trial}, {b.result.certainty}"
                    f"{' (' + ', '.join(b.differs) + ')' if b.differs else ''}"
                    for b in beside
                ),
            )
        )
        own.append(_share(place, people, f"{label}: {in_words(people)} of patients"))
        beside_shares += [_published_share(place, b) for b in beside[:1]]
    whole = [
        ("A side effect of any degree", _rare(int(cohort.with_effect.sum()), sessions, fewer_than)),
        (
            "A moderate or severe side effect",
            _rare(int(cohort.with_moderate.sum()), sessions, fewer_than),
        ),
        ("Transfer to a hospital", _rare(int(cohort.transfers.sum()), sessions, fewer_than)),
        (
            "An emergency was called, or its sign told from home",
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
            "Share of patients in whom each side effect was noted at least once; the table below "
            "has the figures",
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
    ("improved", "Improvement at the main landmark"),
    ("missing", "Missing at the main landmark"),
    ("moderate", "Sessions with a moderate or severe side effect"),
)


@allow(Role.DIRECTOR)
@require_GET
def clinicians(request: HttpRequest) -> HttpResponse:
    """A funnel over the clinicians: who differs from all by more than chance would explain."""
    page = page_of(request, "outcomes_clinicians")
    measure = request.GET.get("measure", "improved")
    whose = request.GET.get("whose", "prescriber")
    measure = measure if measure in dict(MEASURES) else "improved"
    kinds = {"prescriber", "therapist"} | ({"site"} if page.sites else set())
    whose = whose if whose in kinds else "prescriber"
    context: dict[str, Any] = {
        "measures": MEASURES, "measure": measure, "whose": whose, "several_sites": bool(page.sites),
    }  # fmt: skip
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
        name = names.get(each, "Nobody named")
        if hide[i]:
            rows.append({"name": name, "n": "hidden", "words": "not shown: too few", "place": ""})
            continue
        share = k[i] / n[i]
        beyond = sum(not low[i] <= share <= high[i] for low, high in limits)
        place = (
            "within what chance explains",
            f"outside the {page.rules.funnel.inner_percent:g} % limits",
            f"outside the {page.rules.funnel.outer_percent:g} % limits",
        )[beyond]
        own = proportion_shown(statistics.proportion(k[i], n[i]), fewer_than)
        rows.append({"name": name, "n": n[i], "words": in_words(own), "place": place})
        points.append((n[i], 100 * share, name, beyond))
    most = max([point[0] for point in points], default=10)
    along = np.unique(np.linspace(max(fewer_than, 2), most * 1.08, 80).astype(np.int64))
    inner, outer = (statistics.binomial_limits(centre, along, level) for level in levels)
    chart = plot.funnel(
        f"{words} by {whose}, against the number it rests on; the table below has the figures",
        100 * centre,
        plot.Limits(along.tolist(), *((100 * c).tolist() for c in (*inner, *outer))),
        points,
    )
    return _show(request, page, **context, rows=rows, chart=chart)


def _counted(page: Page, measure: str) -> tuple[Any, Any, str]:
    """(how many, of how many, in words) for each course."""
    assert page.cohort is not None
    if measure == "moderate":
        return (
            page.cohort.with_moderate,
            page.cohort.sessions,
            "Share of sessions with a moderate or severe side effect",
        )
    assert page.instrument is not None
    scores = page.scores
    at = figures.at_landmark(page.cohort, scores, page.rules.main)
    name, label = page.instrument.short_name, at.landmark.label.lower()
    if measure == "missing":
        missing = at.reached & ~at.measured
        return (
            missing.astype(np.int64),
            at.reached.astype(np.int64),
            f"Share without a {name} before treatment and in {label}",
        )
    kind = figures.measures_of(page.instrument)[0]
    met = figures.improved(kind, page.instrument, scores, at)
    of = figures.countable(kind, page.instrument, scores, at)
    return (
        (met & of).astype(np.int64),
        of.astype(np.int64),
        f"Share that {SHORT[kind]} by {name} in {label}",
    )
