"""The routes side by side: what the rules, the trials, the clock and the clinic say of each."""

from dataclasses import dataclass

from django.utils.translation import gettext_noop as _

from openketamine import protocols
from openketamine.clinic.intake import queries as intake
from openketamine.clinic.people.models import Course, Setting
from openketamine.clinic.policy.queries import library
from openketamine.clinic.record import clock
from openketamine.protocols import eligibility, questions, regimens
from openketamine.protocols.questions import Headline
from openketamine.protocols.schema import Regimen, RouteDefinition, Status
from openketamine.protocols.visits import Visit, visit

from .models import RouteCoverage, RoutePrice

KINDS = ("contraindication", "missing", "caution")
# Short words of the library and of the published results, which the pages say in their language.
SHOWN = (
    _("racemic ketamine"),
    _("esketamine"),
    _("approved"),
    _("off-label"),
    _("not recommended"),
    _("subsidised"),
    _("verified"),
    _("verified (older label)"),
    _("verified (secondary)"),
    _("verified (abstract)"),
    _("recalled"),
    _("DESIGN"),
    _("law"),
    _("label"),
    _("regulator"),
    _("guideline"),
    _("evidence"),
    _("clinic policy"),
    _("published"),
    _("from the standard error"),
    _("from the spread and n"),
    _("Wilson, from n"),
    _("Newcombe, from n"),
)


@dataclass(frozen=True)
class Choice:
    """One route for one patient.

    Attributes:
        findings: by the rule's id.
        evidence: each with True where the study treated a neighbouring condition.
        price: what the clinic has filled in; None: nothing yet. So with `coverage`.
    """

    route: RouteDefinition
    setting: str
    findings: dict[str, protocols.Finding]
    standing: list[Status]
    regimen: Regimen | None
    visit: Visit
    evidence: list[tuple[Headline, bool]]
    price: RoutePrice | None
    coverage: RouteCoverage | None

    def count(self, kind: str) -> int:
        return sum(finding.kind == kind for finding in self.findings.values())

    @property
    def stops(self) -> int:
        return self.count("contraindication")

    @property
    def unknown(self) -> int:
        return self.count("missing")

    @property
    def cautions(self) -> int:
        return self.count("caution")


def regimen_for(course: Course, route: str) -> Regimen | None:
    """The regimen for a route in this patient's condition; one that states a dose goes first."""
    suited = regimens.suited(
        library(),
        route=route,
        condition=course.condition,
        jurisdiction=intake.jurisdiction(),
        age_years=course.person.age_years(),
    )
    return next((each for each in suited if each.dose), suited[0] if suited else None)


def choices(course: Course) -> list[Choice]:
    """Every route of the library for the patient of a course, in the library's order."""
    current = library()
    found = intake.findings_by_route(course)
    asked = intake.programme_of(course)
    prices = {price.route: price for price in RoutePrice.objects.select_related("set_by")}
    coverages = {each.route: each for each in course.coverages.select_related("set_by")}
    listed = []
    for route in current.programmes.routes:
        regimen = regimen_for(course, route.id)
        setting = course.setting if route.id == course.route else route.settings[0]
        listed.append(
            Choice(
                route=route,
                setting=Setting(setting).label.lower(),
                findings={finding.rule_id: finding for finding in found[route.id]},
                standing=list(eligibility.standing(current, **{**asked, "route": route.id})),
                regimen=regimen,
                visit=visit(current.at(clock.today()), route.id, regimen),
                evidence=questions.headlines(route.id, course.condition),
                price=prices.get(route.id),
                coverage=coverages.get(route.id),
            )
        )
    return listed


def rows_of(listed: list[Choice]) -> list[tuple[protocols.Finding, list[protocols.Finding | None]]]:
    """Every rule that finds something for any route, the gravest first, with one cell per route."""
    cells: dict[str, list[protocols.Finding | None]] = {}
    for number, choice in enumerate(listed):
        for rule, finding in choice.findings.items():
            cells.setdefault(rule, [None] * len(listed))[number] = finding

    def gravity(row: list[protocols.Finding | None]) -> tuple[int, int]:
        kinds = [KINDS.index(finding.kind) for finding in row if finding]
        return min(kinds), -kinds.count(min(kinds))

    ordered = sorted(cells.values(), key=gravity)
    return [(next(finding for finding in row if finding), row) for row in ordered]
