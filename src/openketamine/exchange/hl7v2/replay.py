"""Recorded vital signs, sent again as a bedside monitor would send them (ORU^R01 over MLLP)."""

import csv
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .message import escape
from .mllp import Deframer, frame

# Column of the file -> (MDC code, its text id, unit code, its text id).
_MMHG = (266016, "MDC_DIM_MMHG")
_BEATS = (264864, "MDC_DIM_BEAT_PER_MIN")
COLUMNS: dict[str, tuple[int, str, int, str]] = {
    "HR": (147842, "MDC_ECG_HEART_RATE", *_BEATS),
    "PULSE": (149530, "MDC_PULS_OXIM_PULS_RATE", *_BEATS),
    "RESP": (151562, "MDC_RESP_RATE", 264928, "MDC_DIM_RESP_PER_MIN"),
    "SpO2": (150456, "MDC_PULS_OXIM_SAT_O2", 262688, "MDC_DIM_PERCENT"),
    "NBPSys": (150301, "MDC_PRESS_CUFF_SYS", *_MMHG),
    "NBPDias": (150302, "MDC_PRESS_CUFF_DIA", *_MMHG),
    "NBPMean": (150303, "MDC_PRESS_CUFF_MEAN", *_MMHG),
    "ABPSys": (150037, "MDC_PRESS_BLD_ART_ABP_SYS", *_MMHG),
    "ABPDias": (150038, "MDC_PRESS_BLD_ART_ABP_DIA", *_MMHG),
    "ABPMean": (150039, "MDC_PRESS_BLD_ART_ABP_MEAN", *_MMHG),
}
NO_READING = "-999"
CUFF = ("NBPSys", "NBPDias", "NBPMean")


class BadFile(ValueError):  # noqa: N818 - says what is wrong with the user's file
    """The file cannot be replayed; the message says why."""


@dataclass(frozen=True)
class Row:
    minute: float
    values: dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file with a column `minute` and at least one that is known.

    Raises:
        BadFile: no such columns, or a value that is no number.
        OSError: the file cannot be read.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        known = [name for name in COLUMNS if name in names]
        if "minute" not in names or not known:
            raise BadFile(
                f"{path.name} needs a column 'minute' and at least one of {', '.join(COLUMNS)}."
            )
        rows = []
        for number, line in enumerate(reader, start=2):
            try:
                minute = float(line["minute"])
                for name in known:
                    float(line[name] or 0)
            except (TypeError, ValueError) as error:
                raise BadFile(f"{path.name}, line {number}: {error}.") from error
            rows.append(Row(minute, {name: line[name] or "" for name in known}))
    if not rows:
        raise BadFile(f"{path.name} holds no rows.")
    return rows


def oru(
    values: Mapping[str, str],
    *,
    device: str,
    control_id: str,
    at: datetime,
    cuff_at: datetime | None = None,
    location: str = "",
    patient_id: str = "",
) -> bytes:
    """One message as a bedside monitor words it.

    Args:
        values: by column of `COLUMNS`; 0 and empty mean no reading. A cuff that has not measured is
            left out, or repeated with its time (`cuff_at`) as monitors do.
    """
    stamp = _stamp(at)
    lines = [
        f"MSH|^~\\&|{escape(device)}||||{stamp}||ORU^R01^ORU_R01|{escape(control_id)}|P|2.6"
        "||||||UNICODE UTF-8",
        f"PID|||{escape(patient_id)}",
        f"PV1||I|{'^'.join(escape(part) for part in location.split('^'))}",
        f"OBR|1|{escape(control_id)}|{escape(control_id)}|182777000^monitoring of patient^SCT"
        f"|||{stamp}",
    ]
    for name, sent in values.items():
        code, text, unit, unit_text = COLUMNS[name]
        nothing = not sent or float(sent) == 0
        if name in CUFF and nothing:
            continue
        raw = NO_READING if nothing else sent
        time_ = _stamp(cuff_at) if name in CUFF and cuff_at else stamp
        lines.append(
            f"OBX|{len(lines) - 3}|NM|{code}^{text}^MDC|1.1.1.{code}|{raw}"
            f"|{unit}^{unit_text}^MDC|||||R|||{time_}||||{escape(device)}"
        )
    return ("\r".join(lines) + "\r").encode()


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f")[:-3] + "+0000"


def trusting(ca: str, cert: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """TLS towards a feed whose certificate is of `ca`, showing one's own where the feed asks.

    Raises:
        OSError, ssl.SSLError: a file is missing or not what it should be.
    """
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert:
        context.load_cert_chain(cert, key)
    return context


class Sender:
    """A line to a listener: sends one message at a time and waits for its answer.

    A line that breaks is opened anew and the message sent again: the listener counts it once.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 30.0,
        attempts: int = 5,
    ) -> None:
        self._to = (host, port)
        self._tls = tls
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._line: socket.socket | None = None

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._line:
            self._line.close()
            self._line = None

    def send(self, message: bytes) -> bytes:
        """The answer to a message.

        Raises:
            OSError: nobody answers, however often it is tried.
        """
        for attempt in range(self._attempts):
            try:
                return self._once(message)
            except OSError:
                self.close()
                if attempt == self._attempts - 1:
                    raise
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _once(self, message: bytes) -> bytes:
        if self._line is None:
            plain = socket.create_connection(self._to, self._timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._line = (
                self._tls.wrap_socket(plain, server_hostname=self._to[0]) if self._tls else plain
            )
        self._line.sendall(frame(message))
        deframer = Deframer()
        while True:
            data = self._line.recv(16 * 1024)
            if not data:
                raise ConnectionResetError("the listener closed the line")
            if answers := deframer.feed(data):
                return answers[0]


def code_of(answer: bytes) -> tuple[str, str]:
    """(MSA-1, MSA-3) of an answer."""
    for line in answer.decode("utf-8", "replace").split("\r"):
        if line.startswith("MSA|"):
            parts = [*line.split("|"), "", "", ""]
            return parts[1], parts[3]
    return "", ""


def replay(
    rows: Iterable[Row],
    send: Callable[[bytes], bytes],
    *,
    device: str,
    speed: float,
    as_now: bool,
    location: str = "",
    patient_id: str = "",
    sleep: Callable[[float], None] = time.sleep,
    report: Callable[[int, str, str], None] = lambda *_: None,
) -> Counter[str]:
    """Send the rows at `speed` times the pace at which they were recorded.

    Args:
        as_now: each message bears the present time. Otherwise it bears its own minute of a
            recording that ends now, so that a whole night can be put into the past of a session.
        report: called after each answer with the row's number, the code and the note.

    Returns:
        How many answers there were of each code.
    """
    recorded = list(rows)
    counts: Counter[str] = Counter()
    started_at = datetime.now(UTC)
    run = f"{started_at:%m%d%H%M%S}"
    for number, (row, wait_min) in enumerate(_paced(recorded), start=1):
        sleep(wait_min * 60 / speed)
        at = datetime.now(UTC)
        if not as_now:
            at = started_at - timedelta(minutes=recorded[-1].minute - row.minute)
        message = oru(
            row.values,
            device=device,
            control_id=f"{run}-{number}",
            at=at,
            location=location,
            patient_id=patient_id,
        )
        code, note = code_of(send(message))
        counts[code] += 1
        report(number, code, note)
    return counts


def _paced(rows: list[Row]) -> Iterator[tuple[Row, float]]:
    for before, row in zip([rows[0], *rows], rows, strict=False):
        yield row, max(row.minute - before.minute, 0.0)
