from django.apps import AppConfig


class AtHomeConfig(AppConfig):
    name = "openketamine.clinic.athome"
    label = "athome"

    def ready(self) -> None:
        from . import watch  # noqa: F401 - it listens to the clinic's clock
