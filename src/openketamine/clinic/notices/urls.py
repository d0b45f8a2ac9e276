from django.urls import path

from . import views

urlpatterns = [
    path("on-call/", views.on_call, name="on_call"),
    path("on-call/list/", views.on_call_list, name="on_call_list"),
    path("on-call/rota/", views.rota, name="rota"),
    path("on-call/rota/address/", views.my_address, name="my_address"),
    path("on-call/rota/<int:shift_id>/cancel/", views.shift_cancel, name="shift_cancel"),
    path("on-call/messages/<uuid:notice_id>/again/", views.message_again, name="message_again"),
    path("on-call/messages/<uuid:notice_id>/aside/", views.message_aside, name="message_aside"),
    path("on-call/<uuid:call_id>/", views.call, name="call"),
    path("on-call/<uuid:call_id>/answer/", views.call_answer, name="call_answer"),
]
