from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "openketamine.clinic.accounts"
    label = "accounts"
