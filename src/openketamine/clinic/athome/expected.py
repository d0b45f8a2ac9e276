"""What the pharmacology expects of a dose at home, in the few figures that a patient's page shows.

Worked out once a session, in the background: it can take a minute, and nothing waits for it.
"""

import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.dispatch import receiver

from openketamine.clinic.notices.signals import tick
from openketamine.clinic.plans.queries import latest_weight

from . import queries
from .models import OPEN, HomeSession

logger = logging.getLogger(__name__)

ROUTES = {"SL": "sublingual", "ORAL": "oral"}
STEP_MIN, HORIZON_MIN = 5.0, 240.0
# Of the strongest moment: from here on something is felt, and below this it has mostly gone.
FELT, GONE = 0.25, 0.1

_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="expected-at-home")
_asked: set[uuid.UUID] = set()
_lock = threading.Lock()


def work_out(session: HomeSession) -> dict[str, Any] | None:
    """When it is first felt, strongest, and mostly gone, in minutes from the dose, and the curve.

    The curve is the mean chance of dissociation over the ensemble, as a share of its highest value.
    None where the weight or the readings before the dose are not known.
    """
    # Here, for a command that never looks at a forecast need not load what makes one.
    from openketamine.clinic.sessions.forecasts import person_of
    from openketamine.pharmacology import Dose, Forecast, model_for

    weight, line = latest_weight(session.course), queries.timeline_of(session)
    if weight is None or not line.baseline or session.course.route not in ROUTES:
        return None
    route = ROUTES[session.course.route]
    dose = Dose(0.0, session.planned.plan.dose_mg, route)
    forecast = Forecast.start(
        model_for("racemic", route),
        person_of(session.course, weight.value),
        line.baseline,
        [dose],
        seed=session.pk.int % 2**32,
        carried=None,
        horizon_min=HORIZON_MIN,
    ).update([dose], [], now_min=0.0)
    times = [STEP_MIN * step for step in range(int(HORIZON_MIN / STEP_MIN) + 1)]
    curve = forecast.quantiles(times, probabilities=(0.5,)).quantities["p_dissociation"].mean
    highest = float(curve.max())
    if not highest > 0:
        return None
    shares = [round(float(value) / highest, 3) for value in curve]
    peak = shares.index(max(shares))
    onset = next(step for step, share in enumerate(shares) if share >= FELT)
    over = max(step for step, share in enumerate(shares) if share >= GONE)
    return {
        "onset_min": round(times[onset]),
        "peak_min": round(times[peak]),
        "over_min": round(times[over]),
        "shares": shares,
        "step_min": STEP_MIN,
    }


@receiver(tick)
def ask(sender: Any, now: datetime, **kwargs: Any) -> None:
    """Have every open session's expectation worked out, once, where nobody waits for it."""
    if not settings.FORECASTS:
        return
    waiting = HomeSession.objects.filter(closed_at=None, expected=None, phase__in=OPEN[1:])
    for key in waiting.values_list("pk", flat=True):
        with _lock:
            if key in _asked:
                continue
            _asked.add(key)
        _worker.submit(_keep, key)


def _keep(key: uuid.UUID) -> None:
    try:
        session = HomeSession.objects.select_related("course__person", "planned__plan").get(pk=key)
        if found := work_out(session):
            HomeSession.objects.filter(pk=key, expected=None).update(expected=found)
    except Exception:  # the page does without it
        logger.exception("what to expect of a session at home could not be worked out")
    finally:
        connection.close()


def drawn(expected: dict[str, Any] | None) -> dict[str, Any]:
    """The curve as a path in a box of 320 by 96, with its hours."""
    if not expected:
        return {"curve": "", "hours": []}
    shares = expected["shares"]
    width = 320 / (len(shares) - 1)
    points = [f"{index * width:.1f},{88 - 80 * share:.1f}" for index, share in enumerate(shares)]
    hour = 320 / ((len(shares) - 1) * expected["step_min"] / 60)
    hours = [(round(hour * number), f"{number} h") for number in (1, 2, 3)]
    return {"curve": f"M0,88 L{' L'.join(points)} L320,88 Z", "hours": hours}
