from django.urls import path

from . import views

urlpatterns = [
    path("referrals/import/", views.import_referrals, name="import_referrals"),
    path("fhir/Observation", views.observation, name="fhir_observation"),
]
