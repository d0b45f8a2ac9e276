from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "openketamine.exchange.documents"
    label = "documents"
