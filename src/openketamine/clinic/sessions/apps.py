from django.apps import AppConfig


class SessionsConfig(AppConfig):
    name = "openketamine.clinic.sessions"
    label = "treatment_sessions"  # "sessions" is taken by Django's own browser sessions
