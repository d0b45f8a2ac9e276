from django.urls import path

from . import views

urlpatterns = [
    path("policy/", views.policy, name="policy"),
    path("policy/propose/", views.propose, name="policy_propose"),
    path("policy/versions/<int:number>/", views.version, name="policy_version"),
    path("policy/versions/<int:number>/text/", views.version_text, name="policy_version_text"),
    path("policy/versions/<int:number>/decline/", views.decline, name="policy_decline"),
]
