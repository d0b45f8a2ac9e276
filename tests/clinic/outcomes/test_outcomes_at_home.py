"""A course at home counts from its first dose, with what was told of it from home."""

import json

from openketamine.clinic.athome import from_home
from openketamine.clinic.athome.models import HomeSession, Phase
from openketamine.clinic.outcomes import summaries
from openketamine.clinic.outcomes.models import CourseSummary
from openketamine.clinic.record import clock

from ..athome.conftest import (  # noqa: F401
    enrolled,
    home_course,
    may_take,
    now,
    on,
    ready,
    session,
    supervised,
    taken,
)


def test_it_works(taken):  # noqa: F811
    summaries.rebuild()
    watched = taken.enrolment.supervised_at
    summary = CourseSummary.objects.get(course=taken.course)
    assert (summary.first_dose_at, summary.home_doses) == (watched, 0)
    HomeSession.objects.filter(pk=taken.pk).update(phase=Phase.CLOSED, closed_at=clock.now())
    summaries.rebuild(everything=True)
    summary = CourseSummary.objects.get(course=taken.course)
    assert (summary.home_doses, summary.sessions_given) == (1, 0)
    assert (summary.first_dose_at, summary.last_dose_at) == (watched, taken.opened_at)


def test_what_is_told_from_home_is_counted_as_an_adverse_event(taken):  # noqa: F811
    for severity, signs in (("mild", []), ("severe", ["chest_pain"]), ("moderate", [])):
        from_home.how(
            taken,
            by="patient",
            data={"feeling": "unwell", "effects": [["nausea", severity]], "signs": signs},
        )
    HomeSession.objects.filter(pk=taken.pk).update(phase=Phase.CLOSED, closed_at=clock.now())
    summaries.rebuild(everything=True)
    summary = CourseSummary.objects.get(course=taken.course)
    # The worst degree of the session, once.
    assert json.loads(summary.effects) == {"nausea": [0, 0, 1]}
    assert (summary.sessions_with_effect, summary.sessions_with_moderate) == (1, 1)
    assert (summary.emergencies, summary.transfers) == (1, 0)
