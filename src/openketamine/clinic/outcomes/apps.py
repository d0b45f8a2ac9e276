from django.apps import AppConfig


class OutcomesConfig(AppConfig):
    name = "openketamine.clinic.outcomes"
    label = "outcomes"

    def ready(self) -> None:
        from . import services  # noqa: F401 - connects to the discharge signal
