"""Every address of the clinic. Each view carries its own access rule."""

from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("theme/", views.set_theme, name="set_theme"),
    path("words/<slug:language>.js", views.script_words, name="script_words"),
    path("healthy/", views.healthy, name="healthy"),
    path("ready/", views.ready, name="ready"),
    path("metrics/", views.figures, name="metrics"),
    path("account/", include("allauth.urls")),
    path("", include("openketamine.clinic.policy.urls")),
    path("", include("openketamine.clinic.notices.urls")),
    path("", include("openketamine.clinic.staff.urls")),
    path("", include("openketamine.clinic.sites.urls")),
    path("", include("openketamine.clinic.people.urls")),
    path("", include("openketamine.clinic.rems.urls")),
    path("", include("openketamine.clinic.intake.urls")),
    path("", include("openketamine.clinic.plans.urls")),
    path("", include("openketamine.clinic.sessions.urls")),
    path("", include("openketamine.clinic.choices.urls")),
    path("", include("openketamine.clinic.devices.urls")),
    path("", include("openketamine.clinic.athome.urls")),
    path("", include("openketamine.clinic.therapy.urls")),
    path("", include("openketamine.clinic.outcomes.urls")),
    path("", include("openketamine.clinic.portal.urls")),
    path("", include("openketamine.exchange.smart.urls")),
    path("", include("openketamine.clinic.privacy.urls")),
    path("", include("openketamine.clinic.reviews.urls")),
    path("", include("openketamine.exchange.fhir.urls")),
    path("", include("openketamine.exchange.cdshooks.urls")),
    path("", include("openketamine.exchange.documents.urls")),
]
