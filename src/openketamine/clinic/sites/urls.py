from django.urls import path

from . import views

urlpatterns = [
    path("sites/", views.sites, name="sites"),
    path("sites/choose/", views.choose, name="choose_site"),
    path("sites/<int:site_id>/", views.site, name="site"),
    path("sites/<int:site_id>/close/", views.close, name="close_site"),
]
