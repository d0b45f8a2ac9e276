from django.apps import AppConfig
from django.utils.translation import gettext, ngettext

from openketamine import words


class SiteConfig(AppConfig):
    name = "openketamine.site"
    label = "site"
    verbose_name = "Site"

    def ready(self) -> None:
        words.speak_by(gettext, ngettext)
