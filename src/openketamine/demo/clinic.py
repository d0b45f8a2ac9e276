"""The demonstration clinic: about forty invented people at every step of care.

Everything is done through the clinic's own services, at the moment at which it would have happened,
so the demonstration's record is as whole as a real one.
"""

import time as stopwatch
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone

import openketamine
from openketamine import protocols
from openketamine.clinic.accounts.models import User
from openketamine.clinic.choices import services as choices
from openketamine.clinic.devices import services as devices
from openketamine.clinic.devices.models import Device
from openketamine.clinic.intake import queries as intake_queries
from openketamine.clinic.intake import services as intake
from openketamine.clinic.outcomes import services as outcomes
from openketamine.clinic.outcomes import summaries
from openketamine.clinic.outcomes.models import FormRequest
from openketamine.clinic.people import services as people
from openketamine.clinic.people.models import Course
from openketamine.clinic.people.referral import (
    Coded,
    ReferralData,
    ReferredCondition,
    ReferredMeasurement,
    ReferredMedication,
)
from openketamine.clinic.plans import services as plans
from openketamine.clinic.plans.models import PlannedSession
from openketamine.clinic.policy import services as policy
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.rems import services as rems
from openketamine.clinic.reviews import services as reviews
from openketamine.clinic.sessions import monitoring_form, spray
from openketamine.clinic.sessions import queries as session_queries
from openketamine.clinic.sessions import services as sessions
from openketamine.clinic.sessions.models import Chair, Phase, Session
from openketamine.clinic.staff import services as staff
from openketamine.protocols import calendar, eligibility

from . import athome, physiology
from .accompanied import accompany
from .cast import (
    AT_HOME,
    COMPLICATED,
    PATIENT_USERNAME,
    SEED,
    STAFF,
    Character,
    Complication,
    characters,
)
from .earlier import Simulation

NUMBER = 40
# Courses that are over, so that the clinic's outcomes have something to show.
EARLIER = 180
ON_THE_SPRAY = 40
STALE_AFTER = timedelta(hours=12)
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_MARKER = "demo-built"


def discard_stale(home: Path) -> None:
    """Remove a demonstration of another day or another version.

    The session in progress of the one would be hours old; the policy that the other's director
    signed is not the one that governs now, so nobody could treat.

    Call it before anything opens the database.
    """
    marker = home / _MARKER
    if not marker.exists():
        return
    old = stopwatch.time() - marker.stat().st_mtime > STALE_AFTER.total_seconds()
    if old or marker.read_text() != _made_by():
        for path in (*home.glob("demo.sqlite3*"), marker):
            path.unlink()


def build(report: Callable[[str], None]) -> None:
    """Fill an empty demonstration database; a filled one stays as it is."""
    if User.objects.exists():
        return
    report(f"Setting up the demonstration clinic with {NUMBER} invented patients …")
    _Builder().build(report)
    (settings.HOME / _MARKER).write_text(_made_by())


def _made_by() -> str:
    """What a demonstration depends on: this version, and the protocols that came with it."""
    return f"{openketamine.__version__} {protocols.load().digest}\n"


def welcome(address: str, feed_port: int) -> str:
    """What to tell whoever started the demonstration."""
    names = ", ".join(member.username for member in STAFF)
    return (
        f"\n  OpenKetamine, demonstration clinic: {address}\n"
        f"  Sign in as {names} or {PATIENT_USERNAME}\n"
        f"  Password of all of them: {settings.DEMO_PASSWORD}\n"
        f"  Monitors are heard at 127.0.0.1:{feed_port} (HL7 v2 over MLLP)\n"
        "  Stop with Ctrl-C.\n"
    )


def device_of(chair: Chair) -> str:
    """As the demonstration's monitor at a chair names itself."""
    return f"DEMO-{chair.name.replace(' ', '-').upper()}"


# For those of whom the referral names only one.
_MORE_ANTIDEPRESSANTS = (("", "Trazodone", ""),)


# Invented figures of an invented clinic. None: it does not offer the route.
PRICES = (
    ("IV", Decimal("450.00"), "infusion, monitoring, the day after"),
    ("IM", Decimal("320.00"), "injection and monitoring"),
    ("IN_ESKETAMINE", Decimal("890.00"), "two devices and two hours; the drug included"),
    ("SC", None, ""),
)
# By number of the cast: decision, days from today to the next review, reason, where to. Of number
# 13 the next one is due today; the review of number 18 is overdue.
REVIEWED = {
    13: ("continue", 0, "Better, not well. Wait for the next answers, then decide.", ""),
    14: ("space out", 42, "Well for a week without a dose. Looked at again in six weeks.", ""),
    15: ("continue", 35, "Half better and tolerated. Talk therapy goes on.", ""),
    16: ("refer", 21, "No important change after six sessions.", "Example Hospital, ECT clinic"),
    17: ("change", 14, "Some change, no response. Routes side by side at the next visit.", ""),
}


class _Builder:
    def __init__(self) -> None:
        self.now = clock.now().replace(second=0, microsecond=0)
        self.rng = np.random.default_rng(SEED)
        self.forms_rng = np.random.default_rng(SEED + 1)
        self.users: dict[str, User] = {}
        self.chairs: list[Chair] = []

    def build(self, report: Callable[[str], None]) -> None:
        with clock.at(self.now - timedelta(days=90)), transaction.atomic():
            self._open_the_clinic()
        with clock.at(self.now), transaction.atomic():
            athome.put_on_call(self.users["director"], self.nurse, self.prescriber)
        cast = characters(NUMBER, today=timezone.localtime(self.now).date())
        for who in cast:
            with transaction.atomic():
                self._care_for(who)
            if who.number % 10 == 0:
                report(f"  {who.number} of {NUMBER}")
        report(f"  and {EARLIER} courses of earlier years")
        Simulation(SEED, until=self.now).run(EARLIER)
        summaries.rebuild()

    def _open_the_clinic(self) -> None:
        for member in STAFF:
            self.users[member.username] = staff.create_account(
                "demonstration",
                username=member.username,
                password=settings.DEMO_PASSWORD,
                role=member.role,
                display_name=member.name,
                credentials=member.credentials,
            )
        version, digest = athome.own_policy(self.users["director"])
        policy.sign_policy(self.users["director"], digest=digest, version=version)
        athome.switch_on(self.users["director"])
        for route, price, note in PRICES:
            choices.set_price(
                self.users["coordinator"],
                route=route,
                offered=price is not None,
                price_per_visit=price,
                note=note,
            )
        rems.record_certification(
            self.users["director"],
            kind="outpatient",
            reference="DEMO-SITE-0001",
            setting_name="OpenKetamine demonstration clinic",
            address="1 Example Street, Exampleton",
            representative=self.users["director"].display_name,
            certified_on=clock.today(),
        )
        for number in range(1, 7):
            chair = sessions.add_chair(self.nurse, name=f"Chair {number}")
            self.chairs.append(chair)
            monitor = Device.objects.create(identity=device_of(chair), name=device_of(chair))
            devices.assign(self.nurse, monitor, chair)

    @property
    def nurse(self) -> User:
        return self.users["nurse"]

    @property
    def prescriber(self) -> User:
        return self.users["prescriber"]

    def _care_for(self, who: Character) -> None:
        """Bring one person to the step of care that their number gives."""
        number = who.number
        if number <= 3:  # in a chair now
            self._treat(who, done=(2, 3, 0)[number - 1], today=True)
        elif number <= 5:  # expected today
            self._treat(who, done=number - 3, today=True)
        elif number <= 12:
            self._treat(who, done=(number - 6) % 5 + 1, today=False)
        elif number <= 18:
            self._treat(who, done=6, today=False)
        elif number <= 21:
            self._plan(self._consent(who, days_ago=3), verified=False)
        elif number <= 23:
            self._consent(who, days_ago=2)
        elif number <= 25:
            self._screen(who, days_ago=2)
        elif number == 26:
            self._decline(who)
        elif number <= 31:
            # The one whose answer alarms has just given it: a call that waits since yesterday
            # would have reached everybody.
            alarms = number == 27
            self._ask(
                who,
                days_ago=-0.998 if alarms else 1,
                safety_concern=alarms,
                history=number != 29,
            )
        elif number == ON_THE_SPRAY:  # in a chair now, between two devices
            self._spray(who, done=3)
        elif number == AT_HOME:  # under the tongue, at home, half an hour ago
            course = self._consent(who, days_ago=10)
            with clock.at(self.now):
                athome.session_now(course, self.nurse, course.prescriber or self.prescriber)
        else:
            self._refer(who, days_ago=number % 5)

    def _refer(self, who: Character, *, days_ago: float) -> Course:
        moment = self.now - timedelta(days=days_ago, hours=2)
        measured = moment - timedelta(days=9)

        def coded(system: str, code: str, display: str) -> Coded:
            return Coded(system, code, display)

        referral = ReferralData(
            source_system="urn:openketamine:demonstration",
            source_id=f"invented-{who.number}",
            given_name=who.given_name,
            family_name=who.family_name,
            birth_date=who.birth_date,
            sex=who.sex,
            phone=f"555-01{who.number:02d}",
            email=f"{who.given_name.lower()}@patients.example",
            conditions=(
                ReferredCondition(
                    "depression",
                    coded(SNOMED, "370143000", "Major depressive disorder"),
                    "active",
                    "disorder",
                    onset=measured.date() - timedelta(days=420),
                ),
                *(
                    ReferredCondition(code, coded(SNOMED, code, name), "active", "disorder")
                    for code, name in who.comorbidities
                ),
            ),
            medications=tuple(
                ReferredMedication(
                    code,
                    coded(RXNORM, code, name),
                    "active" if item is who.antidepressants[-1] else "stopped",
                    measured.date(),
                    dose,
                )
                for item in who.antidepressants
                for code, name, dose in [item]
            )
            + tuple(
                ReferredMedication(
                    code or name,
                    coded(RXNORM if code else "", code, name),
                    "active",
                    measured.date(),
                    dose,
                )
                for code, name, dose in who.other_medicines
            ),
            measurements=(
                ReferredMeasurement("weight", "weight_kg", who.weight_kg, measured),
                ReferredMeasurement("height", "height_cm", float(who.height_cm), measured),
            ),
        )
        with clock.at(moment):
            outcome = people.receive_referral(
                self.users["coordinator"], referral, origin="demonstration"
            )
            return outcome.person.courses.get()

    def _ask(
        self,
        who: Character,
        *,
        days_ago: float,
        safety_concern: bool = False,
        history: bool = True,
        **facts: object,
    ) -> Course:
        course = self._refer(who, days_ago=days_ago + 2)
        coordinator = self.users["coordinator"]
        with clock.at(self.now - timedelta(days=days_ago + 1)):
            for kind, value in (
                ("weight_kg", who.weight_kg),
                ("systolic_mmhg", float(who.systolic_mmhg)),
                ("diastolic_mmhg", float(who.diastolic_mmhg)),
            ):
                people.record_measurement(self.nurse, course.person, kind=kind, value=value)
            people.assign_team(
                coordinator,
                course,
                prescriber=self.prescriber if who.number % 3 else self.users["prescriber2"],
                therapist=self.users["therapist"] if who.number % 2 or who.number == 6 else None,
            )
            if who.number == ON_THE_SPRAY:
                self._enrol(course)
            case = COMPLICATED.get(who.number)
            if case:
                intake.choose_programme(
                    course.prescriber or self.prescriber, course, **case.programme
                )
                facts = {**case.facts, **facts}
            if history:
                intake.record_history(coordinator, course, self._history(course, facts))
                self._test(course, case)
                self._count_trials(course, who, case)
            for instrument, total in (("gad7", who.gad7), ("phq9", who.phq9)):
                answers = _spread(total, instrument, self.rng)
                if instrument == "phq9" and safety_concern:
                    answers["q9"] = 2
                intake.record_response(
                    coordinator, course, instrument=instrument, answers=answers, occasion="intake"
                )
        return course

    def _enrol(self, course: Course) -> None:
        """Choose the esketamine spray, and enrol the patient in its safety programme."""
        prescriber = course.prescriber or self.prescriber
        intake.choose_programme(
            prescriber, course, condition="TRD", route="IN_ESKETAMINE", setting="clinic"
        )
        rems.enrol_patient(
            self.nurse,
            course.person,
            prescriber=prescriber,
            enrolled_on=clock.today(),
            reference="DEMO-0040",
            counselled=True,
        )
        course.refresh_from_db()

    def _history(self, course: Course, facts: dict[str, object]) -> dict[str, object]:
        """What the referral says, No to everything else, and the facts given; None stays open."""
        known = {name: fact.value for name, fact in intake_queries.facts_for(course).items()}
        answers: dict[str, object] = {
            fact.id: known.get(fact.id) or (fact.choices[0] if fact.kind == "choice" else False)
            for _, _, questions in eligibility.questions_for(
                library(), known, **intake_queries.programme_of(course)
            )
            for fact in questions
        }
        answers["antidepressant_tried"] = True
        return {name: value for name, value in {**answers, **facts}.items() if value is not None}

    def _test(self, course: Course, case: Complication | None) -> None:
        """The tests that the history asks for, normal but for those given."""
        course.refresh_from_db()
        known = {name: fact.value for name, fact in intake_queries.facts_for(course).items()}
        asked = eligibility.asked_tests(library(), known, **intake_queries.programme_of(course))
        results: dict[str, tuple[object, int]] = (
            dict(case.tests)
            if case
            else {
                fact.id: (fact.choices[0] if fact.kind == "choice" else 20, 2)
                for fact in asked
                if fact.id not in known
            }
        )
        for name, (value, days_ago) in results.items():
            intake.record_test_result(
                self.users["coordinator"],
                course,
                fact=name,
                value=value,
                done_on=clock.today() - timedelta(days=days_ago),
            )

    def _count_trials(self, course: Course, who: Character, case: Complication | None) -> None:
        if course.condition != "TRD":
            return
        drugs = [name for _, name, _ in (*who.antidepressants, *_MORE_ANTIDEPRESSANTS)]
        for number, drug in enumerate(drugs[: case.trials if case else 2]):
            started = clock.today() - timedelta(days=300 - 90 * number)
            intake.record_trial(
                self.users["coordinator"],
                course,
                drug=drug,
                started=started,
                stopped=started + timedelta(days=70),
                outcome="no_response" if number else "partial",
                source="referral letter",
                in_this_episode=True,
                adequate_dose=True,
                adequate_duration=True,
            )

    def _screen(self, who: Character, *, days_ago: float) -> Course:
        course = self._ask(who, days_ago=days_ago)
        prescriber = course.prescriber or self.prescriber
        with clock.at(self.now - timedelta(days=days_ago, hours=5)):
            for finding in intake_queries.findings_for(course):
                if finding.kind == "caution":
                    intake.decide_finding(
                        prescriber,
                        course,
                        rule_id=finding.rule_id,
                        decision="proceed",
                        reason="Benefit outweighs the risk; discussed with the patient.",
                    )
            intake.sign_screening(prescriber, course, outcome="eligible")
        course.refresh_from_db()
        return course

    def _decline(self, who: Character) -> None:
        course = self._ask(who, days_ago=4, arteriovenous_malformation=True)
        with clock.at(self.now - timedelta(days=3)):
            intake.sign_screening(
                course.prescriber or self.prescriber,
                course,
                outcome="not_eligible",
                note="Arteriovenous malformation. Referred back with a letter.",
            )

    def _consent(self, who: Character, *, days_ago: float) -> Course:
        course = self._screen(who, days_ago=days_ago + 1)
        document = library().document("consent", course.route)
        with clock.at(self.now - timedelta(days=days_ago, hours=3)):
            plans.sign_consent(
                self.nurse,
                course,
                signed_name=str(course.person),
                document_digest=library().document_digest(document),
                agrees=True,
            )
        course.refresh_from_db()
        return course

    def _plan(
        self,
        course: Course,
        *,
        verified: bool,
        on: date | None = None,
        first_on: date | None = None,
    ) -> Course:
        moment = self.now - timedelta(days=1)
        if on:
            moment = timezone.make_aware(datetime.combine(on, time(15, 0)))
        with clock.at(moment):
            plan = plans.order_plan(
                course.prescriber or self.prescriber,
                course,
                dose_mg_per_kg=0.5,
                duration_min=40,
                sessions=6,
                concentration_mg_per_ml=10.0,
                first_on=first_on or clock.today() + timedelta(days=3),
            )
            if verified:
                plans.verify_plan(self.nurse, plan, dose_mg=plan.dose_mg, volume_ml=plan.volume_ml)
        course.refresh_from_db()
        return course

    def _treat(self, who: Character, *, done: int, today: bool) -> None:
        """A course with `done` sessions behind it, and the next one today or later."""
        first_on = self._first_day(who, done=done, today=today)
        before = (timezone.localtime(self.now).date() - first_on).days + 2
        course = self._consent(who, days_ago=before)
        self._plan(course, verified=True, on=first_on - timedelta(days=2), first_on=first_on)
        if who.number == 6:
            with clock.at(self.now - timedelta(days=before - 1)):
                people.give_sign_in(
                    self.users["coordinator"],
                    course.person,
                    username=PATIENT_USERNAME,
                    password=settings.DEMO_PASSWORD,
                )
        planned = list(course.planned_sessions.order_by("number"))
        for item in planned[:done]:
            start = item.planned_for + timedelta(minutes=25 + int(self.rng.integers(0, 30)))
            self._whole_session(who, item, start)
        accompany(self.users, who, course)
        self._answer_forms(who, course)
        if today:
            self._today(who, planned[done])
        elif done == len(planned):
            self._review(who, course)

    def _spray(self, who: Character, *, done: int) -> None:
        """A course by the spray with some sessions behind it; the next has begun three min ago."""
        first_on = self._first_day(who, done=done, today=True, regimen="esketamine-trd-us")
        before = (timezone.localtime(self.now).date() - first_on).days + 2
        course = self._consent(who, days_ago=before)
        moment = datetime.combine(first_on - timedelta(days=2), time(15, 0))
        with clock.at(timezone.make_aware(moment)):
            plan = plans.order_plan(
                course.prescriber or self.prescriber,
                course,
                regimen="esketamine-trd-us",
                dose_mg=56,
                first_on=first_on,
            )
            plans.verify_plan(self.nurse, plan, dose_mg=56, count=2)
        course.refresh_from_db()
        planned = list(course.planned_sessions.order_by("number"))
        for item in planned[:done]:
            start = item.planned_for + timedelta(minutes=30)
            session = self._begin_spray(who, item, start)
            with clock.at(start + timedelta(minutes=5)):
                self._device(session, 2)
            for minute in (20, 40, 60, 80, 100, 120):
                with clock.at(start + timedelta(minutes=5 + minute)):
                    self._watch_spray(who, session)
            with clock.at(start + timedelta(minutes=127)):
                self._watch_spray(who, session, over=True)
                self._answer_alerts(session)
                home = library().discharge["IN_ESKETAMINE"].criteria
                sessions.discharge(
                    self.nurse,
                    session,
                    answers={c.fact: True for c in home if c.question},
                    escort_name=_escort(who),
                )
                if item.number < done:  # the last one's form is still owed
                    self._send_form(session)
        self._answer_forms(who, course)
        start = self.now - timedelta(minutes=3)
        self._move(planned[done], start - timedelta(minutes=25))
        self._begin_spray(who, planned[done], start)

    def _begin_spray(self, who: Character, planned: PlannedSession, start: datetime) -> Session:
        with clock.at(start - timedelta(minutes=20)):
            session = sessions.open_session(self.nurse, planned, self.chairs[5])
        with clock.at(start - timedelta(minutes=8)):
            self._check(
                who,
                session,
                food=clock.now() - timedelta(hours=3),
                drink=clock.now() - timedelta(hours=2),
                nasal=None,
            )
            sessions.record_observation(
                self.nurse, session, sedation_moaas=5, dissociation_0_10=0, nausea_0_10=0
            )
        with clock.at(start):
            self._device(session, 1)
        return session

    def _device(self, session: Session, number: int) -> None:
        serial = f"{session.planned.number}{number}"
        # The device's own drug code; lot and serial number are invented.
        code = f"(01)00350458028003(17)290131(10)DEMO{session.planned.number:02d}(21){serial}"
        spray.take_device(self.nurse, session, left="full", right="full", scan=code)

    def _watch_spray(self, who: Character, session: Session, *, over: bool = False) -> None:
        level, read = vitals_now(who, session, self.rng)
        sessions.record_vitals(self.nurse, session, **vars(read), respiratory_rate_bpm=14)
        sessions.record_observation(
            self.nurse,
            session,
            sedation_moaas=4 if level > 0.7 else 5,
            dissociation_0_10=0 if over else physiology.dissociation_0_10(who, level, self.rng),
            nausea_0_10=0,
        )

    def _send_form(self, session: Session) -> None:
        """The nurse answers the safety programme's sheet and sends it."""
        told = monitoring_form.initial(session, session_queries.timeline_of(session), self.nurse)
        told |= {
            "ready_after_min": 95,
            "vitals_ok_before": True,
            "vitals_ok_after": True,
            "provider_telephone": "555-0100",
            "provider_email": "nurse@clinic.example",
            "serious": False,
        }
        unknown = {key: False for key in monitoring_form.MEDICINES if told.get(key) is None}
        monitoring_form.answer_form(self.nurse, session, answers={**told, **unknown})
        monitoring_form.mark_sent(
            self.nurse, session, sent_on=clock.today(), how="online (demonstration)"
        )

    def _first_day(
        self, who: Character, *, done: int, today: bool, regimen: str = "iv-depression"
    ) -> date:
        """The first day that leaves exactly `done` sessions before today."""
        now = timezone.localtime(self.now).date()
        if done == 6:
            return now - timedelta(days=30 + 3 * (who.number % 6))
        found: list[date] = []
        for back in range(28):
            first = now - timedelta(days=back)
            proposed = calendar.propose(library(), library().regimens[regimen], start=first)
            days = [s.on for s in proposed.sessions]
            if sum(day < now for day in days) == done:
                found.append(first)
                # On some weekdays every such course has a session today: then one more arrives.
                if today or now not in days:
                    return first
        assert found, f"no first day leaves {done} sessions before {now}"
        return found[0]

    def _whole_session(self, who: Character, planned: PlannedSession, start: datetime) -> None:
        # In one of the chairs that nobody sits in today.
        session = self._begin(who, planned, self.chairs[3 + who.number % 2], start)
        self._observe(who, session, start, until_min=40)
        with clock.at(start + timedelta(minutes=40)):
            sessions.end_infusion(self.nurse, session)
        self._observe(who, session, start, from_min=41, until_min=105)
        with clock.at(start + timedelta(minutes=106)):
            self._measure(who, session)
            self._answer_alerts(session)
            home = {c.fact: True for c in library().discharge["IV"].criteria if c.question}
            sessions.discharge(self.nurse, session, answers=home, escort_name=_escort(who), note="")

    def _answer_alerts(self, session: Session) -> None:
        timeline = session_queries.timeline_of(session)
        standing = session_queries.alerts_of(session, timeline, clock.now())
        for rule_id in sorted({alert.rule_id for alert in standing if not alert.acknowledged}):
            sessions.acknowledge_alert(
                self.nurse,
                session,
                rule_id=rule_id,
                reason="Prescriber told, no symptoms; measured again and lower.",
            )

    def _begin(
        self, who: Character, planned: PlannedSession, chair: Chair, start: datetime
    ) -> Session:
        with clock.at(start - timedelta(minutes=20)):
            session = sessions.open_session(self.nurse, planned, chair)
        with clock.at(start - timedelta(minutes=8)):
            self._check(who, session)
            self._draw_up(session)
        with clock.at(start):
            sessions.start_infusion(self.nurse, session)
        return session

    def _check(self, who: Character, session: Session, **waits: datetime | None) -> None:
        read = physiology.vitals(who, 0.0, self.rng)
        protocol = library().monitoring[session.course.route]
        sessions.complete_check(
            self.nurse,
            session,
            confirmed={item.item: True for item in protocol.presession},
            weight_kg=who.weight_kg,
            vitals=vars(read),
            escort_name=_escort(who),
            escort_relation="sister" if who.number % 2 else "husband",
            escort_phone=f"555-02{who.number:02d}",
            medicines_today=f"{who.antidepressants[-1][1]} as usual, nothing else",
            waits=waits,
        )
        session.refresh_from_db()
        if session.phase == Phase.CHECK:
            sessions.decide_go(
                self.prescriber, session, reason="Repeated after rest, no symptoms; watch closely."
            )

    def _draw_up(self, session: Session) -> None:
        plan = session.planned.plan
        syringe = {
            "volume_ml": plan.volume_ml,
            "concentration_mg_per_ml": plan.concentration_mg_per_ml,
        }
        lot = f"DEMO-{session.planned.number:02d}"
        sessions.prepare_syringe(self.nurse, session, lot=lot, **syringe)
        sessions.check_syringe(self.prescriber, session, **syringe)

    def _observe(
        self,
        who: Character,
        session: Session,
        start: datetime,
        *,
        until_min: float,
        from_min: float = 0,
    ) -> None:
        """What the nurse writes down between two minutes of a session."""
        for minute in (5, 10, 15, 20, 25, 30, 35, 40, 55, 70, 85, 100):
            if not from_min <= minute <= until_min:
                continue
            with clock.at(start + timedelta(minutes=minute)):
                level = self._measure(who, session)
                if minute in (20, 40, 70, 100):
                    sessions.record_observation(
                        self.nurse,
                        session,
                        sedation_moaas=4 if level > 0.75 and who.number % 4 == 0 else 5,
                        dissociation_0_10=physiology.dissociation_0_10(who, level, self.rng),
                        nausea_0_10=3 if who.nausea and minute == 40 else 0,
                    )
                if who.nausea and minute == 25:
                    sessions.record_side_effect(
                        self.nurse, session, effect="nausea", severity="mild"
                    )
                    sessions.give_medicine(
                        self.nurse,
                        session,
                        medicine="ondansetron",
                        dose=4,
                        route="IV",
                        reason="nausea",
                    )
                if minute == 15 and who.number % 3 == 0:
                    sessions.record_side_effect(
                        self.nurse, session, effect="dizziness", severity="mild"
                    )

    def _measure(self, who: Character, session: Session) -> float:
        """The nurse reads pressure and pulse; returns the level of effect they stand for.

        By hand: a monitor that spoke only now and then would be one whose signal is lost.
        """
        level, read = vitals_now(who, session, self.rng)
        sessions.record_vitals(self.nurse, session, **vars(read))
        return level

    def _answer_forms(self, who: Character, course: Course) -> None:
        for request in FormRequest.objects.filter(course=course).order_by("due_at"):
            if not library().instruments[request.instrument].by_patient:
                continue  # the clinic's own form, which nobody has filled in here
            # The PHQ-9 draws from the story's own numbers, so that a new form changes no session.
            rng = self.rng if request.instrument == "phq9" else self.forms_rng
            open_for = 0.9 * (request.closes_at - request.due_at)
            answered_at = request.due_at + min(
                timedelta(hours=float(rng.uniform(0.5, 20))), open_for
            )
            if answered_at > self.now or rng.random() < 0.12:
                continue
            if who.number == 6 and request.closes_at > self.now:
                continue  # so that the patient who can sign in has something to answer
            with clock.at(answered_at):
                for item, value in _answers(who, request, rng).items():
                    outcomes.save_answer(request, item=item, value=value)
                outcomes.submit(request)

    def _review(self, who: Character, course: Course) -> None:
        """A review a week after the last session, as its number says; one of them nobody held."""
        if who.number not in REVIEWED:
            return
        decision, again_days, reason, refer_to = REVIEWED[who.number]
        last = course.planned_sessions.order_by("-done_at").values_list("done_at", flat=True)[0]
        today = timezone.localtime(self.now).date()
        with clock.at(min(last + timedelta(days=7), self.now - timedelta(days=1))):
            held_on = clock.today()
            if who.number == 17:
                reviews.note_misuse(
                    self.nurse,
                    course,
                    sign="MU-EARLY",
                    seen_on=held_on,
                    note="Asked twice for the next session before its day",
                )
            reviews.hold_review(
                self.prescriber,
                course,
                decision=decision,
                reason=reason,
                next_on=max(today + timedelta(days=again_days), held_on + timedelta(days=1)),
                refer_to=refer_to,
            )

    def _today(self, who: Character, planned: PlannedSession) -> None:
        """Where today's people are at this moment."""
        if who.number == 1:
            start = self.now - timedelta(minutes=18)
            self._move(planned, start - timedelta(minutes=25))
            self._observe(
                who, self._begin(who, planned, self.chairs[0], start), start, until_min=18
            )
        elif who.number == 2:
            start = self.now - timedelta(minutes=68)
            self._move(planned, start - timedelta(minutes=25))
            session = self._begin(who, planned, self.chairs[1], start)
            self._observe(who, session, start, until_min=40)
            with clock.at(start + timedelta(minutes=40)):
                sessions.end_infusion(self.nurse, session)
            self._observe(who, session, start, from_min=41, until_min=68)
        elif who.number == 3:
            self._move(planned, self.now - timedelta(minutes=10))
            with clock.at(self.now - timedelta(minutes=6)):
                sessions.open_session(self.nurse, planned, self.chairs[2])
        else:
            self._move(planned, self.now + timedelta(hours=who.number - 3))

    def _move(self, planned: PlannedSession, moment: datetime) -> None:
        """Put today's session at its hour, but not past midnight."""
        day = timezone.localtime(self.now).date()
        if timezone.localtime(moment).date() != day:
            moment = self.now
        with clock.at(self.now - timedelta(days=1)):
            plans.reschedule(self.users["coordinator"], planned, planned_for=moment)


def vitals_now(
    who: Character, session: Session, rng: np.random.Generator
) -> tuple[float, physiology.Vitals]:
    """What a monitor would measure now, and the level of effect that it stands for."""
    timeline = session_queries.timeline_of(session)
    now = clock.now()
    zero = timeline.started_at or now
    elapsed_min = (now - zero).total_seconds() / 60
    if session.is_sprayed:
        # Each device works as a stretch of a standard infusion would.
        lasts = physiology.STANDARD_MIN / (timeline.units_planned or 1)
        taken = [(dose.at - zero).total_seconds() / 60 for dose in timeline.sprays]
        level = physiology.effect([(at, at + lasts, 1.0) for at in taken], elapsed_min, 1.0)
        return level, physiology.vitals(who, level, rng)
    minutes = [
        (
            (segment.start - zero).total_seconds() / 60,
            ((segment.end or timeline.ended_at or now) - zero).total_seconds() / 60,
            segment.rate_mg_per_h,
        )
        for segment in timeline.segments
    ]
    level = physiology.effect(
        _until_empty(minutes, timeline.programmed_mg),
        elapsed_min,
        session.planned.plan.rate_mg_per_h,
    )
    return level, physiology.vitals(who, level, rng)


def _until_empty(
    segments: list[tuple[float, float, float]], programmed_mg: float
) -> Iterator[tuple[float, float, float]]:
    """The pump's segments, cut off where the programmed dose has run in."""
    left = programmed_mg
    for start, end, rate in segments:
        lasts = min(end - start, left / rate * 60)
        yield start, start + lasts, rate
        left -= rate * lasts / 60


def character_of(session: Session) -> Character | None:
    """Who sits in a chair of the demonstration; None for somebody entered by hand."""
    prefix, _, number = session.person.source_id.partition("-")
    if prefix != "invented":
        return None
    born = characters(NUMBER, today=timezone.localtime(session.person.created_at).date())
    return born[int(number) - 1]


def _escort(who: Character) -> str:
    return f"{'Pat' if who.number % 2 else 'Kim'} {who.family_name}"


def _answers(who: Character, request: FormRequest, rng: np.random.Generator) -> dict[str, int]:
    """What this person answers: better from session to session, and never anything alarming."""
    instrument = library().instruments[request.instrument]
    before = {"phq9": who.phq9, "gad7": who.gad7}.get(request.instrument)
    if before is None:  # a checklist: a little of something, now and then
        alarming = {rule.item for rule in instrument.red_flags}
        return {
            item.id: int(item.id not in alarming and rng.random() < 0.1)
            for item in instrument.items
        }
    share = (request.session_number or 0) / 6
    sooner = 1.15 if request.occasion == "24h" else 1.0
    total = before * (1 - min(who.response * share**0.7 * sooner, 0.95))
    highest = 24 if request.instrument == "phq9" else 21
    return _spread(
        int(np.clip(round(total + rng.normal(0, 1.2)), 0, highest)), request.instrument, rng
    )


def _spread(total: int, instrument: str, rng: np.random.Generator) -> dict[str, int]:
    """Answers that add up to a total, with nothing on item 9 of the PHQ-9."""
    items = [i.id for i in library().instruments[instrument].items if i.id != "q9"]
    answers = {i.id: 0 for i in library().instruments[instrument].items}
    for _ in range(min(total, 3 * len(items))):
        open_items = [name for name in items if answers[name] < 3]
        answers[open_items[int(rng.integers(len(open_items)))]] += 1
    return answers
