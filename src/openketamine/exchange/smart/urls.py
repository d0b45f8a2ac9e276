from django.urls import path

from . import views

urlpatterns = [
    path("apps/", views.apps, name="smart_apps"),
    path("apps/<uuid:client_id>/revoke/", views.revoke_app, name="smart_revoke_app"),
    path("people/<uuid:person_id>/apps/", views.open_with, name="smart_open_with"),
    path("people/<uuid:person_id>/apps/<uuid:client_id>/", views.open_app, name="smart_open_app"),
    path("smart/authorize", views.authorize, name="smart_authorize"),
    path("smart/token", views.token, name="smart_token"),
    path("smart/revoke", views.revoke, name="smart_revoke"),
    path("smart/introspect", views.introspect, name="smart_introspect"),
    path("smart/jwks", views.jwks, name="smart_jwks"),
    path(
        "smart/.well-known/openid-configuration",
        views.openid_configuration,
        name="openid_configuration",
    ),
    path(
        "fhir/.well-known/smart-configuration",
        views.smart_configuration,
        name="smart_configuration",
    ),
]
