"""Digits as words, by the rules of a language: 1999 is nineteen ninety-nine.

The words are num2words', which knows some fifty languages; without it the option is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from deepspeech2.errors import ConfigError

_NUMBER = re.compile(
    r"(?P<whole>\d{1,3}(?:(?P<mark>[.,'\u2019\u00a0\u202f])\d{3}(?!\d))+|\d+)"
    r"(?:(?P<point>[.,])(?P<part>\d+))?"
    r"(?P<ordinal>(?:st|nd|rd|th)\b)?"
)
_YEARS = range(1100, 2100)  # four digits without a mark: people say these as years
_COMMA_FIRST = ("en", "he", "ja", "ko", "th", "zh")  # 1,000.5; elsewhere 1.000,5


@cache
def speaker(language: str) -> Callable[..., str]:
    """num2words for a language: takes a number, and ``to`` for its kind.

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
    """``text`` with its numbers as words.

    Read are cardinal numbers with or without marks between thousands, decimal fractions, English
    ordinals as 21st, and 1100 to 2099 as years. Digits in a word, as in
    mp3, are words of their own.
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
        if (
            number in _YEARS and not mark and len(whole) == 4 and language != "ja"
        ):  # of an era there
            return f" {_year(say, number)} "
        return f" {say(number)} "

    return _NUMBER.sub(words, text)


def _year(say: Callable[..., str], number: int) -> str:
    try:
        return say(number, to="year")
    except (NotImplementedError, TypeError):
        return say(number)  # as this language does with years
