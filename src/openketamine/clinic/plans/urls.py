from django.urls import path

from . import views

urlpatterns = [
    path("courses/<uuid:course_id>/consent/", views.consent, name="consent"),
    path("courses/<uuid:course_id>/consent/sign/", views.sign_consent, name="sign_consent"),
    path("consents/<int:consent_id>/withdraw/", views.withdraw_consent, name="withdraw_consent"),
    path("courses/<uuid:course_id>/plan/", views.plan, name="plan"),
    path("plans/<int:plan_id>/verify/", views.verify_plan, name="verify_plan"),
    path("courses/<uuid:course_id>/calendar/", views.calendar, name="calendar"),
    path("courses/<uuid:course_id>/plan/again/", views.plan_again, name="plan_again"),
    path("courses/<uuid:course_id>/plan/end/", views.end_treatment, name="end_treatment"),
    path("planned/<uuid:planned_id>/missed/", views.mark_missed, name="mark_missed"),
    path("courses/<uuid:course_id>/next/", views.next_step, name="next_step"),
    path("planned/<uuid:planned_id>/", views.move_session, name="move_session"),
    path("planned/<uuid:planned_id>/cancel/", views.cancel_planned, name="cancel_planned"),
]
