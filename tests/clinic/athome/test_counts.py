"""Every piece is somewhere: dispensed = taken + returned + lost + held."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openketamine.clinic.athome import counts, queries, services
from openketamine.clinic.athome.models import Movement
from openketamine.clinic.errors import Refused
from openketamine.clinic.record.models import Event

STRENGTHS = st.sampled_from([25.0, 50.0, 100.0])


@st.composite
def histories(draw):
    """Movements as they can happen: nothing leaves that is not there."""
    held: Counter[float] = Counter()
    moves = []
    for _ in range(draw(st.integers(0, 30))):
        kind = draw(st.sampled_from(["dispensed", "taken", "returned", "lost"]))
        mg = draw(STRENGTHS)
        most = 40 if kind == "dispensed" else held[mg]
        if not most:
            continue
        count = draw(st.integers(1, most))
        held[mg] += count if kind == "dispensed" else -count
        moves.append(counts.Moved(kind, mg, count))
    return moves


@given(histories())
def test_it_works(moves):
    sums = counts.fold(moves)
    for mg in (25.0, 50.0, 100.0):
        gone = sum(part.get(mg, 0) for part in (sums.taken, sums.returned, sums.lost))
        assert sums.dispensed.get(mg, 0) == gone + sums.held.get(mg, 0)
        assert sums.held.get(mg, 0) >= 0
    for mg, out, taken, back, lost, held in sums.rows:
        assert out == taken + back + lost + held
        assert mg in sums.dispensed


@given(histories(), st.sampled_from(["taken", "returned", "lost"]), STRENGTHS)
def test_nothing_leaves_that_is_not_there(moves, kind, mg):
    one_more = counts.fold(moves).held.get(mg, 0) + 1
    with pytest.raises(ValueError, match=f"{one_more} of"):
        counts.fold([*moves, counts.Moved(kind, mg, one_more)])


def test_a_movement_of_nothing_or_of_an_unknown_kind_is_a_mistake():
    for moved in (counts.Moved("dispensed", 50, 0), counts.Moved("sold", 50, 1)):
        with pytest.raises(ValueError, match="movement"):
            counts.fold([moved])


@pytest.mark.django_db
def test_no_more_is_handed_out_than_the_sessions_ahead_need(on, supervised, nurse, coordinator):
    # Four sessions of 100 + 50 mg are planned.
    with pytest.raises(Refused, match="so at most 4"):
        services.dispense(nurse, supervised, pieces={100: 5}, counted={}, lot="L7")
    with pytest.raises(Refused, match="nurse or a prescriber"):
        services.dispense(coordinator, supervised, pieces={100: 1}, counted={}, lot="L7")
    with pytest.raises(Refused, match="Write down the lot"):
        services.dispense(nurse, supervised, pieces={100: 1}, counted={}, lot=" ")
    with pytest.raises(Refused, match="0, 1, 2"):
        services.dispense(nurse, supervised, pieces={100: -1}, counted={}, lot="L7")
    with pytest.raises(Refused, match="so at most 0"):
        services.dispense(nurse, supervised, pieces={25: 1}, counted={}, lot="L7")
    assert not Movement.objects.exists()
    assert Event.objects.filter(kind="athome.refused").count() == 5
    services.dispense(nurse, supervised, pieces={100: 4, 50: 4}, counted={}, lot="L7")
    with pytest.raises(Refused, match="so at most 0"):
        services.dispense(nurse, supervised, pieces={50: 1}, counted={100: 4, 50: 4}, lot="L8")


@pytest.mark.django_db
def test_what_is_left_is_counted_before_more_is_handed_out(ready, nurse):
    with pytest.raises(Refused, match="The patient counts 1 of 100 mg"):
        services.dispense(nurse, ready, pieces={50: 1}, counted={100: 1}, lot="L8")
    services.take_back(nurse, ready, kind="lost", pieces={100: 1}, note="Not found again.")
    services.take_back(nurse, ready, kind="returned", pieces={50: 2}, note="Brought along.")
    with pytest.raises(Refused, match="2 of 100 mg cannot be brought back: 1 should be there"):
        services.take_back(nurse, ready, kind="returned", pieces={100: 2}, note="Brought along.")
    with pytest.raises(Refused, match="Say how"):
        services.take_back(nurse, ready, kind="lost", pieces={100: 1}, note="")
    services.dispense(nurse, ready, pieces={100: 3, 50: 4}, counted={100: 1}, lot="L8")
    sums = queries.counts_of(ready)
    assert sums.held == {100: 4, 50: 4}
    assert (sums.dispensed, sums.lost, sums.returned) == ({100: 5, 50: 6}, {100: 1}, {50: 2})
