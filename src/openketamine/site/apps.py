from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "openketamine.site"
    label = "site"
    verbose_name = "Site"
