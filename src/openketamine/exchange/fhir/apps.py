from django.apps import AppConfig


class FhirConfig(AppConfig):
    name = "openketamine.exchange.fhir"
    label = "fhir"
