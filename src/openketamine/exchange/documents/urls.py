from django.urls import path

from . import views

urlpatterns = [
    path("sessions/<uuid:session_id>/aftercare.pdf", views.aftercare, name="aftercare_pdf"),
    path("sessions/<uuid:session_id>/note.pdf", views.session_note, name="session_note_pdf"),
    path("sessions/<uuid:session_id>/monitoring.pdf", views.monitoring, name="monitoring_pdf"),
    path(
        "sessions/<uuid:session_id>/monitoring/data.<slug:kind>",
        views.monitoring_data,
        name="monitoring_data",
    ),
    path("consents/<int:consent_id>/consent.pdf", views.consent_document, name="consent_document"),
    path("courses/<uuid:course_id>/routes.pdf", views.routes_sheet, name="routes_pdf"),
    path("courses/<uuid:course_id>/handover.pdf", views.handover, name="handover_pdf"),
]
