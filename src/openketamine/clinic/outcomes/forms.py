"""What a director chooses on the outcomes pages. The figures beside a choice hide small counts."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from openketamine.protocols import Library

from .cohort import Filters, Sizes
from .suppression import is_small

LAST_YEAR = "last-12-months"
EVERY = {
    "condition": gettext_noop("Every condition"),
    "route": gettext_noop("Every route"),
    "regimen": gettext_noop("Every regimen"),
}
# As the protocols name things; a database may hold no other characters at all.
_NAME = re.compile(r"[\w-]{1,40}", re.ASCII)


class CohortForm(forms.Form):
    """Which courses are counted, by which questionnaire."""

    condition = forms.ChoiceField(required=False, label=_("Condition"))
    route = forms.ChoiceField(required=False, label=_("Route"))
    regimen = forms.ChoiceField(required=False, label=_("Regimen"))
    prescriber = forms.ChoiceField(required=False, label=_("Prescriber"))
    site = forms.ChoiceField(required=False, label=_("Site"))
    period = forms.ChoiceField(required=False, label=_("First dose"))
    instrument = forms.ChoiceField(required=False, label=_("Questionnaire"))

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        sizes: Sizes,
        names: Mapping[int, str],
        library: Library,
        instruments: Sequence[tuple[str, str]],
        with_clinicians: bool,
        sites: Mapping[int, str],
    ) -> None:
        super().__init__(data)
        fewer_than = library.outcomes.small_cells.fewer_than

        def counted(label: str, n: int) -> str:
            if is_small(n, fewer_than):
                return gettext("%(label)s (under %(n)d)") % {"label": label, "n": fewer_than}
            return f"{label} ({n})"

        programmes = library.programmes
        labels: dict[str, dict[Any, str]] = {
            "condition": {each.id: gettext(each.name) for each in programmes.conditions},
            "route": {each.id: gettext(each.name) for each in programmes.routes},
            "regimen": {each.id: gettext(each.name) for each in library.regimens.values()},
        }
        for name, known in labels.items():
            found: Mapping[str, int] = getattr(sizes, name)
            self.fields[name].choices = [("", gettext(EVERY[name]))] + [
                (key, counted(known.get(key, key or gettext("Not planned")), n))
                for key, n in sorted(found.items(), key=lambda item: -item[1])
                if key
            ]
        if with_clinicians:
            self.fields["prescriber"].choices = [("", gettext("Every prescriber"))] + [
                (str(pk), counted(names[pk], n))
                for pk, n in sorted(sizes.prescriber.items(), key=lambda i: names.get(i[0], ""))
                if pk in names
            ]
        else:
            del self.fields["prescriber"]
        if len(sites) > 1:
            self.fields["site"].choices = [("", gettext("Every site"))] + [
                (str(pk), counted(name, sizes.site.get(pk, 0))) for pk, name in sites.items()
            ]
        else:
            del self.fields["site"]
        self.fields["period"].choices = [
            ("", gettext("At any time")),
            (LAST_YEAR, gettext("In the last 12 months")),
            *(
                (str(year), counted(gettext("In %(year)d") % {"year": year}, n))
                for year, n in sorted(sizes.year.items())
            ),
        ]
        self.fields["instrument"].choices = instruments


def filters_of(cleaned: Mapping[str, str], today: date) -> Filters:
    """The cohort that was chosen."""
    period = cleaned.get("period") or ""
    begun_from = begun_to = None
    if period == LAST_YEAR:
        begun_from = today - timedelta(days=365)
    elif period:
        begun_from, begun_to = date(int(period), 1, 1), date(int(period), 12, 31)
    prescriber, site = cleaned.get("prescriber") or "", cleaned.get("site") or ""
    return Filters(
        condition=cleaned.get("condition") or "",
        route=cleaned.get("route") or "",
        regimen=cleaned.get("regimen") or "",
        prescriber=int(prescriber) if prescriber else None,
        begun_from=begun_from,
        begun_to=begun_to,
        site=int(site) if site else None,
    )


def raw_filters(data: Mapping[str, Any], today: date) -> Filters:
    """The same before the choices are known: what cannot be a choice asks for nothing here."""
    plain = {name: str(data.get(name, "")) for name in ("condition", "route", "regimen")}
    plain = {name: value if _NAME.fullmatch(value) else "" for name, value in plain.items()}
    period, prescriber = str(data.get("period", "")), str(data.get("prescriber", ""))
    is_year = len(period) == 4 and period.isdecimal() and int(period) >= 1900
    plain["period"] = period if period == LAST_YEAR or is_year else ""
    plain["prescriber"] = prescriber if prescriber.isdecimal() and len(prescriber) < 10 else ""
    site = str(data.get("site", ""))
    plain["site"] = site if site.isdecimal() and site.isascii() and len(site) < 6 else ""
    return filters_of(plain, today)
