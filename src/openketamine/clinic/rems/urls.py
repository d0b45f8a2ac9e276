from django.urls import path

from . import views

urlpatterns = [
    path("rems/", views.rems, name="rems"),
    path("rems/certify/", views.record_certification, name="record_certification"),
    path(
        "rems/certifications/<int:certification_id>/end/",
        views.end_certification,
        name="end_certification",
    ),
    path("people/<uuid:person_id>/rems/", views.enrolment, name="rems_enrolment"),
    path("rems/enrolments/<int:enrolment_id>/end/", views.end_enrolment, name="end_enrolment"),
]
