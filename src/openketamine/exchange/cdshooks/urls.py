from django.urls import path

from . import views

urlpatterns = [
    path("cds-services", views.discovery, name="cds_services"),
    path("cds-services/<str:service>", views.service, name="cds_service"),
    path("cds-services/<str:service>/feedback", views.feedback, name="cds_feedback"),
]
