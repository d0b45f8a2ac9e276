"""The routes side by side as a patient takes them home: plain words, in the patient's language."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format

from openketamine.clinic.people.models import Course
from openketamine.clinic.record import clock
from openketamine.protocols import questions

from . import queries
from .outlook import small_multiples
from .queries import Choice


@dataclass(frozen=True)
class Study:
    words: str
    source: str
    close: bool
    recalled: bool


@dataclass(frozen=True)
class Way:
    """One route in a patient's words; `told` and `small` are its forecast, where there is one."""

    name: str
    chosen: bool
    approval: list[str]
    in_your_case: list[str]
    studies: list[Study]
    time: list[str]
    cost: list[str]
    expect: list[str]
    small: Any


def routes_sheet(course: Course, language: str) -> dict[str, Any]:
    """What the sheet of the routes says, in one language."""
    plain = questions.plain_words()
    label = plain.labels[language]
    drawn = small_multiples(course)
    multiples = {route.id: (told, small) for route, told, small in drawn.get("multiples", ())}
    now = timezone.localtime(clock.now())
    return {
        "course": course,
        "person": course.person,
        "document_language": language,
        "label": label,
        "condition": plain.conditions.get(course.condition, {}).get(language, course.condition),
        "ways": [
            _way(choice, course, language, multiples.get(choice.route.id))
            for choice in queries.choices(course)
        ],
        "scale": drawn.get("scale"),
        "printed_on": date_format(now, "j F Y, H:i"),
    }


def _way(choice: Choice, course: Course, language: str, forecast: tuple[Any, Any] | None) -> Way:
    plain = questions.plain_words()
    label = plain.labels[language]
    counted = (
        ("stops", choice.stops),
        ("unknown", choice.unknown),
        ("cautions", choice.cautions),
    )
    case = [label[name].format(count=count) for name, count in counted if count]
    return Way(
        name=plain.routes[choice.route.id][language],
        chosen=choice.route.id == course.route,
        approval=[
            plain.status.get(status.id, {}).get(language, status.statement)
            for status in choice.standing
        ]
        or [label["no_approval"]],
        in_your_case=case or [label["clear"]],
        studies=[
            Study(
                item.in_words(language),
                f"{item.figure.study}; {item.figure.result.source}",
                near,
                item.figure.certainty == "recalled",
            )
            for item, near in choice.evidence
        ],
        time=_time(choice, label),
        cost=_cost(choice, language, label),
        expect=_expect(forecast[0], label) if forecast else [label["no_forecast"]],
        small=forecast[1] if forecast else None,
    )


def _time(choice: Choice, label: dict[str, str]) -> list[str]:
    told = []
    if choice.visit.least_min is not None:
        at_home = choice.setting.endswith("home")
        words = label["at_home" if at_home else "visit"]
        told.append(words.format(minutes=round(choice.visit.least_min)))
    if choice.visit.sessions == 1:
        told.append(label["one_visit"])
    elif choice.visit.sessions:
        told.append(label["visits"].format(count=choice.visit.sessions))
    return told


def _cost(choice: Choice, language: str, label: dict[str, str]) -> list[str]:
    price, cover = choice.price, choice.coverage

    def money(amount: Any) -> str:
        return f"{amount} {settings.CURRENCY}"

    if price and price.offered is False:
        told = [label["not_offered"]]
    elif price and price.price_per_visit is not None:
        told = [label["price"].format(price=money(price.price_per_visit))]
    else:
        told = [label["no_price"]]
    if cover is None:
        return [*told, label["no_insurer"]]
    answer = questions.plain_words().cover[cover.cover][language]
    payer = f" ({cover.payer})" if cover.payer else ""
    told.append(f"{label['insurer']}{payer}: {answer}.")
    if cover.patient_pays_per_visit is not None:
        told.append(label["you_pay"].format(price=money(cover.patient_pays_per_visit)))
    return told


def _expect(told: Any, label: dict[str, str]) -> list[str]:
    words = [label["drawn_with"].format(dose=told.basis.amount)]
    if told.first_felt_min is None:
        words.append(label["mild"])
    elif told.home_min is None:
        words.append(label["felt_long"].format(first=told.first_felt_min[0]))
    else:
        home, low, high = told.home_min
        words.append(
            label["felt"].format(first=told.first_felt_min[0], home=home, low=low, high=high)
        )
    if told.spread:
        words.append(label["spread"].format(spread=f"{told.spread:g}"))
    return words
