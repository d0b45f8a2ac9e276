from django.urls import path

from . import views

urlpatterns = [path("referrals/import/", views.import_referrals, name="import_referrals")]
