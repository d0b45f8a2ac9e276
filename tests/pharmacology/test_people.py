"""From a person to individual parameters: covariates, other medicines, and sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine.pharmacology import (
    Dose,
    Kinetics,
    Person,
    interactions,
    interactions_of,
    list_models,
    load_model,
    model_for,
    new_occasion,
    person_warnings,
    sample_parameters,
    typical_parameters,
)

SPRAY = load_model("perez-ruixo-2021-esketamine")
IV = load_model("otto-2021-s-ketamine-iv")


def person(**known) -> Person:
    return Person(**({"age_years": 40.0, "weight_kg": 70.0, "ancestry": "other"} | known))


def typical(model, name: str, **known) -> float:
    return float(typical_parameters(model, person(**known)).column(name)[0])


def auc(model, who: Person, route: str) -> float:
    kinetics = Kinetics(model, typical_parameters(model, who, route))
    return float(kinetics.auc_inf([Dose(0, 28, route)])[model.parent][0])


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"weight_kg": -82.0}, "Weight -82 kg is not possible here. Enter a value from 30 to 300"),
        ({"weight_kg": float("nan")}, "Weight nan"),
        ({"age_years": 12.0}, "Age 12 years"),
        ({"height_cm": 1.7}, "Height 1.7 cm"),
        ({"sex": "woman"}, "female, male"),
        ({"ancestry": "martian"}, "asian, japanese, other"),
        ({"hepatic": "bad"}, "none, mild, moderate, severe"),
    ],
)
def test_an_impossible_person_is_refused_with_what_to_enter(known: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        person(**known)


def test_clearance_follows_weight_as_the_paper_says() -> None:
    assert typical(IV, "CL", weight_kg=70) == pytest.approx(95.2)
    assert typical(IV, "CL", weight_kg=140) == pytest.approx(95.2 * 2**0.75)
    assert typical(IV, "V1", weight_kg=140) == pytest.approx(133 * 2)
    assert typical(SPRAY, "Vc", weight_kg=140) == 192


def test_the_spray_follows_age_and_ancestry_as_its_paper_says() -> None:
    assert typical(SPRAY, "Qh", age_years=60) == 151
    assert typical(SPRAY, "Qh", age_years=75) == pytest.approx(151 - 15 * 2.19)
    assert typical(SPRAY, "FRn", ancestry="japanese") == pytest.approx(0.54 * 1.34)
    assert typical(SPRAY, "FRn", ancestry="asian") == pytest.approx(0.54)
    assert typical(SPRAY, "kel", ancestry="asian") == pytest.approx(1.11 * 0.36)
    assert typical(SPRAY, "CLn", ancestry="japanese") == pytest.approx(38 * 0.81)


def test_what_is_not_known_is_said_and_takes_the_reference() -> None:
    unknown = Person(age_years=40, weight_kg=70)
    assert person_warnings(SPRAY, unknown, "nasal")[0] == (
        "Ancestry is not known; the model's reference (asian 0, japanese 0) is used."
    )
    np.testing.assert_array_equal(
        typical_parameters(SPRAY, unknown).values, typical_parameters(SPRAY, person()).values
    )
    assert not person_warnings(SPRAY, person(), "nasal")


def test_ancestry_that_changes_nothing_is_said_to() -> None:
    assert any("Ancestry changes nothing" in w for w in person_warnings(IV, person(), "iv"))


def test_a_person_unlike_those_studied_is_said_to_be() -> None:
    warned = person_warnings(SPRAY, person(weight_kg=200, age_years=90), "nasal")
    assert any("Weight 200 is outside the people studied (39 to 170)" in w for w in warned)
    assert any("Age 90 is outside the people studied (18 to 86)" in w for w in warned)


MEASURED = [
    (drug, i)
    for drug in ("s-ketamine", "esketamine")
    for i in interactions()
    if not i.name.startswith("hepatic")
]


@pytest.mark.parametrize(
    ("drug", "interaction"), MEASURED, ids=[f"{d}-{i.name}-{i.route}" for d, i in MEASURED]
)
def test_a_published_ratio_changes_the_area_by_just_that_ratio(drug: str, interaction) -> None:
    model = model_for(drug, interaction.route)
    with_it = auc(model, person(drugs=(interaction.name,)), interaction.route)
    without = auc(model, person(), interaction.route)
    assert with_it / without == pytest.approx(interaction.auc_ratio, rel=1e-9)


@pytest.mark.parametrize("drug", ["s-ketamine", "esketamine"])
def test_the_liver_changes_the_area_of_the_spray_by_its_published_ratio(drug: str) -> None:
    model = model_for(drug, "nasal")
    ratio = auc(model, person(hepatic="moderate"), "nasal") / auc(model, person(), "nasal")
    assert ratio == pytest.approx(2.03, rel=1e-9)


def test_every_ratio_has_a_source_and_a_certainty_and_what_was_not_read_is_recalled() -> None:
    for i in interactions():
        assert i.source
        label = "label" in i.source
        assert i.certainty == ("recalled" if label else i.certainty)
        if i.certainty == "verified (abstract)":
            assert "10." in i.source, "an abstract that was read has a doi"


def test_names_of_medicines_are_taken_as_people_write_them() -> None:
    for name in ("Grapefruit", "  grapefruit   juice", "GRAPEFRUIT JUICE"):
        assert [i.name for i in interactions_of(person(drugs=(name,)), "oral")] == [
            "grapefruit juice"
        ]
    assert interactions_of(person(drugs=("St John’s wort",)), "oral")[0].auc_ratio == 0.42


def test_a_ratio_of_another_route_is_not_applied_and_that_is_said() -> None:
    who = person(drugs=("clarithromycin",))
    assert not interactions_of(who, "iv")
    assert auc(IV, who, "iv") == auc(IV, person(), "iv")
    assert any("no published ratio by iv" in w for w in person_warnings(IV, who, "iv"))


def test_a_medicine_that_is_not_listed_is_said_to_be_left_out() -> None:
    warned = person_warnings(IV, person(drugs=("sertraline",)), "iv")
    assert any(w.startswith("sertraline: not in the list") for w in warned)


@pytest.mark.parametrize("hepatic", ["mild", "severe"])
def test_a_liver_without_a_published_ratio_changes_nothing_and_that_is_said(hepatic: str) -> None:
    who = person(hepatic=hepatic)
    assert auc(SPRAY, who, "nasal") == auc(SPRAY, person(), "nasal")
    assert any("one is applied" in w for w in person_warnings(SPRAY, who, "nasal"))


def test_several_ratios_are_multiplied_and_called_a_guess() -> None:
    who = person(drugs=("ticlopidine", "rifampicin"))
    warned = person_warnings(SPRAY, who, "nasal")
    assert warned[-1] == "The ratios of several interactions are multiplied, which is a guess."
    ratio = auc(SPRAY, who, "nasal") / auc(SPRAY, person(), "nasal")
    assert ratio == pytest.approx(1.29 * 0.72, rel=1e-9)


def test_the_seed_decides_the_draw() -> None:
    one, same, other = (sample_parameters(IV, person(), 20, seed=s).values for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("model", list_models(), ids=lambda m: m.id)
def test_sampled_people_have_the_published_spread_and_correlation(model) -> None:
    """Each parameter's logarithm (or logit) against the sum of its blocks' covariances."""
    n = 40_000
    people = sample_parameters(model, person(), n, seed=11)
    usual = typical_parameters(model, person())
    variance: dict[str, float] = {}
    scale: dict[str, str] = {}
    pairs = {}
    for block in model.variability:
        for i, name in enumerate(block.parameters):
            variance[name] = variance.get(name, 0.0) + block.omega[i][i]
            scale[name] = block.scale
            for j in range(i):
                pairs[name, block.parameters[j]] = block.omega[i][j]

    def eta(name: str) -> np.ndarray:
        x, centre = people.column(name), usual.column(name)
        if scale[name] == "logit":
            return np.log(x / (1 - x)) - np.log(centre / (1 - centre))
        return np.log(x) - np.log(centre)

    for name, wanted in variance.items():
        drawn = eta(name)
        assert abs(drawn.mean()) < 5 * np.sqrt(wanted / n), name
        assert drawn.var() == pytest.approx(wanted, rel=5 * np.sqrt(2 / n)), name
    for (a, b), wanted in pairs.items():
        spread = np.sqrt(variance[a] * variance[b] / n)
        assert np.cov(eta(a), eta(b))[0, 1] == pytest.approx(wanted, abs=7 * spread)
    fixed = [name for name in model.parameters if name not in variance]
    for name in fixed:
        assert (people.column(name) == usual.column(name)).all()


def test_a_new_occasion_keeps_the_person_and_changes_the_day() -> None:
    model = load_model("racemic-oral")
    first = sample_parameters(model, person(), 500, seed=1)
    second = new_occasion(model, first, seed=2)
    np.testing.assert_array_equal(first.person_values, second.person_values)
    np.testing.assert_array_equal(first.column("CL"), second.column("CL"))
    assert not np.array_equal(first.column("ka"), second.column("ka"))


def test_at_least_one_person_is_asked_for() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sample_parameters(IV, person(), 0, seed=1)


def test_a_route_the_model_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="no route 'oral'"):
        typical_parameters(IV, person(), "oral")


people = st.builds(
    Person,
    age_years=st.floats(18, 110),
    weight_kg=st.floats(30, 300),
    height_cm=st.one_of(st.none(), st.floats(100, 250)),
    sex=st.sampled_from([None, "female", "male"]),
    ancestry=st.sampled_from([None, "asian", "japanese", "other"]),
    hepatic=st.sampled_from([None, "none", "mild", "moderate", "severe"]),
    drugs=st.lists(
        st.sampled_from(sorted({i.name for i in interactions()} | {"sertraline"})), max_size=3
    ).map(tuple),
)


@settings(deadline=None)
@given(people, st.sampled_from(list_models()), st.integers(0, 2**32 - 1), st.data())
def test_anybody_has_possible_parameters_and_concentrations(who, model, seed, data) -> None:
    route = data.draw(st.sampled_from(model.routes))
    sampled = sample_parameters(model, who, 16, seed=seed, route=route)
    assert np.isfinite(sampled.values).all()
    found = Kinetics(model, sampled).at([Dose(0, 20, route)], [0.0, 10.0, 60.0, 600.0])
    for conc in found.values():
        assert np.isfinite(conc).all()
        assert (conc >= 0).all()
    assert all(isinstance(w, str) and w for w in person_warnings(model, who, route))
