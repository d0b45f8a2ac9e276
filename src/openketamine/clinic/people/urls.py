from django.urls import path

from . import views

urlpatterns = [
    path("people/", views.people, name="people"),
    path("people/new/", views.person_new, name="person_new"),
    path("people/<uuid:person_id>/", views.person, name="person"),
    path("people/<uuid:person_id>/measure/", views.measure, name="measure"),
    path("people/<uuid:person_id>/transfer/", views.transfer, name="transfer"),
    path("people/<uuid:person_id>/sign-in/", views.sign_in, name="give_sign_in"),
    path("people/<uuid:person_id>/record/", views.record_of, name="record_of"),
    path("courses/<uuid:course_id>/team/", views.team, name="team"),
]
