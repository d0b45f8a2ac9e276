from django.urls import path

from . import views

urlpatterns = [
    path("p/<str:token>/", views.open_link, name="patient_link"),
    path("me/", views.my_page, name="my_page"),
    path("me/mood/", views.mood, name="my_mood"),
    path("me/expect/", views.expect, name="my_expect"),
    path("me/side-effects/", views.side_effects, name="my_side_effects"),
    path("me/goals/", views.goals, name="my_goals"),
    path("me/homework/<int:homework_id>/done/", views.homework_done, name="my_homework_done"),
    path("me/touch/withdraw/", views.touch_withdraw, name="my_touch_withdraw"),
    path("me/messages/", views.my_messages, name="my_messages"),
    path("me/documents/", views.documents, name="my_documents"),
    path("me/documents/<slug:kind>/", views.document, name="my_document"),
    path("me/reminders/", views.reminders, name="my_reminders"),
    path("me/leave/", views.leave, name="my_leave"),
    path("goodbye/", views.left, name="patient_left"),
    path("messages/waiting/", views.messages_waiting, name="messages_waiting"),
    path("messages/", views.inbox, name="inbox"),
    path("people/<uuid:person_id>/messages/", views.thread, name="thread"),
    path("people/<uuid:person_id>/messages/settle/", views.thread_settle, name="thread_settle"),
    path("people/<uuid:person_id>/patient-page/", views.patient_page, name="patient_page"),
    path("people/<uuid:person_id>/patient-page/link/", views.link_new, name="link_new"),
    path("people/<uuid:person_id>/patient-page/send/", views.link_send, name="link_send"),
    path("people/<uuid:person_id>/patient-page/contact/", views.contact_set, name="contact_set"),
    path("patient-links/<uuid:link_id>/revoke/", views.link_revoke, name="link_revoke"),
]
