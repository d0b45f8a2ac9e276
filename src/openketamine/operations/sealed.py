"""Sealing a backup: age (https://age-encryption.org/v1), by the library `pyrage`.

The clinic's server knows only the recipients (public keys), so it can make backups and cannot open
them; the key that opens them is kept elsewhere. Every chunk is authenticated: a changed, cut off or
swapped byte makes opening fail.
"""

import os
from pathlib import Path

import pyrage

from openketamine.clinic.errors import Refused


def new_key(path: Path) -> str:
    """Make a key in a file of its owner's alone; returns the recipient to give to the server.

    Raises:
        Refused: there is a file of that name, which may be the key of older backups.
    """
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(
            f"{path} exists already. It may open older backups: choose another name."
        ) from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}.") from None
    with open(descriptor, "w") as file:
        file.write(f"# public key: {recipient}\n{identity}\n")
    return recipient


def read_recipients(texts: list[str]) -> list[pyrage.x25519.Recipient]:
    """Recipients from their texts, as `age1…`.

    Raises:
        Refused: there is none, or one cannot be read.
    """
    if not texts:
        raise Refused(
            "A backup is never stored unencrypted. Make a key with `openketamine backup-key FILE`, "
            "keep the file away from this machine, and name its recipient (age1…) with --recipient "
            "or in OPENKETAMINE_BACKUP_RECIPIENTS."
        )
    found = []
    for text in texts:
        try:
            found.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError:
            raise Refused(f"{text!r} is no recipient. It begins with age1.") from None
    return found


def read_key(path: Path) -> list[pyrage.x25519.Identity]:
    """The keys in a file, one a line, as `backup-key` or `age-keygen` write it.

    Raises:
        Refused: the file cannot be read or holds no key.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"The key {path} cannot be read: {error}.") from None
    keys = [line.strip() for line in lines if line.startswith("AGE-SECRET-KEY-")]
    try:
        found = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise Refused(f"{path} holds no key. It is a line that begins with AGE-SECRET-KEY-.")
    return found


def seal(source: Path, target: Path, recipients: list[pyrage.x25519.Recipient]) -> None:
    """Encrypt a file into a new one, which is on the disk when this returns."""
    with source.open("rb") as reader, target.open("wb") as writer:
        pyrage.encrypt_io(reader, writer, recipients)
        writer.flush()
        os.fsync(writer.fileno())


def unseal(source: Path, target: Path, keys: list[pyrage.x25519.Identity]) -> None:
    """Decrypt a file into a new one.

    Raises:
        Refused: the key is not the one, or the file was altered or cut off.
    """
    try:
        with source.open("rb") as reader, target.open("wb") as writer:
            pyrage.decrypt_io(reader, writer, keys)
    except OSError as error:
        if error.strerror:
            raise Refused(f"{source} cannot be opened: {error.strerror}.") from None
        raise Refused(_broken(source)) from None
    except pyrage.DecryptError:
        raise Refused(_broken(source)) from None


def _broken(source: Path) -> str:
    return (
        f"{source.name} cannot be opened: it was altered or cut off, or the key is another one's. "
        "Nothing was restored."
    )
