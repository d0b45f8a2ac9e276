from django.apps import AppConfig


class PolicyConfig(AppConfig):
    name = "openketamine.clinic.policy"
    label = "policy"
