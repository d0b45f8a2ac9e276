"""What changed in a SQLite file since its last copy: the pages whose digest is another."""

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path

DIGEST_BYTES = 16
_PAGE_NUMBER = struct.Struct(">Q")


@dataclass(frozen=True)
class Seen:
    """The digest of every page of the copy that went into a backup."""

    backup: str
    full: str
    full_at: str
    page_bytes: int
    digests: list[bytes]

    def write(self, path: Path) -> None:
        """Keep it for the next backup; the file is there whole or not at all."""
        head = {
            "backup": self.backup,
            "full": self.full,
            "full_at": self.full_at,
            "page_bytes": self.page_bytes,
        }
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.writelines(self.digests)
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Seen | None":
        """What the last backup saw; None where there is none, or no whole one."""
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            values = json.loads(head)
            step = range(0, len(body), DIGEST_BYTES)
            return cls(digests=[body[at : at + DIGEST_BYTES] for at in step], **values)
        except (OSError, ValueError, TypeError):
            return None


def page_bytes_of(database: Path) -> int:
    """The size of a page, from the file's own header (bytes 16 and 17; 1 stands for 65536)."""
    with database.open("rb") as file:
        size = int.from_bytes(file.read(18)[16:18], "big")
    return 65536 if size == 1 else size


def digests(database: Path, page_bytes: int) -> list[bytes]:
    with database.open("rb") as file:
        return [
            hashlib.blake2b(page, digest_size=DIGEST_BYTES).digest()
            for page in iter(lambda: file.read(page_bytes), b"")
        ]


def write_changes(
    database: Path, target: Path, page_bytes: int, now: list[bytes], before: list[bytes]
) -> int:
    """Write every page that is new or different, with its number; returns how many."""
    changed = [n for n, digest in enumerate(now) if n >= len(before) or before[n] != digest]
    with database.open("rb") as file, target.open("wb") as out:
        for number in changed:
            file.seek(number * page_bytes)
            out.write(_PAGE_NUMBER.pack(number))
            out.write(file.read(page_bytes))
    return len(changed)


def apply_changes(database: Path, changes: Path, page_bytes: int, pages: int) -> None:
    """Make the older copy the newer one."""
    with database.open("r+b") as file, changes.open("rb") as source:
        while head := source.read(_PAGE_NUMBER.size):
            file.seek(_PAGE_NUMBER.unpack(head)[0] * page_bytes)
            file.write(source.read(page_bytes))
        file.truncate(pages * page_bytes)
