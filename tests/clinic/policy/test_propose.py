"""A text of the clinic's own is proposed, signed or declined; until then nothing changes."""

import pytest

from openketamine import protocols
from openketamine.clinic.errors import Refused
from openketamine.clinic.policy import queries, services
from openketamine.clinic.policy.models import Approval, OverlayVersion
from openketamine.clinic.record.models import Event

from .conftest import LOOSER, NOTE, STRICTER


def test_it_works(director, signed_policy, governs):
    version = services.propose_overlay(director, text=STRICTER, note=NOTE)
    assert (version.number, queries.waiting()) == (1, version)
    assert governs() == 160
    assert queries.current_approval() == signed_policy
    services.sign_policy(
        director, digest=protocols.load(version.overlay).policy_digest, version=version
    )
    assert governs() == 150
    assert queries.waiting() is None
    assert "clinic's version 1" in str(queries.current_approval())


def test_nothing_waits_and_nothing_is_signed_in_a_new_clinic(db):
    assert queries.waiting() is None
    assert queries.current_approval() is None
    assert not queries.library().overlaid


def test_the_earlier_signed_version_stays_in_force_until_the_next_is_signed(
    director, in_force, governs
):
    in_force(STRICTER)
    services.propose_overlay(director, text=LOOSER, note=NOTE)
    assert governs() == 150
    assert queries.current_approval() is not None


def test_the_library_alone_is_followed_again_once_an_empty_text_is_signed(in_force, governs):
    in_force(STRICTER)
    in_force("")
    assert governs() == 160
    assert queries.current_approval() is not None
    assert queries.stamp()["overlay"] == 2


def test_an_earlier_text_can_be_proposed_and_signed_again(in_force, governs):
    for text, figure in ((STRICTER, 150), (LOOSER, 170), (STRICTER, 150)):
        in_force(text)
        assert governs() == figure
    assert Approval.objects.count() == 4
    assert [v.number for v in queries.versions()] == [3, 2, 1]


def test_version_digest_text_and_author_are_kept_in_the_record(director):
    version = services.propose_overlay(director, text=STRICTER, note=NOTE)
    event = Event.objects.get(kind="policy.proposed")
    assert event.actor == director
    assert (event.data["overlay"], event.data["digest"]) == (1, version.digest)
    assert event.data["text"] == STRICTER == version.text
    (departure,) = event.data["departures"]
    assert (departure["entry"], departure["act"]) == ("IV-SYS-A", "changed")


def test_what_was_signed_is_kept_word_for_word(in_force):
    approval = in_force(STRICTER)
    words = {entry["id"]: entry["statement"] for entry in approval.entries}
    assert words["IV-SYS-A"].startswith("Systolic 150 mmHg or more (amber)")
    event = Event.objects.filter(kind="policy.signed").order_by("-seq").first()
    assert (event.data["overlay"], event.data["digest"]) == (1, approval.digest)


def test_a_broken_text_is_refused_with_its_line_and_nothing_is_kept(director):
    with pytest.raises(services.BrokenText, match=r"Line 4: .*no key 'at_leest'") as refused:
        services.propose_overlay(
            director, text=STRICTER.replace("at_least:", "at_leest:"), note=NOTE
        )
    assert refused.value.line == 4
    assert not OverlayVersion.objects.exists()
    assert not Event.objects.filter(kind="policy.proposed").exists()


def test_a_text_that_stands_already_is_refused(director, in_force):
    in_force(STRICTER)
    with pytest.raises(Refused, match="stands already"):
        services.propose_overlay(director, text=STRICTER + "\n\n", note=NOTE)
    services.propose_overlay(director, text=LOOSER, note=NOTE)
    with pytest.raises(Refused, match="stands already"):
        services.propose_overlay(director, text=LOOSER, note=NOTE)


@pytest.mark.parametrize("note", ["", "   ", "x" * 501])
def test_a_version_says_what_it_is_for(director, note):
    with pytest.raises(Refused) as refused:
        services.propose_overlay(director, text=STRICTER, note=note)
    assert refused.value.field == "note"


def test_only_the_director_proposes_signs_and_declines(director, prescriber, nurse):
    with pytest.raises(Refused, match="Only the medical director"):
        services.propose_overlay(prescriber, text=STRICTER, note=NOTE)
    version = services.propose_overlay(director, text=STRICTER, note=NOTE)
    digest = protocols.load(version.overlay).policy_digest
    with pytest.raises(Refused, match="Only the medical director"):
        services.sign_policy(nurse, digest=digest, version=version)
    with pytest.raises(Refused, match="Only the medical director"):
        services.decline_overlay(prescriber, version, because="Not what we agreed")


def test_a_declined_version_never_governs(director, signed_policy, governs):
    version = services.propose_overlay(director, text=STRICTER, note=NOTE)
    with pytest.raises(Refused, match="Say why"):
        services.decline_overlay(director, version, because=" ")
    services.decline_overlay(director, version, because="Not what we agreed")
    digest = protocols.load(version.overlay).policy_digest
    with pytest.raises(Refused, match="A newer version"):
        services.sign_policy(director, digest=digest, version=version)
    with pytest.raises(Refused, match="does not wait"):
        services.decline_overlay(director, version, because="Not what we agreed")
    assert governs() == 160
    assert queries.current_approval() == signed_policy


def test_a_version_that_has_been_superseded_cannot_be_signed(director, signed_policy, governs):
    first = services.propose_overlay(director, text=STRICTER, note=NOTE)
    services.propose_overlay(director, text=LOOSER, note=NOTE)
    with pytest.raises(Refused, match="A newer version"):
        services.sign_policy(
            director, digest=protocols.load(first.overlay).policy_digest, version=first
        )
    assert governs() == 160


def test_the_text_on_the_screen_is_the_one_that_is_signed(director, signed_policy):
    version = services.propose_overlay(director, text=STRICTER, note=NOTE)
    with pytest.raises(Refused, match="has changed since you opened it"):
        services.sign_policy(director, digest=signed_policy.digest, version=version)


def test_a_text_that_no_longer_fits_the_library_stops_everything_until_somebody_looks(
    director, in_force
):
    """As after an upgrade in which an entry that it changes has gone."""
    in_force(STRICTER)
    OverlayVersion.objects.update(text=STRICTER.replace("IV-SYS-A", "IV-GONE"))
    now = queries.governing()
    assert "version-1.yaml:3:" in now.fault
    assert now.approval is None
    assert not now.library.overlaid
    with pytest.raises(Refused, match="no longer fits the library"):
        services.require_signed_policy()


def test_what_governs_is_asked_once_in_a_request(in_force, django_assert_num_queries):
    in_force(STRICTER)
    with django_assert_num_queries(1), queries.asked_once():
        for _ in range(5):
            assert queries.library().overlaid
            assert queries.current_approval() is not None
            assert queries.stamp()["overlay"] == 1
