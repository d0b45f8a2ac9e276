from django.apps import AppConfig


class SmartConfig(AppConfig):
    name = "openketamine.exchange.smart"
    label = "smart"
