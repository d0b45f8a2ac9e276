"""Mixed models fitted to cohorts: a small one at once, a large one in the background."""

import hashlib
import json
import logging
import threading
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.db import connection
from django.utils.translation import gettext_noop

from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.clinic.sites import scope as sites
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
BASELINE = gettext_noop("Before")  # a key of fits that are kept; translated where it is shown


def key_of(filters: Filters, instrument: str, rules: OutcomesFile) -> str:
    """What a fit is found by: what was asked, of which sites, under which rules."""
    scope = sites.current()
    asked = {
        "filters": asdict(filters),
        "instrument": instrument,
        "landmarks": [each.model_dump(mode="json") for each in rules.landmarks],
        "fewer_than": rules.small_cells.fewer_than,
        "sites": sorted(scope.sites) if scope.sites is not None else None,
        "people": sorted(str(each) for each in scope.people),
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


@dataclass(frozen=True)
class Data:
    """The scores that a model is fitted to: whose, at which visit, and what."""

    people: Any
    visits: Any
    scores: Any
    names: tuple[str, ...]

    @property
    def digest(self) -> str:
        found = hashlib.sha256("|".join(self.names).encode())
        for column in (self.people, self.visits, self.scores):
            found.update(np.ascontiguousarray(column).tobytes())
        return found.hexdigest()

    def fit(self) -> MixedFit:
        """Raises:
        CannotFitError: too little to go on.
        """
        return mixed_model(self.people, self.visits, self.scores, self.names)


def data_of(cohort: Cohort, scores: Scores, rules: OutcomesFile) -> Data:
    """Every score before treatment and at a landmark. One with few scores is left out."""
    columns = [(BASELINE, scores.baseline)]
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
    return Data(
        np.concatenate(people),
        np.concatenate(visits),
        np.concatenate(values),
        tuple(name for name, _ in columns),
    )


def keep(key: str, instrument: InstrumentFile, data: Data) -> ModelFit:
    """Fit a cohort and keep what came out, or why nothing did."""
    started, asked_at = time.perf_counter(), clock.now()
    values: dict[str, Any] = {"fit": None, "refused": ""}
    try:
        values["fit"] = asdict(data.fit())
    except CannotFitError as error:
        values["refused"] = str(error)[:300]
    row, _ = ModelFit.objects.update_or_create(
        key=key,
        defaults={
            "instrument": instrument.id,
            "data": data.digest,
            "asked_at": asked_at,
            "done_at": clock.now(),
            "took_s": round(time.perf_counter() - started, 2),
            **values,
        },
    )
    return row


def ask(filters: Filters, instrument: InstrumentFile, *, background: bool = True) -> None:
    """Have a large cohort fitted; the page shows it when it is done."""
    rules = library().outcomes
    key = key_of(filters, instrument.id, rules)
    if (row := kept(key)) and not row.done_at:
        return
    ModelFit.objects.update_or_create(
        key=key,
        defaults={
            "instrument": instrument.id, "data": "", "asked_at": clock.now(), "done_at": None,
            "fit": None, "refused": "", "took_s": None,
        },
    )  # fmt: skip

    def work() -> None:
        cohort = load(filters, clock.now())
        scores = load_scores(filters, cohort, instrument.id)
        keep(key, instrument, data_of(cohort, scores, rules))

    scope = sites.current()

    def work_apart() -> None:
        try:
            with sites.within(scope):
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
