from django.urls import path

from . import views

urlpatterns = [
    path("evidence/", views.evidence, name="evidence"),
    path("evidence/<slug:question_id>/", views.evidence_question, name="evidence_question"),
    path("routes/prices/", views.prices, name="route_prices"),
    path("routes/prices/<slug:route>/", views.price, name="route_price"),
    path("courses/<uuid:course_id>/routes/", views.routes, name="routes"),
    path("courses/<uuid:course_id>/routes/forecasts/", views.forecasts, name="route_forecasts"),
    path("courses/<uuid:course_id>/routes/<slug:route>/cover/", views.cover, name="route_cover"),
]
