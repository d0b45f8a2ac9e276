from django.apps import AppConfig


class PeopleConfig(AppConfig):
    name = "openketamine.clinic.people"
    label = "people"
