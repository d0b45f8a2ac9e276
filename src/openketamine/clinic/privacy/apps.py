from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "openketamine.clinic.privacy"
    label = "privacy"
