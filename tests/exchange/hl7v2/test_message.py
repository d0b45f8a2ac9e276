"""Messages taken apart: those that two monitors really send, and everything that may go wrong."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openketamine.clinic.devices.delivery import State
from openketamine.exchange.hl7v2 import ack, oru
from openketamine.exchange.hl7v2.message import NotTaken, moment, parse
from openketamine.exchange.hl7v2.replay import code_of

NOW = datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


def message(*obx: str, msh: str = "", pid: str = "", pv1: str = "", obr: str = "") -> bytes:
    """An ORU^R01 of a synthetic monitor."""
    lines = [
        msh or "MSH|^~\\&|MON^0011^EUI-64||||20261124143000||ORU^R01^ORU_R01|17|P|2.6",
        f"PID|||{pid}",
        f"PV1||I|{pv1}",
        obr or "OBR|1|17|17|182777000^monitoring of patient^SCT|||20261124142900",
        *obx,
    ]
    return "\r".join(lines).encode() + b"\r"


def obx(code, value, unit="", at="", *, status="R", kind="NM", flags=""):
    return f"OBX|1|{kind}|{code}|1|{value}|{unit}||{flags}|||{status}|||{at}"


def read(raw: bytes, *, zone="UTC"):
    return oru.read(parse(raw), raw, zone=ZoneInfo(zone), received_at=NOW)


def only(*args, **kwargs):
    (item,) = read(message(obx(*args, **kwargs))).measured
    return item


SPO2 = "150456^MDC_PULS_OXIM_SAT_O2^MDC"
SYS = "150301^MDC_PRESS_CUFF_SYS^MDC"
PERCENT = "262688^MDC_DIM_PERCENT^MDC"
MMHG = "266016^MDC_DIM_MMHG^MDC"


@pytest.mark.shared_data
def test_a_mindray_monitor_and_its_cuff_values_that_are_older_than_the_message(shared_data):
    raw = (shared_data / "hl7" / "mindray_vs900.hl7").read_bytes()
    delivery = oru.read(parse(raw), raw, zone=ZoneInfo("UTC"), received_at=NOW)
    assert delivery.identity == "00A0370098007A80"
    assert delivery.name == "MINDRAY_VS900"
    assert delivery.control_id == "1914"
    assert delivery.sent_at == datetime(2019, 12, 6, 11, 34, 52, tzinfo=UTC)
    by_label = {item.label: item for item in delivery.measured}
    assert (by_label["SpO2"].quantity, by_label["SpO2"].value) == ("spo2_percent", 99.0)
    assert by_label["Pulse (oximeter)"].value == 94.0
    cuff = by_label["Cuff systolic"], by_label["Cuff diastolic"]
    assert [item.value for item in cuff] == [147.0, 90.0]
    assert {item.at for item in cuff} == {datetime(2019, 12, 6, 11, 10, 16, tzinfo=UTC)}
    assert by_label["SpO2"].at == delivery.sent_at
    assert by_label["Temperature (axilla)"].value == 35.1


@pytest.mark.shared_data
def test_a_monitor_with_every_sensor_off_has_no_reading(shared_data):
    raw = (shared_data / "hl7" / "xh80x_sensors_off.hl7").read_bytes()
    delivery = oru.read(parse(raw), raw, zone=ZoneInfo("UTC"), received_at=NOW)
    assert [item.state for item in delivery.measured] == [State.OFF] * 4
    assert {item.raw for item in delivery.measured} == {"-999", "-99.9"}


@pytest.mark.parametrize(
    "raw", ["-999", "-100", "-99.9", "0", "0.0", "", "---", "8388607", "NaN", "***"]
)
def test_what_stands_for_no_reading(raw):
    assert only(SPO2, raw, PERCENT).state == State.OFF


@pytest.mark.parametrize("status", ["X", "N", "I"])
def test_a_result_that_is_none_has_no_reading(status):
    assert only(SPO2, "98", PERCENT, status=status).state == State.OFF


@pytest.mark.parametrize("status", ["R", "F", "P", "C", ""])
def test_every_other_status_is_a_reading(status):
    assert only(SPO2, "98", PERCENT, status=status).value == 98.0


@pytest.mark.parametrize("status", ["D", "W"])
def test_a_value_that_the_device_takes_back(status):
    assert only(SPO2, "98", PERCENT, status=status).state == State.WITHDRAWN


@pytest.mark.parametrize(
    ("flag", "state"),
    [("TEST", State.NOT_PATIENT), ("DEMO", State.NOT_PATIENT), ("NAV", State.OFF)],
)
def test_a_flag_that_says_it_is_no_reading_of_a_patient(flag, state):
    assert only(SPO2, "98", PERCENT, flags=flag).state == state


def test_a_value_that_the_device_doubts_says_so():
    assert "questionable" in only(SPO2, "88", PERCENT, flags="L~QUES").doubt


@pytest.mark.parametrize(
    ("code", "quantity"),
    [
        (SYS, "systolic_mmhg"),
        ("150301", "systolic_mmhg"),
        ("^MDC_PRESS_CUFF_SYS^MDC", "systolic_mmhg"),
        ("tt-0005^MDC_PRESS_CUFF_SYS^MDC", "systolic_mmhg"),
        ("1.2.3.4.7^MDC_PRESS_BLD_NONINV_SYS^MDC", "systolic_mmhg"),
        ("8480-6^Systolic blood pressure^LN", "systolic_mmhg"),
    ],
)
def test_a_code_is_known_by_number_by_text_and_from_loinc(code, quantity):
    item = only(code, "128", MMHG)
    assert (item.quantity, item.value) == (quantity, 128.0)


@pytest.mark.parametrize(
    "code",
    [
        "99999^MDC_SOMETHING_NEW^MDC",
        "161^PI^99VENDOR",
        "150301^MDC_PULS_OXIM_SAT_O2^MDC",  # number and text name different things
        "150301^MDC_SOMETHING_NEW^MDC",
        "",
    ],
)
def test_a_code_that_nobody_knows_is_kept_as_it_was_sent(code):
    item = only(code, "1.23", "mmol/L")
    assert (item.state, item.raw, item.value) == (State.UNKNOWN, "1.23", None)


def test_a_row_that_names_a_part_of_the_device_is_no_reading():
    assert read(message(obx("69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC", ""))).measured == ()


@pytest.mark.parametrize(
    ("code", "raw", "unit", "value"),
    [
        (SYS, "128", MMHG, 128.0),
        (SYS, "17.1", "265987^MDC_DIM_KILO_PASCAL^MDC", 128.3),
        (SYS, "17.1", "kPa^kPa^UCUM", 128.3),
        (SYS, "171", "hPa^hPa^UCUM", 128.3),
        (SYS, "128", "mm[Hg]^mm[Hg]^UCUM", 128.0),
        ("150344^MDC_TEMP^MDC", "98.6", "266560^MDC_DIM_FAHR^MDC", 37.0),
        ("150344^MDC_TEMP^MDC", "98.6", "268160^MDC_DIM_FAHR^MDC", 37.0),
        ("150344^MDC_TEMP^MDC", "36.4", "Cel^Cel^UCUM", 36.4),
        ("147842^MDC_ECG_HEART_RATE^MDC", "72", "{beats}/min^{beats}/min^UCUM", 72.0),
        ("151562^MDC_RESP_RATE^MDC", "14", "264928^MDC_DIM_RESP_PER_MIN^MDC", 14.0),
    ],
)
def test_a_unit_is_converted_once(code, raw, unit, value):
    item = only(code, raw, unit)
    assert (item.value, item.assumed_unit) == (value, "")


def test_a_missing_unit_is_taken_where_no_other_would_fit_and_says_so():
    item = only(SYS, "128")
    assert (item.value, item.assumed_unit) == (128.0, "mmHg")


@pytest.mark.parametrize(
    ("raw", "unit"),
    [
        ("17.1", ""),  # kPa, perhaps
        ("128", "PERCENT^%^UCUM"),
        ("128", "furlong"),
        ("128", "266016^MDC_DIM_KILO_PASCAL^MDC"),  # the number says mmHg, the text kPa
        ("abc", MMHG),
        ("-12", MMHG),
        ("1e999", MMHG),
        (">220", MMHG),
    ],
)
def test_what_cannot_be_read_is_never_guessed(raw, unit):
    item = only(SYS, raw, unit)
    assert (item.state, item.value) == (State.UNREADABLE, None)
    assert item.problem


def test_a_structured_number_without_comparator_is_a_number():
    assert only(SPO2, "^98", PERCENT, kind="SN").value == 98.0
    assert only(SPO2, ">^98", PERCENT, kind="SN").state == State.UNREADABLE


def test_the_time_is_the_values_own_else_the_orders_else_the_messages():
    own = only(SPO2, "98", PERCENT, "20261124142500")
    assert own.at == datetime(2026, 11, 24, 14, 25, tzinfo=UTC)
    assert only(SPO2, "98", PERCENT).at == datetime(2026, 11, 24, 14, 29, tzinfo=UTC)
    (item,) = read(message(obx(SPO2, "98", PERCENT), obr="OBR|1")).measured
    assert item.at == datetime(2026, 11, 24, 14, 30, tzinfo=UTC)


def test_a_time_without_an_offset_is_in_the_clinics_zone():
    raw = message(obx(SPO2, "98", PERCENT, "20261124092500"))
    (item,) = read(raw, zone="America/New_York").measured
    assert item.at == datetime(2026, 11, 24, 14, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20261124143000+0200", datetime(2026, 11, 24, 12, 30, tzinfo=UTC)),
        ("20261124143000.1234-0530", datetime(2026, 11, 24, 20, 0, 0, 123400, tzinfo=UTC)),
        ("202611241430", datetime(2026, 11, 24, 14, 30, tzinfo=UTC)),
        ("20261124", None),
        ("20261324143000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_of_every_form(text, expected):
    assert moment(text, ZoneInfo("UTC"), near=NOW) == expected


@pytest.mark.parametrize("minutes", [-30, 30])
def test_the_hour_that_comes_twice_is_the_one_that_is_near(minutes):
    """New York, 1 November 2026: 01:30 comes at 05:30 and again at 06:30 UTC."""
    near = datetime(2026, 11, 1, 6, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    found = moment("20261101013000", ZoneInfo("America/New_York"), near=near)
    assert abs(found - near) <= timedelta(minutes=30)


@pytest.mark.parametrize(
    ("lines", "identity"),
    [
        (["MSH|^~\\&|GW^00FF^EUI-64||||20261124143000||ORU^R01|1|P|2.6", "OBX|1|NM|1||2"], "00FF"),
        (
            [
                "MSH|^~\\&|GW^00FF^EUI-64||||20261124143000||ORU^R01|1|P|2.6",
                "PV1||I|ICU^^Bed 4",
                "OBX|1|NM|1||2",
            ],
            "00FF|ICU^Bed 4",
        ),
        (
            [
                "MSH|^~\\&|GW^00FF^EUI-64||||20261124143000||ORU^R01|1|P|2.6",
                "PV1||I|ICU^^Bed 4",
                "OBX|1|NM|1||2" + "|" * 13 + "A1^^00AA^EUI-64",
            ],
            "00AA",
        ),
        (["MSH|^~\\&|MON|WARD|||20261124143000||ORU^R01|1|P|2.3", "OBX|1|NM|1||2"], "MON|WARD"),
    ],
)
def test_a_device_is_known_by_its_equipment_id_else_by_its_sender_and_place(lines, identity):
    assert read("\r".join(lines).encode()).identity == identity


@pytest.mark.parametrize(
    ("raw", "code", "condition"),
    [
        (b"", "AR", 100),
        (b"hello", "AR", 100),
        (b"MSH|", "AR", 100),
        (b"MSH|^^\\&|a||||20261124143000||ORU^R01|1|P|2.6\rOBX|1", "AR", 101),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01||P|2.6\rOBX|1", "AR", 101),
        (b"MSH|^~\\&|a||||20261124143000||ADT^A01|1|P|2.6\rOBX|1", "AR", 200),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R40|1|P|2.6\rOBX|1", "AR", 201),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|T|2.6\rOBX|1", "AR", 202),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|2.8\rOBX|1", "AR", 203),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|\rOBX|1", "AR", 203),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|2.6", "AR", 100),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|2.6\rPID|1\rPID|2\rOBX|1", "AR", 100),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|2.6" + b"\rOBX|1" * 501, "AR", 102),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|2.6" + b"\rNTE" * 2001, "AR", 102),
        (b"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|2.6\rOBX" + b"|" * 400, "AR", 102),
    ],
)
def test_what_is_refused_and_why(raw, code, condition):
    with pytest.raises(NotTaken) as refused:
        read(raw)
    assert (refused.value.code, refused.value.condition) == (code, condition)
    assert refused.value.text


@pytest.mark.parametrize("version", oru.VERSIONS)
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_every_version_and_line_end_is_read(version, end):
    text = (
        f"MSH|^~\\&|a||||20261124143000||ORU^R01|1|P|{version}{end}{obx(SPO2, '98', PERCENT)}{end}"
    )
    assert read(text.encode()).measured[0].value == 98.0


def test_other_separators_and_escapes_are_read():
    raw = b"MSH#*~\\&#a\\F\\b####20261124143000##ORU*R01#1#P#2.5\rOBX#1#NM#150456#1#98#%"
    delivery = read(raw)
    assert delivery.name == "a#b"
    assert delivery.measured[0].value == 98.0


def answered(raw: bytes, refusal: NotTaken | None = None) -> bytes | None:
    return ack.answer(parse(raw), refusal, now=NOW, number="9")


REFUSAL = NotTaken("AE", 207, "The disk | is full")


def test_the_answer_names_the_message_and_its_sender():
    taken = answered(message(obx(SPO2, "98", PERCENT))).decode()
    msh, msa = taken.rstrip("\r").split("\r")
    assert msa == "MSA|AA|17|"
    assert "|MON^0011^EUI-64|" in msh
    assert "ACK^R01^ACK" in msh


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.6", "ERR|||207^Application internal error^HL70357|E||||The disk \\F\\ is full"),
        ("2.4", "ERR|^^^207&Application internal error&HL70357"),
    ],
)
def test_a_refusal_says_why_in_the_form_of_the_senders_version(version, expected):
    raw = f"MSH|^~\\&|a||||20261124143000||ORU^R01|17|P|{version}".encode()
    lines = answered(raw, REFUSAL).decode().split("\r")
    assert lines[1].startswith("MSA|AE|17|The disk")
    assert lines[2] == expected


@pytest.mark.parametrize(
    ("wanted", "taken", "refused"),
    [
        ("|", "AA", "AE"),
        ("AL|NE", "CA", "CE"),
        ("??|1", "AA", "AE"),
        ("NE|AL", "AA", "AE"),
        ("NE|NE", None, None),
        ("ER|NE", None, "CE"),
        ("SU|NE", "CA", None),
    ],
)
def test_the_sender_says_which_answer_it_wants(wanted, taken, refused):
    raw = f"MSH|^~\\&|a||||20261124143000||ORU^R01|17|P|2.6|||{wanted}".encode()
    for refusal, expected in ((None, taken), (REFUSAL, refused)):
        reply = answered(raw, refusal)
        assert (code_of(reply)[0] if reply else None) == expected


@st.composite
def mutated(draw):
    """A real kind of message with bytes changed, left out, doubled or put in."""
    raw = bytearray(
        message(
            obx(SPO2, "98", PERCENT, "20261124142500"),
            obx(SYS, "128", MMHG, "20261124142500+0100", flags="QUES"),
            pid="0042^^^^PI~77",
            pv1="ICU^1^Bed 4",
        )
    )
    for _ in range(draw(st.integers(1, 12))):
        at = draw(st.integers(0, len(raw) - 1))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            raw[at] = draw(st.integers(0, 255))
        elif kind == 1:
            del raw[at : at + draw(st.integers(1, 40))]
        elif kind == 2:
            raw[at:at] = draw(st.binary(max_size=20))
        else:
            raw[at:at] = raw[: draw(st.integers(0, 60))]
        if not raw:
            raw = bytearray(b"|")
    return bytes(raw)


@given(st.one_of(mutated(), st.binary(max_size=400)))
@settings(max_examples=400)
def test_whatever_arrives_is_read_or_refused_with_a_reason_and_answered(raw):
    parsed = refusal = None
    try:
        parsed = parse(raw)
        delivery = oru.read(parsed, raw, zone=ZoneInfo("Europe/Vienna"), received_at=NOW)
        for item in delivery.measured:
            assert (item.value is not None) == (item.state in {State.VALUE, State.WITHDRAWN})
            assert item.at is None or item.at.tzinfo is not None
    except NotTaken as error:
        refusal = error
    if refusal:
        assert refusal.code in {"AR", "AE"}
        assert refusal.text
    reply = ack.answer(parsed, refusal, now=NOW, number="9")
    if reply is not None:
        assert reply.startswith(b"MSH|^~\\&|")
        assert b"\x0b" not in reply
        assert b"\x1c" not in reply
        assert code_of(reply)[0] in {"AA", "AE", "AR", "CA", "CE", "CR"}
        parse(reply)
