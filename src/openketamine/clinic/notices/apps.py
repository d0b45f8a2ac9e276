from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "openketamine.clinic.notices"
    label = "notices"
