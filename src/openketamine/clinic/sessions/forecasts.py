"""The forecast of a session: what the pharmacology says of this patient, this dose, these readings.

`forecast_of` works it out from the record alone and always gives the same for the same record. It
takes up to a second, so the screens ask the `desk`, which works in the background and hands out the
last one it has made. Nothing here writes to the record, and nothing waits for a forecast: a
session runs the same without one.
"""

import logging
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from openketamine.clinic.intake.queries import facts_for
from openketamine.clinic.people.models import Course, MeasurementKind
from openketamine.clinic.plans import queries as plans
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.said import say
from openketamine.pharmacology import (
    Dose,
    Forecast,
    Person,
    RateSegment,
    Reading,
    model_for,
)

from . import queries
from .models import Learned, Phase, Session
from .outlook import Ahead, Band, Likely, Outlook, Peak, Span
from .spray import sequence
from .timeline import OBSERVATIONS, Timeline

logger = logging.getLogger(__name__)

# Protocol routes that a pharmacology model covers: the drug and the route as the models name them.
MODELS = {
    "IV": ("racemic", "iv"),
    "IM": ("racemic", "im"),
    "SC": ("racemic", "sc"),
    "IN_ESKETAMINE": ("esketamine", "nasal"),
    "IN_RACEMIC": ("racemic", "nasal"),
}
ROUTES = {name: route for name, (_, route) in MODELS.items()}
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)
SIGNALS = ("systolic_mmhg", "diastolic_mmhg", "heart_rate_bpm")
_READ = (*SIGNALS, *(name for name in OBSERVATIONS if name != "distress_0_10"))
_STEPS = {
    "onset": gettext_lazy("First felt"),
    "peak": gettext_lazy("Strongest"),
    "wearing_off": gettext_lazy("Half worn off"),
    "ready_to_go_home": gettext_lazy("Ready to go home"),
}
_STEP_MIN = 5.0
_HORIZON_MIN = 240.0

# What a model calls its drug, and the plasma that it speaks of.
_NAMES = (
    gettext_noop("ketamine"),
    gettext_noop("esketamine"),
    gettext_noop("venous"),
    gettext_noop("arterial"),
)
# Forecasts in line beyond which a screen does not wait for its own.
_WORTH_WAITING = 2
_ASKED_LATELY_S = 300.0
_LONGEST_REST_S = 1.0


@dataclass
class _Held:
    """A session's forecast between two readings."""

    forecast: Forecast | None = None
    start_key: object = None
    outlook: Outlook | None = None
    tried_s: float = 0.0  # when it was last worked at, by the clinic's clock
    asked_s: float = 0.0


def _doses(timeline: Timeline, session: Session, now: datetime) -> list[Dose | RateSegment]:
    """What was given and is still to come, in minutes from the first dose.

    The plan for the rest moves along with a pump that is paused.
    """
    plan = session.planned.plan
    route = ROUTES[session.course.route]
    if timeline.started_at is None:
        if route == "iv":
            return [RateSegment(0.0, plan.duration_min, plan.rate_mg_per_h, route)]
        if session.is_sprayed:
            return _sprays(session, timeline, now)
        return [Dose(0.0, plan.dose_mg, route)]
    if session.is_sprayed:
        return _sprays(session, timeline, now)
    zero = timeline.started_at

    def minute(moment: datetime) -> float:
        return (moment - zero).total_seconds() / 60

    found: list[Dose | RateSegment] = []
    for part in timeline.segments:
        end = min(part.end or now, now)
        ran_mg = timeline.pumped_mg(end) - timeline.pumped_mg(part.start)
        if ran_mg > 0:
            start = minute(part.start)
            found.append(
                RateSegment(
                    start, start + 60 * ran_mg / part.rate_mg_per_h, part.rate_mg_per_h, "iv"
                )
            )
    found += [Dose(minute(bolus.at), bolus.dose_mg, "iv") for bolus in timeline.boluses]
    found += [Dose(minute(shot.at), shot.dose_mg, route) for shot in timeline.injections]
    left_mg = timeline.to_run_mg(now)
    if timeline.phase in {Phase.INFUSION, Phase.PAUSED} and left_mg > 0:
        rate = timeline.segments[-1].rate_mg_per_h
        begin = minute(now)
        last = found[-1] if found else None
        if timeline.phase == Phase.INFUSION and isinstance(last, RateSegment):
            # The stretch that runs now, with what is left of it, is one stretch.
            index = max(i for i, part in enumerate(found) if isinstance(part, RateSegment))
            running = found[index]
            assert isinstance(running, RateSegment)
            found[index] = RateSegment(
                running.start_min, running.end_min + 60 * left_mg / rate, rate, "iv"
            )
        else:
            found.append(RateSegment(begin, begin + 60 * left_mg / rate, rate, "iv"))
    return found


def _sprays(session: Session, timeline: Timeline, now: datetime) -> list[Dose | RateSegment]:
    """Devices as taken, and those still to come by the rests between them.

    The sprays of a bottle count as one dose at their mean time: the model was made of doses taken
    together, and takes up less of the larger ones.
    """
    zero = timeline.started_at or now
    stands = sequence(session, timeline)
    taken = [
        ((dose.at - zero).total_seconds() / 60, dose.dose_mg, dose.units)
        for dose in timeline.sprays
        if dose.dose_mg > 0
    ]
    if stands.next_number is not None:
        moment = max(stands.next_at or now, now)
        begin = (moment - zero).total_seconds() / 60
        taken += [(begin + stands.rest_min * n, stands.unit_mg, 1) for n in range(stands.left)]
    if stands.is_device:
        return [Dose(minute, dose_mg, "nasal") for minute, dose_mg, _ in taken]
    total = sum(dose_mg for _, dose_mg, _ in taken)
    mean = sum(minute * dose_mg for minute, dose_mg, _ in taken) / total if total else 0.0
    return [Dose(mean, total, "nasal")] if total else []


def _readings(timeline: Timeline) -> list[Reading]:
    """What was measured since the first dose; a reading marked as an artefact says nothing."""
    zero = timeline.started_at
    if zero is None:
        return []
    return [
        Reading((reading.at - zero).total_seconds() / 60, name, reading.values[name])
        for reading in (*timeline.vitals, *timeline.observations)
        if reading.at >= zero
        for name in _READ
        if name in reading.values
    ]


def _words(names: Iterable[str]) -> tuple[str, ...]:
    """Ingredients among the words of prescriptions: "Clarithromycin 500 MG Oral Tablet"."""
    return tuple(
        dict.fromkeys(
            word.lower() for name in names for word in re.findall(r"[A-Za-z][A-Za-z'-]{4,}", name)
        )
    )


def person_of(course: Course, weight_kg: float) -> Person:
    """The patient of a course, as the models know people. What is unknown is left out.

    Raises:
        ValueError: the models do not cover such a person.
    """
    person = course.person
    facts = facts_for(course)
    heights = person.measurements.filter(kind=MeasurementKind.HEIGHT_CM).order_by("-taken_at")
    height = heights.values_list("value", flat=True).first()
    hepatic = facts["hepatic_impairment"].value if "hepatic_impairment" in facts else None
    active = [item.display for item in person.medications.all() if item.status == "active"]
    return Person(
        age_years=person.age_years(),
        weight_kg=weight_kg,
        height_cm=height if height and 100 <= height <= 250 else None,
        sex=person.sex if person.sex in ("female", "male") else None,
        hepatic=hepatic,
        drugs=_words(active),
    )


def carried_before(person_id: uuid.UUID, moment: datetime) -> tuple[dict[str, Any] | None, int]:
    """What a patient's sessions before a moment have taught, and how many they were.

    Worked out by folding those sessions again, oldest first, and kept beside each.
    """
    earlier = (
        Session.objects.filter(person_id=person_id, opened_at__lt=moment, closed_at__isnull=False)
        .select_related("person", "course__person", "planned__plan", "learned")
        .order_by("opened_at")
    )
    carried: dict[str, Any] | None = None
    count = 0
    for past in earlier:
        last_seq = (
            Event.objects.filter(stream=past.stream).order_by("-seq").values_list("seq").first()
        )
        learned = getattr(past, "learned", None)
        if learned is not None and last_seq is not None and learned.seq == last_seq[0]:
            carried, count = learned.state, count + 1
            continue
        timeline = queries.timeline_of(past)
        if timeline.started_at is None or past.course.route not in ROUTES:
            continue
        if not timeline.given_mg(timeline.closed_at or moment):
            continue  # nothing came out of any device
        end = timeline.closed_at or past.closed_at
        assert end is not None
        forecast = _start(past, timeline, end, carried)
        carried = forecast.update(_doses(timeline, past, end), _readings(timeline)).carry_over()
        count += 1
        Learned.objects.update_or_create(
            session=past, defaults={"seq": timeline.last_seq, "state": carried}
        )
    return carried, count


def _weight_kg(session: Session, timeline: Timeline) -> float:
    """The weight of the check, or else the one that was ordered by, or else the newest.

    Raises:
        ValueError: nobody has weighed the patient.
    """
    ordered: float | None = session.planned.plan.weight_kg
    told = timeline.check["weight_kg"] if timeline.check else ordered
    if told is None and (latest := plans.latest_weight(session.course)):
        told = latest.value
    if told is None:
        raise ValueError(_("The weight is unknown."))
    return float(told)


def _start(
    session: Session, timeline: Timeline, now: datetime, carried: Mapping[str, Any] | None
) -> Forecast:
    baseline = {name: timeline.baseline.get(name) for name in SIGNALS}
    return Forecast.start(
        model_for(*MODELS[session.course.route]),
        person_of(session.course, _weight_kg(session, timeline)),
        baseline,
        _doses(timeline, session, now),
        seed=session.pk.int % 2**32,
        carried=carried,
        horizon_min=_HORIZON_MIN,
    )


def forecast_of(
    session: Session, timeline: Timeline, now: datetime, held: _Held | None = None
) -> Outlook:
    """The forecast at a moment.

    Args:
        held: what the last call for this session left behind, which makes this one fast.

    Raises:
        ValueError: no model covers this route or this person.
    """
    held = held or _Held()
    if session.course.route not in ROUTES:
        raise ValueError(
            _("There is no forecast for the route %(route)s.") % {"route": session.course.route}
        )
    key = (timeline.baseline, timeline.check and timeline.check["weight_kg"])
    if held.forecast is None or held.start_key != key:
        held.forecast = _start(
            session, timeline, now, carried_before(session.person_id, session.opened_at)[0]
        )
        held.start_key = key
    model = model_for(*MODELS[session.course.route])
    zero = timeline.started_at or now
    now_min = (now - zero).total_seconds() / 60
    doses = _doses(timeline, session, now)
    forecast = held.forecast.update(doses, _readings(timeline), now_min=now_min)

    def moment(minute: float) -> datetime:
        return zero + timedelta(minutes=minute)

    given_min = max(d.end_min if isinstance(d, RateSegment) else d.time_min for d in doses)
    earliest = given_min + queries.minutes_before_home(session)
    spans = {
        name: Span(moment(m.median_min), moment(m.low_min), moment(m.high_min))
        for name, m in forecast.milestones(earliest_home_min=earliest).items()
        if m.probability >= 0.5
        and m.median_min is not None
        and m.low_min is not None
        and m.high_min is not None
    }
    home = spans.get("ready_to_go_home")
    far_min = (home.latest - zero).total_seconds() / 60 + 15 if home else 0.0
    far_min = min(max(far_min, now_min + 30.0, 90.0), max(_HORIZON_MIN, now_min))
    times = [i * _STEP_MIN for i in range(int(far_min / _STEP_MIN) + 1)]
    curves = forecast.quantiles(times, probabilities=PROBABILITIES)
    peaks = forecast.peaks()

    def band(name: str) -> Band:
        columns = curves.quantities[name].values.T
        return Band(
            name,
            tuple(
                (moment(t), *(round(float(value), 1) for value in column))
                for t, column in zip(times, columns, strict=True)
            ),
        )

    return Outlook(
        seq=timeline.last_seq,
        made_at=now,
        zero=zero,
        started=timeline.started_at is not None,
        bands=tuple(band(name) for name in SIGNALS),
        conc=band(model.parent),
        matrix=model.matrix,
        warnings=_likely(session, timeline, forecast, now) if timeline.started_at else (),
        ahead=tuple(
            Ahead(words, spans[name], timeline.started_at is not None and spans[name].latest < now)
            for name, words in _STEPS.items()
            if name in spans
        ),
        home=home,
        systolic=_peak(peaks["systolic_mmhg"]),
        diastolic=_peak(peaks["diastolic_mmhg"]),
        dissociation_percent=round(100 * float(curves.quantities["p_dissociation"].mean.max())),
        made_of=say(model.title),
        certainty=say(model.certainty),
        to_know=forecast.cautions,
        learned_from=forecast.sessions_learned_from,
    )


def _peak(peak: Any) -> Peak:
    return Peak(round(peak.median), round(peak.low), round(peak.high))


def _likely(
    session: Session, timeline: Timeline, forecast: Forecast, now: datetime
) -> tuple[Likely, ...]:
    """The upper limits of policy that may be passed soon and are not passed already."""
    rule = queries.library_of(session).alarms.foretold
    latest: dict[str, float] = {}
    for reading in timeline.vitals:
        latest |= {name: reading.values[name] for name in SIGNALS if name in reading.values}
    found = []
    for threshold in queries.protocol_of(session).thresholds:
        limit = threshold.at_least if threshold.at_least is not None else threshold.above
        name = threshold.quantity
        if name not in SIGNALS or limit is None or latest.get(name, 0.0) >= limit:
            continue
        chance = forecast.probability_above(name, limit, within_min=rule.within_min)
        percent = round(100 * chance)
        if percent >= rule.shown_from_percent:
            found.append(
                Likely(
                    threshold.id,
                    say(threshold.statement),
                    now + timedelta(minutes=rule.within_min),
                    percent,
                    percent >= rule.warns_from_percent,
                )
            )
    return tuple(sorted(found, key=lambda item: -item.percent))


# What a monitor sends every few seconds changes a forecast once a minute.
_QUIET = frozenset({"session.vitals_recorded"})


@dataclass
class Desk:
    """Makes forecasts one at a time in the background and hands out the last one made.

    Of each session one a minute is enough, and one at once when the pump has changed or a
    person has entered something. Of very many sessions it makes one every few minutes. What makes
    the next one fast is some 35 MB for each session, so it is kept of the last `versions_kept`
    alone; the others begin anew, which takes a sixth of a second.
    While many are in line it rests as long as it works, so that the screens which ask for them, all
    at once after a restart, find a processor free for their pages.
    """

    most: int = 400
    versions_kept: int = 4
    a_minute: int = 50
    _held: "OrderedDict[uuid.UUID, _Held]" = field(default_factory=OrderedDict)
    _coming: dict[uuid.UUID, "Future[None]"] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor | None = None

    def outlook(
        self, session: Session, timeline: Timeline, now: datetime, *, wait_s: float
    ) -> Outlook | None:
        """The last forecast of a session; a newer one is set to work where the record has moved on.

        None where there is none yet, or no model covers this session.
        """
        if session.course.route not in ROUTES or timeline.closed_at:
            return None
        with self._lock:
            held = self._held.setdefault(session.pk, _Held())
            self._held.move_to_end(session.pk)
            while len(self._held) > self.most:
                self._held.popitem(last=False)
            held.asked_s = now.timestamp()
            known = held.outlook.seq if held.outlook else 0
            news = any(
                line.seq > known and (line.source != "monitor" or line.kind not in _QUIET)
                for line in reversed(timeline.lines[-50:])
            )
            old = not 0 <= held.asked_s - held.tried_s < self._every_s(held.asked_s)
            if (news or old) and session.pk not in self._coming:
                self._coming[session.pk] = self._submit(session.pk, held)
            coming = self._coming.get(session.pk)
            in_line = len(self._coming)
        # Behind others it will not be there in a moment, and a thread that waits serves nobody.
        if coming is not None and in_line <= _WORTH_WAITING:
            with suppress(NotYetError):
                coming.result(timeout=wait_s)
        return held.outlook

    def _every_s(self, now_s: float) -> float:
        """For how long one forecast is enough where nothing but a monitor has spoken."""
        live = sum(now_s - held.asked_s < _ASKED_LATELY_S for held in self._held.values())
        return 60.0 * max(live / self.a_minute, 1.0)

    def _submit(self, session_id: uuid.UUID, held: _Held) -> "Future[None]":
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="forecast")
        return self._pool.submit(self._work, session_id, held)

    def _work(self, session_id: uuid.UUID, held: _Held) -> None:
        began = time.monotonic()
        try:
            session = Session.objects.select_related(
                "person", "course__person", "planned__plan"
            ).get(pk=session_id)
            timeline = queries.timeline_of(session)
            held.outlook = forecast_of(session, timeline, clock.now(), held)
            self._lighten()
        except ValueError as error:
            logger.warning("no forecast for session %s: %s", session_id, error)
        except Exception:
            # A forecast that fails must never take a session's screen with it.
            logger.exception("the forecast of session %s failed", session_id)
            held.forecast = None
        finally:
            held.tried_s = clock.now().timestamp()
            with self._lock:
                self._coming.pop(session_id, None)
                in_line = len(self._coming)
            connection.close()
            if in_line > _WORTH_WAITING:
                time.sleep(min(time.monotonic() - began, _LONGEST_REST_S))

    def _lighten(self) -> None:
        """Let go of the versions of the people who were asked about longest ago."""
        with self._lock:
            heavy = [held for held in self._held.values() if held.forecast is not None]
            for held in heavy[: -self.versions_kept]:
                held.forecast = None


desk = Desk()


# Set while nobody compiles: at once where no server has asked for it.
_ready = threading.Event()
_ready.set()


def is_ready(wait_s: float = 0.5) -> bool:
    """False while the kernels are being compiled, which takes a minute or two on a new machine."""
    return _ready.wait(wait_s)


def warm_up() -> threading.Thread:
    """Compile the kernels before the first patient needs them; the code is kept on disk."""
    _ready.clear()

    def run() -> None:
        try:
            dose = [RateSegment(0, 40, 60)]
            model, person = model_for("racemic", "iv"), Person(age_years=40, weight_kg=75)
            forecast = Forecast.start(model, person, {}, dose)
            forecast.update(dose, [Reading(5, "systolic_mmhg", 130)])
            forecast.quantiles()
            forecast.milestones()
            forecast.peaks()
            forecast.probability_above("systolic_mmhg", 160)
            forecast.chances()
            forecast.peak_concentrations()
            forecast.carry_over()
        except Exception:
            logger.exception("the forecast could not be made ready")
        finally:
            _ready.set()

    thread = threading.Thread(target=run, name="forecast-warm-up", daemon=True)
    thread.start()
    return thread
