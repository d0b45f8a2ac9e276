from django.urls import path

from . import views

SESSION = "sessions/<uuid:session_id>/"

urlpatterns = [
    path("today/", views.today, name="today"),
    path("today/board/", views.today_board, name="today_board"),
    path("today/stream/", views.today_stream, name="today_stream"),
    path("alarms/", views.alarms, name="alarms"),
    path("alarms/silence/", views.alarms_silence, name="alarms_silence"),
    path("orders/<int:order_id>/sign/", views.order_cosign, name="order_cosign"),
    path("chairs/add/", views.chair_add, name="chair_add"),
    path("planned-sessions/<uuid:planned_id>/open/", views.session_open, name="session_open"),
    path("courses/<uuid:course_id>/doses/", views.doses_compare, name="doses_compare"),
    path(SESSION, views.session, name="session"),
    path(f"{SESSION}state/", views.session_state, name="session_state"),
    path(f"{SESSION}chart/", views.session_chart, name="session_chart"),
    path(f"{SESSION}stream/", views.session_stream, name="session_stream"),
    path(f"{SESSION}check/", views.session_check, name="session_check"),
    path(f"{SESSION}discharge/", views.session_discharge, name="session_discharge"),
    path(f"{SESSION}transfer/decide/", views.transfer_decide, name="transfer_decide"),
    path(f"{SESSION}sheets/", views.session_sheets, name="session_sheets"),
    path(f"{SESSION}enter/<slug:act>/", views.session_enter, name="session_enter"),
    path("rems/forms/", views.rems_forms, name="rems_forms"),
    path(f"{SESSION}monitoring-form/", views.monitoring, name="monitoring_form"),
    path(f"{SESSION}monitoring-form/sent/", views.monitoring_sent, name="monitoring_sent"),
    path(f"{SESSION}more/", views.session_more, name="session_more"),
    path(f"{SESSION}emergencies/<int:seq>/over/", views.emergency_over, name="emergency_over"),
    path(
        f"{SESSION}alerts/<slug:rule_id>/acknowledge/",
        views.alert_acknowledge,
        name="alert_acknowledge",
    ),
    path(f"{SESSION}events/<int:seq>/correct/", views.event_correct, name="event_correct"),
]
