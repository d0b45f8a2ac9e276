from django.urls import path

from . import views

urlpatterns = [
    path("follow-up/", views.follow_ups, name="follow_ups"),
    path("follow-up/summary/", views.follow_up_summary, name="follow_up_summary"),
    path("courses/<uuid:course_id>/trajectory/", views.trajectory, name="trajectory"),
    path("forms/<uuid:form_id>/enter/", views.enter_form, name="enter_form"),
    path("language/", views.set_language, name="set_language"),
    path("f/<str:token>/", views.form_by_link, name="form_by_link"),
]
