from django.apps import AppConfig


class RecordConfig(AppConfig):
    name = "openketamine.clinic.record"
    label = "record"
