from django.apps import AppConfig


class PlansConfig(AppConfig):
    name = "openketamine.clinic.plans"
    label = "plans"
