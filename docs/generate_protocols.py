"""Write the pages on the clinical library, and its JSON Schemas, from the library itself.

python docs/generate_protocols.py            writes them
python docs/generate_protocols.py --check    says which are out of date, and fails where one is
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from openketamine import protocols
from openketamine.protocols import calendar, catalogue, reading, regimens, schema, words

FOLDER = Path(__file__).parent / "protocols"
NOTE = (
    "<!-- Generated from the library by docs/generate_protocols.py. Edit the library instead. -->\n"
)


def pages(library: protocols.Library) -> dict[str, str]:
    """Every generated file: its name under docs/protocols and its text."""
    made = {"README.md": _front(library), "policy.md": _policy(library)}
    made["programmes.md"] = _programmes(library)
    for name, part in library.parts.items():
        if isinstance(part, schema.EligibilityFile | schema.JurisdictionFile):
            made[f"{name.removesuffix('.yaml').replace('/', '-')}.md"] = _eligibility(library, part)
    made["medicines.md"] = _medicines(library)
    made["staging.md"] = _staging(library)
    for regimen in library.regimens.values():
        made[f"regimen-{regimen.id}.md"] = _regimen(library, regimen)
    made["practice.md"] = _practice(library)
    made["measurements.md"] = _measurements(library)
    made["therapy.md"] = _therapy(library)
    made["reviews.md"] = _reviews(library)
    for plan in library.monitoring.values():
        made[f"session-{plan.route.lower()}.md"] = _session(library, plan)
    made["alarms.md"] = _alarms(library)
    made["calls.md"] = _calls(library)
    made["athome.md"] = _athome(library)
    for rules in library.discharge.values():
        made[f"discharge-{rules.route.lower()}.md"] = _discharge(library, rules)
    made["instruments.md"] = _instruments(library)
    made["discharge-scores.md"] = _scores(library)
    for instrument in library.instruments.values():
        made[f"instrument-{instrument.id}.md"] = _instrument(library, instrument)
    for document in library.documents.values():
        made[f"text-{document.id}.md"] = _document(library, document)
    made["questions.md"] = _questions(library)
    made["coverage.md"] = _coverage(library)
    made["sources.md"] = _sources(library)
    # The front page links to all the others, so it is written when they are known.
    made["README.md"] += _contents(made)
    texts = {name: NOTE + "\n" + text.rstrip() + "\n" for name, text in made.items()}
    for name in schema.FILES:
        form = json.dumps(schema.published(name), indent=2, ensure_ascii=False) + "\n"
        texts[f"schema/{name.removesuffix('.yaml')}.schema.json"] = form
    return texts


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def line(cells: Sequence[object]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)]) + "\n"


def _origin(library: protocols.Library, item: Any) -> str:
    """Under which authority a statement is shown, and how far it has been checked."""
    authority = getattr(item, "authority", "")
    shown = f"**{authority}**, {item.certainty}" if authority else item.certainty
    return f"{library.source(item.source)} ({shown})"


def _front(library: protocols.Library) -> str:
    """The page that explains the library; its words are kept beside this file."""
    text = (Path(__file__).parent / "protocols_front.md").read_text(encoding="utf-8")
    for name, number in (("entries", catalogue.entries(library)), ("policy", library.policy)):
        text = text.replace(f"{{{name}}}", str(len(number)))
    return text


def _contents(made: dict[str, str]) -> str:
    lines = ["## Pages", ""]
    for name, text in made.items():
        if name != "README.md":
            title = next(row for row in text.splitlines() if row.startswith("# "))
            lines.append(f"- [{title.removeprefix('# ')}]({name})")
    return "\n".join(lines) + "\n"


def _policy(library: protocols.Library) -> str:
    text = f"""# Clinic policy to be signed

{len(library.policy)} statements. No authority publishes them, or the source has not been checked.
They are a proposal, and in force only once the medical director has signed these very words.

"""
    areas: dict[str, list[protocols.PolicyEntry]] = {}
    for entry in library.policy:
        areas.setdefault(entry.about, []).append(entry)
    for area, entries in areas.items():
        rows = [(e.id, e.statement, library.source(e.source), e.certainty) for e in entries]
        text += f"## {area}\n\n{_table(('id', 'statement', 'source', 'certainty'), rows)}\n"
    return text


def _stances(library: protocols.Library, item: schema.ByRoute) -> str:
    """How a rule stands, route by route."""
    rows = []
    for stance in item.stances:
        finding = (
            item.finding_of(stance) if isinstance(item, schema.EligibilityRule) else "must be known"
        )
        source = library.source(stance.source or item.source)
        routes = ", ".join(item.routes_of(stance))
        rows.append(
            (routes, finding, stance.authority, stance.certainty, source, stance.note or "–")
        )
    return _table(("routes", "finding", "shown as", "certainty", "source", "note"), rows)


def _eligibility(
    library: protocols.Library, file: schema.EligibilityFile | schema.JurisdictionFile
) -> str:
    if isinstance(file, schema.JurisdictionFile):
        title = f"The law: {file.name}"
        about = f"{file.note} Somebody is told {', '.join(map(str, file.warn_days_before))} days "
        about += "before a law lapses."
    else:
        name = next(name for name, part in library.parts.items() if part is file)
        title = f"Eligibility: {name.partition('/')[2].removesuffix('.yaml')}"
        about = (
            "A contraindication bars the treatment unless the prescriber overrides it with a "
            "reason; a caution needs the prescriber's decision with a reason; where a fact is "
            "unknown the rule asks for it and never passes. The same rule can rest on a label for "
            "one route and on clinic policy for another."
        )
    text = f"# {title}\n\nReviewed {file.reviewed_on:%d %B %Y}. {about}\n"
    needs = getattr(file, "required", ())
    if needs:
        text += "\n## Must be known before anybody decides\n"
    for need in needs:
        text += f"\n### {need.key}: {need.statement}\n\n{_scope(library, need)}"
        text += f"- Reference row: {need.ref or 'none'}\n\n{_stances(library, need)}"
    if file.rules:
        text += "\n## Rules\n"
    for rule in file.rules:
        text += f"""
### {rule.id}: {rule.statement}

{rule.explanation}

- When: {words.condition(library.facts, rule.when)}
{_scope(library, rule)}- To the patient: “{rule.patient}”
- Reference row: {rule.ref or "none"}

{_stances(library, rule)}"""
    return text


def _scope(library: protocols.Library, item: schema.ByRoute) -> str:
    names = {condition.id: condition.name for condition in library.programmes.conditions}
    scope = [f"for {', '.join(names[c] for c in item.conditions)}"] if item.conditions else []
    scope += [f"in {item.jurisdiction}"] if item.jurisdiction != "any" else []
    scope += [f"from {item.effective_from}"] if item.effective_from else []
    scope += [f"until {item.effective_to}"] if item.effective_to else []
    if suspended_by := getattr(item, "suspended_by", None):
        scope.append(f"while {suspended_by} is not in force")
    return f"- Only {'; '.join(scope)}\n" if scope else ""


def _programmes(library: protocols.Library) -> str:
    programmes = library.programmes
    text = f"""# Routes, conditions and what regulators say

Reviewed {programmes.reviewed_on:%d %B %Y}. Where nothing is written for a place, a route and a
condition, the software says that nothing is recorded.

## Routes

"""
    routes = [(r.id, r.name, r.drug, " or ".join(r.settings)) for r in programmes.routes]
    text += _table(("id", "route", "drug", "setting"), routes)
    conditions = [(condition.id, condition.name) for condition in programmes.conditions]
    text += "\n## Conditions\n\n" + _table(("id", "condition"), conditions)
    rows = [
        (
            status.jurisdiction,
            ", ".join(status.routes),
            ", ".join(status.conditions) or "all",
            f"**{status.standing}** {status.statement}",
            " ".join(
                part
                for part in (
                    f"from {status.effective_from}" if status.effective_from else "",
                    f"until {status.effective_to}" if status.effective_to else "",
                )
                if part
            )
            or "–",
            _origin(library, status),
            status.ref or "–",
        )
        for status in programmes.status
    ]
    heads = ("place", "routes", "conditions", "standing", "dates", "source", "row")
    return text + "\n## Standing\n\n" + _table(heads, rows)


def _medicines(library: protocols.Library) -> str:
    file = library.ingredients
    text = f"""# Medicines by ingredient

Reviewed {file.reviewed_on:%d %B %Y}. {file.statement}. {_origin(library, file)}. {file.codes}.

A name is cut into words. Known names are taken away, the longest first, then salts, strengths and
forms; what is left over is shown to a person. A product of several ingredients counts for each.

## Classes that rules read

"""
    rows = [
        (
            item.label,
            ", ".join(library.facts[fact].label for fact in item.facts) or "–",
            ", ".join(i.name for i in file.ingredients if item.id in i.classes),
            item.ref or "–",
        )
        for item in file.classes
    ]
    text += _table(("class", "states", "ingredients", "row"), rows)
    named = [
        (i.name, i.rxcui or "–", ", ".join(i.also) or "–", ", ".join(i.brands) or "–")
        for i in file.ingredients
    ]
    text += "\n## Ingredients\n\n" + _table(("ingredient", "RxNorm", "also", "brands"), named)
    products = [(", ".join(p.brands), ", ".join(p.of)) for p in file.combinations]
    return text + "\n## Products of several\n\n" + _table(("brand", "holds"), products)


def _staging(library: protocols.Library) -> str:
    file = library.staging
    text = f"""# Treatment resistance

Reviewed {file.reviewed_on:%d %B %Y}.

- {file.counted.statement} {_origin(library, file.counted)}, row {file.counted.ref}.
- {file.weeks.statement}. {_origin(library, file.weeks)}, row {file.weeks.ref}.
- {file.counted.needed} such trials are asked for.

"""
    for score in file.scores:
        text += (
            f"## {score.name}\n\n{score.statement} {_origin(library, score)}, row {score.ref}.\n\n"
        )
        rows = []
        for part in score.parts:
            values = [f"{answer}: {points}" for answer, points in part.points.items()]
            values += [f"up to {top:g}: {points}" for top, points in part.up_to]
            values += [f"above: {part.highest}"] if part.highest is not None else []
            rows.append((part.label, "; ".join(values)))
        text += _table(("part", "points"), rows)
        bands = "; ".join(f"from {low} {label}" for low, label in score.bands)
        text += f"\nBands: {bands}.\n"
    return text


def _regimen(library: protocols.Library, regimen: schema.Regimen) -> str:
    scope = [f"route {regimen.route}", f"for {', '.join(regimen.conditions)}"]
    scope += [f"in {regimen.jurisdiction}"] if regimen.jurisdiction != "any" else []
    scope += [] if regimen.age_at_least is None else [f"from {regimen.age_at_least:g} years"]
    scope += [] if regimen.age_below is None else [f"below {regimen.age_below:g} years"]
    scope += [f"{regimen.setting} only"] if regimen.setting != "clinic" else []
    text = f"""# {regimen.name}

{"; ".join(scope).capitalize()}. {regimen.off_label}

**{regimen.statement}.** {_origin(library, regimen)}, row {regimen.ref}.
"""
    for item in regimen.unset:
        text += f"\n**No {item.quantity} is set.** {item.reason}\n"
    if regimen.phases:
        text += "\n## Course\n\n" + _table(
            ("phase", "how often", "at its end", "source"),
            [
                (
                    phase.statement,
                    " or ".join(phase.rhythms),
                    phase.review or "–",
                    _origin(library, phase),
                )
                for phase in regimen.phases
            ],
        )
    if regimen.missed:
        text += "\n## Missed sessions\n\n" + _table(
            ("id", "rule", "source"),
            [(rule.id, rule.statement, _origin(library, rule)) for rule in regimen.missed],
        )
    if regimen.limits:
        limits = [
            (
                limit.id,
                limit.statement,
                f"{limit.minimum:g} to {limit.maximum:g} {limit.unit}",
                _origin(library, limit),
            )
            for limit in regimen.limits
        ]
        text += "\n## Limits\n\n" + _table(("id", "statement", "limits", "source"), limits)
    if regimen.vials:
        vials = [
            (f"{vial.concentration_mg_per_ml:g} mg/mL", vial.note or "–", _origin(library, vial))
            for vial in regimen.vials
        ]
        text += "\n## Vials\n\n" + _table(("strength", "note", "source"), vials)
    text += _sums(library, regimen)
    for title, items in (("Stop rules", regimen.stop), ("What the team follows", regimen.guidance)):
        if items:
            advice = [(item.id, item.statement, _origin(library, item)) for item in items]
            text += f"\n## {title}\n\nShown to the team; the software does not enforce it.\n\n"
            text += _table(("id", "statement", "source"), advice)
    text += "\n## Measurements\n\n"
    occasions = [
        (
            occasion.label,
            _asked(library, occasion),
            "outside its window" if occasion.off_window else "in its window",
            occasion.statement or "–",
        )
        for occasion in library.measurements.occasions
    ]
    text += _table(("when", "instruments", "window", "note"), occasions)
    return text + f"\n{_origin(library, library.measurements)}\n"


def _asked(library: protocols.Library, occasion: schema.Occasion) -> str:
    def names(ids: Sequence[str]) -> str:
        return ", ".join(library.instruments[name].short_name for name in ids)

    parts = [names(occasion.instruments)] if occasion.instruments else []
    parts += [f"in {' or '.join(x.conditions)}: {names(x.instruments)}" for x in occasion.also]
    return "; ".join(parts)


def _sums(library: protocols.Library, regimen: schema.Regimen) -> str:
    """The dose as one works it out by hand, and the first weeks of a course on the calendar."""
    text, dose = "", regimen.dose
    example = "a patient of 80.3 kg"
    steps: list[str] | tuple[str, ...] = ()
    if dose and regimen.device:
        example = "each dose"
        amounts = [regimens.devices(regimen.device, dose_mg=mg) for mg in dose.options]
        steps = [step for amount in amounts for step in amount.steps]
    elif dose and dose.amount and regimen.vials:
        strength = regimen.vials[0].concentration_mg_per_ml
        if dose.kind == "rate" and dose.duration_min:
            steps = regimens.infusion_at_rate(
                rate=dose.amount,
                unit=dose.unit,
                weight_kg=80.3,
                duration_min=dose.duration_min,
                concentration_mg_per_ml=strength,
            ).steps
        elif dose.duration_min:
            steps = protocols.dose_arithmetic(
                dose_mg_per_kg=dose.amount,
                weight_kg=80.3,
                concentration_mg_per_ml=strength,
                duration_min=dose.duration_min,
            ).steps
        else:
            steps = regimens.injection(
                dose_mg_per_kg=dose.amount, weight_kg=80.3, concentration_mg_per_ml=strength
            ).steps
    if steps:
        text += f"\n## The sum, for {example}\n\n" + "".join(f"- {step}\n" for step in steps)
        text += "\nA half is rounded up: the dose to 0.1 mg, the volume to 0.01 mL, rates to 0.1.\n"
    if regimen.phases:
        made = calendar.propose(library, regimen, start=date(2026, 11, 30), weeks=12)
        rows = [
            (session.number, f"{session.on:%a %d %b %Y}", session.week, " ".join(session.reasons))
            for session in made.sessions
        ]
        text += "\n## A calendar, begun on Monday 30 November 2026\n\n"
        text += _table(("session", "day", "week", "because"), rows)
        text += "".join(f"\n- By {r.on:%d %b %Y}: {r.statement}" for r in made.reviews) + "\n"
    return text


def _practice(library: protocols.Library) -> str:
    text = """# Rhythms, talk therapy and long-term care

What all courses share.

## How often

"""
    rhythms = [
        (rhythm.id, rhythm.statement, _origin(library, rhythm))
        for rhythm in library.rhythms.values()
    ]
    text += _table(("rhythm", "statement", "source"), rhythms)
    text += "\n## Talk therapy and long-term care\n\n"
    advice = [(item.id, item.statement, _origin(library, item)) for item in library.practice]
    return text + _table(("id", "statement", "source"), advice)


def _measurements(library: protocols.Library) -> str:
    plan = library.measurements
    rows = []
    for occasion in plan.occasions:
        if occasion.before_hours:
            when = f"from {occasion.before_hours:g} h before a session until it begins"
        elif occasion.after_hours:
            when = f"{occasion.after_hours:g} to {occasion.closes_after_hours or 0:g} h after one"
        else:
            when = "before the first session"
        limits = [
            f"not again within {occasion.at_most_every_days:g} days"
            if occasion.at_most_every_days
            else "",
            f"again every {occasion.repeats_every_days:g} days after the last session"
            if occasion.repeats_every_days
            else "",
            "" if occasion.call_when_missed else "nobody is called who misses it",
        ]
        rows.append(
            (
                occasion.label,
                _asked(library, occasion),
                when,
                "; ".join(filter(None, limits)) or "–",
                "outside its window" if occasion.off_window else "in its window",
            )
        )
    reminders = [
        (rule.id, rule.statement, f"{rule.after_hours:g}", _origin(library, rule))
        for rule in plan.reminders
    ]
    return f"""# Forms: what is asked, and when

Reviewed {plan.reviewed_on:%d %B %Y}. {_origin(library, plan)}.

{_table(("when", "instruments", "open", "how often", "recall window"), rows)}
## Reminders

{_table(("id", "statement", "hours after it fell due", "source"), reminders)}"""


def _therapy(library: protocols.Library) -> str:
    file = library.therapy

    def named(items: Sequence[schema.Named]) -> str:
        return "".join(
            f"- {item.label}"
            + "".join(f" ({words})" for words in item.translations.values())
            + "\n"
            for item in items
        )

    visits = [(rule.id, rule.label, rule.statement, _origin(library, rule)) for rule in file.visits]
    prepared, touch = file.preparation, file.touch
    return f"""# Talk therapy around the sessions

Reviewed {file.reviewed_on:%d %B %Y}.

## When a visit falls due

{_table(("id", "visit", "statement", "source"), visits)}
## Preparation

{prepared.statement} ({prepared.id}, {_origin(library, prepared)}):

{named(prepared.topics)}
## Touch

{touch.statement}. ({touch.id}, {_origin(library, touch)}) The kinds that can be agreed:

{named(touch.kinds)}
## What goals are about

{named(file.goals)}"""


def _where(condition: schema.Condition | None) -> str:
    return words.condition({}, condition) if condition else ""


def _reviews(library: protocols.Library) -> str:
    file = library.reviews
    due = [(r.id, r.label, r.statement, _origin(library, r)) for r in (*file.due,)]
    checks = [
        (
            c.id,
            c.label,
            c.statement,
            f"every {c.every_days} days",
            _where(c.when),
            _origin(library, c),
        )
        for c in file.checks
    ]
    misuse = [
        (m.id, m.label, m.statement, m.counts, _where(m.when), _origin(library, m))
        for m in file.misuse
    ]
    options = [
        (
            option.label,
            says.side,
            says.id,
            says.statement,
            _where(says.when),
            _origin(library, says),
        )
        for option in file.options
        for says in option.says
    ]
    continuity = [(c.id, c.kind, c.statement, _origin(library, c)) for c in file.continuity]

    known = "".join(f"- `{name}`: {label}\n" for name, label in schema.REVIEW_FACTS.items())
    overdue, within = file.overdue, file.misuse_within_days
    return f"""# Course review and continuity

Reviewed {file.reviewed_on:%d %B %Y}. The prescriber decides; nothing here stops a course.

## When a review falls due

{_table(("id", "review", "statement", "source"), due)}
{overdue.statement}. ({overdue.id}, {_origin(library, overdue)})

## What is looked at

{_table(("id", "check", "statement", "how often", "only where", "source"), checks)}
## Signs of misuse

{_table(("id", "sign", "statement", "counts", "only where", "source"), misuse)}
{within.statement}. ({within.id}, {_origin(library, within)})

## What speaks for each decision

{_table(("decision", "side", "id", "statement", "where", "source"), options)}
The facts that these conditions read; one that is not known speaks for nothing:

{known}
## Nobody falls out of follow-up unseen

{_table(("id", "kind", "statement", "source"), continuity)}"""


def _session(library: protocols.Library, plan: schema.MonitoringFile) -> str:
    text = f"# The session: {plan.route}\n\nReviewed {plan.reviewed_on:%d %B %Y}.\n"
    if plan.shares:
        text += f"\n{plan.shares.statement}. {_origin(library, plan.shares)}\n"
    checks = [
        (item.id, f"{item.question}. {item.note}".rstrip(), _origin(library, item))
        for item in plan.presession
    ]
    if plan.preparation:
        drawn_up = plan.preparation
        checks.append((drawn_up.id, drawn_up.statement, _origin(library, drawn_up)))
    text += "\n## Before the drug\n\n" + _table(("id", "check", "source"), checks)
    if plan.before:
        gates = [(gate.id, gate.statement, _origin(library, gate)) for gate in plan.before]
        text += "\n## What a reading before the drug asks the prescriber\n\n"
        text += _table(("id", "reading", "source"), gates)
    due = [
        (
            rule.phase,
            f"every {rule.every_min:g} min"
            if rule.every_min
            else ", ".join(f"{at:g}" for at in rule.at_min) + " min",
            rule.statement,
            _origin(library, rule),
        )
        for rule in plan.schedule
    ]
    late = plan.late_after_min
    due.append(("all", f"{late.value:g} min late", late.statement, _origin(library, late)))
    text += "\n## Observations\n\n" + _table(("phase", "when", "what", "source"), due)
    limits = [(t.id, t.priority, t.statement, _origin(library, t)) for t in plan.thresholds]
    text += f"""
## Alert thresholds

No authority publishes these. Amber: {plan.responses["amber"]} Red: {plan.responses["red"]}

{_table(("id", "priority", "threshold", "source"), limits)}
## What staff do

Shown to the team; the software does not enforce it.

"""
    for branch in plan.branches:
        signs = "With any of these signs" if branch.symptoms else "Without"
        text += f"**{branch.id}. High pressure. {signs}: {branch.statement.lower()}.** "
        text += "; ".join(branch.steps) + f". {_origin(library, branch)}\n\n"
    advice = [(item.id, item.statement, _origin(library, item)) for item in plan.guidance]
    text += _table(("id", "first actions", "source"), advice)
    ranges = [
        (p.label, f"{p.minimum:g} to {p.maximum:g} {p.unit}".rstrip()) for p in plan.plausible
    ]
    text += "\n## Values that can be true\n\nAnything else is refused at entry.\n\n"
    text += _table(("quantity", "range"), ranges)
    effects = ", ".join(item.label.lower() for item in plan.side_effects.items)
    text += f"\n## Side effects\n\nEach {', '.join(plan.side_effects.severities)}: {effects}. "
    text += _origin(library, plan.side_effects) + "\n"
    medicines = [
        (item.label, item.purpose, item.usual, ", ".join(item.routes), item.warn or "–")
        for item in plan.medicines.items
    ]
    text += "\n## Medicines at hand\n\nBy the clinic's standing orders; not a recommendation. "
    text += _origin(library, plan.medicines) + "\n\n"
    return text + _table(("medicine", "for", "usual", "routes", "warning"), medicines)


def _alarms(library: protocols.Library) -> str:
    policy = library.alarms
    rows = [
        (key, statement, rule.ref or "", _origin(library, rule))
        for key, rule, statement in policy.rules()
    ]
    signs = ", ".join(sign.label.lower() for sign in policy.emergency.signs)
    return f"""# Alarms

Reviewed {policy.reviewed_on:%d %B %Y}. When a crossed limit becomes an alarm, when it is over, and
whom it reaches while nobody answers. No authority publishes these figures.

{_table(("id", "rule", "rows", "source"), rows)}
## Emergency signs

{signs.capitalize()}. {policy.emergency.response}
"""


def _calls(library: protocols.Library) -> str:
    rows = [
        (key, statement, rule.ref or "", _origin(library, rule))
        for key, rule, statement in library.calls.rules()
    ]
    return f"""# Calls

Reviewed {library.calls.reviewed_on:%d %B %Y}. Whom a call reaches while nobody answers it. A step
that reaches nobody is not waited for. No authority publishes these figures.

{_table(("id", "rule", "rows", "source"), rows)}"""


def _athome(library: protocols.Library) -> str:
    home = library.athome
    rules = [
        (r.id, r.statement, f"{r.value:g} {r.unit}", r.ref or "", _origin(library, r))
        for r in home.rules
    ]
    warnings = [
        (w.id, w.statement, w.jurisdiction, w.ref or "", _origin(library, w)) for w in home.warnings
    ]
    return f"""# Treatment at home

Reviewed {home.reviewed_on:%d %B %Y}. Beside [who may be treated at home](eligibility-home.md) and
[what is observed there](session-sl.md). No authority publishes these figures.

{_table(("id", "rule", "value", "rows", "source"), rules)}
## Read and signed for before it is switched on

{_table(("id", "statement", "where", "rows", "source"), warnings)}"""


def _discharge(library: protocols.Library, file: schema.DischargeFile) -> str:
    rows = [(c.id, c.statement, c.ref or "", _origin(library, c)) for c in file.criteria]
    text = f"""# Discharge: {file.route}

Reviewed {file.reviewed_on:%d %B %Y}. Every criterion must be met; one that is unknown is not met.
The criteria never discharge anybody: a person decides, and no clock stands alone.

{_table(("id", "criterion", "rows", "source"), rows)}"""
    after = [
        (
            rule.id,
            rule.statement,
            rule.until
            + ("" if rule.contact_within_h is None else f", within {rule.contact_within_h:g} h"),
            _origin(library, rule),
        )
        for rule in file.aftercare
    ]
    return text + "\n## After-care\n\n" + _table(("id", "rule", "until", "source"), after)


def _scores(library: protocols.Library) -> str:
    text = """# Scores of fitness to leave

In our own words. A score is one more thing to look at: no total and no clock discharges anybody.
"""
    for form in library.scores.values():
        text += f"\n## {form.name}\n\n{form.statement}. {_origin(library, form)}\n\n"
        rows = [
            (item.label, "; ".join(f"{o.points}: {o.label}" for o in item.options))
            for item in form.items
        ]
        text += _table(("item", "points"), rows)
    return text


def _instrument(library: protocols.Library, item: schema.InstrumentFile) -> str:
    licence = item.licence
    window = (
        "How far the questions look back is not established here."
        if item.recall_days is None
        else f"The questions look back {item.recall_days} days."
        if item.recall_days
        else "It is about this moment."
    )
    languages = ["English", *(_LANGUAGES[key] for key in item.translations)]
    text = f"""# {item.name} ({item.short_name})

{_origin(library, item)}. Reviewed {item.reviewed_on:%d %B %Y}. Completed by the
{item.completed_by}.

**Licence: {licence.terms}.** {licence.statement}. {_origin(library, licence)}.

LOINC: panel {item.loinc_panel or "–"}, total {item.loinc_total or "–"}. {window}
{f"Wording here in {' and '.join(languages)}. " if item.text_shipped else ""}{item.prompt}

"""
    if item.items:
        text += _items(item)
    text += f"\n## Score\n\n{_scoring(item)} {item.missing}\n\n"
    if item.total_range:
        low, high = item.total_range
        text += f"The total runs from {low:g} to {high:g}."
        if item.total_may_be_entered:
            text += " It may be entered as the clinic's own form has it"
            flagged = dict.fromkeys(flag.item for flag in item.red_flags)
            text += f", with {', '.join(flagged)} beside it." if flagged else "."
        text += "\n\n"
    if item.bands:
        bands = [(f"{band.low} to {band.high}", band.label) for band in item.bands]
        text += _table((f"total ({item.bands_certainty or item.certainty})", "severity"), bands)
        text += "\n"
    text += "".join(f"- {cut.statement} ({cut.certainty})\n" for cut in item.cut_offs)
    for cluster in item.clusters:
        text += (
            f"- Cluster {cluster.id}: at least {cluster.needed} of {', '.join(cluster.items)} "
            f"at {cluster.item_at_least} or more\n"
        )
    for name, rule in (
        ("Response", item.response),
        ("Remission", item.remission),
        ("Clinically important change", item.important_change),
    ):
        text += f"- {name}: {f'{rule.statement} ({rule.certainty})' if rule else 'none here'}\n"
    for flag in item.red_flags:
        text += f"- **Red flag** ({flag.concern}): {flag.statement}. {flag.demands}\n"
    for key, told in item.translations.items():
        text += f"\n## {_LANGUAGES[key]}\n\n{_origin(library, told)}. {told.prompt}\n\n"
        text += _table(("item", "question"), list(told.items.items()))
        text += f"\nAnswers: {', '.join(told.options)}.\n"
    return text + (f"\n{item.note}\n" if item.note else "")


_LANGUAGES = {"es": "Spanish"}


def _items(item: schema.InstrumentFile) -> str:
    rows = [
        (
            question.id,
            question.text or f"{question.label}: wording of the clinic's own form",
            f"after {' or '.join(question.asked_if)}" if question.asked_if else "always",
            _answers(item, question) if question.options or question.scale else "as below",
            question.loinc or "–",
        )
        for question in item.items
    ]
    text = _table(("item", "question", "asked", "answers", "LOINC"), rows)
    if item.options:
        options = [(o.label, o.value, o.loinc or "–") for o in item.options]
        return text + "\n" + _table(("answer", "points", "LOINC"), options)
    if item.scale:
        text += f"\nEach from {item.scale[0]} to {item.scale[1]} where nothing else is said.\n"
    return text


def _answers(item: schema.InstrumentFile, question: schema.Item) -> str:
    options = item.options_of(question)
    if question.scale:
        return f"{question.scale[0]} to {question.scale[1]}"
    return ", ".join(
        str(o.value) if o.label == str(o.value) else f"{o.value} {o.label}" for o in options
    )


def _scoring(item: schema.InstrumentFile) -> str:
    def of(level: schema.Level) -> str:
        at = f" at {level.at_least} or more" if level.at_least > 1 else ""
        return f"{level.label} ({', '.join(level.any_of)}{at})"

    turned = [question.id for question in item.items if question.reversed]
    left_out = [question.id for question in item.items if not question.counts]
    rule = {
        "sum": "The sum of the items.",
        "mean": "The mean of the items, not their sum.",
        "highest of groups": "The sum of the highest item of each group: "
        + "; ".join(", ".join(group) for group in item.groups)
        + ".",
        "means of subscales": "No total. The mean of each subscale: "
        + "; ".join(f"{scale.label} ({', '.join(scale.items)})" for scale in item.subscales)
        + ".",
        "triage": "No total. The first of these levels that an answer reaches: "
        + "; ".join(of(level) for level in item.levels)
        + f"; otherwise {item.otherwise}.",
        "total only": "Only the total is entered.",
    }[item.scoring]
    if turned:
        rule += f" Turned round before it is added: {', '.join(turned)}."
    if left_out:
        rule += f" Not added: {', '.join(left_out)}."
    return rule


def _instruments(library: protocols.Library) -> str:
    rows = [
        (
            f"[{item.short_name}](instrument-{item.id}.md)",
            item.name,
            item.licence.terms,
            "in words" if item.text_shipped else "scores by item number",
            item.completed_by,
            ", ".join(["English", *(_LANGUAGES[key] for key in item.translations)])
            if item.text_shipped
            else "–",
            ", ".join(dict.fromkeys(flag.concern for flag in item.red_flags)) or "–",
        )
        for item in library.instruments.values()
    ]
    heads = ("short", "instrument", "licence", "carried", "completed by", "languages", "red flags")
    return f"""# Questionnaires and ratings

Wording stands in the library only where it may: SHIP (free to reproduce) or OWN WORDING (written
for OpenKetamine). CHECK and DO NOT SHIP are scored by item number beside the clinic's own licensed
form. A translation is carried only where its published wording could be compared word for word.

{_table(heads, rows)}"""


def _document(library: protocols.Library, document: schema.Document) -> str:
    points = [point for section in document.sections for point in section.points]
    texts = [point.text for point in points]
    if document.language == "es":
        level = f"Reading ease (Szigriszt-Pazos) {reading.spanish_ease(texts):.0f}"
    else:
        level = f"Flesch-Kincaid grade {reading.grade(texts):.1f}"
    text = f"""# {document.title} ({document.route}, {document.language})

{document.kind.capitalize()}, version {document.version}. {level}, counted by rule. The small print
below each sentence is its source; patients see the sentences.
"""
    for section in document.sections:
        text += f"\n## {section.title}\n\n"
        for point in section.points:
            text += f"- {point.text}  \n  <sub>{_origin(library, point)}</sub>\n"
    return text


def _questions(library: protocols.Library) -> str:
    text = "# The medical history\n\nOnly what the rules read is asked.\n"
    for _, title, questions in library.history_sections():
        rows = [(fact.id, fact.question, ", ".join(fact.choices) or "–") for fact in questions]
        text += f"\n## {title}\n\n" + _table(("fact", "question", "choices"), rows)
    codes = library.facts_file
    text += f"\n## What a referral states by itself\n\n{codes.codes.statement}. "
    text += _origin(library, codes.codes) + "\n\n"
    rows = [
        (
            library.facts[concept.fact].label,
            ", ".join(concept.snomed) or "–",
            ", ".join(concept.icd10) or "–",
        )
        for concept in codes.concepts
    ]
    text += _table(("condition", "SNOMED CT", "ICD-10-CM (and below)"), rows)
    names = [
        (library.facts[entry.fact].label, kind, ", ".join(entry.names))
        for kind, entries in (("allergy", codes.allergens),)
        for entry in entries
    ]
    return text + "\n" + _table(("fact", "from", "names"), names)


def _coverage(library: protocols.Library) -> str:
    rows = catalogue.coverage(library)
    encoded = [row for row in rows if row.entries]
    left = [row for row in rows if not row.entries]
    text = f"""# Coverage of the clinical reference

{len(rows)} rows: {len(encoded)} encoded, {len(left)} left out with the reason. A row of the numbers
alone is a section of the reference that has no row ids.

## Encoded

"""
    text += _table(
        ("row", "about", "certainty of the row", "entries"),
        [(r.row.id, r.row.about, r.row.certainty, ", ".join(r.entries)) for r in encoded],
    )
    return (
        text
        + "\n## Left out\n\n"
        + _table(
            ("row", "about", "certainty of the row", "reason"),
            [(r.row.id, r.row.about, r.row.certainty, r.row.left_out) for r in left],
        )
    )


def _sources(library: protocols.Library) -> str:
    used: dict[str, int] = {}
    for entry in catalogue.entries(library):
        if entry.source:
            used[entry.source] = used.get(entry.source, 0) + 1
    rows = [(key, text, used.get(key, 0)) for key, text in library.sources.items()]
    return "# Sources\n\n" + _table(("key", "source", "entries"), rows)


def main(arguments: Sequence[str]) -> int:
    wanted = pages(protocols.load())
    there = {
        path.relative_to(FOLDER).as_posix(): path
        for path in FOLDER.rglob("*")
        if path.suffix in {".md", ".json"}
    }
    stale = sorted(
        {name for name, text in wanted.items() if name not in there or _read(there[name]) != text}
        | set(there) - set(wanted)
    )
    if "--check" in arguments:
        sys.stdout.writelines(f"docs/protocols/{name} is out of date\n" for name in stale)
        return 1 if stale else 0
    for name in stale:
        path = FOLDER / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
    sys.stdout.write(f"{len(wanted)} files, {len(stale)} written anew\n")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
