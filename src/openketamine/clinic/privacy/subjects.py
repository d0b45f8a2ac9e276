"""Whom an address is about: from the parameters in it to the person whose chart that is."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError

# Parameter of an address -> the models that it may name, each with the path to the person. A test
# sees to it that every parameter of every address stands here or in NO_CHART.
CHARTS: dict[str, dict[str, str]] = {
    "person_id": {"people.Person": "pk"},
    "course_id": {"people.Course": "person_id"},
    "trial_id": {"intake.AntidepressantTrial": "course__person_id"},
    "review_id": {"intake.SafetyReview": "course__person_id"},
    "consent_id": {"plans.Consent": "course__person_id"},
    "plan_id": {"plans.Plan": "course__person_id"},
    "planned_id": {"plans.PlannedSession": "person_id"},
    "session_id": {"treatment_sessions.Session": "person_id", "athome.HomeSession": "person_id"},
    "photo_id": {"athome.CuffPhoto": "session__person_id"},
    "order_id": {"treatment_sessions.VerbalOrder": "session__person_id"},
    "enrolment_id": {"rems.Enrolment": "person_id"},
    "visit_id": {"therapy.TherapyVisit": "person_id"},
    "goal_id": {"therapy.Goal": "course__person_id"},
    "homework_id": {"therapy.Homework": "course__person_id"},
    "misuse_id": {"reviews.MisuseNote": "course__person_id"},
    "note_id": {"therapy.PsychotherapyNote": "person_id"},
    "grant_id": {"therapy.NoteGrant": "person_id"},
    "link_id": {"portal.PatientLink": "person_id"},
    "form_id": {"outcomes.FormRequest": "person_id"},
}
# Parameters that name no patient by themselves: parts of a chart named beside it, the clinic's own
# things, what allauth has, and tokens that are a patient's own key.
NO_CHART = frozenset(
    {
        "act", "call_id", "certification_id", "client_id", "device_id", "fact_id", "glass_id",
        "instrument_id", "key", "kind", "language", "notice_id", "number", "place_id",
        "question_id", "rest", "route", "rule_id", "seq", "shift_id", "site_id", "token",
        "token_id", "uidb36", "user_id", "why",
    }
)  # fmt: skip


def people_of(kwargs: Mapping[str, Any]) -> set[uuid.UUID]:
    """The people whom these parameters are about; those that name nothing that exists, nobody."""
    found: set[uuid.UUID] = set()
    for name, value in kwargs.items():
        if name not in CHARTS:
            continue
        for label, path in CHARTS[name].items():
            model = apps.get_model(label)
            try:
                people = model._base_manager.filter(pk=value).values_list(path, flat=True)
                found.update(person for person in people if person)
            except (ValidationError, ValueError, OverflowError):
                continue
    return found


def about_a_chart(kwargs: Mapping[str, Any]) -> bool:
    return not CHARTS.keys().isdisjoint(kwargs)
