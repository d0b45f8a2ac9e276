"""What the code on a package says: a GS1 DataMatrix, scanned or typed as printed beneath it.

Pure. Four parts matter here: (01) the product, (17) the expiry, (10) the lot, (21) the serial
number, each in any order (GS1 General Specifications, application identifiers).
"""

from dataclasses import dataclass
from datetime import date

from biip import ParseError
from biip.gs1_messages import GS1Message
from django.utils.translation import gettext as _

# What scanners are set up to send for the separator that no keyboard has.
_SEPARATORS = ("<GS>", "{GS}", "␝", "|", "~")
_SYMBOLOGIES = ("]d2", "]C1", "]Q3", "]e0")
_LONGEST = 200


class UnreadableCodeError(ValueError):
    """The text is no code of a package; the message says why, for whoever scans."""


@dataclass(frozen=True)
class Package:
    """What a code says; a part that it does not carry is empty or None."""

    gtin: str = ""
    lot: str = ""
    expires_on: date | None = None
    serial: str = ""

    @property
    def ndc(self) -> str:
        """The ten digits of a United States drug code inside the product number, or nothing."""
        return self.gtin[3:13] if len(self.gtin) == 14 and self.gtin[1:3] == "03" else ""


def read(text: str) -> Package:
    """Take a scanned code apart.

    Args:
        text: as a scanner types it, with or without the symbology's mark and separators, or in the
            printed form with parentheses.

    Raises:
        UnreadableCodeError: it is none, a check digit is wrong, or a part stands in it twice.
    """
    plain = text.strip()
    if len(plain) > _LONGEST:
        raise UnreadableCodeError(
            _("This is longer than the code of a package can be. Scan again.")
        )
    for mark in _SYMBOLOGIES:
        plain = plain.removeprefix(mark)
    for separator in _SEPARATORS:
        plain = plain.replace(separator, "\x1d")
    try:
        if plain.startswith("("):
            message = GS1Message.parse_hri("".join(plain.split()))
        else:
            message = GS1Message.parse(plain)
    except (ParseError, ValueError) as error:
        raise UnreadableCodeError(
            _("This is not the code of a package. Scan it again, or type lot and expiry.")
        ) from error
    parts = {}
    for element in message.element_strings:
        if element.ai.ai in parts:
            raise UnreadableCodeError(
                _("The part (%(part)s) stands in it twice. Scan one package only.")
                % {"part": element.ai.ai}
            )
        parts[element.ai.ai] = element
    product = parts.get("01")
    if product is not None and product.gtin is None:
        raise UnreadableCodeError(
            _("The product number in the code does not add up: a digit was misread. Scan it again.")
        )
    expiry = parts.get("17")
    if expiry is not None and expiry.date is None:
        raise UnreadableCodeError(_("The expiry in the code is no day. Type lot and expiry."))
    return Package(
        gtin=product.value if product else "",
        lot=parts["10"].value if "10" in parts else "",
        expires_on=expiry.date if expiry else None,
        serial=parts["21"].value if "21" in parts else "",
    )
