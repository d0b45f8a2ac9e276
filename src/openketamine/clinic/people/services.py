"""What is done about people before they are screened: refer, assign, measure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from django.db import transaction
from django.db.models import F, IntegerField, Max
from django.db.models.functions import Cast
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event, Source
from openketamine.clinic.sites import scope as sites
from openketamine.clinic.sites.models import Site
from openketamine.clinic.sites.queries import home, working_for
from openketamine.clinic.staff import services as staff

from .models import (
    Allergy,
    Condition,
    Course,
    Measurement,
    MeasurementKind,
    Medication,
    Person,
    Stage,
)
from .referral import (
    ReferralData,
    ReferredAllergy,
    ReferredCondition,
    ReferredMeasurement,
    ReferredMedication,
)

# Keys that one question to the database may name.
FEW = 500
# Beyond these a value is a slip of the pen or of the unit, not a patient (adults only).
PLAUSIBLE = {
    MeasurementKind.WEIGHT_KG: (25, 350, "kg"),
    MeasurementKind.HEIGHT_CM: (100, 250, "cm"),
    MeasurementKind.SYSTOLIC_MMHG: (40, 300, "mmHg"),
    MeasurementKind.DIASTOLIC_MMHG: (20, 200, "mmHg"),
    MeasurementKind.HEART_RATE_BPM: (20, 250, "/min"),
    MeasurementKind.SPO2_PERCENT: (50, 100, "%"),
}

_DEMOGRAPHICS = (
    "given_name",
    "family_name",
    "birth_date",
    "sex",
    "phone",
    "email",
    "address",
    "language",
    "external_mrn",
)


@dataclass(frozen=True)
class ReferralOutcome:
    """What one referral did. `changes` counts new and altered entries by kind."""

    person: Person
    status: Literal["created", "updated", "unchanged"]
    changes: dict[str, int]


@transaction.atomic
def receive_referral(
    actor: User | str,
    referral: ReferralData,
    *,
    origin: str,
    source: Source = Source.IMPORT,
    is_another_person: bool = True,
) -> ReferralOutcome:
    """Take in a referral: a new person with an open course, or what is new about a known one.

    The same referral a second time changes nothing and writes no event.

    Args:
        origin: where it came from in words, e.g. the file's name.
        is_another_person: False refuses somebody of a known name and date of birth.

    Raises:
        Refused: the person is under 18, a measurement is impossible, or it may be somebody known.
    """
    _check(referral)
    record.lock()  # two imports at once must not make one person twice
    person = _known(referral)
    created = person is None
    if created and not is_another_person:
        _refuse_likely_duplicate(referral)
    changes: dict[str, int] = {}
    demographics = {name: getattr(referral, name) for name in _DEMOGRAPHICS}
    if person is None:
        person = Person.objects.create(
            site_id=home(),
            mrn=next_mrn(),
            source_system=referral.source_system,
            source_id=referral.source_id,
            **demographics,
        )
        Course.objects.create(person=person)
    elif altered := [n for n, value in demographics.items() if getattr(person, n) != value]:
        for name in altered:
            setattr(person, name, demographics[name])
        person.save(update_fields=altered)
        changes["demographics"] = len(altered)
    for label, count in _store_items(person, referral).items():
        if count:
            changes[label] = count
    if not created and not changes:
        return ReferralOutcome(person, "unchanged", {})
    record.append(
        actor,
        person.stream,
        "person.referred" if created else "person.referral_updated",
        {"origin": origin, "changes": changes, "referral": plain(referral)},
        person_id=person.id,
        source=source,
    )
    return ReferralOutcome(person, "created" if created else "updated", changes)


def _known(referral: ReferralData) -> Person | None:
    """The person whom this sender has sent before.

    Raises:
        Refused: somebody of a site at which the actor does not work.
    """
    if not referral.source_id:
        return None
    sent = {"source_system": referral.source_system, "source_id": referral.source_id}
    person = Person.objects.select_for_update().filter(**sent).first()
    if person is None:
        with sites.everything():
            if Person.objects.filter(**sent).exists():
                raise Refused(
                    _("This person is in care at another site. Ask there for a transfer.")
                )
    return person


def _refuse_likely_duplicate(referral: ReferralData) -> None:
    known = Person.objects.filter(
        given_name__iexact=referral.given_name,
        family_name__iexact=referral.family_name,
        birth_date=referral.birth_date,
    ).first()
    if known:
        raise Refused(
            _(
                "%(person)s, born %(day)s, is in care already (MRN %(mrn)s). "
                "If this is somebody else, tick the box."
            )
            % {
                "person": known,
                "day": date_format(known.birth_date, "d F Y"),
                "mrn": known.mrn,
            },
            field="is_another_person",
        )


def _check(referral: ReferralData) -> None:
    age = Person(birth_date=referral.birth_date).age_years()
    if age < 18:
        raise Refused(
            _("The person is %(age)d years old. This programme treats adults of 18 and over.")
            % {"age": age},
            field="birth_date",
        )
    _check_measurements(referral.measurements)


def _check_measurements(measurements: Iterable[ReferredMeasurement]) -> None:
    for item in measurements:
        check_plausible(item.kind, item.value)


def check_plausible(kind: str, value: float) -> None:
    """Refuse a weight or height that no adult has.

    Raises:
        Refused: with the bounds, and the likely slip.
    """
    bounds = PLAUSIBLE.get(MeasurementKind(kind))
    if bounds and not bounds[0] <= value <= bounds[1]:
        low, high, unit = bounds
        raise Refused(
            _(
                "%(kind)s %(value)s %(unit)s is not possible for an adult. "
                "Enter a value from %(low)s to %(high)s %(unit)s; check the unit."
            )
            % {
                "kind": MeasurementKind(kind).label,
                "value": f"{value:g}",
                "unit": unit,
                "low": low,
                "high": high,
            },
            field=kind,
        )


@dataclass(frozen=True)
class Statements:
    """The rows that statements about a person made."""

    event: Event
    conditions: list[Condition]
    medications: list[Medication]
    allergies: list[Allergy]
    measurements: list[Measurement]


@transaction.atomic
def take_statements(
    actor: User | str,
    person: Person,
    *,
    origin: str,
    source: Source,
    conditions: Sequence[ReferredCondition] = (),
    medications: Sequence[ReferredMedication] = (),
    allergies: Sequence[ReferredAllergy] = (),
    measurements: Sequence[ReferredMeasurement] = (),
) -> Statements:
    """Add to a chart what another system or a colleague says of a person in care.

    Each becomes a row of its own, whatever is listed already: a list may say a thing twice.

    Args:
        origin: who says so, in words.

    Raises:
        Refused: the actor is not of the staff, a measurement is impossible or lies in the future.
    """
    if isinstance(actor, User) and not actor.is_clinic_staff:
        raise Refused(_("The staff fills the chart."))
    _check_measurements(measurements)
    latest = max((item.taken_at for item in measurements), default=None)
    if latest is not None and latest > clock.now() + record.FUTURE_TOLERANCE:
        moment = date_format(latest, "d F Y H:i")
        raise Refused(_("%(moment)s lies in the future.") % {"moment": moment}, field="taken_at")
    said = {
        "conditions": conditions,
        "medications": medications,
        "allergies": allergies,
        "measurements": measurements,
    }
    event = record.append(
        actor,
        person.stream,
        "person.statements_taken",
        {
            "origin": origin,
            **{name: [plain(item) for item in items] for name, items in said.items() if items},
        },
        person_id=person.id,
        source=source,
    )

    def keyed(items: Sequence[Any]) -> list[Any]:
        return [
            replace(item, key=f"event:{event.seq}:{number}:{item.key}"[:200])
            for number, item in enumerate(items)
        ]

    referral = ReferralData(
        source_system="",
        source_id="",
        given_name=person.given_name,
        family_name=person.family_name,
        birth_date=person.birth_date,
        sex=person.sex,
        conditions=tuple(keyed(conditions)),
        medications=tuple(keyed(medications)),
        allergies=tuple(keyed(allergies)),
        # The parts of one reading share a key: they are told apart by their kind.
        measurements=tuple(
            replace(item, key=f"event:{event.seq}:0:{item.key}"[:200]) for item in measurements
        ),
    )
    _store_items(person, referral)

    def kept(model: Any, items: Sequence[Any]) -> list[Any]:
        mine = model.objects.filter(person=person, source_key__startswith=f"event:{event.seq}:")
        return list(mine.order_by("pk")) if items else []

    return Statements(
        event,
        kept(Condition, conditions),
        kept(Medication, medications),
        kept(Allergy, allergies),
        kept(Measurement, measurements),
    )


@transaction.atomic
def correct_demographics(
    actor: User | str, person: Person, said: ReferralData, *, source: Source = Source.HAND
) -> list[str]:
    """Put right who a person is: name, birth date, sex, how to be reached.

    Returns:
        The fields that were changed.

    Raises:
        Refused: the actor is not of the staff, or the person would be under 18.
    """
    if isinstance(actor, User) and not actor.is_clinic_staff:
        raise Refused(_("The staff corrects demographics."))
    _check(said)
    person = Person.objects.select_for_update().get(pk=person.pk)
    before = {name: getattr(person, name) for name in _DEMOGRAPHICS}
    after = {name: getattr(said, name) for name in _DEMOGRAPHICS}
    altered = [name for name in _DEMOGRAPHICS if before[name] != after[name]]
    if not altered:
        return []
    for name in altered:
        setattr(person, name, after[name])
    person.save(update_fields=altered)
    record.append(
        actor,
        person.stream,
        "person.demographics_corrected",
        {
            "before": {name: str(before[name]) for name in altered},
            "after": {name: str(after[name]) for name in altered},
        },
        person_id=person.id,
        source=source,
    )
    return altered


def _store_items(person: Person, referral: ReferralData) -> dict[str, int]:
    def condition(item: ReferredCondition) -> dict[str, Any]:
        return {"category": item.category, "onset": item.onset, "abated": item.abated}

    counts = {
        "conditions": _store_coded(person, Condition, referral.conditions, condition),
        "history": _store_coded(person, Condition, referral.history, condition),
        "medications": _store_coded(
            person,
            Medication,
            referral.medications,
            lambda item: {"authored_on": item.authored_on, "dosage": item.dosage},
        ),
        "allergies": _store_coded(
            person,
            Allergy,
            referral.allergies,
            lambda item: {"criticality": item.criticality, "reactions": item.reactions},
        ),
    }
    named = {item.key for item in referral.measurements}
    of_person = Measurement.objects.filter(person=person)
    # What is named alone, where it is little: a chart of many years has thousands.
    of_person = of_person.filter(source_key__in=named) if len(named) <= FEW else of_person
    stored = {
        (m.source_key, m.kind): m for m in (of_person.exclude(source_key="") if named else ())
    }
    fresh, altered = [], []
    for item in referral.measurements:
        known = stored.get((item.key, item.kind))
        if known is None:
            fresh.append(
                Measurement(
                    person=person,
                    source_key=item.key,
                    kind=item.kind,
                    value=item.value,
                    taken_at=item.taken_at,
                )
            )
        elif (known.value, known.taken_at) != (item.value, item.taken_at):
            known.value, known.taken_at = item.value, item.taken_at
            altered.append(known)
    Measurement.objects.bulk_create(fresh)
    if altered:
        Measurement.objects.bulk_update(altered, ["value", "taken_at"])
    counts["measurements"] = len(fresh) + len(altered)
    return counts


def _store_coded(person: Person, model: Any, items: Any, extra: Any) -> int:
    """Insert what is new and update what differs; returns how many rows that were."""
    if not items:
        return 0
    stored = {row.source_key: row for row in model.objects.filter(person=person)}
    fresh, altered = [], []
    fields: list[str] = []
    for item in items:
        values = {
            "system": item.coded.system,
            "code": item.coded.code,
            "display": item.coded.display,
            "status": item.status,
            **extra(item),
        }
        fields = list(values)
        known = stored.get(item.key)
        if known is None:
            fresh.append(model(person=person, source_key=item.key, **values))
        elif any(getattr(known, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(known, name, value)
            altered.append(known)
    model.objects.bulk_create(fresh)
    if altered:
        model.objects.bulk_update(altered, fields)
    return len(fresh) + len(altered)


@sites.everything()
def next_mrn() -> str:
    """The number that the next person gets."""
    highest = Person.objects.annotate(number=Cast(F("mrn"), IntegerField())).aggregate(
        highest=Max("number")
    )["highest"]
    return f"{(highest or 0) + 1:04d}"


def plain(said: Any) -> dict[str, Any]:
    """A referral, or a part of one, as JSON has it."""

    def written(value: object) -> str:
        if isinstance(value, date | datetime):
            return value.isoformat()
        raise TypeError(f"{type(value).__name__} has no place in a record")

    return json.loads(json.dumps(asdict(said), default=written))  # type: ignore[no-any-return]


@transaction.atomic
def record_measurement(
    actor: User, person: Person, *, kind: str, value: float, taken_at: datetime | None = None
) -> Measurement:
    """Write down one measurement taken in the clinic.

    Raises:
        Refused: the value is impossible for an adult.
    """
    check_plausible(kind, value)
    event = record.append(
        actor,
        person.stream,
        "person.measured",
        {"kind": kind, "value": value},
        person_id=person.id,
        occurred_at=taken_at,
    )
    return Measurement.objects.create(
        person=person,
        source_key=f"event:{event.seq}",
        kind=kind,
        value=value,
        taken_at=event.occurred_at,
    )


@transaction.atomic
def record_measurements(
    actor: User, person: Person, values: Mapping[str, float]
) -> list[Measurement]:
    """Write down what was measured together, all of it or nothing.

    Raises:
        Refused: a value is impossible, or diastolic is not below systolic.
    """
    systolic = values.get(MeasurementKind.SYSTOLIC_MMHG)
    diastolic = values.get(MeasurementKind.DIASTOLIC_MMHG)
    if systolic is not None and diastolic is not None and diastolic >= systolic:
        raise Refused(
            _(
                "Diastolic %(diastolic)s cannot be as high as systolic %(systolic)s mmHg. "
                "Check both."
            )
            % {"diastolic": f"{diastolic:g}", "systolic": f"{systolic:g}"},
            field=MeasurementKind.DIASTOLIC_MMHG,
        )
    return [
        record_measurement(actor, person, kind=kind, value=value) for kind, value in values.items()
    ]


@transaction.atomic
def assign_team(
    actor: User, course: Course, *, prescriber: User, therapist: User | None = None
) -> None:
    """Name the one prescriber who answers for the course, and its therapist.

    Raises:
        Refused: somebody named does not hold that role, or does not work at the patient's site.
    """
    if prescriber.role != Role.PRESCRIBER:
        raise Refused(_("%(who)s is not a prescriber.") % {"who": prescriber}, field="prescriber")
    if therapist and therapist.role != Role.THERAPIST:
        raise Refused(_("%(who)s is not a therapist.") % {"who": therapist}, field="therapist")
    team = [user for user in (prescriber, therapist) if user]
    here = working_for(course.person_id, team)
    for user in team:
        if user not in here:
            raise Refused(
                _("%(who)s does not work at the patient's site.") % {"who": user}, field=user.role
            )
    course.prescriber, course.therapist = prescriber, therapist
    course.save(update_fields=["prescriber", "therapist"])
    record.append(
        actor,
        course.stream,
        "course.team_assigned",
        {"prescriber": prescriber.pk, "therapist": therapist.pk if therapist else None},
        person_id=course.person_id,
    )


@transaction.atomic
@sites.everything()
def transfer(actor: User, person: Person, site: Site, *, reason: str) -> None:
    """The patient is treated at another site from now on; the whole history goes along.

    The team of the open course is taken apart where somebody of it does not work there.

    Raises:
        Refused: the actor does not work at the patient's site, the other site is closed, no reason
            is given, or a session of the patient is open.
    """
    reason = " ".join(reason.split())
    person = Person.objects.select_for_update().get(pk=person.pk)
    if not actor.is_clinic_staff or not working_for(person.pk, [actor]):
        raise Refused(_("Whoever works at the patient's site transfers the patient."))
    if len(reason) < 10:
        raise Refused(_("Say why, in at least 10 letters."), field="reason")
    if site.closed_at:
        raise Refused(_("%(site)s is closed.") % {"site": site}, field="site")
    if site.pk == person.site_id:
        raise Refused(
            _("%(person)s is a patient of %(site)s already.") % {"person": person, "site": site},
            field="site",
        )
    for session in (*_open(person, "sessions"), *_open(person, "home_sessions")):
        raise Refused(_("Close %(session)s first.") % {"session": session})
    before = person.site
    person.site = site
    person.save(update_fields=["site"])
    course = person.courses.filter(closed_at=None).first()
    if course is not None:
        team = [user for user in (course.prescriber, course.therapist) if user]
        staying = working_for(person.pk, team)
        course.prescriber = course.prescriber if course.prescriber in staying else None
        course.therapist = course.therapist if course.therapist in staying else None
        course.save(update_fields=["prescriber", "therapist"])
    record.append(
        actor,
        person.stream,
        "person.transferred",
        {"from": before.pk, "to": site.pk, "to_name": site.name, "reason": reason[:300]},
        person_id=person.pk,
    )


def _open(person: Person, kind: str) -> list[Any]:
    """Sessions that are open; the models of later steps are reached from the person."""
    return list(getattr(person, kind).filter(closed_at=None)[:1])


@transaction.atomic
def give_sign_in(actor: User, person: Person, *, username: str, password: str) -> User:
    """Let a patient sign in to the own page.

    Raises:
        Refused: the patient has a sign-in already, or the name or password will not do.
    """
    person = Person.objects.select_for_update().get(pk=person.pk)
    if person.user_id:
        raise Refused(_("%(person)s can sign in already.") % {"person": person})
    person.user = staff.create_account(
        actor, username=username, password=password, role=Role.PATIENT, display_name=str(person)
    )
    person.save(update_fields=["user"])
    return person.user


def move_to(actor: User | str, course: Course, stage: Stage, *, reason: str = "") -> None:
    """Record that the course enters a stage. Call it inside the act that moves it there."""
    if course.stage == stage:
        return
    record.append(
        actor,
        course.stream,
        "course.stage_entered",
        {"from": course.stage, "to": str(stage), "reason": reason},
        person_id=course.person_id,
    )
    course.stage = stage
    if stage in {Stage.CLOSED, Stage.DECLINED}:
        course.closed_at = clock.now()
    course.save(update_fields=["stage", "closed_at"])
