"""How a published share of people is written."""

from django import template
from django.template.defaultfilters import floatformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from openketamine.protocols.evidence import Interval, Result
from openketamine.protocols.questions import Headline

register = template.Library()


@register.simple_tag
def share(result: Result | None) -> SafeString | str:
    """A percentage, of how many people, with its interval and where that comes from."""
    if result is None:
        return ""
    value, around = floatformat(result.value, "-1"), result.interval
    if result.n_arm:
        told = format_html(
            _('<b class="num">{value} %</b> of {people}'), value=value, people=result.n_arm
        )
    else:
        told = format_html('<b class="num">{} %</b>', value)
    if around is None:
        return told
    return format_html('{} <span class="muted">({})</span>', told, _interval(around))


@register.simple_tag
def in_plain_words(headline: Headline) -> str:
    """A study's result in a sentence, for readers of another language than the study's own."""
    language = (get_language() or "en").split("-")[0]
    return "" if language == "en" else headline.in_words(language)


def _interval(around: Interval) -> str:
    figures = {"low": floatformat(around.low, 0), "high": floatformat(around.high, 0)}
    if around.how == "published":
        return _("%(low)s to %(high)s, published") % figures
    return _("%(low)s to %(high)s, computed: %(how)s") % {**figures, "how": _(around.how)}
