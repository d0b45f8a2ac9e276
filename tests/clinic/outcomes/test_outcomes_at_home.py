"""A course at home counts from its first dose at home."""

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
    assert CourseSummary.objects.get(course=taken.course).first_dose_at is None
    HomeSession.objects.filter(pk=taken.pk).update(phase=Phase.CLOSED, closed_at=clock.now())
    summaries.rebuild(everything=True)
    summary = CourseSummary.objects.get(course=taken.course)
    assert (summary.home_doses, summary.sessions_given) == (1, 0)
    assert summary.first_dose_at == taken.opened_at
