from django.apps import AppConfig


class DevicesConfig(AppConfig):
    name = "openketamine.clinic.devices"
    label = "devices"
