"""A model held against published figures: what it predicts for each, and by how much it is off.

The prediction is that of the median person of the study: 40 years old and 70 kg unless the model's
reference says otherwise, of other than Asian ancestry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from openketamine.pharmacology.dosing import Dose, RateSegment
from openketamine.pharmacology.kinetics import Kinetics, exposure
from openketamine.pharmacology.models import Figure, Metric, Model
from openketamine.pharmacology.people import Person, typical_parameters

#: The person whose prediction is held against a published figure.
MEDIAN_PERSON = Person(age_years=40, weight_kg=70, ancestry="other")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One published figure and what a model says in its place."""

    model: Model
    figure: Figure
    predicted: float

    @property
    def fold_error(self) -> float:
        """Predicted over published, or the reverse: never below 1."""
        ratio = self.predicted / self.figure.published
        return max(ratio, 1.0 / ratio)


def doses_of(figure: Figure, weight_kg: float = MEDIAN_PERSON.weight_kg) -> list[Dose]:
    """What was given, for a person of a weight."""
    return [
        Dose(
            given.at_min,
            given.dose_mg if given.dose_mg is not None else (given.dose_mg_per_kg or 0) * weight_kg,
            given.route,
            given.over_min,
        )
        for given in figure.given
    ]


def predict(
    model: Model,
    metric: Metric,
    analyte: str,
    doses: Sequence[Dose | RateSegment],
    *,
    person: Person = MEDIAN_PERSON,
    between_min: tuple[float, float] | None = None,
) -> float:
    """What a model says a metric is, in the unit its figures are published in.

    Args:
        metric: Cmax (ng/mL), Tmax (min), AUCinf and AUC0-24 (ng*h/mL), F (fraction), CL (L/h),
            Vss (L) or half-life (min).
        between_min: for a half-life, the decline that it is read from.

    Raises:
        ValueError: the model has no such analyte, or a half-life lacks its times.
    """
    if analyte not in model.analytes:
        raise ValueError(
            f"Model {model.id} has no analyte '{analyte}'. It has: {', '.join(model.analytes)}."
        )
    route = doses[0].route if doses else None
    kinetics = Kinetics(model, typical_parameters(model, person, route))
    if metric == "CL":
        return float(kinetics.clearance_l_per_h(analyte)[0])
    if metric == "Vss":
        return float(kinetics.steady_state_volume_l(analyte)[0])
    if metric == "F":
        given_mg = sum(d.dose_mg for d in doses if isinstance(d, Dose))
        area = kinetics.auc_inf(doses)[analyte][0]
        return float(area * kinetics.clearance_l_per_h(analyte)[0] / given_mg / 1000.0)
    if metric == "half-life":
        if between_min is None:
            raise ValueError("Say between which times the half-life is read.")
        times = np.linspace(*between_min, 40)
        # A moment after the last dose, whose own time already counts as without it.
        conc = kinetics.at(doses, times + 1e-6)[analyte][0]
        return float(-math.log(2) / np.polyfit(times, np.log(conc), 1)[0])
    found = exposure(kinetics, doses)[analyte]
    values = {
        "Cmax": found.cmax_ng_per_ml,
        "Tmax": found.tmax_min,
        "AUCinf": found.auc_inf_ng_h_per_ml,
        "AUC0-24": found.auc_0_24h_ng_h_per_ml,
    }
    return float(values[metric][0])


def compare(model: Model) -> list[Comparison]:
    """Every figure of a model's file against its prediction."""
    return [
        Comparison(
            model,
            figure,
            predict(
                model,
                figure.metric,
                figure.analyte,
                doses_of(figure),
                between_min=figure.between_min,
            ),
        )
        for figure in model.figures
    ]


def geometric_mean_fold_error(comparisons: Iterable[Comparison]) -> float:
    """exp(mean |ln(predicted / published)|): 1 is perfect, 1.25 is off by a quarter on average.

    Raises:
        ValueError: there is nothing to compare.
    """
    logs = [math.log(c.fold_error) for c in comparisons]
    if not logs:
        raise ValueError("There are no figures to compare.")
    return math.exp(sum(logs) / len(logs))
