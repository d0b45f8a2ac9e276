from django.urls import path

from . import views

COURSE = "courses/<uuid:course_id>/therapy/"
VISIT = "therapy/visits/<uuid:visit_id>/"

urlpatterns = [
    path("therapy/", views.therapist_list, name="therapist_list"),
    path("therapy/due/", views.therapy_due, name="therapy_due"),
    path(COURSE, views.therapy, name="therapy"),
    path(f"{COURSE}preparation/", views.prepare, name="prepare"),
    path(f"{COURSE}touch/", views.touch, name="touch"),
    path(f"{COURSE}touch/withdraw/", views.touch_withdraw, name="touch_withdraw"),
    path(f"{COURSE}visits/new/", views.visit_new, name="visit_new"),
    path(f"{COURSE}visits/record/", views.visit_out_of_turn, name="visit_out_of_turn"),
    path(f"{COURSE}goals/", views.goal_new, name="goal_new"),
    path(f"{COURSE}homework/", views.homework_new, name="homework_new"),
    path(f"{COURSE}life-events/", views.life_event_new, name="life_event_new"),
    path(VISIT, views.visit, name="therapy_visit"),
    path(f"{VISIT}record/", views.visit_record, name="visit_record"),
    path(f"{VISIT}plan/", views.visit_plan, name="visit_plan"),
    path(f"{VISIT}cancel/", views.visit_cancel, name="visit_cancel"),
    path(f"{VISIT}share/", views.visit_share, name="visit_share"),
    path("therapy/goals/<int:goal_id>/", views.goal_change, name="goal_change"),
    path("therapy/homework/<int:homework_id>/done/", views.homework_done, name="homework_done"),
    path("sessions/<uuid:session_id>/support/", views.session_support, name="session_support"),
    path("sessions/<uuid:session_id>/companion/", views.companion, name="companion"),
    path(
        "people/<uuid:person_id>/psychotherapy-notes/",
        views.psychotherapy_notes,
        name="psychotherapy_notes",
    ),
    path(
        "psychotherapy-notes/<uuid:note_id>/", views.psychotherapy_note, name="psychotherapy_note"
    ),
    path("people/<uuid:person_id>/psychotherapy-notes/grant/", views.note_grant, name="note_grant"),
    path("note-grants/<int:grant_id>/revoke/", views.note_revoke, name="note_revoke"),
]
