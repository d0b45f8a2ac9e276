from django.urls import path

from . import views

urlpatterns = [
    path("courses/<uuid:course_id>/screening/", views.screening, name="screening"),
    path("courses/<uuid:course_id>/screening/sign/", views.sign_screening, name="sign_screening"),
    path("courses/<uuid:course_id>/findings/<str:rule_id>/", views.decide, name="decide_finding"),
    path("courses/<uuid:course_id>/questionnaires/", views.questionnaires, name="questionnaires"),
    path(
        "courses/<uuid:course_id>/questionnaires/<slug:instrument_id>/",
        views.questionnaire,
        name="questionnaire",
    ),
    path("courses/<uuid:course_id>/programme/", views.programme, name="programme"),
    path("courses/<uuid:course_id>/tests/", views.tests, name="tests"),
    path("courses/<uuid:course_id>/tests/<slug:fact_id>/", views.test_result, name="test_result"),
    path("courses/<uuid:course_id>/trials/", views.trials, name="trials"),
    path("courses/<uuid:course_id>/trials/new/", views.trial_new, name="trial_new"),
    path("courses/<uuid:course_id>/trials/staging/", views.stage_resistance, name="staging"),
    path("trials/<int:trial_id>/withdraw/", views.withdraw_trial, name="withdraw_trial"),
    path("courses/<uuid:course_id>/history/", views.history, name="history"),
    path("courses/<uuid:course_id>/safety/", views.safety_banner, name="safety_banner"),
    path("safety-reviews/<int:review_id>/", views.safety_review, name="safety_review"),
]
