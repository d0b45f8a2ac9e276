from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "openketamine.clinic.portal"
    label = "portal"

    def ready(self) -> None:
        from . import reminders  # noqa: F401 - listens to the clinic's clock
