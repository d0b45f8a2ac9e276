"""Reviews fall due by rule; every decision shows what speaks for it; the unknown says nothing."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine import protocols
from openketamine.protocols import reviews, schema

LIBRARY = protocols.load()
DAY = date(2026, 11, 2)


def due(**changes):
    known = {
        "route": "IV",
        "first_dose_on": DAY,
        "induction_ended_on": None,
        "last_review_on": None,
    }
    return reviews.next_review(LIBRARY, **{**known, **changes})


def weighed(**facts):
    return {found.option.id: found for found in reviews.weigh(LIBRARY, facts)}


def ids(says):
    return [each.id for each in says]


def test_it_works():
    found = due(induction_ended_on=DAY + timedelta(days=21))
    assert (found.rule.id, found.on) == ("RV-INDUCTION", DAY + timedelta(days=28))
    assert found.overdue_days(DAY + timedelta(days=38)) == 10


def test_nobody_is_reviewed_before_the_first_dose():
    assert due(first_dose_on=None) is None


def test_the_spray_is_assessed_at_the_end_of_week_4_by_its_label():
    found = due(route="IN_ESKETAMINE")
    assert (found.rule.id, found.rule.authority) == ("RV-WEEK-4", "label")
    assert found.on == DAY + timedelta(days=28)


def test_a_course_whose_induction_does_not_end_is_reviewed_all_the_same():
    assert due().on == DAY + timedelta(days=84)


def test_after_a_review_the_next_one_follows_at_the_regular_interval():
    found = due(last_review_on=DAY, induction_ended_on=DAY)
    assert (found.rule.id, found.on) == ("RV-REGULAR", DAY + timedelta(days=84))


@given(st.integers(-30, 400))
def test_a_review_may_set_an_earlier_day_and_never_a_later_one(days):
    found = due(last_review_on=DAY, next_set_for=DAY + timedelta(days=days))
    assert found.on == DAY + timedelta(days=min(days, 84))


def test_remission_speaks_for_spacing_out_by_the_label():
    found = weighed(remitted=True, responded=True)
    assert "RO-SPACE-1" in ids(found["space out"].pros)
    assert found["space out"].pros[0].authority == "label"


def test_no_change_after_six_sessions_speaks_against_going_on():
    found = weighed(important_change=False, doses_given=6, tolerated=True)
    assert "RO-CONTINUE-3" in ids(found["continue"].cons)
    assert "RO-STOP-2" in ids(found["stop"].pros)
    assert "RO-REFER-4" in ids(found["refer"].pros)


def test_urinary_symptoms_speak_for_urology_and_against_a_further_session():
    found = weighed(urinary_symptoms=True)
    assert "RO-REFER-1" in ids(found["refer"].pros)
    assert "RO-CONTINUE-4" in ids(found["continue"].cons)
    assert [sign.id for sign in reviews.signs_shown(LIBRARY, {"urinary_symptoms": True})] == [
        "MU-URINE"
    ]


def test_what_is_unknown_speaks_for_nothing_and_is_named():
    found = weighed()
    assert all(not each.pros and not each.cons for each in found.values())
    needs = {name for _, names in found["space out"].open for name in names}
    assert "remitted" in needs


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.booleans()
            for name in ("responded", "remitted", "important_change", "tolerated", "worsened")
        }
        | {
            name: st.integers(0, 400)
            for name in ("doses_given", "days_since_last_dose", "misuse_signs")
        },
    )
)
def test_every_statement_is_for_against_open_or_silent_and_never_two_of_them(facts):
    for found in reviews.weigh(LIBRARY, facts):
        spoken = [*ids(found.pros), *ids(found.cons), *(says.id for says, _ in found.open)]
        assert len(spoken) == len(set(spoken))
        assert set(spoken) <= {says.id for says in found.option.says}


def checks(facts, last=None, jurisdiction="US"):
    found = reviews.checks(LIBRARY, facts, last or {}, today=DAY, jurisdiction=jurisdiction)
    return {state.check.id: state for state in found}


def test_the_bladder_is_asked_about_every_twelve_weeks():
    assert checks({})["RC-BLADDER"].due is True
    assert checks({}, {"RC-BLADDER": DAY - timedelta(days=83)})["RC-BLADDER"].due is False
    assert checks({}, {"RC-BLADDER": DAY - timedelta(days=84)})["RC-BLADDER"].due is True


@pytest.mark.parametrize(
    ("facts", "expected"),
    [({"liver_risk": True}, True), ({"liver_risk": False}, "absent"), ({}, None)],
)
def test_liver_tests_concern_people_at_risk_and_an_unknown_risk_is_a_question(facts, expected):
    found = checks(facts)
    if expected == "absent":
        assert "RC-LIVER-RISK" not in found
    else:
        assert found["RC-LIVER-RISK"].due is expected
        assert bool(found["RC-LIVER-RISK"].unknown) == (expected is None)


def test_frequent_doses_ask_for_liver_tests_whoever_it_is():
    assert "RC-LIVER-DOSES" not in checks({"doses_84_days": 11})
    assert checks({"doses_84_days": 12})["RC-LIVER-DOSES"].due is True


def test_the_prescription_monitoring_programme_is_asked_where_there_is_one():
    assert "RC-MONITORING" in checks({}, jurisdiction="US-CA")
    assert "RC-MONITORING" not in checks({}, jurisdiction="EU")


def test_whatever_no_authority_publishes_is_clinic_policy_that_somebody_signs():
    signed = {entry.id for entry in LIBRARY.policy}
    file = LIBRARY.reviews
    entries = [
        *file.due,
        file.overdue,
        *file.checks,
        *file.misuse,
        *(says for option in file.options for says in option.says),
        *file.continuity,
    ]
    for entry in entries:
        assert (entry.id in signed) == (entry.authority == "clinic policy")
        if entry.certainty in {"recalled", "DESIGN"}:
            assert entry.authority == "clinic policy"


@pytest.mark.parametrize(
    ("model", "broken", "because"),
    [
        (schema.Says, {"side": "for", "when": {"moon": True}}, "no fact 'moon'"),
        (schema.MisuseSign, {"label": "x", "counts": "record"}, "has a condition"),
        (
            schema.ReviewCheck,
            {"label": "x", "how": "questionnaire", "every_days": 1},
            "names it",
        ),
    ],
)
def test_a_rule_that_cannot_be_judged_is_refused(model, broken, because):
    entry = {
        "id": "X",
        "statement": "x",
        "source": "clinic",
        "certainty": "DESIGN",
        "authority": "clinic policy",
    }
    with pytest.raises(ValueError, match=because):
        model.model_validate({**entry, **broken})
