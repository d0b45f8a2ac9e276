from django.apps import AppConfig


class StaffConfig(AppConfig):
    name = "openketamine.clinic.staff"
    label = "staff"
