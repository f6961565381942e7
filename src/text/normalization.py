"""One normalisation for reference and hypothesis alike."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from src.errors import ConfigError

REMOVED = '.,!?;:"()[]…'
SPACED = "-–—…"  # noqa: RUF001 - the dashes are meant
CASES = ("lower", "upper", "keep")

# Right and left single quotation mark, modifier apostrophe, full-width apostrophe.
_APOSTROPHES = "\u2019\u2018\u02bc\uff07"
# Byte order mark, soft hyphen, zero-width space, word joiner.
_INVISIBLE = "\ufeff\u00ad\u200b\u2060"


@dataclass(frozen=True, slots=True)
class Normalizer:
    r"""Brings a transcript to the form in which it is trained on and scored.

    In this order: typographic apostrophes become ``'``, characters of ``to_space`` become
    spaces, those of ``remove`` and invisible ones (byte order mark, soft hyphen) vanish, Unicode
    NFKC, case, white space collapsed. A character that stands in both lists becomes a space. The
    result is a fixed point: normalising it again changes nothing.

    Args:
        case: ``lower``, ``upper`` or ``keep``.
        remove: characters that vanish.
        to_space: characters that separate words.

    Raises:
        ConfigError: ``case`` is none of the three.

    >>> Normalizer()("Well-known — isn\u2019t it?")
    "well known isn't it"
    """

    case: str = "lower"
    remove: str = REMOVED
    to_space: str = SPACED
    _table: dict[int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.case not in CASES:
            raise ConfigError(f"case must be one of {', '.join(CASES)}, but is {self.case!r}")
        table = dict.fromkeys(map(ord, _INVISIBLE), "")
        table |= dict.fromkeys(map(ord, self.remove), "")
        table |= dict.fromkeys(map(ord, self.to_space), " ")
        apostrophe = table.get(ord("'"), "'")
        table = {ord(mark): apostrophe for mark in _APOSTROPHES} | table
        object.__setattr__(self, "_table", table)

    def __call__(self, text: str) -> str:
        """The normalised text."""
        # Removing a character can bring together what NFKC then composes, and a change of case
        # can produce an apostrophe: another pass settles it.
        settled = None
        while settled != text:
            settled, text = text, self._pass(text)
        return text

    def _pass(self, text: str) -> str:
        text = text.translate(self._table)
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        if self.case == "lower":
            text = text.lower()
        elif self.case == "upper":
            text = text.upper()
        return " ".join(text.split())
