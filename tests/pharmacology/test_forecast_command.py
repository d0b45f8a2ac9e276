"""`openketamine forecast` and `openketamine models`, as a person at a terminal runs them."""

import contextlib
import csv
import io
import itertools
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openketamine.cli import main
from openketamine.pharmacology import DRUGS, ROUTES

PERSON = ["--weight", "82", "--age", "43"]
INFUSION = ["--drug", "racemic", "--route", "iv", "--dose", "0.5mg/kg", "--over", "40min"]


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str, folder: Path | None = None) -> Done:
    """The command as it is called, in this process: a new one for each would take minutes."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder or "."),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status = main(arguments)
        except SystemExit as refused:
            status = int(refused.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def forecast(*arguments: str) -> dict[str, Any]:
    done = run("forecast", *arguments, "--people", "256", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_it_prints_a_table_a_plot_and_what_to_bear_in_mind() -> None:
    done = run("forecast", *INFUSION, *PERSON, "--sex", "female")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "41 mg by iv; 43 years, 82 kg, female; venous plasma" in done.stdout
    assert "Cmax, ng/mL" in done.stdout
    assert "•" in done.stdout
    assert "240 min" in done.stdout
    assert "weakest value: DESIGN" in done.stdout
    assert "! Chosen in the design and not published: Vscale" in done.stdout


def test_it_runs_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "openketamine.cli", "forecast", *INFUSION, *PERSON]
    done = subprocess.run(
        [*command, "--json", "-"], capture_output=True, text=True, timeout=300, check=True
    )
    assert json.loads(done.stdout)["model"] == "racemic-iv"
    refused = subprocess.run(
        [*command, "--weight", "-82"], capture_output=True, text=True, timeout=300, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr == (
        "openketamine forecast: Weight -82 kg is not possible here. "
        "Enter a value from 30 to 300 kg.\n"
    )


def test_json_holds_what_another_program_needs() -> None:
    found = forecast(*INFUSION, *PERSON, "--sex", "female", "--until", "6h", "--step", "10min")
    assert found["model"] == "racemic-iv"
    assert found["times_min"] == [10.0 * i for i in range(37)]
    assert any("not published" in warning for warning in found["warnings"])
    curve = found["quantities"]["ketamine"]
    assert curve["unit"] == "ng/mL"
    rows = [curve["quantiles"][q] for q in ("0.05", "0.25", "0.5", "0.75", "0.95")]
    assert all(len(row) == 37 for row in rows)
    for lower, higher in itertools.pairwise(rows):
        assert all(a <= b for a, b in zip(lower, higher, strict=True))
    for analyte in ("ketamine", "norketamine"):
        metrics = found["analytes"][analyte]
        units = {name: metric["unit"] for name, metric in metrics.items()}
        assert units == {
            "cmax": "ng/mL",
            "tmax_min": "min",
            "auc_inf": "ng*h/mL",
            "auc_0_24h": "ng*h/mL",
        }
        for metric in metrics.values():
            low, high = metric["interval"]
            assert low <= metric["median"] <= high
            assert low <= metric["ensemble_median"] <= high
    assert found["analytes"]["ketamine"]["tmax_min"]["median"] == 40
    assert found["analytes"]["ketamine"]["auc_inf"]["median"] == pytest.approx(
        41_000 / (79 * (82 / 70) ** 0.75), rel=1e-6
    )


def test_json_holds_effects_milestones_and_chances() -> None:
    said = ["--pressure", "128/79", "--pulse", "72"]
    found = forecast(*INFUSION, *PERSON, *said)
    quantities = found["quantities"]
    units = {name: quantity["unit"] for name, quantity in quantities.items()}
    assert units == {
        "ketamine": "ng/mL",
        "norketamine": "ng/mL",
        "effect_site": "ng/mL",
        "systolic_mmhg": "mmHg",
        "diastolic_mmhg": "mmHg",
        "heart_rate_bpm": "/min",
        "p_dissociation": "probability",
        "p_strong_dissociation": "probability",
        "p_sedation": "probability",
        "p_nausea": "probability",
        "p_clear": "probability",
        "systolic_rise_mmhg": "mmHg",
        "diastolic_rise_mmhg": "mmHg",
        "heart_rate_rise_bpm": "/min",
    }
    for quantity in quantities.values():
        rows = list(quantity["quantiles"].values())
        assert len(rows) == 5
        assert all(len(row) == len(found["times_min"]) for row in rows)
    assert 12 < quantities["systolic_rise_mmhg"]["quantiles"]["0.5"][8] < 20
    assert list(found["milestones"]) == [
        "onset",
        "peak",
        "wearing_off",
        "recovered",
        "ready_to_go_home",
    ]
    low, high = found["milestones"]["ready_to_go_home"]["interval_min"]
    assert low <= found["milestones"]["ready_to_go_home"]["median_min"] <= high
    assert 0.3 < found["chances"]["dissociation"] < 0.9
    assert found["peaks"]["systolic_mmhg"]["median"] > 130
    assert any("Fitted to published figures" in warning for warning in found["warnings"])
    assert not any("No baseline" in warning for warning in found["warnings"])


def test_without_a_baseline_it_says_whose_pressure_it_shows() -> None:
    found = forecast(*INFUSION, *PERSON)
    assert any("No baseline" in warning for warning in found["warnings"])


def test_beyond_a_week_concentrations_are_shown_alone() -> None:
    found = forecast(*INFUSION, *PERSON, "--until", "200h", "--step", "1h")
    assert set(found["quantities"]) == {"ketamine", "norketamine"}
    assert "milestones" not in found
    assert any("at most a week" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--pressure", "128"], "Cannot read --pressure 128. Write systolic and diastolic"),
        (["--pressure", "79/128"], "A pressure of 79/128 is not possible"),
        (["--pulse", "fast"], "Cannot read --pulse fast. Write a number alone"),
        (["--pulse", "7"], "--pulse must be from 20 to 250"),
    ],
)
def test_an_impossible_baseline_is_one_line(wrong: list[str], says: str) -> None:
    done = run("forecast", *INFUSION, *PERSON, *wrong)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_the_median_of_the_spray_is_its_published_table() -> None:
    doses = [["--dose", f"28mg@{5 * i}"] for i in range(3)]
    for devices, cmax, auc in ((1, 43.8, 147.3), (2, 72.5, 254.7), (3, 101.0, 362.2)):
        given = [word for dose in doses[:devices] for word in dose]
        found = forecast(
            "--drug", "esketamine", "--route", "nasal", *given, *PERSON, "--ancestry", "other"
        )
        metrics = found["analytes"]["esketamine"]
        assert metrics["cmax"]["median"] == pytest.approx(cmax, rel=0.01)
        assert metrics["auc_0_24h"]["median"] == pytest.approx(auc, rel=0.01)
        assert metrics["cmax"]["ensemble_median"] == pytest.approx(cmax, rel=0.12)


def test_a_spray_of_56_mg_is_two_devices_and_says_so() -> None:
    spray = ["--drug", "esketamine", "--route", "nasal", *PERSON, "--ancestry", "other"]
    together = forecast(*spray, "--dose", "56mg@0")
    apart = forecast(*spray, "--dose", "28mg@0", "--dose", "28mg@5")
    assert together["analytes"] == apart["analytes"]
    assert together["warnings"][0].startswith("56 mg is taken as 2 devices of 28 mg, 5 min apart")
    assert apart["warnings"] == together["warnings"][1:]


def test_ancestry_liver_and_other_medicines_change_the_forecast() -> None:
    spray = ["--drug", "esketamine", "--route", "nasal", "--dose", "28mg", *PERSON]

    def area(*more: str) -> float:
        return float(forecast(*spray, *more)["analytes"]["esketamine"]["auc_inf"]["median"])

    usual = area("--ancestry", "other")
    assert area("--ancestry", "japanese") > 1.2 * usual
    moderate = area("--ancestry", "other", "--hepatic", "moderate")
    assert moderate / usual == pytest.approx(2.03, rel=1e-6)
    inhibited = area("--ancestry", "other", "--with", "ticlopidine")
    assert inhibited / usual == pytest.approx(1.29, rel=1e-6)


def test_rates_with_a_pause_are_the_same_as_two_infusions() -> None:
    iv = ["--drug", "s-ketamine", "--route", "iv", *PERSON]
    rates = forecast(*iv, "--rate", "60mg/h@0-20", "--rate", "30mg/h@25-45min")
    doses = forecast(
        *iv, "--rate", "60mg/h@0-10", "--rate", "60mg/h@10-20", "--rate", "30mg/h@25-45"
    )
    assert rates["dose_mg"] == pytest.approx(30)
    for name, metric in rates["analytes"]["S-ketamine"].items():
        assert metric["median"] == pytest.approx(
            doses["analytes"]["S-ketamine"][name]["median"], rel=1e-9
        )


@pytest.mark.parametrize("drug", DRUGS)
def test_every_route_of_a_drug_gives_a_forecast(drug: str) -> None:
    for route in ROUTES:
        found = forecast("--drug", drug, "--route", route, "--dose", "25mg", *PERSON)
        parent = next(iter(found["analytes"].values()))
        assert 1 < parent["cmax"]["median"] < 500, route


def test_units_of_doses_are_understood() -> None:
    for text in ("35mg", "35 mg", "0.5mg/kg", "500ug/kg", "35000mcg", "500µg/kg"):
        found = forecast(
            "--drug", "racemic", "--route", "iv", "--dose", text, "--weight", "70", "--age", "40"
        )
        assert found["dose_mg"] == pytest.approx(35), text


def test_files_are_written_for_other_programs(tmp_path: Path) -> None:
    done = run(
        "forecast", *INFUSION, *PERSON, "--csv", "a.csv", "--png", "a.png", "--json", "a.json",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Cmax" in done.stdout
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == [
        "time_min",
        "quantity",
        "unit",
        "q0.05",
        "q0.25",
        "q0.5",
        "q0.75",
        "q0.95",
    ]
    at_40 = next(r for r in rows if r["quantity"] == "ketamine" and r["time_min"] == "40")
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert float(at_40["q0.5"]) == pytest.approx(
        found["quantities"]["ketamine"]["quantiles"]["0.5"][8], rel=1e-5
    )
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_csv_goes_to_standard_output_alone() -> None:
    done = run("forecast", *INFUSION, *PERSON, "--csv", "-")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[0][0] == "time_min"
    assert all(len(row) == len(rows[0]) for row in rows)


def test_the_seed_decides_the_forecast() -> None:
    one, same, other = (forecast(*INFUSION, *PERSON, "--seed", s) for s in ("1", "1", "2"))
    assert one == same
    assert one["quantities"] != other["quantities"]


@pytest.mark.parametrize(
    ("arguments", "say"),
    [
        (["--dose", "0.5"], "Write an amount and its unit, such as 0.5mg/kg or 28mg"),
        (["--dose", "0.5mg/lb"], "Write an amount and its unit, such as 0.5mg/kg or 28mg"),
        (["--dose", "35ml"], "Write an amount and its unit"),
        (["--dose", "-0.5mg/kg"], "Cannot read the dose '-0.5mg/kg'. Write an amount"),
        (["--dose", "28mg@soon"], "@ with the time in minutes"),
        (["--dose", "0mg"], "A dose must be above 0 mg"),
        (["--dose", "500mg/kg"], "A dose of 41000 mg is not possible here. Check its unit"),
        (["--dose", "35mg", "--over", "40"], "Write a time with its unit, such as 40min"),
        (["--dose", "35mg", "--over", "0min"], "Write a time with its unit, such as 40min"),
        (["--dose", "35mg", "--route", "rectal"], "iv, im, sc, nasal, sublingual, oral"),
        (["--dose", "35mg", "--route", "oral", "--over", "5min"], "Leave --over out"),
        (["--dose", "35mg", "--drug", "ketamine"], "Use one of: racemic, s-ketamine, esketamine"),
        (
            ["--dose", "35mg", "--weight", "-82"],
            "Weight -82 kg is not possible here. Enter a value",
        ),
        (["--dose", "35mg", "--weight", "nan"], "Enter a value from 30 to 300 kg"),
        (["--dose", "35mg", "--weight", "82kg"], "Write a number alone, such as --weight 82"),
        (["--dose", "35mg", "--age", "9"], "Enter a value from 18 to 110 years"),
        (["--dose", "35mg", "--height", "1.7"], "Enter a value from 100 to 250 cm"),
        (["--dose", "35mg", "--sex", "woman"], "Use one of: female, male"),
        (["--dose", "35mg", "--ancestry", "x"], "Use one of: asian, japanese, other"),
        (["--dose", "35mg", "--hepatic", "bad"], "Use one of: none, mild, moderate, severe"),
        (["--dose", "35mg", "--until", "4"], "Write a time with its unit"),
        (["--dose", "35mg", "--step", "5h"], "use a shorter --step"),
        (["--dose", "35mg", "--step", "0.001min"], "use a longer --step"),
        (["--dose", "35mg", "--people", "none"], "--people must be a whole number from 1"),
        (["--dose", "35mg", "--interval", "150"], "--interval must be from 1 to 99.9"),
        (["--dose", "35mg", "--seed", "-1"], "--seed must be a whole number"),
        (["--dose", "35mg", "--model", "nope"], "There is no model 'nope'. Use one of: otto-2021"),
        (["--dose", "35mg", "--model", "no.yaml"], "Cannot read the model file no.yaml"),
        (["--dose", "35mg", "--model", "racemic-oral"], "no route 'iv'. Use --route oral"),
        (["--dose", "35mg", "--model", "otto-2021-s-ketamine-iv"], "not of racemic"),
        (["--dose", "35mg", "--json", "-", "--csv", "-"], "Only one of --json and --csv"),
        (["--dose", "35mg", "--json", "nowhere/x.json"], "Cannot write nowhere/x.json"),
        (["--dose", "35mg", "--wieght", "82"], "unrecognized arguments: --wieght"),
        (["--rate", "30mg@0-20"], "such as 30mg/h@0-20"),
        (["--rate", "30mg/h@20-10"], "A rate must end after it starts"),
        (["--rate", "30mg/h@0-20", "--over", "5min"], "a --rate says its own times"),
        (["--dose"], "expected one argument"),
        ([], "Say what is given, such as --dose 0.5mg/kg --over 40min"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    arguments: list[str], say: str, tmp_path: Path
) -> None:
    usual = {"--drug": "racemic", "--route": "iv", "--weight": "82", "--age": "43"}
    missing = [w for name, value in usual.items() if name not in arguments for w in (name, value)]
    done = run("forecast", *missing, *arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert say in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--drug", "--route", "--weight", "--age"])
def test_what_is_missing_is_asked_for(option: str) -> None:
    usual = {"--drug": "racemic", "--route": "iv", "--weight": "82", "--age": "43"}
    del usual[option]
    done = run("forecast", *(w for pair in usual.items() for w in pair), "--dose", "35mg")
    assert done.returncode == 2
    assert done.stderr.startswith(f"openketamine forecast: Say the {option[2:]}, such as {option} ")


def test_a_spray_that_is_no_whole_number_of_devices_says_what_to_write() -> None:
    done = run("forecast", "--drug", "esketamine", "--route", "nasal", "--dose", "40mg@10", *PERSON)
    assert done.returncode == 2
    written = "--dose 28mg@10 --dose 12mg@15"
    assert done.stderr.endswith(f"Write each device as a dose of its own: {written}\n")
    again = forecast("--drug", "esketamine", "--route", "nasal", *written.split(), *PERSON)
    assert again["dose_mg"] == 40


def test_models_lists_each_with_source_and_certainty() -> None:
    done = run("models")
    assert done.returncode == 0
    listed = json.loads(run("models", "--json").stdout)
    assert len(listed) >= 10
    for model in listed:
        assert model["id"] in done.stdout
        assert model["source"]["citation"] in done.stdout
        assert model["source"]["doi"] in done.stdout
        assert sum(model["certainties"].values()) > 0
        assert model["certainty"] in model["certainties"]


def test_one_model_is_shown_in_full() -> None:
    done = run("models", "perez-ruixo-2021-esketamine")
    assert "absorbed through the nose from the first device" in done.stdout
    assert "! The AUC of noresketamine is over-predicted" in done.stdout
    found = json.loads(run("models", "perez-ruixo-2021-esketamine", "--json").stdout)
    assert found["parameters"]["FRn"]["value"] == 0.54
    assert found["parameters"]["FRn"]["certainty"] == "verified"
    assert {"covariates", "variability", "flows", "figures"} <= set(found)


def test_a_model_file_of_ones_own_is_checked_and_forecast_with(tmp_path: Path) -> None:
    docs = Path(__file__).parents[2] / "docs" / "pharmacology.md"
    text = "id: my-model" + docs.read_text(encoding="utf-8").split("id: my-model", 1)[1]
    text = text.split("```", 1)[0]
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert run("models", "mine.yaml", folder=tmp_path).returncode == 0
    done = run(
        "forecast", "--model", "mine.yaml", "--drug", "racemic", "--route", "im", "--dose", "35mg",
        *PERSON, "--json", "-", folder=tmp_path,
    )  # fmt: skip
    assert json.loads(done.stdout)["model"] == "my-model"
    (tmp_path / "mine.yaml").write_text(text.replace("rate: ka}", "rate: kb}"), encoding="utf-8")
    refused = run("models", "mine.yaml", folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "mine.yaml, line " in refused.stderr
    assert "flows.0.rate: 'kb' uses kb, which is not defined" in refused.stderr


def test_an_unknown_model_names_those_that_there_are() -> None:
    done = run("models", "nope")
    assert done.returncode == 2
    assert "Use one of: otto-2021-s-ketamine-iv" in done.stderr
