"""Template tags of the design system: figures with unit and age, sparklines, fields."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django import template
from django.forms.boundfield import BoundField
from django.template import Context
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.utils.translation import ngettext

from openketamine.clinic.people.models import Person
from openketamine.clinic.policy import queries as policy
from openketamine.clinic.policy.models import Approval
from openketamine.clinic.record import clock
from openketamine.site.navigation import navigation_of

register = template.Library()


@register.filter
def age(moment: datetime | date | None) -> str:
    """How long ago, in the words of a bedside: "just now", "2 min ago", "3 h ago", "4 days ago"."""
    if moment is None:
        return ""
    if not isinstance(moment, datetime):
        days = (clock.today() - moment).days
        if days < 0:
            return _in(_days(-days))
        return _("today") if days == 0 else _ago(_days(days))
    minutes = int((clock.now() - moment).total_seconds() // 60)
    if minutes < 0:
        return _in(_span(-minutes))
    return _("just now") if minutes < 1 else _ago(_span(minutes))


def _in(span: str) -> str:
    return _("in %(span)s") % {"span": span}


def _ago(span: str) -> str:
    return _("%(span)s ago") % {"span": span}


def _span(minutes: int) -> str:
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return _days(minutes // 1440)


def _days(days: int) -> str:
    if days < 2 * 365:
        return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
    return _("%(count)d years") % {"count": days // 365}


@register.simple_tag(takes_context=True)
def site_of(context: Context, person: Person) -> str:
    """The site of a patient, where there are several."""
    here = getattr(context.get("request"), "here", None)
    name = here.names.get(person.site_id) if here else None
    return format_html(' <span class="tag">{}</span>', name) if name else ""


@register.filter
def time_until(moment: datetime) -> str:
    """The clock time where it is today, else the day as well."""
    local = timezone.localtime(moment)
    if local.date() == clock.today():
        return f"{local:%H:%M}"
    return date_format(local, "D j M, H:i")


@register.filter
def time_left(moment: datetime, now: datetime) -> str:
    """Minutes and seconds until a moment: "4:05"; "0:00" once it has come."""
    seconds = max(int((moment - now).total_seconds()), 0)
    return f"{seconds // 60}:{seconds % 60:02d}"


@register.filter
def svg(value: float) -> str:
    """A coordinate: with a point in every language."""
    return f"{value:g}"


@register.filter
def add_svg(value: float, more: float) -> str:
    """A coordinate moved by a little."""
    return f"{value + float(more):g}"


@register.filter
def minutes_after(moment: datetime, start: datetime) -> int:
    """Whole minutes from a start."""
    return round((moment - start).total_seconds() / 60)


@register.simple_tag
def figure(value: Any, unit: str = "", at: datetime | None = None, css: str = "") -> SafeString:
    """A number that never stands without its unit, nor without its age where it has one."""
    if value in (None, ""):
        return format_html('<span class="figure {}"><b>–</b></span>', css)
    if isinstance(value, float):
        value = f"{value:g}"
    return format_html(
        '<span class="figure {}"><b>{}</b>{}{}</span>',
        css,
        value,
        format_html(' <span class="unit">{}</span>', unit) if unit else "",
        format_html(' <span class="age" data-at="{}">{}</span>', at.isoformat(), age(at))
        if at
        else "",
    )


_UNITS = {
    "kg": "kg",
    "cm": "cm",
    "mmhg": "mmHg",
    "bpm": "/min",
    "percent": "%",
    "u_per_l": "U/L",
    "umol_per_l": "µmol/L",
    "g_per_l": "g/L",
    "ml_per_min": "mL/min",
    "total": _noop("points"),
}


@register.filter
def unit_of(quantity: str) -> str:
    """The unit that ends a quantity's name, as people write it."""
    endings = (ending for ending in _UNITS if quantity.endswith("_" + ending))
    unit = _UNITS.get(max(endings, key=len, default=""), "")
    return _(unit) if unit else ""


_VITALS = {
    "systolic_mmhg": _noop("systolic"),
    "diastolic_mmhg": _noop("diastolic"),
    "heart_rate_bpm": _noop("heart rate"),
    "spo2_percent": "SpO2",
    "respiratory_rate_bpm": _noop("breaths"),
}


@register.filter
def vital_name(quantity: str) -> str:
    """What a vital sign is called in a line of text."""
    return _in_words(_VITALS, quantity)


@register.simple_tag
def measured(item: Any) -> SafeString:
    """A measurement with its unit and age."""
    return figure(round(item.value, 1), unit_of(item.kind), item.taken_at)


@register.simple_tag
def sparkline(values: Sequence[float], label: str) -> SafeString:
    """The last values as a small line, with the words for those who cannot see it."""
    if len(values) < 2:
        return mark_safe("")
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = [
        (round(96 * index / (len(values) - 1), 1), round(21 - 18 * (value - low) / span, 1))
        for index, value in enumerate(values)
    ]
    return format_html(
        '<svg class="spark" viewBox="0 0 96 24" role="img" aria-label="{}: {}">'
        '<polyline points="{}"/><circle cx="{}" cy="{}" r="2.5"/></svg>',
        label,
        ", ".join(f"{value:g}" for value in values),
        " ".join(f"{x},{y}" for x, y in points),
        *points[-1],
    )


# Under which authority a statement stands and how certain it is, in the words that people read.
_AUTHORITIES = {
    "law": _noop("law"),
    "label": _noop("label"),
    "regulator": _noop("regulator"),
    "guideline": _noop("guideline"),
    "evidence": _noop("evidence"),
    "clinic policy": _noop("clinic policy"),
}
_CERTAINTIES = {
    "verified": _noop("verified"),
    "verified (older label)": _noop("verified (older label)"),
    "verified (secondary)": _noop("verified (secondary)"),
    "verified (abstract)": _noop("verified (abstract)"),
    "recalled": _noop("recalled"),
    "DESIGN": _noop("proposal, not published"),
}


def _in_words(words: dict[str, str], key: str) -> str:
    return _(words[key]) if key in words else key


@register.simple_tag
def authority(item: Any, source: str = "", approval: Approval | None = None) -> SafeString:
    """Under which authority a statement stands: never a proposal dressed as a guideline.

    With an approval, clinic policy says who approved it, and when.
    """
    signed = f", {_approved(approval)}" if approval and item.authority == "clinic policy" else ""
    return format_html(
        '<span class="authority">{}{} · {}{}</span>',
        _in_words(_AUTHORITIES, item.authority),
        signed,
        _in_words(_CERTAINTIES, item.certainty),
        format_html(" · {}", _(source)) if source else "",
    )


def _approved(approval: Approval) -> str:
    said = {
        "by": approval.approved_by,
        "day": date_format(timezone.localtime(approval.approved_at), "j F Y"),
    }
    if approval.overlay:
        said["number"] = approval.overlay.number
        return _("version %(number)s approved by %(by)s on %(day)s") % said
    return _("approved by %(by)s on %(day)s") % said


@register.simple_tag
def approved(approval: Approval) -> str:
    """Which rules a signature put in force, whose it is and from when."""
    return f"{approval.library_version}, {_approved(approval)}"


@register.simple_tag
def policy_in_force(approval: Approval | None = None) -> SafeString:
    """On whose signature the clinic's own figures stand: that of a session, or today's."""
    approval = approval or policy.current_approval()
    signed = _approved(approval) if approval else _("not signed")
    said = _("Clinic policy, %(signed)s.") % {"signed": signed}
    return format_html('<p class="authority">{}</p>', said)


@register.simple_tag
def policy_state(version: Any, now: Any, waiting: Any) -> str:
    """Where a version of the clinic's own text stands."""
    return _(policy.state_of(version, now, waiting))


@register.filter
def said(text: Any) -> str:
    """A text of the protocols, or a code that is a word, in the reader's language.

    `{% translate text %}` is for literals: of a text in a variable it doubles every "%" before it
    looks for the Spanish, and finds none.
    """
    return _(str(text)) if text else ""


@register.filter
def lookup(mapping: Any, key: Any) -> Any:
    """`mapping[key]`, or nothing."""
    return mapping.get(key, "") if mapping else ""


@register.inclusion_tag("components/navigation.html", takes_context=True)
def navigation(context: dict[str, Any]) -> dict[str, Any]:
    """The entries for the person signed in, and which of them is this page."""
    request = context["request"]
    match = request.resolver_match
    here = match.url_name if match else None
    found = navigation_of(request.user.role)
    current = found.current(here, match.kwargs if match else ())
    return {"primary": found.primary, "more": found.more, "current": current, "here": here}


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, unit: str = "") -> dict[str, Any]:
    """A form field with label, help and error, wired for screen readers."""
    ids = [f"{bound.id_for_label or bound.html_name}_{part}" for part in ("help", "error")]
    described = [
        name for name, there in zip(ids, (bound.help_text, bound.errors), strict=True) if there
    ]
    widget = bound.field.widget
    grouped = getattr(widget, "input_type", "") == "radio" or widget.__class__.__name__ in {
        "CheckboxSelectMultiple"
    }
    attributes: dict[str, Any] = {}
    if described and not grouped:
        attributes["aria-describedby"] = " ".join(described)
    if bound.errors and not grouped:
        attributes["aria-invalid"] = "true"
    return {
        "bound": bound,
        "widget": bound.as_widget(attrs=attributes) if not grouped else "",
        "grouped": grouped,
        "is_check": getattr(widget, "input_type", "") == "checkbox",
        "unit": unit,
        "help_id": ids[0],
        "error_id": ids[1],
    }


@register.simple_tag
def form_errors(form: Any) -> SafeString:
    """What is wrong with the form as a whole, read out first."""
    errors = form.non_field_errors()
    if not errors:
        return mark_safe("")
    return format_html(
        '<div class="form-errors" role="alert" tabindex="-1"><div>{}</div></div>',
        format_html_join(mark_safe("<br>"), "{}", ((error,) for error in errors)),
    )
