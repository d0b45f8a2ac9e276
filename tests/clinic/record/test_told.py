"""A sentence of the record is said in the reader's language; the record keeps English."""

from django.utils import translation

from openketamine.clinic.athome import words  # noqa: F401 - its sentences are those told here
from openketamine.clinic.record.told import all_of, retold
from openketamine.clinic.said import in_english, say

OVER = "This session is over: %(phase)s."


def test_it_works():
    with translation.override("es"):
        assert retold("Hard to wake") != "Hard to wake"
        assert retold("Mood 2 of 10") == "Ánimo 2 de 10"


def test_what_was_said_in_spanish_is_recorded_in_english():
    with translation.override("es"):
        told = say(OVER, phase=say("Closed"))
        assert str(told) == "Esta sesión terminó: Cerrado."
        assert in_english(told) == "This session is over: Closed."
        assert str(all_of(["a", "b", "c"])) == "a y b y c"
        assert in_english(all_of(["a", "b", "c"])) == "a and b and c"


def test_several_sentences_in_a_row_are_each_told():
    kept = "Mood 2 of 10; Counts 1 of 100 mg at home; 2 of 100 mg and 2 of 50 mg should be there"
    with translation.override("es"):
        assert retold("Mood 2 of 10; No adult is at hand for the whole session").count("; ") == 1
        assert "debería" not in retold("Mood 2 of 10")
        assert "of 10" not in retold(kept)


def test_what_somebody_wrote_stays_as_it_was_written():
    note = "Spoke with her sister; she will come at noon."
    with translation.override("es"):
        assert retold(note) == note
    assert retold("Mood 2 of 10") == "Mood 2 of 10"
    assert retold("") == ""
