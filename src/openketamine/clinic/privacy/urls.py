from django.urls import path

from . import views

PERSON = "people/<uuid:person_id>/"

urlpatterns = [
    path("privacy/", views.overview, name="privacy"),
    path("privacy/opened/<int:glass_id>/", views.review, name="review_glass"),
    path(f"{PERSON}privacy/", views.chart_privacy, name="chart_privacy"),
    path(f"{PERSON}privacy/restrict/", views.restrict, name="restrict_chart"),
    path(f"{PERSON}privacy/unrestrict/", views.unrestrict, name="unrestrict_chart"),
    path(f"{PERSON}privacy/hold/", views.hold, name="place_hold"),
    path(f"{PERSON}privacy/unhold/", views.unhold, name="lift_hold"),
    path(f"{PERSON}open/", views.break_glass, name="break_glass"),
    path("people/elsewhere/", views.elsewhere, name="elsewhere"),
    path("me/who-read/", views.who_read, name="who_read"),
]
