"""The ways through the clinic: a few that each role takes all day, and the rest under "More".

An entry shows only where the access rule of its page admits the person, so that the two cannot
disagree.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from openketamine.clinic.accounts import access
from openketamine.clinic.accounts.models import Role


@dataclass(frozen=True)
class Entry:
    """One page of the navigation, and the pages that count as being there."""

    name: str
    label: str | Promise
    within: tuple[str, ...] = ()

    def holds(self, here: str | None) -> bool:
        return here is not None and (here == self.name or here in self.within)


@dataclass(frozen=True)
class Group:
    """Entries under one heading of "More"."""

    label: str | Promise
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Navigation:
    """What one person sees: the row, and under "More" what did not go there."""

    primary: tuple[Entry, ...]
    more: tuple[Group, ...]

    def current(self, here: str | None, about: Iterable[str] = ()) -> Entry | None:
        """The entry where the person is now.

        Args:
            here: the name of the page's address.
            about: the parameters of that address, which say what the page is about.
        """
        entries = [*self.primary, *(e for group in self.more for e in group.entries)]
        belongs = {BELONGS[name] for name in about if name in BELONGS}
        return next(
            (e for e in entries if e.holds(here)),
            next((e for e in entries if e.name in belongs), None),
        )


OUTCOMES = (
    "outcomes_time", "outcomes_trajectory", "outcomes_events", "outcomes_clinicians",
    "outcomes_method", "outcomes_exports",
)  # fmt: skip
GROUPS = (
    Group(
        _("Care"),
        (
            Entry("my_page", _("My page")),
            Entry("today", _("Today"), ("session", "session_check", "session_discharge")),
            Entry("people", _("People"), ("person", "person_new", "course", "screening", "plan")),
            Entry("therapist_list", _("Therapy"), ("therapy", "therapy_visit")),
            Entry("home_sessions", _("At home"), ("home_session", "home_course", "home_programme")),
            Entry("import_referrals", _("Referrals")),
        ),
    ),
    Group(
        _("Between visits"),
        (
            Entry("on_call", _("On call"), ("rota", "call")),
            Entry("inbox", _("Messages"), ("thread",)),
            Entry("follow_ups", _("Follow-up")),
            Entry("continuity", _("Continuity")),
        ),
    ),
    Group(
        _("Devices and drug"),
        (
            Entry("devices", _("Devices"), ("device_held",)),
            Entry("rems", _("REMS")),
        ),
    ),
    Group(
        _("What is known"),
        (
            Entry("outcomes", _("Outcomes"), OUTCOMES),
            Entry("evidence", _("Evidence"), ("evidence_question",)),
        ),
    ),
    Group(
        _("The clinic"),
        (
            Entry("policy", _("Policy"), ("policy_propose", "policy_version")),
            Entry("staff", _("Staff")),
            Entry("sites", _("Sites"), ("site",)),
            Entry("smart_apps", _("Programs")),
            Entry("privacy", _("Privacy"), ("review_glass",)),
        ),
    ),
)
# A page about one thing belongs to where that thing is found.
BELONGS = {
    "session_id": "today",
    "visit_id": "therapist_list",
    "person_id": "people",
    "course_id": "people",
    "plan_id": "people",
    "planned_id": "people",
    "trial_id": "people",
    "review_id": "people",
    "form_id": "people",
}
# What each role comes back to all day, in the order of its day; never more than five.
ROW = {
    Role.NURSE: ("today", "people", "devices", "home_sessions", "on_call"),
    Role.PRESCRIBER: ("today", "people", "continuity", "home_sessions", "on_call"),
    Role.THERAPIST: ("therapist_list", "today", "people", "inbox", "follow_ups"),
    Role.COORDINATOR: ("today", "people", "import_referrals", "inbox", "follow_ups"),
    Role.DIRECTOR: ("today", "people", "outcomes", "policy", "staff"),
    Role.RESEARCHER: ("outcomes",),
    Role.PATIENT: ("my_page",),
}


@cache
def _admitted() -> dict[str, frozenset[Role]]:
    rules = {
        pattern.name: access.rule_of(pattern.callback, pattern.name)
        for _route, pattern in access.every_pattern()
    }
    return {name: rule.roles for name, rule in rules.items() if name and rule}


@cache
def navigation_of(role: Role) -> Navigation:
    """The navigation of one role.

    A researcher and a patient have one place each: for them there is no "More".
    """
    open_to_role = {
        entry.name: entry
        for group in GROUPS
        for entry in group.entries
        if role in _admitted().get(entry.name, frozenset())
    }
    primary = tuple(open_to_role[name] for name in ROW[role] if name in open_to_role)
    if len(ROW[role]) == 1:
        return Navigation(primary, ())
    rest = open_to_role.keys() - set(ROW[role])
    groups = [
        Group(group.label, tuple(e for e in group.entries if e.name in rest)) for group in GROUPS
    ]
    return Navigation(primary, tuple(group for group in groups if group.entries))
