"""Doses: is one within policy, what is it in mg, mL, devices or lozenges, and what may come next.

The days of a course are in `calendar`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from openketamine.words import _, _n, _noop

from .library import Library
from .schema import Device, Limit, Regimen


def suited(
    library: Library,
    *,
    route: str | None = None,
    condition: str | None = None,
    jurisdiction: str | None = None,
    age_years: float | None = None,
) -> list[Regimen]:
    """The regimens for a route, a condition, a place and an age, in the library's order.

    What is not given does not narrow the choice, so that a regimen for the old is still listed
    while the age is unknown: unknown is not No.
    """

    def fits(regimen: Regimen) -> bool:
        if age_years is not None:
            if regimen.age_at_least is not None and age_years < regimen.age_at_least:
                return False
            if regimen.age_below is not None and age_years >= regimen.age_below:
                return False
        return (
            (route is None or regimen.route == route)
            and (condition is None or condition in regimen.conditions)
            and (jurisdiction is None or regimen.applies_in(jurisdiction))
        )

    return [regimen for regimen in library.regimens.values() if fits(regimen)]


@dataclass(frozen=True)
class PlanFinding:
    """A quantity of a plan outside the clinic's policy."""

    limit: Limit
    value: float

    @property
    def message(self) -> str:
        limit = self.limit
        return _(
            "%(quantity)s %(value)s %(unit)s is outside the clinic's policy of %(lowest)s to "
            "%(highest)s %(unit)s (%(limit)s)."
        ) % {
            "quantity": _(limit.label),
            "value": f"{self.value:g}",
            "unit": _(limit.unit),
            "lowest": f"{limit.minimum:g}",
            "highest": f"{limit.maximum:g}",
            "limit": limit.id,
        }


def check_plan(regimen: Regimen, quantities: Mapping[str, float]) -> list[PlanFinding]:
    """The quantities that lie outside the regimen's limits."""
    return [
        PlanFinding(limit, quantities[limit.quantity])
        for limit in regimen.limits
        if not limit.minimum <= quantities[limit.quantity] <= limit.maximum
    ]


@dataclass(frozen=True)
class DoseArithmetic:
    """A dose by weight with every step shown.

    Reckoned in decimals as one does by hand, and a half is rounded up: doses to 0.1 mg, volumes to
    0.01 mL, rates to 0.1. Volume and rates follow from the rounded dose, so that what is shown
    multiplies out.
    """

    dose_mg_per_kg: float
    weight_kg: float
    concentration_mg_per_ml: float
    duration_min: float
    dose_mg: float
    volume_ml: float
    rate_mg_per_h: float
    rate_ml_per_h: float

    @property
    def steps(self) -> list[str]:
        """The sum as one works it by hand, a line each, with what was rounded."""
        dose, strength = _exact(self.dose_mg), _exact(self.concentration_mg_per_ml)
        minutes = _exact(self.duration_min)
        by_weight = _exact(self.dose_mg_per_kg) * _exact(self.weight_kg)
        lines = (
            (
                f"{self.dose_mg_per_kg:g} mg/kg × {self.weight_kg:g} kg",
                by_weight,
                self.dose_mg,
                "mg",
            ),
            (
                f"{dose:f} mg ÷ {self.concentration_mg_per_ml:g} mg/mL",
                dose / strength,
                self.volume_ml,
                "mL",
            ),
            (
                f"{dose:f} mg ÷ {self.duration_min:g} min × 60",
                dose * 60 / minutes,
                self.rate_mg_per_h,
                "mg/h",
            ),
            (
                f"{dose:f} mg ÷ {self.concentration_mg_per_ml:g} mg/mL ÷ {self.duration_min:g} min"
                f" × 60",
                dose * 60 / (strength * minutes),
                self.rate_ml_per_h,
                "mL/h",
            ),
        )
        return [f"{sum_} = {_worked(exact, shown, unit)}" for sum_, exact, shown, unit in lines]


def dose_arithmetic(
    *,
    dose_mg_per_kg: float,
    weight_kg: float,
    concentration_mg_per_ml: float,
    duration_min: float,
) -> DoseArithmetic:
    """Work a dose out.

    Raises:
        ValueError: a quantity is not above zero.
    """
    _above_zero(
        dose=dose_mg_per_kg,
        weight=weight_kg,
        concentration=concentration_mg_per_ml,
        duration=duration_min,
    )
    dose = _rounded(_exact(dose_mg_per_kg) * _exact(weight_kg), "0.1")
    concentration, duration = _exact(concentration_mg_per_ml), _exact(duration_min)
    return DoseArithmetic(
        dose_mg_per_kg=dose_mg_per_kg,
        weight_kg=weight_kg,
        concentration_mg_per_ml=concentration_mg_per_ml,
        duration_min=duration_min,
        dose_mg=float(dose),
        volume_ml=float(_rounded(dose / concentration, "0.01")),
        rate_mg_per_h=float(_rounded(dose * 60 / duration, "0.1")),
        rate_ml_per_h=float(_rounded(dose * 60 / (concentration * duration), "0.1")),
    )


def _exact(value: float) -> Decimal:
    """The number as written: 80.3, not the nearest binary fraction."""
    return Decimal(str(value))


def _worked(exact: Decimal, rounded: float, unit: str) -> str:
    """A result, and what it was before it was rounded."""
    if exact == _exact(rounded):
        return f"{rounded:g} {unit}"
    return _("%(exact)s, rounded %(rounded)s") % {
        "exact": f"{_rounded(exact, '0.001').normalize():f}",
        "rounded": f"{rounded:g} {unit}",
    }


def _rounded(value: Decimal, step: str) -> Decimal:
    return value.quantize(Decimal(step), rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class Amount:
    """A dose as it is drawn up, sprayed or counted out. What a route does not have is None."""

    dose_mg: float
    steps: tuple[str, ...]
    volume_ml: float | None = None
    devices: int | None = None
    sprays: int | None = None
    salt_mg: float | None = None
    at_least_min: float | None = None
    units: tuple[tuple[float, int], ...] = ()  # (mg of one device, spray or piece, how many)


def injection(*, dose_mg_per_kg: float, weight_kg: float, concentration_mg_per_ml: float) -> Amount:
    """A dose by weight, drawn up or measured out at once: into a muscle, under the skin, by mouth.

    Raises:
        ValueError: a quantity is not above zero.
    """
    _above_zero(dose=dose_mg_per_kg, weight=weight_kg, concentration=concentration_mg_per_ml)
    by_weight = _exact(dose_mg_per_kg) * _exact(weight_kg)
    dose = _rounded(by_weight, "0.1")
    volume = dose / _exact(concentration_mg_per_ml)
    shown = float(_rounded(volume, "0.01"))
    return Amount(
        dose_mg=float(dose),
        volume_ml=shown,
        steps=(
            f"{dose_mg_per_kg:g} mg/kg × {weight_kg:g} kg = "
            f"{_worked(by_weight, float(dose), 'mg')}",
            f"{dose:f} mg ÷ {concentration_mg_per_ml:g} mg/mL = {_worked(volume, shown, 'mL')}",
        ),
    )


def devices(device: Device, *, dose_mg: float) -> Amount:
    """A dose in whole spray devices, with the least time that giving them takes.

    Raises:
        ValueError: it is not a whole number of devices.
    """
    _above_zero(dose=dose_mg)
    exact = _exact(dose_mg) / _exact(device.content_mg)
    count = int(exact)
    if exact != count:
        raise ValueError(
            _("%(dose)s mg is not a whole number of devices of %(content)s mg")
            % {"dose": f"{dose_mg:g}", "content": f"{device.content_mg:g}"}
        )
    volume, salt = _exact(device.volume_ml) * count, _exact(device.salt_mg) * count
    minutes = device.rest_min * (count - 1)
    steps = [
        _n(
            "%(dose)s mg ÷ %(content)s mg a device = %(count)d device",
            "%(dose)s mg ÷ %(content)s mg a device = %(count)d devices",
            count,
        )
        % {"dose": f"{dose_mg:g}", "content": f"{device.content_mg:g}", "count": count},
        _("%(count)d × %(each)d sprays = %(sprays)d sprays, one in each nostril from each device")
        % {"count": count, "each": device.sprays, "sprays": count * device.sprays},
        f"{count} × {device.volume_ml:g} mL = {volume.normalize():f} mL",
        _("%(count)d × %(each)s mg = %(salt)s mg of the hydrochloride")
        % {
            "count": count,
            "each": f"{device.salt_mg:g}",
            "salt": f"{salt.normalize():f}",
        },
    ]
    if count > 1:
        steps.append(
            _(
                "%(rests)d × %(each)s min of rest = at least %(minutes)s min from the first "
                "device to the last"
            )
            % {"rests": count - 1, "each": f"{device.rest_min:g}", "minutes": f"{minutes:g}"}
        )
    return Amount(
        dose_mg=dose_mg,
        steps=tuple(steps),
        volume_ml=float(volume),
        devices=count,
        units=((device.content_mg, count),),
        sprays=count * device.sprays,
        salt_mg=float(salt),
        at_least_min=minutes,
    )


def sprays(*, dose_mg: float, mg_per_spray: float) -> Amount:
    """A dose in whole sprays of a bottle, by what its label says that one spray holds.

    Raises:
        ValueError: it is not a whole number of sprays, or a quantity is not above zero.
    """
    _above_zero(dose=dose_mg, spray=mg_per_spray)
    exact = _exact(dose_mg) / _exact(mg_per_spray)
    count = int(exact)
    if exact != count:
        raise ValueError(
            _("%(dose)s mg is not a whole number of sprays of %(content)s mg")
            % {"dose": f"{dose_mg:g}", "content": f"{mg_per_spray:g}"}
        )
    step = _n(
        "%(dose)s mg ÷ %(content)s mg a spray = %(count)d spray",
        "%(dose)s mg ÷ %(content)s mg a spray = %(count)d sprays",
        count,
    )
    return Amount(
        dose_mg=dose_mg,
        sprays=count,
        units=((mg_per_spray, count),),
        steps=(step % {"dose": f"{dose_mg:g}", "content": f"{mg_per_spray:g}", "count": count},),
    )


def counted(strengths_mg: Iterable[float], *, dose_mg: float) -> Amount:
    """A dose in whole lozenges or tablets, in as few of them as can be.

    Raises:
        ValueError: no whole number of them makes up the dose; the message names the nearest.
    """
    _above_zero(dose=dose_mg)
    strengths = sorted((_exact(s) for s in strengths_mg), reverse=True)
    if not strengths:
        raise ValueError(_("no strength is stated"))
    wanted = _exact(dose_mg)
    fewest: dict[Decimal, tuple[Decimal, ...]] = {Decimal(0): ()}
    # Everything that can be counted out, by size, up to one piece beyond the dose.
    for _piece in range(int(wanted / strengths[-1]) + 1):
        for total, pieces in list(fewest.items()):
            for strength in strengths:
                more = total + strength
                if more <= wanted + strengths[0] and (
                    more not in fewest or len(fewest[more]) > len(pieces) + 1
                ):
                    fewest[more] = (*pieces, strength)
    if wanted not in fewest:
        below = max(t for t in fewest if t < wanted)
        above = min(t for t in fewest if t > wanted)
        raise ValueError(
            _(
                "%(dose)s mg cannot be made of whole pieces of %(strengths)s mg; the nearest are "
                "%(below)s and %(above)s mg"
            )
            % {
                "dose": f"{dose_mg:g}",
                "strengths": _(" and ").join(f"{s:g}" for s in strengths),
                "below": f"{below.normalize():f} mg" if below else _("nothing"),
                "above": f"{above.normalize():f}",
            }
        )
    pieces = fewest[wanted]
    units = tuple((float(s), pieces.count(s)) for s in strengths if s in pieces)
    return Amount(
        dose_mg=dose_mg,
        units=units,
        steps=(
            " + ".join(f"{count} × {strength:g} mg" for strength, count in units)
            + f" = {dose_mg:g} mg",
        ),
    )


@dataclass(frozen=True)
class InfusionSum:
    """A long infusion at a rate, with what it comes to in all."""

    rate_mg_per_h: float
    bolus_mg: float
    total_mg: float
    volume_ml: float
    steps: tuple[str, ...]


def infusion_at_rate(
    *,
    rate: float,
    unit: str,
    weight_kg: float | None,
    duration_min: float,
    concentration_mg_per_ml: float,
    bolus_mg_per_kg: float = 0.0,
) -> InfusionSum:
    """A dose stated as a rate: by the hour, by weight or not, with a bolus or none.

    Raises:
        ValueError: a quantity is not above zero, or a weight is needed and not known.
    """
    _above_zero(rate=rate, duration=duration_min, concentration=concentration_mg_per_ml)
    if bolus_mg_per_kg < 0 or not math.isfinite(bolus_mg_per_kg):
        raise ValueError(f"the bolus must not be below zero: {bolus_mg_per_kg:g}")
    by_weight = unit == "mg/kg/h"
    if (by_weight or bolus_mg_per_kg) and weight_kg is None:
        raise ValueError(_("the weight is unknown, and the dose is by weight"))
    steps: list[str] = []
    weight = Decimal(0)
    if weight_kg is not None:
        _above_zero(weight=weight_kg)
        weight = _exact(weight_kg)
    exact_rate = _exact(rate) * weight if by_weight else _exact(rate)
    per_hour = _rounded(exact_rate, "0.1")
    if by_weight:
        steps.append(
            f"{rate:g} mg/kg/h × {weight_kg:g} kg = {_worked(exact_rate, float(per_hour), 'mg/h')}"
        )
    run = per_hour * _exact(duration_min) / 60
    run_shown = _rounded(run, "0.1")
    steps.append(
        f"{per_hour:f} mg/h × {duration_min:g} min ÷ 60 = {_worked(run, float(run_shown), 'mg')}"
    )
    bolus = Decimal(0)
    if bolus_mg_per_kg:
        exact_bolus = _exact(bolus_mg_per_kg) * weight
        bolus = _rounded(exact_bolus, "0.1")
        steps.append(
            _("%(by_weight)s = %(bolus)s as a bolus")
            % {
                "by_weight": f"{bolus_mg_per_kg:g} mg/kg × {weight_kg:g} kg",
                "bolus": _worked(exact_bolus, float(bolus), "mg"),
            }
        )
        steps.append(
            _("%(bolus)s mg + %(run)s mg = %(total)s mg in all")
            % {"bolus": f"{bolus:f}", "run": f"{run_shown:f}", "total": f"{bolus + run_shown:f}"}
        )
    total = bolus + run_shown
    volume = total / _exact(concentration_mg_per_ml)
    shown = float(_rounded(volume, "0.01"))
    steps.append(
        f"{total:f} mg ÷ {concentration_mg_per_ml:g} mg/mL = {_worked(volume, shown, 'mL')}"
    )
    return InfusionSum(float(per_hour), float(bolus), float(total), shown, tuple(steps))


def check_rate(regimen: Regimen, worked: InfusionSum, *, duration_min: float) -> list[str]:
    """What a long infusion falls short of, by the regimen's own figures, in words."""
    dose = regimen.dose
    if dose is None or dose.kind != "rate":
        raise ValueError(f"{regimen.id} is not given at a rate")
    found = []
    if dose.total_at_least_mg is not None and worked.total_mg < dose.total_at_least_mg:
        found.append(
            _("%(total)s mg in all is less than the %(least)s mg of %(regimen)s.")
            % {
                "total": f"{worked.total_mg:g}",
                "least": f"{dose.total_at_least_mg:g}",
                "regimen": _(regimen.name),
            }
        )
    if dose.longer_than_min is not None and duration_min <= dose.longer_than_min:
        found.append(
            _("%(duration)s min is not longer than the %(least)s min of %(regimen)s.")
            % {
                "duration": f"{duration_min:g}",
                "least": f"{dose.longer_than_min:g}",
                "regimen": _(regimen.name),
            }
        )
    return found


@dataclass(frozen=True)
class NextDose:
    """What may be given next, in the unit of the regimen. A prescriber decides.

    `options` are single amounts; without them anything from `lowest` to `highest`. `proposed` is
    None where the library proposes none.
    """

    unit: str
    lowest: float
    highest: float
    options: tuple[float, ...]
    proposed: float | None
    reasons: tuple[str, ...]
    questions: tuple[str, ...] = ()


def next_dose(
    regimen: Regimen, given: Sequence[float] = (), *, tolerated: bool | None = None
) -> NextDose:
    """The doses open at the next session. It never goes up by itself, and never past the highest.

    Args:
        given: the doses of the sessions so far, in the unit of the regimen, oldest first.
        tolerated: whether the last was tolerated; None asks, and keeps the dose from rising.

    Raises:
        ValueError: the regimen has no dose.
    """
    dose = regimen.dose
    if dose is None:
        raise ValueError(
            _("%(regimen)s has no dose: %(reason)s")
            % {"regimen": _(regimen.name), "reason": _(regimen.unset[0].reason)}
        )
    unit = dose.unit
    if not given:
        options = dose.first or dose.options
        amount = dose.amount if dose.amount is not None else min(options, default=None)
        if options and amount not in options:
            amount = options[0]
        low, high = (min(options), max(options)) if options else (dose.lowest, dose.highest)
        if dose.step_most is not None and amount is not None:
            low = high = amount
        words = _("The first session: %(statement)s.") % {"statement": _(regimen.statement)}
        return NextDose(unit, low, high, options, amount, (words,))
    last = given[-1]
    asked = _("Was the last dose tolerated?")
    given_last = {"dose": f"{last:g} {unit}"}
    if tolerated is None:
        ceiling = last
        reason = _("Whether %(dose)s was tolerated is not known: no rise.") % given_last
    elif not tolerated:
        ceiling, reason = last, _("%(dose)s was not tolerated: no rise.") % given_last
    elif dose.step_most is not None:
        ceiling = float(min(_exact(last) + _exact(dose.step_most), _exact(dose.highest)))
        reason = _("From %(dose)s in a step of %(least)s to %(most)s, to %(highest)s at most.") % {
            **given_last,
            "least": f"{dose.step_least:g}",
            "most": f"{dose.step_most:g} {unit}",
            "highest": f"{dose.highest:g} {unit}",
        }
    else:
        ceiling = dose.highest
        reason = _("%(dose)s was tolerated; the prescriber chooses.") % given_last
    ceiling = min(ceiling, dose.highest)
    options = tuple(option for option in dose.options if option <= ceiling)
    low, high = (min(options), max(options)) if options else (dose.lowest, ceiling)
    if dose.options and not options:
        # Below every option, as after a device that failed: the least that there is.
        low = high = min(dose.options)
        options = (low,)
    proposed = min(max(last, low), high)
    if tolerated is False:
        lower = [o for o in dose.options if o < last]
        proposed = max(lower, default=proposed)
        reason = " ".join((reason, _("A lower dose or an end is the prescriber's decision.")))
    return NextDose(
        unit, low, high, options, proposed, (reason,), (asked,) if tolerated is None else ()
    )


NOT_ABOVE_ZERO = {
    "dose": _noop("the dose must be above zero, not %(value)s"),
    "weight": _noop("the weight must be above zero, not %(value)s"),
    "concentration": _noop("the concentration must be above zero, not %(value)s"),
    "duration": _noop("the duration must be above zero, not %(value)s"),
    "spray": _noop("the spray must be above zero, not %(value)s"),
    "rate": _noop("the rate must be above zero, not %(value)s"),
}


def _above_zero(**quantities: float) -> None:
    for name, value in quantities.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(_(NOT_ABOVE_ZERO[name]) % {"value": f"{value:g}"})
