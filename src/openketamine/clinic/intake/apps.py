from django.apps import AppConfig


class IntakeConfig(AppConfig):
    name = "openketamine.clinic.intake"
    label = "intake"

    def ready(self) -> None:
        from . import services  # noqa: F401 - connects to the closing of calls
