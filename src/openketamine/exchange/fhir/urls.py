from django.urls import path

from . import bulk_rest, handover, rest, views

urlpatterns = [
    path("referrals/import/", views.import_referrals, name="import_referrals"),
    path("courses/<uuid:course_id>/handover.json", handover.document, name="handover_fhir"),
    path("fhir/metadata", rest.metadata, name="fhir_metadata"),
    path("fhir/$import-referral", rest.take_referral, name="fhir_import_referral"),
    path("fhir/$export", bulk_rest.export_system, name="fhir_export"),
    path("fhir/$export-status/<uuid:key>", bulk_rest.export_status, name="fhir_export_status"),
    path("fhir/$export-file/<uuid:key>/<str:name>", bulk_rest.export_file, name="fhir_export_file"),
    path("fhir/Patient/$export", bulk_rest.export_patients, name="fhir_export_patients"),
    path("fhir/Patient/<str:key>/$everything", rest.everything, name="fhir_everything"),
    path("fhir/Binary/<str:key>", rest.binary, name="fhir_binary"),
    path("fhir/<str:kind>/_search", rest.search_by_post, name="fhir_search"),
    path("fhir/<str:kind>/<str:key>", rest.instance, name="fhir_instance"),
    path("fhir/<str:kind>", rest.type_level, name="fhir_type"),
    path("fhir/", rest.nowhere, name="fhir_root"),
    path("fhir/<path:rest>", rest.nowhere, name="fhir_nowhere"),
]
