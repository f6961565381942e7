"""Characters to token indices and back."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from src.errors import ConfigError, ManifestError
from src.text.normalization import REMOVED, SPACED, Normalizer

_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # turn lines around
DEFAULT_ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"


class TextEncoder:
    """An alphabet for CTC: token 0 is the blank, token i is ``alphabet[i - 1]``.

    Args:
        alphabet: the characters, each once, as they stand in normalised text. A letter with marks
            may also be in its parts, as a base and combining marks, or as the jamo of a syllable.
        case, remove, to_space: see :class:`Normalizer`.

    Raises:
        ConfigError: the alphabet is empty, repeats a character, or holds a control character or
            one that normalisation would change, so that it could never occur.
    """

    blank = 0

    def __init__(
        self,
        alphabet: str = DEFAULT_ALPHABET,
        *,
        case: str = "lower",
        remove: str = REMOVED,
        to_space: str = SPACED,
    ) -> None:
        if len(set(alphabet)) < len(alphabet):  # bases repeat where letters are decomposed
            alphabet = unicodedata.normalize("NFC", alphabet)
        self.alphabet = alphabet
        # a mark of the alphabet is a letter of its language, unless a list names it
        keep = "".join(c for c in alphabet if unicodedata.category(c)[0] == "P" and not c.isascii())
        self.normalize = Normalizer(case, remove, to_space, keep)
        if not alphabet:
            raise ConfigError("alphabet must hold at least one character, but is empty")
        for character, times in Counter(alphabet).items():
            if unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTIONS:
                raise ConfigError(f"alphabet must hold printable characters, not {character!r}")
            if times > 1:
                raise ConfigError(f"alphabet must hold {character!r} once, but repeats it")
            if character != " " and self.normalize(character) != character:
                raise ConfigError(
                    f"alphabet must hold normalised characters, but {character!r} "
                    f"becomes {self.normalize(character)!r}"
                )
        self._tokens = {character: index for index, character in enumerate(alphabet, start=1)}

    @property
    def n_tokens(self) -> int:
        """Number of tokens, the blank included."""
        return len(self.alphabet) + 1

    @property
    def space(self) -> int | None:
        """The token that separates words; None if the alphabet has no space."""
        return self._tokens.get(" ")

    @property
    def settings(self) -> dict[str, str]:
        """The constructor's arguments: ``TextEncoder(**settings)`` is equal to this one."""
        return {
            "alphabet": self.alphabet,
            "case": self.normalize.case,
            "remove": self.normalize.remove,
            "to_space": self.normalize.to_space,
        }

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``, normalised.

        Raises:
            ManifestError: it holds a character outside the alphabet.
        """
        tokens: list[int] = []
        for character in self.normalize(text):
            token = self._tokens.get(character)
            parts = self._parts(character) if token is None else [token]
            if not parts:
                raise ManifestError(
                    f"{character!r} in {text!r} is not in the alphabet {self.alphabet!r}"
                )
            tokens += parts
        return tokens

    def _parts(self, character: str) -> list[int]:
        """The tokens that make up a character, which normalised text has composed; or none."""
        if token := self._tokens.get(character):
            return [token]
        # one mark at a time, since a base may have one already; syllables have no such table
        mapping = unicodedata.decomposition(character)
        parts = [chr(int(code, 16)) for code in mapping.split() if not mapping.startswith("<")]
        found = [
            self._parts(part)
            for part in parts or unicodedata.normalize("NFD", character)
            if part != character
        ]
        return [token for tokens in found for token in tokens] if all(found) else []

    def unknown(self, text: str) -> set[str]:
        """The characters of ``text``, normalised, that the alphabet lacks."""
        missing = set(self.normalize(text)) - self._tokens.keys()
        return {character for character in missing if not self._parts(character)}

    def decode(self, labels: Iterable[int]) -> str:
        """The text of labels without blanks: the inverse of :meth:`encode`.

        Raises:
            ValueError: a label is the blank or no token.
        """
        characters = []
        for label in labels:
            if not 0 < label <= len(self.alphabet):
                raise ValueError(f"label must be 1 to {len(self.alphabet)}, but is {label}")
            characters.append(self.alphabet[label - 1])
        return unicodedata.normalize("NFC", "".join(characters))

    def minimum_frames(self, labels: Sequence[int]) -> int:
        """How many frames CTC needs to emit ``labels``: between equal neighbours stands a blank.

        A. Graves et al., Connectionist Temporal Classification, ICML 2006, section 3.
        """
        return len(labels) + sum(left == right for left, right in pairwise(labels))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextEncoder) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash(tuple(self.settings.values()))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"TextEncoder({arguments})"
