from django.urls import path

from . import views

urlpatterns = [
    path("courses/<uuid:course_id>/", views.course, name="course"),
    path("courses/<uuid:course_id>/review/", views.course_review, name="course_review"),
    path("courses/<uuid:course_id>/close/", views.close_course, name="close_course"),
    path("courses/<uuid:course_id>/misuse/", views.note_misuse, name="note_misuse"),
    path("misuse/<int:misuse_id>/take-back/", views.take_back_misuse, name="take_back_misuse"),
    path("courses/<uuid:course_id>/checks/", views.record_check, name="record_check"),
    path("continuity/", views.continuity, name="continuity"),
    path("continuity/due/", views.due_summary, name="reviews_due"),
    path("courses/<uuid:course_id>/loose-end/", views.take_up, name="take_up"),
]
