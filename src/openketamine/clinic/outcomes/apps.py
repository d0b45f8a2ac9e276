from django.apps import AppConfig


class OutcomesConfig(AppConfig):
    name = "openketamine.clinic.outcomes"
    label = "outcomes"

    def ready(self) -> None:
        from . import services, summaries  # noqa: F401 - connect to signals
