"""A clinic with infusions that run, made in a process of its own on a home of its own.

    python -m tests.clinic.seed CHAIRS

Prints the key of a nurse's signed-in browser and the id of every session, one for each chair. For
tests and benchmarks that speak to the clinic's processes from outside.
"""

import copy
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from openketamine.clinic.boot import prepare_database, start_django

from .. import blank

if __name__ == "__main__":
    if "OPENKETAMINE_DATABASE_URL" not in os.environ:
        blank.put_into(Path(os.environ["OPENKETAMINE_HOME"]))
    start_django()
    prepare_database()


def infusions(chairs: int) -> list[str]:
    """The key of the nurse's browser, and the ids of the sessions.

    The first patient comes to the chair as patients do; the others are copies of the first.
    """
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from openketamine.clinic.accounts.models import Role
    from openketamine.clinic.accounts.sittings import FACTOR, STARTED
    from openketamine.clinic.intake import services as intake
    from openketamine.clinic.people import services as people
    from openketamine.clinic.plans import services as plans
    from openketamine.clinic.policy import services as policy
    from openketamine.clinic.policy.queries import library
    from openketamine.clinic.record import clock
    from openketamine.clinic.record import services as record
    from openketamine.clinic.record.models import Event
    from openketamine.clinic.sessions import services as sessions

    from . import conftest as clinic

    nurse, prescriber = clinic.make_user(Role.NURSE), clinic.make_user(Role.PRESCRIBER)
    policy.sign_policy(clinic.make_user(Role.DIRECTOR), digest=library().policy_digest)
    course = people.receive_referral(nurse, clinic.referral(), origin="test").person.courses.get()
    clinic.nothing_found(course, nurse)
    intake.sign_screening(prescriber, course, outcome="eligible")
    course.refresh_from_db()
    clinic.consent(course, nurse)
    plan = plans.order_plan(prescriber, course, first_on=clock.today(), **clinic.ORDER)
    plans.verify_plan(nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
    chair = sessions.add_chair(nurse, name="Chair 1")
    first = sessions.open_session(nurse, course.planned_sessions.get(number=1), chair)
    sessions.complete_check(nurse, first, **clinic.CHECK)
    clinic.draw_up(first, nurse, prescriber)
    sessions.start_infusion(nurse, first)
    first.refresh_from_db()

    made = [first]
    for number in range(2, chairs + 1):
        person = _copy(first.person, mrn=f"B{number:05d}", source_id=f"copy-{number}", user=None)
        its_course = _copy(course, person=person)
        its_plan = _copy(first.planned.plan, course=its_course)
        planned = _copy(first.planned, course=its_course, person=person, plan=its_plan)
        its_chair = _copy(chair, name=f"Chair {number}", position=number)
        made.append(
            _copy(first, planned=planned, course=its_course, person=person, chair=its_chair)
        )
    template = list(Event.objects.filter(stream=first.stream).order_by("seq"))
    record.append_many(
        [
            record.Entry(nurse, s.stream, e.kind, e.data, s.person_id, e.occurred_at, e.source)
            for s in made[1:]
            for e in template
        ]
    )
    browser = SessionStore()
    browser[SESSION_KEY] = str(nurse.pk)
    browser[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    browser[HASH_SESSION_KEY] = nurse.get_session_auth_hash()
    browser[STARTED], browser[FACTOR] = int(time.time()), True
    browser.create()
    return [str(browser.session_key), *(str(session.pk) for session in made)]


def _copy(thing: Any, **changes: Any) -> Any:
    new = copy.copy(thing)
    new._state = copy.copy(thing._state)
    new._state.adding = True
    new._state.fields_cache = {}
    new.pk = uuid.uuid4() if isinstance(thing.pk, uuid.UUID) else None
    for name, value in changes.items():
        setattr(new, name, value)
    new.save(force_insert=True)
    return new


if __name__ == "__main__":
    print(*infusions(int(sys.argv[1])))
