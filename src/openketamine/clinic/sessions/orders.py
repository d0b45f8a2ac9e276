"""What goes beyond the plan needs a prescriber's order, and never beyond the clinic's policy."""

import math
import uuid

from django.db import transaction
from django.utils.translation import gettext as _

from openketamine.clinic.accounts.models import Role, User
from openketamine.clinic.errors import Refused, require_reason
from openketamine.clinic.record import services as record
from openketamine.clinic.record.models import Event

from . import queries
from .acts import BEDSIDE, act, append, require_open, require_role
from .models import ORDERED, Session, VerbalOrder

_UNITS = {
    "rate": "mg/h",
    "bolus": "mg",
    "total": "mg",
    "injection": "mg",
    "device": "mg",
}


def require_within_policy(session: Session, what: str, amount: float, *, field: str) -> None:
    """Refuse what no order makes right: beyond the clinic's signed limits for this regimen."""
    if not (amount > 0 and math.isfinite(amount)):
        raise Refused(_("An amount is a number above zero."), field=field)
    plan = session.planned.plan
    regimen = queries.library_of(session).regimens[plan.regimen]
    if what == "rate":
        fastest = round(plan.dose_mg / regimen.limit("duration_min").minimum * 60, 1)
        fastest = max(fastest, plan.rate_mg_per_h)
        if amount > fastest:
            raise Refused(
                _(
                    "%(rate)s mg/h is above the clinic's policy for this dose: at most "
                    "%(fastest)s mg/h."
                )
                % {"rate": f"{amount:g}", "fastest": f"{fastest:g}"},
                field=field,
            )
        return
    timeline = queries.timeline_of(session)
    if what == "device":
        most = regimen.limit("dose_mg").maximum
        taken = sum(dose.dose_mg for dose in timeline.sprays)
        if taken + amount > most:
            raise Refused(
                _(
                    "With this the session would come to %(in_all)s mg, above the limit of "
                    "%(most)s mg."
                )
                % {"in_all": f"{taken + amount:g}", "most": f"{most:g}"},
                field=field,
            )
        return
    boluses = sum(dose.dose_mg for dose in timeline.boluses)
    in_all = {
        "total": amount + boluses,
        "bolus": timeline.programmed_mg + boluses + amount,
        "injection": sum(dose.dose_mg for dose in timeline.injections) + amount,
    }[what]
    limit = regimen.limit("dose_mg_per_kg")
    weight_kg = timeline.check["weight_kg"] if timeline.check else plan.weight_kg
    if round(in_all / weight_kg, 2) > limit.maximum:
        raise Refused(
            _(
                "With this the session would come to %(in_all)s mg = %(per_kg)s mg/kg, above the "
                "clinic's policy of at most %(most)s mg/kg."
            )
            % {
                "in_all": f"{in_all:g}",
                "per_kg": f"{in_all / weight_kg:.2f}",
                "most": f"{limit.maximum:g}",
            },
            field=field,
        )


def covering_order(
    actor: User,
    session: Session,
    what: str,
    amount: float,
    reason: str,
    ordered_by: User | None,
    read_back: bool,
    field: str,
) -> int:
    """The event of the order that covers an act outside the plan: one that stands, or a new one."""
    for order in queries.timeline_of(session).orders.values():
        if order.used_by is None and order.what == what and amount <= order.amount:
            return order.line.seq
    if actor.role != Role.PRESCRIBER and ordered_by is None:
        raise Refused(
            _(
                "%(what)s is outside the plan. The prescriber has to order it: on the screen, or "
                "by voice, read back and confirmed."
            )
            % {"what": _(ORDERED[what]) % {"amount": f"{amount:g}"}},
            field=field,
        )
    return give_order(
        actor,
        session,
        what=what,
        amount=amount,
        reason=reason,
        ordered_by=ordered_by,
        read_back=read_back,
    ).seq


@act
def give_order(
    actor: User,
    session: Session,
    *,
    what: str,
    amount: float,
    reason: str,
    ordered_by: User | None = None,
    read_back: bool = False,
    client_id: uuid.UUID | None = None,
) -> Event:
    """Order something outside the plan: by the prescriber on the screen, or by voice.

    An order by voice is written down by whoever took it, who has read it back; the prescriber who
    gave it signs it later (`cosign_order`).

    Args:
        what: "rate" (mg/h), "bolus", "total", "injection" or "device" (mg).
        amount: at most so much.

    Raises:
        Refused: not a prescriber's, not read back, without a reason, or beyond clinic policy.
    """
    require_role(actor, BEDSIDE, _("Your role does not take orders."))
    session = require_open(session)
    if what not in _UNITS:
        raise Refused(_("Choose what is ordered."), field="what")
    reason = require_reason(reason)
    require_within_policy(session, what, amount, field="amount")
    verbal = actor.role != Role.PRESCRIBER or (ordered_by is not None and ordered_by != actor)
    prescriber = ordered_by if verbal else actor
    if prescriber is None or prescriber.role != Role.PRESCRIBER or not prescriber.is_active:
        raise Refused(_("Name the prescriber who ordered it."), field="ordered_by")
    if verbal and not read_back:
        raise Refused(
            _("Read the order back to the prescriber, and confirm here that it was right."),
            field="read_back",
        )
    event = append(
        actor,
        session,
        "session.order_given",
        {
            "what": what,
            "amount": amount,
            "unit": _UNITS[what],
            "prescriber": prescriber.pk,
            "prescriber_name": str(prescriber),
            "verbal": verbal,
            "read_back": verbal and read_back,
            "reason": reason,
        },
        client_id=client_id,
    )
    if verbal:
        VerbalOrder.objects.create(
            session=session,
            event_seq=event.seq,
            prescriber=prescriber,
            statement=f"{ORDERED[what] % {'amount': f'{amount:g}'}}: {reason}",
            given_at=event.occurred_at,
        )
    return event


@transaction.atomic
def cosign_order(prescriber: User, order: VerbalOrder) -> Event:
    """The prescriber signs an order that was given by voice. Also when the session is over.

    Raises:
        Refused: it is another prescriber's.
    """
    record.lock()
    order = VerbalOrder.objects.select_for_update().select_related("session").get(pk=order.pk)
    if order.prescriber_id != prescriber.pk:
        raise Refused(
            _("Only %(prescriber)s can sign this order.") % {"prescriber": order.prescriber}
        )
    if order.cosigned_at:  # pressed twice, or the answer was lost
        signed = Event.objects.filter(
            stream=order.session.stream, kind="session.order_cosigned", seq__gt=order.event_seq
        )
        return next(event for event in signed if event.data["order"] == order.event_seq)
    event = append(prescriber, order.session, "session.order_cosigned", {"order": order.event_seq})
    order.cosigned_at = event.recorded_at
    order.save(update_fields=["cosigned_at"])
    return event
