"""Model files: the library's, one of the user's own, and broken ones."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine.pharmacology import (
    DRUGS,
    ROUTES,
    Dose,
    Kinetics,
    Person,
    exposure,
    list_models,
    load_model,
    model_for,
    read_model,
    sample_parameters,
    typical_parameters,
)
from openketamine.pharmacology.models import CERTAINTIES

DOCS = Path(__file__).parents[2] / "docs" / "pharmacology.md"
PERSON = Person(age_years=40, weight_kg=70, ancestry="other")


@pytest.fixture(scope="module")
def example() -> str:
    """The model file that the documentation shows."""
    found = re.search(r"```yaml\n(id: my-model.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return found.group(1)


def written(folder: Path, text: str) -> Path:
    path = folder / "my-model.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("drug", DRUGS)
def test_every_drug_by_every_route_has_a_model_that_gives_concentrations(
    drug: str, route: str
) -> None:
    model = model_for(drug, route)
    assert drug in model.drugs
    assert route in model.routes
    found = exposure(
        Kinetics(model, typical_parameters(model, PERSON, route)), [Dose(0, 28, route)]
    )
    parent = found[model.parent]
    assert 1 < parent.cmax_ng_per_ml[0] < 1000
    assert 0 < parent.auc_0_24h_ng_h_per_ml[0] <= parent.auc_inf_ng_h_per_ml[0]


@pytest.mark.parametrize("model", list_models(), ids=lambda model: model.id)
def test_every_value_carries_a_certainty_and_every_model_its_source(model: Any) -> None:
    assert sum(model.certainties.values()) == len(model.parameters) + len(model.covariates) + len(
        model.variability
    )
    assert model.certainty in CERTAINTIES
    assert model.source.citation
    assert model.source.doi
    for name, parameter in model.parameters.items():
        if parameter.certainty in ("recalled", "DESIGN"):
            assert parameter.source, f"{name} does not say where it comes from"
            assert any(name in warning for warning in model.warnings)


def test_norketamine_is_in_every_model_and_hydroxynorketamine_where_it_was_published() -> None:
    for model in list_models():
        assert any("nor" in name for name in model.analytes), model.id
    film = load_model("simons-2022-s-ketamine-film")
    assert list(film.analytes) == ["S-ketamine", "S-norketamine", "S-hydroxynorketamine"]


@pytest.mark.parametrize(
    ("devices", "cmax", "auc"), [(1, 43.9, 147), (2, 72.6, 254), (3, 101.2, 361)]
)
def test_the_spray_reproduces_its_paper(devices: int, cmax: float, auc: float) -> None:
    model = load_model("perez-ruixo-2021-esketamine")
    doses = [Dose(5 * i, 28, "nasal") for i in range(devices)]
    found = exposure(Kinetics(model, typical_parameters(model, PERSON)), doses)["esketamine"]
    assert found.cmax_ng_per_ml[0] == pytest.approx(cmax, rel=0.005)
    assert found.auc_0_24h_ng_h_per_ml[0] == pytest.approx(auc, rel=0.005)
    assert 36 <= found.tmax_min[0] <= 45


def test_arterial_blood_holds_about_twice_the_venous_at_the_end_of_an_infusion() -> None:
    doses = [Dose(0, 35, "iv", 40)]
    venous, arterial = (
        exposure(Kinetics(m, typical_parameters(m, PERSON)), doses)["S-ketamine"].cmax_ng_per_ml[0]
        for m in (
            load_model("otto-2021-s-ketamine-iv"),
            load_model("simons-2022-s-ketamine-film"),
        )
    )
    assert venous == pytest.approx(158, rel=0.01)
    assert arterial == pytest.approx(289, rel=0.01)


@pytest.mark.parametrize(
    "model_id", ["racemic-nasal", "racemic-oral", "racemic-sublingual", "s-ketamine-oral"]
)
def test_nobody_absorbs_more_than_the_dose(model_id: str) -> None:
    from openketamine.pharmacology.dosing import elementary_inputs

    model = load_model(model_id)
    person = Person(age_years=40, weight_kg=70, drugs=("grapefruit juice", "clarithromycin"))
    people = sample_parameters(model, person, 2000, seed=3)
    for dose_mg in (1.0, 30.0, 200.0):
        inputs = elementary_inputs(model, people, [Dose(0, dose_mg, model.routes[0])])
        assert (inputs.amount_mg >= 0).all()
        assert (inputs.amount_mg.sum(axis=0) <= dose_mg * (1 + 1e-12)).all()


def test_an_unknown_drug_or_route_names_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="racemic, s-ketamine, esketamine"):
        model_for("ketamine", "iv")
    with pytest.raises(ValueError, match="iv, im, sc, nasal, sublingual, oral"):
        model_for("racemic", "rectal")


def test_a_model_of_ones_own_works_like_the_others(tmp_path: Path, example: str) -> None:
    model = read_model(written(tmp_path, example))
    people = sample_parameters(model, PERSON, 50, seed=1, route="im")
    found = exposure(Kinetics(model, people), [Dose(0, 35, "im")])["ketamine"]
    np.testing.assert_allclose(
        found.auc_inf_ng_h_per_ml, 35_000 * people.column("F") / people.column("CL"), rtol=1e-9
    )
    assert model.warnings[-1].startswith("Chosen in the design and not published: V, CL")


@pytest.mark.parametrize(
    ("change", "line", "field", "reason"),
    [
        (("rate: ka}", "rate: kaa}"), "from: muscle", "flows.0.rate", "uses kaa"),
        (("rate: ka}", "rate: -ka}"), "from: muscle", "flows.0.rate", "cannot be"),
        (("rate: ka}", "rate: ka /}"), "from: muscle", "flows.0.rate", "not an expression"),
        (("to: metabolite", "to: brain"), "from: central", "flows.1.to", "'brain' is not a state"),
        (("drugs: [racemic]", "drugs: [ketamine]"), "drugs:", "drugs.0", "racemic"),
        (("drugs: [racemic]", "drugs: []"), "drugs:", "drugs", "at least 1"),
        (("value: 200", "value: much"), "V: {", "parameters.V.value", "number"),
        (("value: 200", "value: .nan"), "V: {", "parameters.V.value", "finite"),
        (("value: 200", "value: 0"), "central", "", "cannot be"),
        (("id: my-model", "id: My Model"), "id:", "id", "pattern"),
        (("  ka: {", "  age_years: {"), "age_years: {", "parameters.age_years", "cannot be called"),
        (("  ka: {", "  exp: {"), "exp: {", "parameters.exp", "cannot be called"),
        (("CL * (weight_kg", "CL * (height_cm"), "parameter: CL", "covariates.0.value", "lacks"),
        (("parameter: CL,", "parameter: Cl,"), "parameter: Cl", "covariates.0.parameter", "Cl"),
        (("[[0.08], [0.02, 0.03]]", "[[0.08, 0.02]]"), "[V, CL]", "variability.0", "triangle"),
        (("[0.02, 0.03]", "[0.9, 0.03]"), "[V, CL]", "variability.0", "covariance"),
        (("[F], scale", "[V], scale"), "[V], scale", "variability.1.scale", "logit needs"),
        (("states: [central,", "states: [central, central,"), "states:", "states", "twice"),
        (("{weight_kg: 70} ", "{weight: 70} "), "reference:", "reference.weight", "covariate"),
        (("fraction: F,", "fraction: G,"), "to: muscle", "routes_of_dose.im.paths.0", "uses G"),
        (("state: central", "state: blood"), "state:", "analytes.ketamine.state", "not a state"),
        (("{CL: CL / auc_ratio}", "{CX: 1}"), "scale_by", "scale_by_auc_ratio", "CX"),
        (("summary:", "sumary:"), "", "", ""),
    ],
)
def test_a_broken_file_is_refused_with_line_field_and_reason(
    tmp_path: Path, example: str, change: tuple[str, str], line: str, field: str, reason: str
) -> None:
    assert change[0] in example
    text = example.replace(*change, 1)
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(str(path))) as refused:
        read_model(path)
    message = str(refused.value)
    found = re.match(re.escape(str(path)) + r", line (\d+): ", message)
    assert found, message
    assert line in text.splitlines()[int(found.group(1)) - 1], message
    assert field in message
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must have fields"),
        ("- a\n- b", "must have fields"),
        ("id: [", "line 1"),
        ("id: a\nid: b", "line 2: 'id' is there twice"),
        ("id: !!python/object/apply:os.system ['true']", "line 1"),
    ],
)
def test_what_is_no_model_file_is_refused_in_one_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        read_model(written(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Cannot read the model file .*nowhere\.yaml: No such"):
        read_model(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        read_model(tmp_path / "binary.yaml")


def _leaves(node: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(node, dict):
        return [leaf for key in node for leaf in _leaves(node[key], (*place, key))]
    if isinstance(node, list):
        return [leaf for i, item in enumerate(node) for leaf in _leaves(item, (*place, i))]
    return [place]


JUNK = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), junk=JUNK)
def test_a_file_with_one_field_of_junk_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, example: str, data: st.DataObject, junk: Any
) -> None:
    content = yaml.safe_load(example)
    place = data.draw(st.sampled_from(_leaves(content)))
    node = content
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = junk
    path = written(tmp_path_factory.mktemp("junk"), yaml.safe_dump(content, allow_unicode=True))
    # Any other exception fails the test, and so does a model that is read but cannot be used.
    try:
        model = read_model(path)
    except ValueError:
        model = None
    if model is not None:
        Kinetics(model, typical_parameters(model, PERSON)).at([Dose(0, 10, "iv")], [0.0, 30.0])
