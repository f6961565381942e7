"""Characters to token indices and back."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.text.normalization import REMOVED, SPACED, Normalizer
from deepspeech2.text.tokenizer import Tokenizer

_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn lines around
DEFAULT_ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"


class TextEncoder(Tokenizer):
    """An alphabet for CTC: token 0 is the blank, token i the character ``alphabet[i - 1]``.

    Args:
        alphabet: the characters, each once, as they are in normalised text. A letter with marks
            may also be in its parts, as a base and combining marks, or as the jamo of a syllable.
        case, remove, to_space, spell_out: see :class:`Normalizer`.

    Raises:
        ConfigError: the alphabet is empty, repeats a character, or contains a control character or
            one that normalisation would change, so that it could never occur.
    """

    def __init__(
        self,
        alphabet: str = DEFAULT_ALPHABET,
        *,
        case: str = "lower",
        remove: str = REMOVED,
        to_space: str = SPACED,
        spell_out: str | None = None,
    ) -> None:
        if len(set(alphabet)) < len(alphabet):  # bases repeat where letters are decomposed
            alphabet = unicodedata.normalize("NFC", alphabet)
        self.alphabet = alphabet
        self.tokens = ("", *alphabet)
        # a mark of the alphabet is a letter of its language, unless a list names it
        keep = "".join(c for c in alphabet if unicodedata.category(c)[0] == "P" and not c.isascii())
        self.normalizer = Normalizer(case, remove, to_space, keep, spell_out)
        if not alphabet:
            raise ConfigError("alphabet must contain at least one character, but is empty")
        for character, times in Counter(alphabet).items():
            if unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTIONS:
                raise ConfigError(f"alphabet must contain printable characters, not {character!r}")
            if times > 1:
                raise ConfigError(f"alphabet must contain {character!r} once, but repeats it")
            if character != " " and (normal := self.normalizer(character)) != character:
                raise ConfigError(
                    f"alphabet must contain normalised characters, but {character!r} becomes"
                    f" {normal!r}{_case_hint(alphabet, character, normal)}"
                )
        self._tokens = {character: index for index, character in enumerate(alphabet, start=1)}
        # whether it contains parts of letters: marks, or later jamo of a syllable
        self.composes = any(
            unicodedata.category(character).startswith("M") or "\u1160" <= character <= "\u11ff"
            for character in alphabet
        )

    @property
    def settings(self) -> dict[str, str]:
        return {"alphabet": self.alphabet, **self.normalizer.settings}

    def encode(self, text: str) -> list[int]:
        normal = self.normalizer(text)
        if self._tokens.keys() >= set(normal):
            return [self._tokens[character] for character in normal]
        tokens: list[int] = []
        for letter in self._letters(normal):
            if not (parts := self._parts(letter)):
                missing = next(iter(self._missing(letter)))
                raise ManifestError(
                    f"{missing!r} in {text!r} is not in the alphabet {self.alphabet!r}"
                )
            tokens += parts
        return tokens

    def _letters(self, text: str) -> Iterator[str]:
        """The characters of a normalised text; those that the alphabet lacks with their marks."""
        if not self.composes:
            yield from text
            return
        start = 0
        for end in range(1, len(text) + 1):
            if end == len(text) or not unicodedata.combining(text[end]):
                yield text[start:end]
                start = end

    def _parts(self, letter: str) -> list[int]:
        """Tokens whose characters together are canonically equivalent to ``letter``, or none.

        Each mark that the alphabet contains is split off in turn: an alphabet may have any of the
        letters with fewer marks.
        """
        if token := self._tokens.get(letter):
            return [token]
        if not self.composes:
            return []
        whole = unicodedata.normalize("NFD", letter)
        for place in range(len(whole) - 1, 0, -1):
            mark = self._tokens.get(whole[place])
            rest = unicodedata.normalize("NFC", whole[:place] + whole[place + 1 :])
            same = mark and unicodedata.normalize("NFD", rest + whole[place]) == whole
            if mark and same and (parts := self._parts(rest)):
                return [*parts, mark]
        return []

    def _missing(self, letter: str) -> set[str]:
        """The characters of a letter without tokens that have none by themselves, or all."""
        return {each for each in letter if not self._parts(each)} or set(letter)

    def spelled(self, text: str) -> str:
        normal = self.normalizer(text)
        if self._tokens.keys() >= set(normal):
            return normal
        return "".join(
            "".join(self.alphabet[token - 1] for token in self._parts(letter)) or letter
            for letter in self._letters(normal)
        )

    def unknown(self, text: str) -> set[str]:
        normal = self.normalizer(text)
        if self._tokens.keys() >= set(normal):
            return set()
        lacking = {letter for letter in self._letters(normal) if not self._parts(letter)}
        return {character for letter in lacking for character in self._missing(letter)}


def _case_hint(alphabet: str, character: str, normal: str) -> str:
    """How a message goes on where the case of ``alphabet`` is another than that of its texts."""
    if normal.swapcase() != character:
        return ""
    fitting = (case for case in ("upper", "lower") if getattr(alphabet, case)() == alphabet)
    return f": set text_encoder.case={next(fitting, 'keep')}, the case of the alphabet"
