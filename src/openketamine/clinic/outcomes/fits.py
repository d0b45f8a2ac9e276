"""Mixed models fitted to cohorts: a small one at once, a large one in the background."""

import hashlib
import json
import logging
import threading
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np
from django.db import connection

from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols.schema import InstrumentFile, OutcomesFile

from . import figures
from .cohort import Cohort, Filters, Scores, load, load_scores
from .models import ModelFit
from .statistics import CannotFitError, MixedFit, mixed_model

logger = logging.getLogger(__name__)
# So many scores are fitted while the page waits: some 0.3 s.
AT_ONCE = 1_000
# A fit that has not come back by then was lost with its process, and may be asked for again.
LOST_AFTER = timedelta(minutes=15)
BASELINE = "Before"


def key_of(filters: Filters, instrument: str, rules: OutcomesFile) -> str:
    """What a fit is found by: what was asked, under which rules."""
    asked = {
        "filters": asdict(filters),
        "instrument": instrument,
        "landmarks": [each.model_dump(mode="json") for each in rules.landmarks],
        "fewer_than": rules.small_cells.fewer_than,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def kept(key: str) -> ModelFit | None:
    """What is known of a fit: done, refused, or asked for a moment ago. One query."""
    found = ModelFit.objects.filter(key=key).first()
    if found and not found.done_at and found.asked_at < clock.now() - LOST_AFTER:
        return None
    return found


def as_fit(row: ModelFit) -> MixedFit:
    return MixedFit(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.fit.items()})


def fit(cohort: Cohort, scores: Scores, rules: OutcomesFile) -> MixedFit:
    """The model of a cohort at its landmarks. A landmark with few scores is left out.

    Raises:
        CannotFitError: too little to go on.
    """
    has_baseline = ~np.isnan(scores.baseline)
    columns = [(BASELINE, np.where(has_baseline, scores.baseline, np.nan))]
    for landmark in rules.landmarks:
        total = figures.at_landmark(cohort, scores, landmark).total
        if np.sum(~np.isnan(total)) >= max(rules.small_cells.fewer_than, 2):
            columns.append((landmark.label, total))
    people, visits, values = [], [], []
    for visit, (_, column) in enumerate(columns):
        there = np.flatnonzero(~np.isnan(column))
        people.append(there)
        visits.append(np.full(there.size, visit))
        values.append(column[there])
    return mixed_model(
        np.concatenate(people),
        np.concatenate(visits),
        np.concatenate(values),
        [name for name, _ in columns],
    )


def keep(
    key: str, instrument: InstrumentFile, seq: int, cohort: Cohort, scores: Scores,
    rules: OutcomesFile,
) -> ModelFit:  # fmt: skip
    """Fit a cohort and keep what came out, or why nothing did."""
    started, asked_at = time.perf_counter(), clock.now()
    values: dict[str, Any] = {"fit": None, "refused": ""}
    try:
        values["fit"] = asdict(fit(cohort, scores, rules))
    except CannotFitError as error:
        values["refused"] = str(error)[:300]
    row, _ = ModelFit.objects.update_or_create(
        key=key,
        defaults={
            "instrument": instrument.id,
            "seq": seq,
            "asked_at": asked_at,
            "done_at": clock.now(),
            "took_s": round(time.perf_counter() - started, 2),
            **values,
        },
    )
    return row


def ask(filters: Filters, instrument: InstrumentFile, seq: int, *, background: bool = True) -> None:
    """Have a large cohort fitted; the page shows it when it is done."""
    rules = library().outcomes
    key = key_of(filters, instrument.id, rules)
    if (row := kept(key)) and not row.done_at:
        return
    ModelFit.objects.update_or_create(
        key=key,
        defaults={
            "instrument": instrument.id, "seq": seq, "asked_at": clock.now(), "done_at": None,
            "fit": None, "refused": "", "took_s": None,
        },
    )  # fmt: skip

    def work() -> None:
        cohort = load(filters, clock.now())
        keep(key, instrument, seq, cohort, load_scores(filters, cohort, instrument.id), rules)

    def work_apart() -> None:
        try:
            work()
        except Exception:
            # Whoever looks sees that it has not come back, and may ask again.
            logger.exception("The mixed model could not be fitted")
        finally:
            connection.close()

    if background:
        threading.Thread(target=work_apart, name="mixed-model", daemon=True).start()
    else:
        work()
