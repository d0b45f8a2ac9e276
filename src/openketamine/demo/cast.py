"""Who is in the demonstration clinic. Everybody is invented by a seed, and shows it by the name."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from openketamine.clinic.accounts.models import Role

SEED = 20_261_124


@dataclass(frozen=True)
class StaffMember:
    username: str
    role: Role
    name: str
    credentials: str = ""


STAFF = (
    StaffMember("director", Role.DIRECTOR, "Dr Dana Specimen", "MD"),
    StaffMember("prescriber", Role.PRESCRIBER, "Dr Priya Specimen", "MD"),
    StaffMember("prescriber2", Role.PRESCRIBER, "Dr Paul Placeholder", "DO"),
    StaffMember("nurse", Role.NURSE, "Nadia Specimen", "RN"),
    StaffMember("nurse2", Role.NURSE, "Noah Placeholder", "RN"),
    StaffMember("therapist", Role.THERAPIST, "Theo Specimen", "LCSW"),
    StaffMember("coordinator", Role.COORDINATOR, "Cora Specimen"),
    StaffMember("researcher", Role.RESEARCHER, "Rae Specimen", "PhD"),
)
PATIENT_USERNAME = "patient"

_GIVEN = {
    sex: tuple(names.split())
    for sex, names in {
        "female": "Ada Beatriz Carmen Dorothea Elif Fatima Greta Hana Ines Joanna Keiko Leila "
        "Maria Nora Olga Paula Rosa Samira Tess Uma Vera Wanda Yara Zoe",
        "male": "Adam Boris Carlos Dmitri Emil Felix Georg Hugo Ivan Jonas Karim Luis Marco Nils "
        "Otto Pablo Rafael Stefan Tariq Ugo Victor Walter Yusuf Zeno",
    }.items()
}
_FAMILY = (
    "Example",
    "Sample",
    "Specimen",
    "Testcase",
    "Placeholder",
    "Fictional",
    "Imaginary",
    "Invented",
)

# RxNorm ingredient, name, dose.
_ANTIDEPRESSANTS = (
    ("36437", "Sertraline", "100 mg daily"),
    ("321988", "Escitalopram", "20 mg daily"),
    ("39786", "Venlafaxine", "150 mg extended release daily"),
    ("42347", "Bupropion", "300 mg extended release daily"),
    ("15996", "Mirtazapine", "30 mg at night"),
)
_OTHER_MEDICINES = (
    ("29046", "Lisinopril", "10 mg daily"),
    ("10582", "Levothyroxine", "50 µg daily"),
    ("6470", "Lorazepam", "0.5 mg as needed"),
    ("28439", "Lamotrigine", "100 mg daily"),
)
_SNOMED_CONDITIONS = (
    ("38341003", "Hypertensive disorder"),
    ("21897009", "Generalized anxiety disorder"),
    ("47505003", "Posttraumatic stress disorder"),
    ("82423001", "Chronic pain"),
    ("44054006", "Diabetes mellitus type 2"),
)


@dataclass(frozen=True)
class Character:
    """One invented patient: what the referral says, and how the body and the mood will behave."""

    number: int
    given_name: str
    family_name: str
    sex: str
    birth_date: date
    weight_kg: float
    height_cm: float
    systolic_mmhg: int
    diastolic_mmhg: int
    heart_rate_bpm: int
    antidepressants: tuple[tuple[str, ...], ...]
    other_medicines: tuple[tuple[str, ...], ...]
    comorbidities: tuple[tuple[str, ...], ...]
    phq9: int
    gad7: int
    response: float  # share of the baseline score that a whole course takes away
    pressure_rise_mmhg: float  # systolic, at the end of a standard infusion
    nausea: bool


@dataclass(frozen=True)
class Complication:
    """What makes a patient's screening worth a careful look. A fact that is None was left open."""

    programme: dict[str, str]
    facts: dict[str, object]
    tests: dict[str, tuple[object, int]] = field(default_factory=dict)  # (result, days ago)
    changes: dict[str, Any] = field(default_factory=dict)
    age_years: int | None = None
    trials: int = 2


# The one of the cast who is treated at home.
AT_HOME = 32

# By number of the cast. They wait at the screening, each for another reason.
COMPLICATED = {
    # Hypertension out of control, an MAO inhibitor, a psychosis years ago.
    28: Complication(
        programme={"condition": "TRD", "route": "IV", "setting": "clinic"},
        facts={
            "psychosis": True,
            "psychosis_active": False,
            "takes_maoi": True,
            "takes_enzyme_inhibitor": False,
        },
        tests={"ecg": ("abnormal", 20), "pregnancy_test": ("negative", 3)},
        changes={
            "sex": "female",
            "systolic_mmhg": 172,
            "diastolic_mmhg": 104,
            "other_medicines": (
                ("", "Phenelzine 15 MG Oral Tablet", "three times daily"),
                ("308136", "amLODIPine 2.5 MG Oral Tablet", "daily"),
            ),
            "comorbidities": (("38341003", "Hypertensive disorder"),),
        },
        age_years=52,
    ),
    # Pregnant perhaps, drinking, a failing liver, and a bladder after ketamine misuse.
    30: Complication(
        programme={"condition": "AUD", "route": "IV", "setting": "clinic"},
        facts={
            "pregnant": True,
            "alcohol_use_disorder": True,
            "substance_use_active": True,
            "alcohol_free_24_h": False,
            "hepatic_impairment": "moderate",
            "urinary_symptoms": True,
            "ketamine_misuse_or_reaction": True,
        },
        tests={
            "alt_u_per_l": (161, 12),
            "ast_u_per_l": (140, 12),
            "bilirubin_umol_per_l": (41, 12),
            "albumin_g_per_l": (31, 12),
            "urine_drug_screen": ("negative", 2),
        },
        changes={
            "sex": "female",
            "other_medicines": (("", "Acamprosate 333 MG Oral Tablet", "three times daily"),),
            "comorbidities": (
                ("7200002", "Alcoholism"),
                ("197834003", "Chronic interstitial cystitis"),
            ),
        },
        age_years=31,
    ),
    # 71, an aneurysm repaired, sedatives and opioids, apnoea, wants tablets at home; much is open.
    31: Complication(
        programme={"condition": "TRD", "route": "SL", "setting": "home"},
        facts={
            "aneurysmal_vascular_disease": True,
            "respiratory_disease": True,
            "sleep_apnoea_untreated": True,
            "takes_benzodiazepine": True,
            "takes_cns_depressant": True,
            "evaluation_by": "video",
            "home_adult_present": True,
            "home_contact_known": True,
            "psychosis": None,
            "psychosis_active": None,
            "suicidal_intent": None,
            "pressure_rise_hazard": None,
            "home_cuff": None,
            "pdmp_checked": None,
            "state_rules_checked": None,
        },
        tests={"ecg": ("normal", 420)},
        changes={
            "sex": "male",
            "systolic_mmhg": 148,
            "diastolic_mmhg": 86,
            "other_medicines": (
                ("6470", "Lorazepam", "1 mg at night"),
                (
                    "1049221",
                    "Acetaminophen 325 MG / Oxycodone Hydrochloride 5 MG Oral Tablet",
                    "every 6 hours as needed",
                ),
                ("", "Zorkamine 5 MG Oral Tablet", "daily"),
            ),
            "comorbidities": (
                ("233985008", "Abdominal aortic aneurysm, repaired 2019"),
                ("78275009", "Obstructive sleep apnea syndrome"),
            ),
        },
        age_years=71,
        trials=1,
    ),
    # Takes lozenges at home: nothing stands in the way, and everything was asked.
    AT_HOME: Complication(
        programme={"condition": "TRD", "route": "SL", "setting": "home"},
        facts={
            "evaluation_by": "in person",
            "home_adult_present": True,
            "home_contact_known": True,
            "home_cuff": True,
            "home_duties": False,
            "home_first_dose_supervised": True,
            "home_lockable_storage": True,
            "pdmp_checked": True,
            "state_rules_checked": True,
        },
        tests={"pregnancy_test": ("negative", 1), "urine_drug_screen": ("negative", 1)},
        changes={
            "sex": "female",
            "systolic_mmhg": 124,
            "diastolic_mmhg": 76,
            "other_medicines": (),
            "comorbidities": (),
        },
        age_years=44,
    ),
}


def characters(number: int, *, today: date, seed: int = SEED) -> list[Character]:
    """Invent people. The same seed and day give the same people.

    The systolic rise is drawn from the published mean and spread for 0.5 mg/kg over 40 minutes:
    +16.0 mmHg, SD 11.2 (chart review, Gen Hosp Psychiatry 2024,
    doi 10.1016/j.genhosppsych.2024.07.001).
    """
    rng = np.random.default_rng(seed)
    taken: set[tuple[str, str]] = set()
    people: list[Character] = []
    while len(people) < number:
        sex = "female" if rng.random() < 0.6 else "male"
        name = (str(rng.choice(_GIVEN[sex])), str(rng.choice(_FAMILY)))
        if name in taken:
            continue
        taken.add(name)
        age_days = int(rng.uniform(21, 72) * 365.25)
        height = rng.normal(163 if sex == "female" else 177, 6.5)
        weight = float(np.clip(rng.normal(26.5, 4.5), 18.5, 42)) * (height / 100) ** 2
        systolic = float(np.clip(rng.normal(122, 11), 98, 148))
        some = _some(rng)
        people.append(
            Character(
                number=len(people) + 1,
                given_name=name[0],
                family_name=name[1],
                sex=sex,
                birth_date=today - timedelta(days=age_days),
                weight_kg=round(weight, 1),
                height_cm=round(float(height)),
                systolic_mmhg=round(systolic),
                diastolic_mmhg=round(systolic * 0.64 + float(rng.normal(0, 4))),
                heart_rate_bpm=round(float(np.clip(rng.normal(73, 9), 54, 98))),
                antidepressants=some(_ANTIDEPRESSANTS, int(rng.integers(1, 4))),
                other_medicines=some(_OTHER_MEDICINES, int(rng.random() < 0.4)),
                comorbidities=some(_SNOMED_CONDITIONS, int(rng.integers(0, 3))),
                phq9=int(rng.integers(15, 25)),
                gad7=int(rng.integers(6, 19)),
                response=float(np.clip(rng.normal(0.55, 0.25), 0.0, 0.95)),
                pressure_rise_mmhg=float(np.clip(rng.normal(16.0, 11.2), -4, 45)),
                nausea=bool(rng.random() < 0.25),
            )
        )
    return [_complicate(who, today) for who in people]


def _complicate(who: Character, today: date) -> Character:
    case = COMPLICATED.get(who.number)
    if case is None:
        return who
    changes = dict(case.changes)
    if changes["sex"] != who.sex:
        changes["given_name"] = _GIVEN[changes["sex"]][who.number % len(_GIVEN[changes["sex"]])]
    if case.age_years:
        changes["birth_date"] = today - timedelta(days=int((case.age_years + 0.4) * 365.25))
    return replace(who, **changes)


def _some(
    rng: np.random.Generator,
) -> Callable[[tuple[tuple[str, ...], ...], int], tuple[tuple[str, ...], ...]]:
    def pick(items: tuple[tuple[str, ...], ...], count: int) -> tuple[tuple[str, ...], ...]:
        return tuple(items[i] for i in sorted(rng.permutation(len(items))[:count]))

    return pick
