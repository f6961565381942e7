"""Characters of transcripts that the alphabet lacks, and which settings would take them in."""

from __future__ import annotations

import shlex
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from deepspeech2.extras.checks.finding import few, quantity
from deepspeech2.text import TextEncoder, Tokenizer

MOST = 0.5
"""The share of utterances with such characters beyond which the alphabet is a wrong one."""

_MOST_PASTED = 200  # characters of an alphabet that a message shows
_SHELL = set('"$`\\!')  # what a shell reads in double quotes


@dataclass(frozen=True, slots=True)
class OutsideAlphabet:
    """Utterances with characters outside the alphabet.

    Attributes:
        number, total: of these utterances, and of all.
        counts: for each character in how many utterances it is.
        remedy: a sentence with the settings that take them in.
    """

    number: int
    total: int
    counts: Counter[str]
    remedy: str

    @property
    def wrong(self) -> bool:
        """Whether more than half of the utterances have them."""
        return self.number > MOST * self.total

    @property
    def characters(self) -> str:
        """The most frequent ones, with their counts."""
        return few(
            [f"{character!r} in {count:,}" for character, count in self.counts.most_common()]
        )

    def __str__(self) -> str:
        share = f"{self.number:,} of {quantity(self.total, 'utterance')}"
        return (
            f"{share} ({100 * self.number / self.total:.1f} %) have characters outside the"
            f" alphabet: {self.characters}. {self.remedy}"
        )


def outside_alphabet(texts: Iterable[str], text_encoder: Tokenizer) -> OutsideAlphabet | None:
    """Count what the alphabet lacks in ``texts``; None if it lacks nothing."""
    counts: Counter[str] = Counter()
    used: Counter[str] = Counter()
    number = total = 0
    for text in texts:
        total += 1
        used.update(text_encoder.normalize(text))
        if unknown := text_encoder.unknown(text):
            number += 1
            counts.update(sorted(unknown))
    if not number:
        return None
    return OutsideAlphabet(number, total, counts, _remedy(set(counts), used, text_encoder))


def _remedy(unknown: set[str], used: Counter[str], text_encoder: Tokenizer) -> str:
    """What to set, by the kind of the characters that are ``unknown``.

    Args:
        used: how often each character is in the transcripts.
    """
    if not isinstance(text_encoder, TextEncoder):
        return "Choose a text_encoder whose tokens contain them"
    case = _case(unknown, text_encoder)
    if case is not None:
        return f"Set text_encoder.case={case}, the case of the alphabet"
    letters = {each for each in unknown if unicodedata.category(each)[0] in "LM"}
    digits = {each for each in unknown if unicodedata.category(each)[0] == "N"}
    remedies = []
    if letters:
        # of an alphabet of another script only what is there is kept
        known = sum(used[each] for each in text_encoder.alphabet if each.isalpha())
        same_script = known >= sum(used[each] for each in letters)
        kept = "".join(
            each
            for each in text_encoder.alphabet
            if same_script or used[each] or not each.isalpha()
        )
        whole = kept + "".join(sorted(letters))
        if len(whole) > _MOST_PASTED:
            remedies.append(
                f"set text_encoder.alphabet to the {len(whole)} characters that"
                " deepspeech2 preview lists"
            )
        else:
            remedies.append(f"set {_pasted('text_encoder.alphabet', whole)}")
    if digits:
        remedies.append("set text_encoder.spell_out=en, which makes words of digits in English")
    if unknown - letters - digits:
        remedies.append("set text_encoder.remove or to_space for what is not spoken")
    sentence = "; ".join(remedies)
    return sentence[0].upper() + sentence[1:]


def _case(unknown: set[str], text_encoder: TextEncoder) -> str | None:
    """The case that brings every unknown character into the alphabet, if one does."""
    alphabet = set(text_encoder.alphabet)
    for case, change in (("lower", str.lower), ("upper", str.upper)):
        if all(set(change(each)) <= alphabet for each in unknown):
            return case
    return None


def _pasted(key: str, value: str) -> str:
    """``KEY=VALUE`` for a shell, with the value as a text of Hydra."""
    quoted = value.replace("'", "\\'")
    word = f"{key}='{quoted}'"
    return shlex.quote(word) if _SHELL & set(value) else f'"{word}"'
