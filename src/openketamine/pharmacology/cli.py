"""Commands: `openketamine models` and `openketamine forecast`."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openketamine.pharmacology.dosing import Dose, RateSegment
    from openketamine.pharmacology.models import Model
    from openketamine.pharmacology.people import Person
    from openketamine.pharmacology.report import Report

_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_DOSE = re.compile(rf"^({_NUMBER})\s*(mg|ug|mcg|µg)(/kg)?(?:@({_NUMBER})\s*(min|h)?)?$")
_RATE = re.compile(
    rf"^({_NUMBER})\s*(mg|ug|mcg|µg)(/kg)?/(h|min)@({_NUMBER})-({_NUMBER})\s*(min|h)?$"
)
_SPAN = re.compile(rf"^({_NUMBER})\s*(min|h)$")
_SUCH_AS = {"--weight": "82", "--age": "43", "--height": "170", "--pulse": "72"}
_MG = {"mg": 1.0, "ug": 0.001, "mcg": 0.001, "µg": 0.001}
_MIN = {"min": 1.0, "h": 60.0, None: 1.0}


def register(subparsers: Any) -> None:
    """Add `models`, `forecast` and `guidance`."""
    models = subparsers.add_parser(
        "models", help="list the pharmacology models with their source and certainty"
    )
    models.add_argument("id", nargs="?", help="show one model in full; or check a file of your own")
    models.add_argument("--json", action="store_true", help="print JSON")
    models.set_defaults(run=_refusing(_models))

    forecast = subparsers.add_parser(
        "forecast",
        help="forecast a session for one person: concentrations and effects",
        description="Forecast a session: what is given, to whom, and what to expect.",
        epilog="Example: openketamine forecast --drug racemic --route iv --dose 0.5mg/kg "
        "--over 40min --weight 82 --age 43 --sex female",
    )
    _who(forecast)
    add = forecast.add_argument
    add("--dose", action="append", default=[], help="such as 0.5mg/kg, 28mg@5 (at 5 min); repeat")
    add("--over", help="duration of each dose, such as 40min (iv and sc)")
    add(
        "--rate", action="append", default=[], help="such as 30mg/h@0-20 (from 0 to 20 min); repeat"
    )
    add("--until", default="4h", help="how far to forecast (default 4h)")
    add("--step", default="5min", help="spacing of the times (default 5min)")
    add("--people", default="4096", help="plausible versions of the person (default 4096)")
    add("--interval", default="90", help="width of the intervals in percent (default 90)")
    add("--json", metavar="FILE", help="write JSON; - for standard output")
    add("--csv", metavar="FILE", help="write the quantities as CSV; - for standard output")
    add("--png", metavar="FILE", help="write a picture (needs matplotlib)")
    forecast.set_defaults(run=_refusing(_forecast))

    guidance = subparsers.add_parser(
        "guidance",
        help="show which doses are forecast to meet a target, as information and never as an order",
        description="Dose guidance: what each dose would reach and cost. A prescriber decides.",
        epilog="Example: openketamine guidance --drug racemic --route iv --weight 82 --age 43 "
        "--pressure 128/79 --over 40min --dissociation-at-least 50 --systolic-limit 180 "
        "--systolic-at-most 2",
    )
    _who(guidance)
    add = guidance.add_argument
    add("--dose", action="append", default=[], help="to look at, such as 0.5mg/kg; repeat")
    add("--over", action="append", default=[], help="duration to look at, such as 40min; repeat")
    add("--peak", help="range of the drug's peak in plasma, such as 150-300 (ng/mL)")
    add("--peak-at-least", default="50", help="probability of that range in percent (default 50)")
    add("--dissociation-at-least", help="probability in percent")
    add("--dissociation-at-most", help="probability in percent")
    add("--strong-dissociation-at-most", help="probability in percent")
    add("--sedation-at-most", help="probability in percent")
    add("--systolic-limit", help="mmHg, to be passed with at most the next probability")
    add("--systolic-at-most", default="5", help="probability in percent (default 5)")
    add("--people", default="1024", help="plausible versions of the person (default 1024)")
    add("--json", action="store_true", help="print JSON")
    guidance.set_defaults(run=_refusing(_guidance))


def _who(parser: Any) -> None:
    """Options for the drug and the person."""
    # A negative amount is a value to be refused in words, and not an unknown option.
    parser._negative_number_matcher = re.compile(r"-\.?\d")
    add = parser.add_argument
    add("--drug", help="racemic, s-ketamine or esketamine")
    add("--route", help="iv, im, sc, nasal, sublingual or oral")
    add("--weight", help="kg")
    add("--age", help="years")
    add("--height", help="cm")
    add("--sex", help="female or male")
    add("--ancestry", help="asian, japanese or other, where a model has that covariate")
    add("--pressure", help="before the dose, such as 128/79 (mmHg)")
    add("--pulse", help="before the dose, beats per minute")
    add("--hepatic", help="impairment of the liver: none, mild, moderate or severe")
    add("--with", dest="medicines", action="append", default=[], help="another medicine; repeat")
    add("--model", help="a model's id, or a model file of your own (see `openketamine models`)")
    add("--seed", default="1", help="of the random draw (default 1)")


def _refusing(act: Any) -> Any:
    """Bad input is one line on standard error and exit status 2."""

    def run(arguments: argparse.Namespace) -> int:
        try:
            return int(act(arguments))
        except ValueError as error:
            sys.stderr.write(f"openketamine {arguments.command}: {error}\n")
            return 2
        except BrokenPipeError:
            raise
        except OSError as error:
            sys.stderr.write(
                f"openketamine {arguments.command}: Cannot write {error.filename}: "
                f"{error.strerror}.\n"
            )
            return 2

    return run


def _models(arguments: argparse.Namespace) -> int:
    from openketamine.console import print_json
    from openketamine.pharmacology.models import list_models
    from openketamine.pharmacology.report import (
        describe_model,
        describe_model_fully,
        print_model,
        print_models,
    )

    if arguments.id:
        model = _model(arguments.id)
        if arguments.json:
            print_json(describe_model_fully(model))
        else:
            print_model(model)
    elif arguments.json:
        print_json([describe_model(model) for model in list_models()])
    else:
        print_models(list_models())
    return 0


def _forecast(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from openketamine.console import print_json
    from openketamine.pharmacology.report import make_report, print_report, write_csv, write_png

    if arguments.json == "-" and arguments.csv == "-":
        raise ValueError("Only one of --json and --csv can go to standard output; name a file.")
    model, person, doses, route = _asked(arguments)
    report: Report = make_report(
        model,
        person,
        doses,
        route=route,
        until_min=_span(arguments.until, "--until"),
        step_min=_span(arguments.step, "--step"),
        people=_whole(arguments.people, "--people", 1, 100_000),
        interval=_number(arguments.interval, "--interval", 1, 99.9) / 100,
        seed=_whole(arguments.seed, "--seed", 0, 2**32 - 1),
        baseline=_baseline(arguments),
    )
    quiet = False
    if arguments.csv:
        quiet = _to(arguments.csv, lambda out: write_csv(report, out)) or quiet
    if arguments.png:
        write_png(report, Path(arguments.png))
    if arguments.json == "-":
        print_json(report.as_json())
        quiet = True
    elif arguments.json:
        import json

        text = json.dumps(report.as_json(), indent=2)
        Path(arguments.json).write_text(text + "\n", encoding="utf-8")
    if not quiet:
        print_report(report)
    return 0


def _guidance(arguments: argparse.Namespace) -> int:
    from openketamine.console import print_json
    from openketamine.pharmacology.guidance import Target, as_json, guide, print_guidance

    model, person, route = _chosen(arguments)

    def share(name: str) -> float | None:
        text = getattr(arguments, name)
        option = "--" + name.replace("_", "-")
        return None if text is None else _number(text, option, 0, 100) / 100

    low = high = None
    if arguments.peak is not None:
        match = re.match(rf"^({_NUMBER})-({_NUMBER})$", arguments.peak)
        if match is None:
            raise ValueError(
                f"Cannot read --peak {arguments.peak}. Write a range in ng/mL, such as 150-300."
            )
        low, high = (float(part) for part in match.groups())
    limit = arguments.systolic_limit
    limit_mmhg = None if limit is None else _number(limit, "--systolic-limit", 60, 300)
    found = guide(
        model,
        person,
        _baseline(arguments),
        Target(
            peak_low_ng_per_ml=low,
            peak_high_ng_per_ml=high,
            peak_at_least=share("peak_at_least") or 0.0,
            dissociation_at_least=share("dissociation_at_least"),
            dissociation_at_most=share("dissociation_at_most"),
            strong_dissociation_at_most=share("strong_dissociation_at_most"),
            sedation_at_most=share("sedation_at_most"),
            systolic_limit_mmhg=limit_mmhg,
            systolic_at_most=share("systolic_at_most") or 0.0,
        ),
        route=route,
        doses_mg=[_amount_mg(text, person) for text in arguments.dose] or None,
        durations_min=[_span(text, "--over") for text in arguments.over] or None,
        seed=_whole(arguments.seed, "--seed", 0, 2**32 - 1),
        n=_whole(arguments.people, "--people", 64, 65_535),
    )
    if arguments.json:
        print_json(as_json(found))
    else:
        print_guidance(found)
    return 0


def _amount_mg(text: str, person: Person) -> float:
    match = _DOSE.match(text)
    if match is None or match.group(4) is not None:
        raise ValueError(
            f"Cannot read the dose '{text}'. Write an amount and its unit, such as 0.5mg/kg."
        )
    amount, unit, per_kg, _, _ = match.groups()
    return float(amount) * _MG[unit] * (person.weight_kg if per_kg else 1.0)


def _to(name: str, write: Any) -> bool:
    """Write to a file, or to standard output for `-`; true for the latter."""
    if name == "-":
        write(sys.stdout)
        return True
    with open(name, "w", encoding="utf-8", newline="") as out:
        write(out)
    return False


def _chosen(arguments: argparse.Namespace) -> tuple[Model, Person, str]:
    """The model, the person and the route that were named."""
    from openketamine.pharmacology.models import model_for
    from openketamine.pharmacology.people import Person

    for option, example in (
        ("drug", "--drug racemic"),
        ("route", "--route iv"),
        ("weight", "--weight 82"),
        ("age", "--age 43"),
    ):
        if getattr(arguments, option) is None:
            raise ValueError(f"Say the {option}, such as {example}.")
    default = model_for(arguments.drug, arguments.route)
    model = _model(arguments.model) if arguments.model else default
    route = str(arguments.route)
    if route not in model.routes:
        raise ValueError(
            f"Model {model.id} has no route '{route}'. Use --route {' or '.join(model.routes)}, or "
            f"leave --model out for the usual model of {route}."
        )
    if arguments.drug not in model.drugs:
        raise ValueError(
            f"Model {model.id} is of {', '.join(model.drugs)}, not of {arguments.drug}. "
            "Leave --model out for the usual one."
        )
    person = Person(
        age_years=_number(arguments.age, "--age", None, None),
        weight_kg=_number(arguments.weight, "--weight", None, None),
        height_cm=None
        if arguments.height is None
        else _number(arguments.height, "--height", None, None),
        sex=arguments.sex,
        ancestry=arguments.ancestry,
        hepatic=arguments.hepatic,
        drugs=tuple(arguments.medicines),
    )
    return model, person, route


def _asked(
    arguments: argparse.Namespace,
) -> tuple[Model, Person, list[Dose | RateSegment], str]:
    from openketamine.pharmacology.dosing import Dose, RateSegment

    model, person, route = _chosen(arguments)
    over = 0.0 if arguments.over is None else _span(arguments.over, "--over")
    if arguments.over is not None and not arguments.dose:
        raise ValueError("--over is the duration of a --dose; a --rate says its own times.")
    if over and route not in ("iv", "sc"):
        raise ValueError(
            f"Leave --over out: a dose by {route} is given at once (iv and sc are not)."
        )
    doses: list[Dose | RateSegment] = []
    for text in arguments.dose:
        match = _DOSE.match(text)
        if match is None:
            raise ValueError(
                f"Cannot read the dose '{text}'. Write an amount and its unit, such as 0.5mg/kg "
                "or 28mg, and @ with the time in minutes for a later one, such as 28mg@5."
            )
        amount, unit, per_kg, at, at_unit = match.groups()
        dose_mg = float(amount) * _MG[unit] * (person.weight_kg if per_kg else 1.0)
        _whole_devices(model, route, dose_mg, float(at or 0) * _MIN[at_unit])
        doses.append(Dose(float(at or 0) * _MIN[at_unit], dose_mg, route, over))
    for text in arguments.rate:
        match = _RATE.match(text)
        if match is None:
            raise ValueError(
                f"Cannot read the rate '{text}'. Write a rate and from when to when in minutes, "
                "such as 30mg/h@0-20."
            )
        amount, unit, per_kg, per, start, end, time_unit = match.groups()
        rate = float(amount) * _MG[unit] * (person.weight_kg if per_kg else 1.0)
        rate *= 60.0 if per == "min" else 1.0
        scale = _MIN[time_unit]
        doses.append(RateSegment(float(start) * scale, float(end) * scale, rate, route))
    if not doses:
        raise ValueError("Say what is given, such as --dose 0.5mg/kg --over 40min.")
    return model, person, doses, route


def _whole_devices(model: Model, route: str, dose_mg: float, at_min: float) -> None:
    """Refuse a dose that is more than one device of a spray but not a whole number of them."""
    spray = next(way for name, way in model.routes_of_dose.items() if name == route)
    if spray.device_mg is None or dose_mg <= spray.device_mg:
        return
    whole, left_mg = divmod(dose_mg, spray.device_mg)
    if min(left_mg, spray.device_mg - left_mg) > 1e-6 * dose_mg:
        parts = [f"{spray.device_mg:g}mg"] * int(whole) + [f"{left_mg:.6g}mg"]
        written = " ".join(
            f"--dose {part}@{at_min + i * spray.device_every_min:g}" for i, part in enumerate(parts)
        )
        raise ValueError(
            f"{dose_mg:g} mg is not a whole number of {spray.device_mg:g} mg devices. Write each "
            f"device as a dose of its own: {written}"
        )


def _model(name: str) -> Model:
    """A model of the package by its id, or one of the user's own by its file."""
    from openketamine.pharmacology.models import load_model, read_model

    own = name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name
    return read_model(name) if own else load_model(name)


def _baseline(arguments: argparse.Namespace) -> dict[str, float]:
    """Vital signs before the dose, as far as they were said."""
    found: dict[str, float] = {}
    if arguments.pressure is not None:
        match = re.match(r"^(\d{2,3})/(\d{2,3})$", arguments.pressure)
        if match is None:
            raise ValueError(
                f"Cannot read --pressure {arguments.pressure}. Write systolic and diastolic, "
                "such as 128/79."
            )
        systolic, diastolic = (float(part) for part in match.groups())
        if not 30 <= diastolic < systolic <= 300:
            raise ValueError(
                f"A pressure of {arguments.pressure} is not possible. Write systolic and "
                "diastolic, such as 128/79."
            )
        found |= {"systolic_mmhg": systolic, "diastolic_mmhg": diastolic}
    if arguments.pulse is not None:
        found["heart_rate_bpm"] = _number(arguments.pulse, "--pulse", 20, 250)
    return found


def _span(text: str, option: str) -> float:
    match = _SPAN.match(text)
    if match is None or float(match.group(1)) == 0:
        raise ValueError(f"Cannot read {option} {text}. Write a time with its unit, such as 40min.")
    return float(match.group(1)) * _MIN[match.group(2)]


def _number(text: str, option: str, low: float | None, high: float | None) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(
            f"Cannot read {option} {text}. Write a number alone, such as {option} "
            f"{_SUCH_AS.get(option, '90')}."
        ) from None
    if low is not None and high is not None and not low <= value <= high:
        raise ValueError(f"{option} must be from {low:g} to {high:g}, not {text}.")
    return value


def _whole(text: str, option: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{option} must be a whole number from {low} to {high}, not {text}.")
    return int(text)
