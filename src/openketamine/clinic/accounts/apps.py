from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "openketamine.clinic.accounts"
    label = "accounts"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from .sittings import begin

        user_logged_in.connect(begin, dispatch_uid="openketamine.sitting")
