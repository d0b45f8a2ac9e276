"""Words and drawings of the patient's page."""

from collections.abc import Sequence
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

register = template.Library()

# What the therapist's headings are called where the patient reads them.
_LABELS = {
    "intention": _lazy("My intention"),
    "fears": _lazy("What I am afraid of"),
    "what_helps": _lazy("What helps me"),
    "music": _lazy("My music"),
    "safe_word": _lazy("My safe word"),
    "stood_out": _lazy("What stood out"),
    "practices": _lazy("What we agreed to practise"),
    "sleep": _lazy("My sleep"),
    "mood": _lazy("My mood"),
}


@register.filter
def patient_label(field: Any) -> str:
    return str(_LABELS[field.name])


@register.simple_tag
def span_words(minutes: int) -> str:
    """Minutes as a person says them: "10 minutes", "1 hour", "2 hours 10 minutes"."""
    hours, rest = divmod(int(minutes), 60)
    parts = []
    if hours:
        parts.append(ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours})
    if rest or not hours:
        parts.append(ngettext("%(count)d minute", "%(count)d minutes", rest) % {"count": rest})
    return " ".join(parts)


@register.filter
def tick(minutes: int) -> str:
    """The same under a drawing, where there is little room: "30 min", "2 h"."""
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


@register.simple_tag
def mood_line(moods: Sequence[Any]) -> SafeString:
    """The last days as a small line, by their day; with the words for those who cannot see it."""
    first, last = moods[0].day, moods[-1].day
    days = max((last - first).days, 1)
    points = [
        (
            round(4 + 192 * (entry.day - first).days / days, 1),
            round(40 - 3.6 * entry.mood_0_10, 1),
        )
        for entry in moods
    ]
    return format_html(
        '<svg class="spark mood-spark" viewBox="0 0 200 44" role="img" aria-label="{}">'
        '<polyline points="{}"/><circle cx="{}" cy="{}" r="3"/></svg>',
        _("Your mood, day by day: %(values)s")
        % {"values": ", ".join(str(entry.mood_0_10) for entry in moods)},
        " ".join(f"{x},{y}" for x, y in points),
        *points[-1],
    )
