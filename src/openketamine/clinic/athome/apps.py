from django.apps import AppConfig


class AtHomeConfig(AppConfig):
    name = "openketamine.clinic.athome"
    label = "athome"

    def ready(self) -> None:
        from . import expected, watch  # noqa: F401 - they listen to the clinic's clock
