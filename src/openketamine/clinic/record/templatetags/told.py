"""Words of the record in a template, in the reader's language."""

from django import template

from openketamine.clinic.record.told import retold as in_the_readers_words

register = template.Library()


@register.filter
def retold(text: object) -> str:
    """What the record keeps in English, for whoever reads; what it does not know, as written."""
    return in_the_readers_words(str(text))
