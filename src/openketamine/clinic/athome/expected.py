"""What the pharmacology expects of a dose at home, in the few figures that a patient's page shows.

Worked out in the background, and anew with every dose and reading: nothing waits for it.
"""

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _

from openketamine.clinic.notices.signals import tick
from openketamine.clinic.plans.queries import latest_weight

from . import queries
from .models import HomeSession

logger = logging.getLogger(__name__)

ROUTES = {"SL": "sublingual", "ORAL": "oral"}
STEP_MIN, HORIZON_MIN = 5.0, 240.0
# Of the strongest moment: from here on something is felt, and below this it has mostly gone.
FELT, GONE = 0.25, 0.1

_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="expected-at-home")
_asked: set[uuid.UUID] = set()
_lock = threading.Lock()


def work_out(session: HomeSession) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What to expect of the dose, with every reading so far, and what the session has taught.

    Before the dose it is that of the order; afterwards that of what was taken. The curve is the
    mean chance of dissociation over the ensemble, as a share of its highest value; times are in
    minutes from the dose: first felt, strongest, mostly gone. `systolic_mmhg` is the highest one
    still to come: (median, low, high), nine times in ten in between. `readings` counts the
    check-ins that had something measured.

    None where the weight or the readings before the dose are not known, or no model covers it.
    """
    # Here, for a command that never looks at a forecast need not load what makes one.
    from openketamine.clinic.sessions.forecasts import person_of
    from openketamine.pharmacology import Dose, Forecast, Reading, model_for

    weight, line = latest_weight(session.course), queries.timeline_of(session)
    if weight is None or not line.baseline or session.course.route not in ROUTES:
        return None
    route = ROUTES[session.course.route]
    dose = Dose(0.0, line.dose_mg or session.planned.plan.dose_mg, route)
    measured = [each for each in line.check_ins if each.values]
    readings = [
        Reading(line.minutes(each.at), name, value)
        for each in measured
        for name, value in each.values.items()
    ]
    forecast = Forecast.start(
        model_for("racemic", route),
        person_of(session.course, weight.value),
        line.baseline,
        [dose],
        seed=session.pk.int % 2**32,
        carried=_carried(session),
        horizon_min=HORIZON_MIN,
    ).update([dose], readings, now_min=None if readings else 0.0)
    times = [STEP_MIN * step for step in range(int(HORIZON_MIN / STEP_MIN) + 1)]
    curve = forecast.quantiles(times, probabilities=(0.5,)).quantities["p_dissociation"].mean
    highest = float(curve.max())
    if not highest > 0:
        return None
    shares = [round(float(value) / highest, 3) for value in curve]
    peak = shares.index(max(shares))
    onset = next(step for step, share in enumerate(shares) if share >= FELT)
    over = max(step for step, share in enumerate(shares) if share >= GONE)
    systolic = forecast.peaks()["systolic_mmhg"]
    return {
        "onset_min": round(times[onset]),
        "peak_min": round(times[peak]),
        "over_min": round(times[over]),
        "shares": shares,
        "step_min": STEP_MIN,
        "systolic_mmhg": [round(systolic.median), round(systolic.low), round(systolic.high)],
        "felt_percent": round(100 * highest),
        "readings": len(measured),
        "dose_mg": dose.dose_mg,
    }, forecast.carry_over()


def _carried(session: HomeSession) -> dict[str, Any] | None:
    """What the patient's newest earlier session with a forecast has taught, at home or not."""
    from openketamine.clinic.sessions.forecasts import carried_before

    home = (
        HomeSession.objects.filter(
            person=session.person_id, learned__isnull=False, opened_at__lt=session.opened_at
        )
        .order_by("-opened_at")
        .first()
    )
    in_clinic = (
        session.person.sessions.filter(closed_at__isnull=False, opened_at__lt=session.opened_at)
        .order_by("-opened_at")
        .first()
    )
    if home and (in_clinic is None or in_clinic.opened_at < home.opened_at):
        learned: dict[str, Any] = home.learned
        return learned
    return carried_before(session.person_id, session.opened_at)[0]


@receiver(tick)
def ask(sender: Any, now: datetime, **kwargs: Any) -> None:
    """Have the expectation of a session worked out anew where something was taken or measured."""
    if not settings.FORECASTS:
        return
    for key in HomeSession.objects.filter(expect_anew=True).values_list("pk", flat=True):
        with _lock:
            if key in _asked:
                continue
            _asked.add(key)
        _worker.submit(_keep, key)


def _keep(key: uuid.UUID) -> None:
    try:
        keep(key)
    except Exception:  # the page does without it
        logger.exception("what to expect of a session at home could not be worked out")
    finally:
        with _lock:
            _asked.discard(key)
        connection.close()


def keep(key: uuid.UUID) -> None:
    """Work out what to expect of a session, and keep it beside it."""
    # Before the record is read: what comes in meanwhile asks again.
    HomeSession.objects.filter(pk=key).update(expect_anew=False)
    session = HomeSession.objects.select_related("course__person", "planned__plan").get(pk=key)
    if found := work_out(session):
        expected, learned = found
        has_dose = queries.timeline_of(session).dose_at is not None
        HomeSession.objects.filter(pk=key).update(
            expected=expected, learned=learned if has_dose else None
        )


def in_words(session: HomeSession, dose_at: datetime | None) -> str:
    """The same in the words that a patient reads, in the language that is active."""
    found = session.expected
    if not found:
        return ""
    words = [
        _(
            "People often feel something from about %(onset)s minutes, most at about %(peak)s. It "
            "has mostly gone after about %(over)s minutes. You may feel more, less, or nothing."
        )
        % {"onset": found["onset_min"], "peak": found["peak_min"], "over": found["over_min"]}
    ]
    if dose_at:
        over = timezone.localtime(dose_at + timedelta(minutes=found["over_min"]))
        words.append(
            _("Most people feel like themselves again by about %(time)s.")
            % {"time": f"{over:%H:%M}"}
        )
    if found.get("readings"):
        words.append(_("What you measured has been taken in."))
    return " ".join(words)


def drawn(expected: dict[str, Any] | None) -> dict[str, Any]:
    """The curve as a path in a box of 320 by 96, with its hours."""
    hour = 320 * 60 / HORIZON_MIN
    hours = [(round(hour * number), f"{number} h") for number in (1, 2, 3)]
    if not expected:
        return {"curve": "", "hours": hours}
    shares = expected["shares"]
    width = 320 / (len(shares) - 1)
    points = [f"{index * width:.1f},{88 - 80 * share:.1f}" for index, share in enumerate(shares)]
    return {"curve": f"M0,88 L{' L'.join(points)} L320,88 Z", "hours": hours}
