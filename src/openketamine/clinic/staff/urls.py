from django.urls import path

from . import views

urlpatterns = [
    path("staff/", views.staff, name="staff"),
    path("staff/<int:user_id>/active/", views.set_account_active, name="set_account_active"),
]
