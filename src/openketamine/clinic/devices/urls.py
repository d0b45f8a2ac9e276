from django.urls import path

from . import views

DEVICE = "devices/<int:device_id>/"

urlpatterns = [
    path("devices/", views.devices, name="devices"),
    path(f"{DEVICE}assign/", views.device_assign, name="device_assign"),
    path(f"{DEVICE}confirm-patient/", views.device_confirm, name="device_confirm"),
    path(f"{DEVICE}held/<slug:why>/", views.device_held, name="device_held"),
    path(f"{DEVICE}take-back/", views.device_take_back, name="device_take_back"),
    path("devices/places/name/", views.place_name, name="place_name"),
    path("devices/places/<int:place_id>/forget/", views.place_forget, name="place_forget"),
    path("devices/senders/add/", views.sender_add, name="sender_add"),
    path("devices/senders/<uuid:token_id>/revoke/", views.sender_revoke, name="sender_revoke"),
]
