"""Published results that a figure of the clinic's is shown beside, and in what they differ. Pure.

Like is compared with like: same instrument, route, condition, and within a week. Where nothing is
alike, the nearest is shown and every difference named; what is about other people is not shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from openketamine.protocols import evidence
from openketamine.protocols.evidence import Result

# Conditions of the trials, by those of the protocols: the same, and near enough to be named.
SAME = {
    "TRD": {"TRD"},
    "MDSI": {"MDSI"},
    "PTSD": {"PTSD"},
    "PAIN": {"CRPS"},
    "AUD": {"alcohol use disorder"},
    "SUD": {"cocaine use disorder"},
    "SUI": {"suicidality"},
    "GAD": {"anxiety"},
}
_LOW_MOOD = {"TRD", "MDD", "depression", "depression (inpatients)", "bipolar depression"}
NEAR = {"TRD": _LOW_MOOD, "MDSI": {"suicidality", "TRD"}, "SUI": {"MDSI"}, "GAD": set()}
ROUTES = {
    "IV": "iv",
    "IM": "im",
    "SC": "sc",
    "SL": "sublingual",
    "ORAL": "oral",
    "IN_ESKETAMINE": "nasal",
    "IN_RACEMIC": "nasal",
}
# What a side effect of the session list is called in the tables of adverse events.
EVENTS = {
    "dissociation": ("dissociation",),
    "dizziness": ("dizziness",),
    "nausea": ("nausea",),
    "sedation": ("sedation", "somnolence"),
    "anxiety": ("anxiety",),
    "headache": ("headache",),
    "vomiting": ("vomiting",),
    "vertigo": ("vertigo",),
    "blurred_vision": ("blurred vision",),
    "numbness": ("hypoesthesia",),
}
WITHIN_DAYS = 7.0


@dataclass(frozen=True)
class Beside:
    """A published result, and everything in which it is not like the clinic's figure, in words.

    `control` is what the same trial's control arm showed at the same time, where there was one.
    """

    result: Result
    differs: tuple[str, ...]
    control: Result | None
    other_scale: bool = False

    @property
    def alike(self) -> bool:
        return not self.differs

    @property
    def day(self) -> float | None:
        return None if self.result.time_h is None else self.result.time_h / 24


def outcomes(
    measure: str,
    *,
    condition: str,
    route: str,
    instrument: str,
    day: float | None = None,
    most: int = 6,
) -> list[Beside]:
    """Shares published for a measure, the most alike first.

    Args:
        measure: `response`, `remission` or `important_change`.
        route: empty where all routes are counted together.
        instrument: its short name, e.g. "PHQ-9".
        day: only results within a week of this day; any time where left out.
    """
    endpoint = "response" if measure == "important_change" else measure
    found = []
    for result in evidence.results():
        if result.endpoint != endpoint or not _is_share_of_treated(result):
            continue
        far = day is not None and (
            result.time_h is None or abs(result.time_h / 24 - day) > WITHIN_DAYS
        )
        if far or result.condition not in _conditions(condition):
            continue
        differs = _differences(result, condition, route, instrument)
        if measure == "important_change":
            differs = (*differs, _("its own rule of response"))
        if result.time_h is None:
            differs = (*differs, _("no fixed time"))
        found.append(Beside(result, differs, _control_of(result), result.instrument != instrument))
    return _first_of_each_trial(found, most)


def _first_of_each_trial(found: list[Beside], most: int) -> list[Beside]:
    """The most alike first, one row of each arm: others repeat it in another form."""
    chosen: dict[tuple[str, str], Beside] = {}
    for beside in sorted(found, key=_rank):
        chosen.setdefault((beside.result.trial, beside.result.arm), beside)
    return list(chosen.values())[:most]


def relapses(*, condition: str, route: str, most: int = 6) -> list[Beside]:
    """What was published of relapse, the most alike first."""
    found = [
        Beside(result, _differences(result, condition, route, None), _control_of(result))
        for result in evidence.results()
        if result.endpoint == "relapse"
        and result.unit in {"percent", "days"}
        and result.value is not None
        and not (result.is_control or result.is_contrast)
        and result.condition in _conditions(condition)
    ]
    return _first_of_each_trial(found, most)


def events(effect: str, *, route: str, most: int = 2) -> list[Beside]:
    """In how many patients of a trial a side effect was reported, the most alike first."""
    found = []
    for result in evidence.results():
        named = result.instrument in EVENTS.get(effect, ())
        if result.endpoint != "event" or not named or not _is_share_of_treated(result):
            continue
        differs = _differences(result, "", route, None)
        found.append(Beside(result, differs, _control_of(result)))
    return _first_of_each_trial(found, most)


def _is_share_of_treated(result: Result) -> bool:
    return (
        result.unit == "percent"
        and result.value is not None
        and result.dose != "0"
        and result.route != "none"
        and not (result.is_control or result.is_contrast)
    )


def _conditions(condition: str) -> set[str]:
    if not condition:
        return _LOW_MOOD
    return SAME.get(condition, set()) | NEAR.get(condition, set())


def _differences(
    result: Result, condition: str, route: str, instrument: str | None
) -> tuple[str, ...]:
    differs = []
    if condition and result.condition not in SAME.get(condition, set()):
        differs.append(_("people with %(condition)s") % {"condition": _(result.condition)})
    if route and result.route != ROUTES.get(route):
        differs.append(_("route: %(route)s") % {"route": _(result.route)})
    if not route:
        differs.append(_("one route: %(route)s") % {"route": _(result.route)})
    if instrument is not None and result.instrument != instrument:
        differs.append(_("scale: %(scale)s") % {"scale": _(result.instrument)})
    return tuple(differs)


def _rank(beside: Beside) -> tuple[int, bool, int, str]:
    result = beside.result
    return (
        len(beside.differs),
        result.certainty != "verified",
        -(result.n_arm or 0),
        result.trial,
    )


def _control_of(result: Result) -> Result | None:
    return next(
        (
            other
            for other in evidence.results()
            if other.is_control
            and other.value is not None
            and (other.trial, other.endpoint, other.instrument, other.time_h)
            == (result.trial, result.endpoint, result.instrument, result.time_h)
        ),
        None,
    )


def caveats_for(shown: Iterable[Beside], *, about: str) -> Sequence[evidence.Caveat]:
    """The reasons why these may differ from the clinic's figures, those that fit."""
    shown = list(shown)
    wanted = {"unblinded", "controls", "population", "completers", "small"}
    if about == "events":
        wanted = {"asked", "population", "small"}
    elif about == "relapse":
        wanted |= {"enriched", "fading"}
    else:
        wanted |= {"fading"}
        if any(each.other_scale for each in shown):
            wanted.add("scale")
    return [caveat for caveat in evidence.CAVEATS if caveat.id in wanted]
