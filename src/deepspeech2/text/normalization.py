"""One normalisation for reference and hypothesis alike, with numbers in words if wanted."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from deepspeech2.errors import ConfigError

REMOVED = '.,!?;:"()[]…'
SPACED = "-–—…"  # noqa: RUF001 - the dashes are meant
CASES = ("lower", "upper", "keep", "turkish")

# Single quotation marks, primes, accents by themselves, modifier letters, the Armenian, Hebrew
# and full-width apostrophes.
_APOSTROPHES = "\u2019\u2018\u201b\u2032\u2035`\u00b4\u02b9\u02bb\u02bc\u02bd\u055a\u05f3\uff07"
# Categories of Unicode's punctuation, by a mark of ASCII that means all of them.
_KINDS = {"Po": ".", "Pi": '"', "Pf": '"', "Ps": "(", "Pe": ")", "Pd": "-"}
_QUOTES = "\u201a\u201e\u2e42\u301d\u301e\u301f\uff02"  # which Unicode counts as brackets
_WORD_SPACES = "\u1361\u1680"  # of Ethiopic and Ogham
_JOINERS = "\u200c\u200d"  # without which Persian and Hindi are spelt wrongly
# Parts of words, and signs that are read aloud: the middle dot of Catalan, per mille, Tibetan.
_SPOKEN = {0xB7, 0x2030, 0x2031, *range(0xF00, 0x1000)}
_MINUS = "\u2212"

_NUMBER = re.compile(
    r"(?P<whole>\d{1,3}(?:(?P<mark>[.,'\u2019\u00a0\u202f])\d{3}(?!\d))+|\d+)"
    r"(?:(?P<point>[.,])(?P<part>\d+))?"
    r"(?P<ordinal>(?:st|nd|rd|th)\b)?"
)
_YEARS = range(1100, 2100)  # four digits without a mark: people say these as years
_COMMA_FIRST = ("en", "he", "ja", "ko", "th", "zh")  # 1,000.5; elsewhere 1.000,5


class _Table(dict[int, str]):
    """A translation that is worked out for each character when it is met."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        self[code] = result = self._rule(chr(code))
        return result


@dataclass(frozen=True, slots=True)
class Normalizer:
    r"""Brings a transcript to the form in which it is trained on and scored.

    In this order: apostrophes of all forms become ``'``, characters of ``to_space`` become
    spaces, those of ``remove`` and invisible ones (byte order mark, soft hyphen, directional
    marks) vanish, Unicode NFKC, case, white space collapsed. A character that is in both lists
    becomes a space. The result is a fixed point: normalising it again changes nothing.

    A mark of ASCII means its kind beyond ASCII, too: ``.`` for other punctuation
    (``\u00bf \u060c \u3002``), ``"`` for quotation marks, ``(`` and ``)`` for brackets, ``-`` for
    hyphens and dashes.

    Args:
        case: ``lower``, ``upper``, ``keep``, or ``turkish`` for lower case in which I
            and \u0130 become \u0131 and i.
        remove: characters that vanish.
        to_space: characters that separate words.
        keep: characters beyond ASCII that stay although their kind vanishes.
        spell_out: a language, as ``en``, whose words numbers become before anything else.

    Raises:
        ConfigError: ``case`` is none of these, or numbers cannot be spelt out in that language.

    >>> Normalizer()("Well-known — isn\u2019t it?")
    "well known isn't it"
    """

    case: str = "lower"
    remove: str = REMOVED
    to_space: str = SPACED
    keep: str = ""
    spell_out: str | None = None
    _table: dict[int, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.case not in CASES:
            raise ConfigError(f"case must be one of {', '.join(CASES)}, but is {self.case!r}")
        if self.spell_out is not None:
            speaker(self.spell_out)
        table = _Table(self._beyond_ascii)
        table |= {ord(mark): mark for mark in self.keep}
        apostrophe = " " if "'" in self.to_space else "" if "'" in self.remove else "'"
        for marks, becomes in (
            (_WORD_SPACES, " "),
            (_APOSTROPHES, apostrophe),
            (self.remove, ""),
            (self.to_space, " "),
        ):
            table |= dict.fromkeys(map(ord, marks), becomes)
        object.__setattr__(self, "_table", table)

    @property
    def settings(self) -> dict[str, str]:
        """The arguments that a text encoder takes for it, and a checkpoint stores."""
        settings = {"case": self.case, "remove": self.remove, "to_space": self.to_space}
        return settings if self.spell_out is None else {**settings, "spell_out": self.spell_out}

    def _beyond_ascii(self, mark: str) -> str:
        """What becomes of a character that neither list names."""
        kind = unicodedata.category(mark)
        if kind == "Cf" and mark not in _JOINERS:
            return ""
        like = _KINDS.get(kind)
        if mark in _QUOTES:
            like = '"'
        elif mark == _MINUS:
            like = "-"
        if mark.isascii() or like is None or ord(mark) in _SPOKEN:
            return mark
        if like in self.to_space:
            return " "
        return "" if like in self.remove else mark

    def __call__(self, text: str) -> str:
        """The normalised text."""
        if self.spell_out is not None:
            text = spelled_out(text, self.spell_out)
        # Removing a character can bring together what NFKC then composes, and a change of case
        # can produce an apostrophe: another pass settles it.
        settled = None
        while settled != text:
            settled, text = text, self._pass(text)
        return text

    def dropped(self, texts: Iterable[str]) -> Counter[str]:
        """How often each character vanishes from ``texts``, white space not counted."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        gone = [c for c in counts if not c.isspace() and self._table[ord(c)] in ("", " ")]
        return Counter({character: counts[character] for character in gone})

    def _pass(self, text: str) -> str:
        text = text.translate(self._table)
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        if self.case == "turkish":
            text = text.replace("I", "\u0131").replace("\u0130", "i")
        if self.case in ("lower", "turkish"):
            text = text.lower()
        elif self.case == "upper":
            text = text.upper()
        return " ".join(text.split())


@cache
def speaker(language: str) -> Callable[..., str]:
    """Return num2words for a language: it takes a number, and ``to`` for its kind.

    Raises:
        ConfigError: it is not installed, or does not know the language.
    """
    try:
        import num2words
    except ImportError as error:
        raise ConfigError(
            f"text_encoder.spell_out={language} needs num2words: pip install num2words==0.5.14"
        ) from error
    known = sorted(num2words.CONVERTER_CLASSES)
    if language not in known:
        raise ConfigError(
            f"text_encoder.spell_out must be one of {', '.join(known)}, but is {language!r}"
        )

    def say(number: int | Decimal, **kind: Any) -> str:
        return str(num2words.num2words(number, lang=language, **kind))

    return say


def spelled_out(text: str, language: str) -> str:
    """Return ``text`` with its numbers as words: 1999 becomes nineteen ninety-nine.

    It reads cardinal numbers with or without marks between thousands, decimal fractions, English
    ordinals as 21st, and 1100 to 2099 as years. Digits in a word, as in mp3, are words of their
    own.
    """
    say = speaker(language)
    thousands = ("," if language.startswith(_COMMA_FIRST) else ".") + "'\u2019\u00a0\u202f"

    def words(match: re.Match[str]) -> str:
        mark, point, part = match["mark"], match["point"], match["part"]
        if mark and mark not in thousands:  # a fraction of three digits, as in 3.141
            whole, _, part = match["whole"].partition(mark)
            if mark in part:
                return match[0]
        else:
            whole = re.sub(r"\D", "", match["whole"])
        number = int(whole)
        if part and point and point in thousands:
            return f" {say(number)} {say(int(part))} "
        if part:
            return f" {say(Decimal(f'{number}.{part}'))} "
        if match["ordinal"]:
            return f" {say(number, to='ordinal')} "
        if number in _YEARS and not mark and len(whole) == 4 and language != "ja":
            return f" {_year(say, number)} "  # in Japanese, years are those of an era
        return f" {say(number)} "

    return _NUMBER.sub(words, text)


def _year(say: Callable[..., str], number: int) -> str:
    try:
        return say(number, to="year")
    except (NotImplementedError, TypeError):
        return say(number)  # as this language does with years
