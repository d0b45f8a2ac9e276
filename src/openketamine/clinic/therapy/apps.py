from django.apps import AppConfig


class TherapyConfig(AppConfig):
    name = "openketamine.clinic.therapy"
    label = "therapy"

    def ready(self) -> None:
        from . import services  # noqa: F401 - connects to the discharge signal
