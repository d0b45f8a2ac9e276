"""The director's pages: what is in force, what waits, what it would change."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from openketamine.clinic.policy import queries, services
from openketamine.clinic.policy.models import OverlayVersion

from .conftest import LOOSER, NOTE, STRICTER


@pytest.fixture
def as_director(client, director):
    client.force_login(director)
    return client


def test_it_works(as_director, signed_policy):
    page = as_director.get("/policy/").content.decode()
    assert "In force. Signed by Medical director Example" in page
    assert "IV-SYS-A" in page


def test_an_unsigned_policy_is_read_and_signed(as_director):
    page = as_director.get("/policy/")
    assert "no session can start" in page.content.decode()
    answer = as_director.post("/policy/", {"digest": page.context["library"].policy_digest})
    assert answer.status_code == 302
    assert queries.current_approval() is not None


def test_a_text_is_pasted_checked_proposed_and_signed(as_director, signed_policy):
    checked = as_director.post("/policy/propose/", {"text": STRICTER, "check": "1"})
    page = checked.content.decode()
    assert checked.status_code == 200
    assert "<del>160</del>" in page
    assert "<ins>150</ins>" in page
    assert STRICTER.splitlines()[2].strip() in page  # the box keeps what was pasted
    assert not OverlayVersion.objects.exists()

    assert as_director.post("/policy/propose/", {"text": STRICTER, "note": NOTE}).status_code == 302
    page = as_director.get("/policy/")
    text = page.content.decode()
    assert "Waits for you: version 1" in text
    assert "<ins>Systolic 150 mmHg or more</ins>" in text
    assert "Our patients are older" in text
    assert queries.library().overlaid is False

    form = {"digest": page.context["library"].policy_digest, "version": "1"}
    as_director.post("/policy/", form)
    assert queries.library().overlaid
    text = as_director.get("/policy/").content.decode()
    assert "Waits for you" not in text
    assert "Where this clinic departs from the library" in text


def test_a_file_takes_the_place_of_the_box(as_director):
    upload = SimpleUploadedFile("own.yaml", STRICTER.encode())
    as_director.post("/policy/propose/", {"text": "x: 1", "file": upload, "note": NOTE})
    assert OverlayVersion.objects.get().text == STRICTER


def test_a_broken_text_is_shown_with_the_line_and_kept_in_the_box(as_director):
    broken = STRICTER.replace("at_least: 150", "at_leest: 150")
    answer = as_director.post("/policy/propose/", {"text": broken, "note": NOTE})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "<strong>Line 4:</strong>" in page
    assert "no key &#x27;at_leest&#x27; here" in page
    assert 'class="wrong"' in page
    assert "at_leest: 150" in page
    assert "What is it for?" in page


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\x00", "not a text file in UTF-8"), (b"x" * 1_000_001, "larger than 1 MB")],
)
def test_a_file_that_is_no_text_is_refused(as_director, content, words):
    answer = as_director.post(
        "/policy/propose/", {"file": SimpleUploadedFile("own.yaml", content), "note": NOTE}
    )
    assert answer.status_code == 422
    assert words in answer.content.decode()


def test_a_note_is_asked_for_at_its_field(as_director):
    answer = as_director.post("/policy/propose/", {"text": STRICTER, "note": " "})
    assert answer.status_code == 422
    assert "Say in a sentence" in answer.content.decode()


def test_a_version_is_declined_with_a_reason(as_director, director):
    services.propose_overlay(director, text=STRICTER, note=NOTE)
    as_director.post("/policy/versions/1/decline/", {"because": ""})
    assert queries.waiting() is not None
    as_director.post("/policy/versions/1/decline/", {"because": "Not what we agreed"})
    assert queries.waiting() is None
    page = as_director.get("/policy/versions/1/").content.decode()
    assert "Not what we agreed" in page


def test_every_version_can_be_read_beside_the_library_and_saved(as_director, in_force):
    in_force(STRICTER)
    in_force(LOOSER)
    page = as_director.get("/policy/versions/1/").content.decode()
    assert "<ins>150</ins>" in page
    assert "Signed" in page
    assert "OpenKetamine version" not in page  # the footer names the program's version
    saved = as_director.get("/policy/versions/1/text/")
    assert saved.content.decode() == STRICTER
    assert saved["Content-Type"].startswith("text/plain")
    assert as_director.get("/policy/versions/9/").status_code == 404
    states = as_director.get("/policy/").content.decode()
    assert "in force" in states
    assert "was in force" in states


def test_text_of_the_clinic_is_never_markup(as_director, director):
    services.propose_overlay(
        director,
        text=STRICTER.replace("Our patients", "<script>alert(1)</script>"),
        note="<b>x</b>",
    )
    for address in ("/policy/", "/policy/versions/1/", "/policy/propose/"):
        page = as_director.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<b>x</b>" not in page


def test_a_page_costs_the_same_with_many_versions(
    as_director, director, in_force, django_assert_max_num_queries
):
    in_force(STRICTER)
    with django_assert_max_num_queries(9):
        as_director.get("/policy/")
    for number in range(6):
        in_force(STRICTER.replace("150", f"14{number}"))
    with django_assert_max_num_queries(9):
        as_director.get("/policy/")


def test_screens_say_who_approved_the_policy_and_when(client, nurse, session):
    client.force_login(nurse)
    page = client.get(f"/sessions/{session.pk}/check/").content.decode()
    assert "Clinic policy, approved by Medical director Example on" in page
