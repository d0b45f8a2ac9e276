"""An HL7 v2 message taken apart: separators, escapes, fields. Knows nothing of vital signs.

Written here and not taken from a library: the one well-known parser (python-hl7) builds five levels
of objects for every message, sets no limits to what it builds, and its MLLP reader none to what it
buffers. What a monitor feed needs of the syntax is this file.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

MAX_SEGMENTS = 2000
MAX_FIELDS = 300
_TIME = re.compile(
    r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,6})\d*)?)?)?([+-]\d{4})?", re.ASCII
)


class NotTaken(Exception):  # noqa: N818 - an answer to the sender, not a fault of ours
    """A message that is refused; nothing of it is stored.

    Attributes:
        code: MSA-1 in original mode: AR (never send this again) or AE (try again).
        condition: HL7 table 0357, e.g. 101 "required field missing".
        text: the reason, in words.
    """

    def __init__(self, code: str, condition: int, text: str) -> None:
        super().__init__(text)
        self.code, self.condition, self.text = code, condition, text


@dataclass(frozen=True)
class Separators:
    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


class Segment:
    """One line: fields counted from 1, as the standard counts them. A missing one is empty."""

    def __init__(self, text: str, separators: Separators) -> None:
        self.separators = separators
        self.fields = text.split(separators.field)
        if len(self.fields) > MAX_FIELDS:
            raise NotTaken("AR", 102, f"A segment with more than {MAX_FIELDS} fields.")
        self.name = self.fields[0]
        if self.name == "MSH":  # MSH-1 is the separator itself
            self.fields.insert(1, separators.field)

    def field(self, number: int) -> str:
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[str]:
        return self.field(number).split(self.separators.repetition)

    def component(self, number: int, part: int = 1, repetition: int = 0) -> str:
        """One component of a field, escapes undone."""
        repetitions = self.repetitions(number)
        if repetition >= len(repetitions):
            return ""
        parts = repetitions[repetition].split(self.separators.component)
        return unescape(parts[part - 1], self.separators) if part <= len(parts) else ""


def unescape(text: str, separators: Separators) -> str:
    """Undo HL7's escapes; those of formatting and character sets are left out."""
    mark = separators.escape
    if not mark or mark not in text:
        return text
    meaning = {
        "F": separators.field,
        "S": separators.component,
        "R": separators.repetition,
        "E": mark,
        "T": separators.subcomponent,
    }

    def undo(match: re.Match[str]) -> str:
        code = match[1]
        if code[:1] == "X":
            try:
                return bytes.fromhex(code[1:]).decode("latin-1").replace("\0", "")
            except ValueError:
                return ""
        return meaning.get(code, "")

    return re.sub(f"{re.escape(mark)}([^{re.escape(mark)}]{{0,40}}){re.escape(mark)}", undo, text)


def escape(text: str) -> str:
    """Text as it may stand in a component that we send."""
    safe = text.replace("\\", "\\E\\")
    for char, code in (("|", "F"), ("^", "S"), ("~", "R"), ("&", "T")):
        safe = safe.replace(char, f"\\{code}\\")
    return re.sub(r"[\x00-\x1f\x7f]", " ", safe)


@dataclass(frozen=True)
class Message:
    segments: tuple[Segment, ...]

    @property
    def msh(self) -> Segment:
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        return next((segment for segment in self.segments if segment.name == name), None)

    @property
    def control_id(self) -> str:
        return self.msh.component(10)

    @property
    def version(self) -> str:
        return self.msh.component(12)


def parse(raw: bytes) -> Message:
    """Take a message apart.

    Raises:
        NotTaken: it does not begin with an MSH segment, or is beyond all measure.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if "\0" in text:
        raise NotTaken("AR", 102, "The message holds a NUL character, which no text may.")
    text = text.lstrip("\ufeff\r\n \t")
    if not text.startswith("MSH") or len(text) < 8 or text[3].isalnum() or text[3].isspace():
        raise NotTaken("AR", 100, "The message does not begin with an MSH segment.")
    field = text[3]
    marks = text[4:9].split(field)[0]
    if len(marks) < 2 or len(set(marks)) < len(marks) or any(m.isalnum() for m in marks):
        raise NotTaken("AR", 101, "MSH-2 does not name the separators.")
    given = [*marks[:4]]
    separators = Separators(field, *given, *["^~\\&"[n] for n in range(len(given), 4)])
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    if len(lines) > MAX_SEGMENTS:
        raise NotTaken("AR", 102, f"More than {MAX_SEGMENTS} segments.")
    return Message(tuple(Segment(line, separators) for line in lines))


def moment(text: str, zone: tzinfo, *, near: datetime) -> datetime | None:
    """A time of the form YYYYMMDDHHMM[SS[.S]][+ZZZZ] as an aware datetime.

    Without an offset it is in the clinic's zone; of the two readings that an hour has when the
    clocks go back, the one nearer to `near`. None where it is no time or only a date.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None or match[4] is None:
        return None
    year, month, day, hour, minute = (int(match[n]) for n in range(1, 6))
    micro = int((match[7] or "0").ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, int(match[6] or 0), micro)  # noqa: DTZ001
        if match[8]:
            offset = timedelta(hours=int(match[8][1:3]), minutes=int(match[8][3:]))
            offset = -offset if match[8][0] == "-" else offset
            return (local - offset).replace(tzinfo=UTC)
        both = [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
        return min((b.astimezone(UTC) for b in both), key=lambda b: abs(b - near))
    except (ValueError, OverflowError):
        return None
