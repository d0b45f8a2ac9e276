from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "openketamine.clinic.privacy"
    label = "privacy"

    def ready(self) -> None:
        from . import keeping  # noqa: F401 - listens to the clinic's clock
