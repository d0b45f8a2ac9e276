from django.urls import path

from . import export_views, reports, views

urlpatterns = [
    path("follow-up/", views.follow_ups, name="follow_ups"),
    path("follow-up/summary/", views.follow_up_summary, name="follow_up_summary"),
    path("courses/<uuid:course_id>/line/", views.course_line, name="course_line"),
    path("courses/<uuid:course_id>/trajectory/", views.trajectory, name="trajectory"),
    path("forms/<uuid:form_id>/enter/", views.enter_form, name="enter_form"),
    path("outcomes/", reports.response, name="outcomes"),
    path("outcomes/onset-and-relapse/", reports.onset_and_relapse, name="outcomes_time"),
    path("outcomes/scores-over-time/", reports.trajectory, name="outcomes_trajectory"),
    path("outcomes/scores-over-time/fit/", reports.ask_for_fit, name="outcomes_fit"),
    path("outcomes/adverse-events/", reports.adverse_events, name="outcomes_events"),
    path("outcomes/clinicians/", reports.clinicians, name="outcomes_clinicians"),
    path("outcomes/method/", reports.method, name="outcomes_method"),
    path("outcomes/up-to-date/", reports.bring_up_to_date, name="outcomes_update"),
    path("outcomes/exports/", export_views.exports, name="outcomes_exports"),
    path("outcomes/exports/dictionary/", export_views.dictionary, name="outcomes_dictionary"),
    path("language/", views.set_language, name="set_language"),
    path("f/<str:token>/", views.form_by_link, name="form_by_link"),
]
