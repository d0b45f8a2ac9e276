"""The matrix of scopes: what each level, kind, letter and role may do. Denied unless named."""

from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.accounts.models import STAFF, Role
from openketamine.exchange.fhir.kinds import KINDS
from openketamine.exchange.smart import scopes

PERSON, OTHER = UUID(int=1), UUID(int=2)
SHARED = {"Practitioner", "Organization", "Questionnaire"}
ROLES = [None, *Role]


def reach(scope, kind, letter, role, *, patient=PERSON, own=None):
    own = own or (PERSON if role == Role.PATIENT else None)
    return scopes.reach(
        scopes.parse_all(scope), kind, letter, role=role, own_person=own, patient=patient
    )


def test_it_works():
    (scope,) = scopes.parse_all("launch openid patient/Observation.rs nonsense system/*.")
    assert (scope.level, scope.kind, scope.letters) == ("patient", "Observation", {"r", "s"})
    assert str(scope) == "patient/Observation.rs"


@pytest.mark.parametrize(
    ("role", "level", "kind"), list(product(ROLES, ["patient", "user", "system"], KINDS)), ids=str
)
def test_a_scope_reaches_as_far_as_its_level_and_role_and_no_further(role, level, kind):
    for letter in scopes.LETTERS:
        found = reach(f"{level}/{kind}.{letter}", kind, letter, role)
        if level == "system":
            expected = scopes.EVERYONE if role is None else None
        elif level == "patient":
            expected = scopes.EVERYONE if kind in SHARED else scopes.Reach(PERSON)
        elif role in STAFF:
            audits = kind == "AuditEvent" and role != Role.DIRECTOR
            expected = None if audits else scopes.EVERYONE
        elif role == Role.PATIENT:
            expected = scopes.EVERYONE if kind in SHARED else scopes.Reach(PERSON)
        else:
            expected = None
        assert found == expected, (role, level, kind, letter)
        # Another letter, another kind: nothing.
        for other in set(scopes.LETTERS) - {letter}:
            assert reach(f"{level}/{kind}.{letter}", kind, other, role) is None
        assert reach(f"{level}/{kind}.{letter}", "Claim", letter, role) is None


def test_without_a_patient_in_context_a_patients_scope_reaches_nobody():
    assert reach("patient/*.cruds", "Observation", "r", Role.NURSE, patient=None) is None


def test_a_patient_never_reaches_somebody_else():
    for level in ("patient", "user", "system"):
        found = reach(
            f"{level}/*.cruds", "Observation", "r", Role.PATIENT, patient=OTHER, own=PERSON
        )
        assert found in (None, scopes.Reach(PERSON))


def test_the_widest_of_several_scopes_counts():
    both = "patient/Observation.rs user/Observation.r"
    assert reach(both, "Observation", "r", Role.NURSE) == scopes.EVERYONE
    assert reach(both, "Observation", "s", Role.NURSE) == scopes.Reach(PERSON)


@pytest.mark.parametrize(
    ("asked", "allowed", "given"),
    [
        ("patient/*.rs", "patient/*.rs", "patient/*.rs"),
        ("patient/*.read", "patient/*.rs", "patient/*.rs"),
        ("patient/*.cruds", "patient/*.rs", "patient/*.rs"),
        ("patient/*.rs", "patient/Observation.rs patient/Patient.r",
         "patient/Observation.rs patient/Patient.r"),
        ("patient/Observation.rs", "patient/*.cruds", "patient/Observation.rs"),
        ("user/*.rs", "patient/*.rs", ""),
        ("openid patient/*.rs", "patient/*.rs", "patient/*.rs"),
        ("launch openid", "launch openid", "launch openid"),
        ("system/*.rs evil", "system/Patient.rs", "system/Patient.rs"),
        ("", "system/*.rs", ""),
    ],
)  # fmt: skip
def test_nobody_gets_more_than_was_registered(asked, allowed, given):
    assert scopes.narrowed(asked, allowed) == given


_SCOPE = st.builds(
    lambda level, kind, letters: f"{level}/{kind}.{letters}",
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", *KINDS]),
    st.sets(st.sampled_from(scopes.LETTERS), min_size=1).map(
        lambda found: "".join(letter for letter in scopes.LETTERS if letter in found)
    ),
)
_SCOPES = st.lists(st.one_of(_SCOPE, st.sampled_from(scopes.PLAIN)), max_size=4).map(" ".join)


@given(
    asked=_SCOPES, allowed=_SCOPES, role=st.sampled_from(ROLES),
    kind=st.sampled_from(list(KINDS)), letter=st.sampled_from(scopes.LETTERS),
)  # fmt: skip
def test_what_is_granted_is_within_both_question_and_registration(
    asked, allowed, role, kind, letter
):
    granted = scopes.narrowed(asked, allowed)
    if reach(granted, kind, letter, role):
        assert reach(asked, kind, letter, role)
        assert reach(allowed, kind, letter, role)
    assert scopes.narrowed(granted, allowed) == granted


@given(st.text(max_size=60))
def test_any_text_is_a_scope_or_nothing(text):
    assert scopes.narrowed(text, "patient/*.cruds") in (
        "", *(s for s in [scopes.narrowed(text, "patient/*.cruds")] if s.startswith("patient/"))
    )  # fmt: skip
    scopes.in_words(text)
