from django.apps import AppConfig


class RemsConfig(AppConfig):
    name = "openketamine.clinic.rems"
    label = "rems"
