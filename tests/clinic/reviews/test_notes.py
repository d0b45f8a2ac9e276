"""Signs of misuse are noted, weighed and taken back; checks are written down."""

from datetime import timedelta

import pytest

from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock
from openketamine.clinic.record.models import Event
from openketamine.clinic.reviews import queries, services
from openketamine.clinic.reviews.measures import last_checks


def note(actor, course, **changes):
    given = {"sign": "MU-EARLY", "seen_on": clock.today(), "note": "Asked for Friday's on Tuesday"}
    return services.note_misuse(actor, course, **{**given, **changes})


def test_it_works(treated, nurse):
    note(nurse, treated)
    page = queries.review_page(treated)
    assert [sign.id for sign, _ in page.noted] == ["MU-EARLY"]
    assert page.known.facts["misuse_signs"] == 1
    against = {w.option.id: [says.id for says in w.cons] for w in page.options}
    assert "RO-CONTINUE-5" in against["continue"]
    assert Event.objects.get(kind="reviews.misuse_noted").actor == nurse


def test_the_same_sign_twice_is_one_sign(treated, nurse):
    note(nurse, treated)
    note(nurse, treated, note="And again on Thursday")
    assert queries.review_page(treated).known.facts["misuse_signs"] == 1


def test_what_was_none_counts_no_longer_and_stays_in_the_record(treated, nurse, therapist):
    kept = note(nurse, treated)
    services.take_back_misuse(therapist, kept, reason="The date on the card was ours, and wrong.")
    assert queries.review_page(treated).noted == []
    assert Event.objects.filter(kind__startswith="reviews.misuse").count() == 2
    with pytest.raises(Refused, match="already"):
        services.take_back_misuse(therapist, kept, reason="again")


def test_an_old_sign_is_no_longer_shown(treated, nurse):
    note(nurse, treated)
    with clock.at(clock.now() + timedelta(days=85)):
        assert queries.misuse_notes(treated) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sign": "MU-CLIMB"}, "from the list"),
        ({"note": ""}, "what was seen"),
        ({"seen_on": 1}, "not come yet"),
    ],
)
def test_a_note_that_says_nothing_is_refused(treated, nurse, changes, message):
    if "seen_on" in changes:
        changes = {"seen_on": clock.today() + timedelta(days=1)}
    with pytest.raises(Refused, match=message):
        note(nurse, treated, **changes)
    assert not Event.objects.filter(kind="reviews.misuse_noted").exists()


def test_a_check_is_written_down_and_due_again_in_its_time(treated, nurse, therapist):
    with pytest.raises(Refused, match="nurse or a prescriber"):
        services.record_check(
            therapist, treated, check="RC-SWITCH", done_on=clock.today(), result="asked, no"
        )
    services.record_check(
        nurse, treated, check="RC-SWITCH", done_on=clock.today(), result="asked, nothing"
    )
    assert last_checks(treated)["RC-SWITCH"] == clock.today()

    def is_due():
        found = {state.check.id: state.due for state in queries.review_page(treated).checks}
        return found["RC-SWITCH"]

    assert is_due() is False
    with clock.at(clock.now() + timedelta(days=28)):
        assert is_due() is True


def test_a_questionnaire_is_asked_and_not_written_down(treated, nurse):
    with pytest.raises(Refused, match="from the list"):
        services.record_check(
            nurse, treated, check="RC-BLADDER", done_on=clock.today(), result="fine"
        )
