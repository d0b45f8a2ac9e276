from django.apps import AppConfig


class ChoicesConfig(AppConfig):
    name = "openketamine.clinic.choices"
    label = "choices"
