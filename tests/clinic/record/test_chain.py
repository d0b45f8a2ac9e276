"""The record: what is written stays as it was written, and tampering shows."""

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from openketamine import cli
from openketamine.clinic.accounts.models import User
from openketamine.clinic.errors import Refused
from openketamine.clinic.record import clock, services
from openketamine.clinic.record.models import ChainHead, Event, canonical


def write(actor, number=3):
    return [services.append(actor, "session:x", "test.noted", {"n": n}) for n in range(number)]


def test_it_works(nurse):
    first, second, third = write(nurse)
    assert [first.seq, second.seq, third.seq] == [1, 2, 3]
    assert third.previous_hash == second.hash
    assert third.data == {"n": 2}
    assert third.actor == nurse
    assert third.actor_name == "Session nurse Example, RN"
    assert services.verify() == services.Verification(3, None)


def test_an_event_cannot_be_changed_or_deleted_even_by_sql(nurse):
    write(nurse, 1)
    for statement in ("UPDATE record_event SET body = '{}'", "DELETE FROM record_event"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            connection.cursor().execute(statement)
    assert services.verify().intact


def _without_triggers(statement, *values):
    """What somebody with the database file in hand could do."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER record_event_no_update")
            cursor.execute("DROP TRIGGER record_event_no_delete")
        else:
            cursor.execute("DROP TRIGGER record_event_append_only ON record_event")
        cursor.execute(statement, values)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE record_event SET body = '{\"n\":9}' WHERE seq = 2", "event 2 .* was altered"),
        ("UPDATE record_event SET actor_name = 'Nobody' WHERE seq = 2", "event 2 .* was altered"),
        ("DELETE FROM record_event WHERE seq = 2", "event 2 is missing"),
        ("DELETE FROM record_event WHERE seq = 3", "ends at 2, but its head says 3"),
    ],
)
def test_tampering_shows(nurse, statement, fault):
    write(nurse)
    _without_triggers(statement)
    result = services.verify()
    assert not result.intact
    assert re.search(fault, result.fault)


# A plausible forgery of each column of an event.
FORGERIES = {
    "seq": "9",
    "stream": "'session:y'",
    "person_id": "'6f1e9f0c8f2b4a1e9d6c0a5b7c3d2e1f'",
    "kind": "'test.undone'",
    "body": """'{"n":9}'""",
    "occurred_at": "'2020-01-01 00:00:00+00:00'",
    "recorded_at": "'2020-01-01 00:00:00+00:00'",
    "actor_id": "NULL",
    "actor_name": "'Nobody'",
    "source": "'monitor'",
    "corrects_id": "1",
    "client_id": "'6f1e9f0c8f2b4a1e9d6c0a5b7c3d2e1f'",
    "previous_hash": "'" + "0" * 64 + "'",
    "hash": "'" + "f" * 64 + "'",
}


def test_every_column_of_an_event_is_forged_below():
    assert set(FORGERIES) == {field.column for field in Event._meta.concrete_fields}


@pytest.mark.parametrize("column", FORGERIES)
def test_an_alteration_of_any_single_field_shows_and_the_command_names_the_event(
    nurse, column, capsys
):
    write(nurse)
    _without_triggers(f"UPDATE record_event SET {column} = {FORGERIES[column]} WHERE seq = 2")
    assert cli.main(["verify-record"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.match(r"The record is NOT intact: event 2 .*\.\n$", said.err)


def test_whichever_field_of_whichever_event_of_a_session_is_altered_the_event_is_named(running):
    """Every event of a patient from referral to infusion, every column, each altered alone."""
    columns = [field.column for field in Event._meta.concrete_fields if field.column != "seq"]
    rows = list(Event.objects.order_by("seq").values(*columns, "seq"))
    assert len(rows) > 20
    someone = running.course.person_id.hex
    other = {
        "person_id": lambda was: someone if was is None or was.hex != someone else "0" * 32,
        "occurred_at": lambda was: was + timedelta(microseconds=1),
        "recorded_at": lambda was: was + timedelta(microseconds=1),
        "actor_id": lambda was: None if was else User.objects.first().pk,
        "corrects_id": lambda was: None if was else 1,
        "client_id": lambda was: None if was else uuid.uuid4().hex,
        "body": lambda was: was.replace(was[-2], "~", 1) if len(was) > 2 else '{"a":1}',
        "source": lambda was: "hand" if was != "hand" else "system",
    }
    _without_triggers("SELECT 1")
    for row in rows:
        for column in columns:
            value = other.get(column, lambda was: was[:-1] + ("0" if was[-1] != "0" else "1"))(
                row[column]
            )
            with transaction.atomic():
                changed = Event.objects.filter(seq=row["seq"]).update(**{column: value})
                found = services.verify()
                transaction.set_rollback(True)
            assert changed == 1
            assert re.match(rf"event {row['seq']} ", found.fault or ""), (row["seq"], column)
    assert services.verify().intact


def test_of_several_altered_events_the_command_names_the_first(nurse, capsys):
    write(nurse, 5)
    _without_triggers("UPDATE record_event SET actor_name = 'Nobody' WHERE seq IN (3, 5)")
    assert cli.main(["verify-record", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "events": 3,
        "intact": False,
        "fault": "event 3 (test.noted) was altered",
    }


@pytest.mark.parametrize("column", ["seq = 2", "hash = 'f'"])
def test_an_alteration_of_the_chain_s_head_shows(nurse, column):
    write(nurse)
    _without_triggers(f"UPDATE record_chainhead SET {column}")
    assert not services.verify().intact


def test_an_event_from_the_future_is_refused_and_nothing_is_written(nurse):
    with pytest.raises(Refused, match="future"):
        services.append(
            nurse, "session:x", "test.noted", {}, occurred_at=clock.now() + timedelta(minutes=10)
        )
    assert not Event.objects.exists()


def test_a_resend_counts_once(nurse):
    key = uuid.uuid4()
    first = services.append(nurse, "session:x", "test.noted", {"n": 1}, client_id=key)
    again = services.append(nurse, "session:x", "test.noted", {"n": 1}, client_id=key)
    assert again.pk == first.pk
    assert Event.objects.count() == 1


def test_a_refused_act_leaves_no_event_behind(nurse):
    @transaction.atomic
    def act():
        write(nurse, 1)
        raise Refused("No.")

    with pytest.raises(Refused):
        act()
    assert not Event.objects.exists()
    assert not ChainHead.objects.filter(seq__gt=0).exists()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=5))
def test_canonical_text_does_not_depend_on_the_order_of_keys(data):
    assert canonical(data) == canonical(dict(reversed(data.items())))


def test_a_number_without_json_form_is_refused():
    with pytest.raises(ValueError, match="Out of range"):
        canonical({"value": float("nan")})
