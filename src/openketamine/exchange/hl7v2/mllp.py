"""The frames in which HL7 v2 travels over TCP: <VT> message <FS><CR>. Pure."""

START = b"\x0b"
END = b"\x1c\x0d"
MAX_MESSAGE = 128 * 1024
MAX_GARBAGE = 64 * 1024


class BadFrame(Exception):  # noqa: N818 - says what the sender did
    """The bytes cannot become a message any more; the line is closed."""


def frame(message: bytes) -> bytes:
    return START + message + END


class Deframer:
    """Bytes in, messages out. Holds one unfinished message and never more than `max_message`.

    A new start within a frame means that the old one was cut off: it is forgotten, its sender never
    got an answer for it and sends it again. What stands between frames is ignored, up to a limit.
    """

    def __init__(self, max_message: int = MAX_MESSAGE, max_garbage: int = MAX_GARBAGE) -> None:
        self._buffer = bytearray()
        self._inside = False
        self._seen = 0
        self._max = max_message
        self._max_garbage = max_garbage
        self.garbage = 0
        self.cut_off = 0

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._inside

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now.

        Raises:
            BadFrame: a message grows beyond the limit, or there is too much between messages.
        """
        self._buffer += data
        messages = []
        while self._buffer:
            if not self._inside:
                start = self._buffer.find(START)
                skipped = len(self._buffer) if start < 0 else start
                stray = self._buffer[:skipped].strip(b"\r\n\x1c \x00")
                self.garbage += len(stray)
                del self._buffer[: skipped + (start >= 0)]
                if self.garbage > self._max_garbage:
                    raise BadFrame(f"{self.garbage} bytes that belong to no message")
                if start < 0:
                    break
                self._inside, self._seen = True, 0
            end = self._buffer.find(END, max(self._seen - 1, 0))
            again = self._buffer.rfind(
                START, max(self._seen - 1, 0), end if end >= 0 else len(self._buffer)
            )
            if again >= 0:
                self.cut_off += 1
                del self._buffer[: again + 1]
                self._seen = 0
                continue
            if end < 0:
                self._seen = len(self._buffer)
                if len(self._buffer) > self._max:
                    raise BadFrame(f"a message of more than {self._max} bytes")
                break
            if end > self._max:
                raise BadFrame(f"a message of more than {self._max} bytes")
            messages.append(bytes(self._buffer[:end]))
            del self._buffer[: end + len(END)]
            self._inside = False
        return messages
