from django.apps import AppConfig


class IntakeConfig(AppConfig):
    name = "openketamine.clinic.intake"
    label = "intake"
