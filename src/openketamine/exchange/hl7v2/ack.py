"""The answer to a message: taken (AA), or not taken, with the reason in an ERR segment."""

from datetime import datetime

from .message import Message, NotTaken, escape

# MSA-1 where the sender asks for an accept acknowledgment (enhanced mode, MSH-15).
_ENHANCED = {"AA": "CA", "AE": "CE", "AR": "CR"}
_WISHES = frozenset({"AL", "NE", "ER", "SU"})  # anything else is no wish: answer always
_SENDER = "OPENKETAMINE"


def answer(
    message: Message | None, refusal: NotTaken | None, *, now: datetime, number: str, note: str = ""
) -> bytes | None:
    """The acknowledgment, or None where the sender wants none.

    Args:
        message: None where nothing could be read of it.
        number: our own control id.
        note: what the sender may want to know although the message was taken.
    """
    code = refusal.code if refusal else "AA"
    version, control_id, processing, to = "2.6", "", "P", ("", "")
    if message is not None:
        msh = message.msh
        wanted, wanted_too = (
            word if (word := msh.component(field).strip().upper()) in _WISHES else ""
            for field in (15, 16)
        )
        if wanted or wanted_too:
            # NE never, ER on error, SU on success, AL always.
            asked = {wanted or "NE", wanted_too or "NE"}
            if not asked & ({"AL", "ER"} if refusal else {"AL", "SU"}):
                return None
            if wanted in {"AL", "ER" if refusal else "SU"}:
                code = _ENHANCED[code]
        version = message.version if message.version else version
        control_id, processing = message.control_id, msh.component(11) or "P"
        to = (msh.field(3), msh.field(4))
        separators = msh.separators
        if (separators.field, separators.component) != ("|", "^"):
            to = (escape(to[0]), escape(to[1]))
    text = refusal.text if refusal else note
    segments = [
        f"MSH|^~\\&|{_SENDER}||{_one_line(to[0])}|{_one_line(to[1])}|"
        f"{now:%Y%m%d%H%M%S%z}||ACK^R01^ACK|{number}|{escape(processing)}|{escape(version)}"
        "||||||UNICODE UTF-8",
        f"MSA|{code}|{escape(control_id)}|{escape(text[:200])}",
    ]
    if refusal:
        name = _CONDITIONS.get(refusal.condition, "Application internal error")
        if version.startswith(("2.3", "2.4")):
            segments.append(f"ERR|^^^{refusal.condition}&{name}&HL70357")
        else:
            segments.append(
                f"ERR|||{refusal.condition}^{name}^HL70357|E||||{escape(refusal.text[:200])}"
            )
    return ("\r".join(segments) + "\r").encode()


def _one_line(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and c != "|")[:200]


_CONDITIONS = {
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    206: "Application record locked",
    207: "Application internal error",
}
