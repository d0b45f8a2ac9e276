from django.urls import path

from . import pages, views

urlpatterns = [
    path("home-sessions/", views.home_sessions, name="home_sessions"),
    path("home-sessions/list/", views.home_sessions_list, name="home_sessions_list"),
    path("home-sessions/reviews/", views.home_reviews_due, name="home_reviews_due"),
    path("home-sessions/programme/", views.home_programme, name="home_programme"),
    path("home-sessions/<uuid:session_id>/", views.home_session, name="home_session"),
    path("home-sessions/<uuid:session_id>/now/", views.home_session_now, name="home_session_now"),
    path(
        "home-sessions/<uuid:session_id>/photos/<int:photo_id>/",
        views.cuff_photo,
        name="cuff_photo",
    ),
    path("courses/<uuid:course_id>/home/", views.home_course, name="home_course"),
    # By link, without a sign-in: the patient (h) and the adult at hand (a).
    path("h/worker.js", pages.worker, name="home_worker"),
    path("h/<str:token>/", pages.home_page, name="home_page"),
    path("h/<str:token>/state/", pages.home_state, name="home_state"),
    path("h/<str:token>/enter/", pages.home_enter, name="home_enter"),
    path("a/worker.js", pages.worker, name="adult_worker"),
    path("a/<str:token>/", pages.adult_page, name="adult_page"),
    path("a/<str:token>/state/", pages.adult_state, name="adult_state"),
    path("a/<str:token>/enter/", pages.adult_enter, name="adult_enter"),
]
