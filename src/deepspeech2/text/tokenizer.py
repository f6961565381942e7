"""What the program needs of a text encoder, whatever its tokens are."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from deepspeech2.text.normalization import Normalizer

BLANK = 0


class Tokenizer(ABC):
    """Text to the tokens of a CTC network and back. A text encoder defines three members:

    - ``tokens``: (V,) the text of each token, of one character or several. Token 0 is the blank,
      with an empty text. A space begins or ends a word: ``" "`` alone, or in front of the first
      token of a word (``" th"``), or behind the last (``"e "``), but never inside a token. Without
      any space a text counts as one word.
    - ``encode(text)``: the tokens of a text, normalised, without blanks.
    - ``settings``: the constructor's arguments as plain values, which a checkpoint stores.

    It may set ``normalizer``, or define ``normalize(text)``, where texts are to be encoded and
    scored in another form.
    """

    blank = BLANK
    tokens: Sequence[str]
    normalizer: Normalizer = Normalizer()
    composes: bool = False
    """Whether a letter of a normalised text may be several characters of the alphabet."""

    def normalize(self, text: str) -> str:
        """The text as it is encoded and scored; to normalise it again changes nothing."""
        return self.normalizer(text)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``, normalised.

        Raises:
            ManifestError: it contains a character outside the alphabet.
        """

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments: ``type(self)(**settings)`` is equal to this one."""

    @property
    def n_tokens(self) -> int:
        """Number of tokens, the blank included."""
        return len(self.tokens)

    @cached_property
    def characters(self) -> str:
        """The characters that the tokens consist of, each once."""
        return "".join(dict.fromkeys("".join(self.tokens)))

    @property
    def space(self) -> int | None:
        """The token that is a space and nothing else; None if there is none."""
        return self.tokens.index(" ") if " " in self.tokens else None

    @property
    def spaced(self) -> bool:
        """Whether there are spaces, and so words."""
        return " " in self.characters

    @property
    def unit(self) -> str:
        """What the tokens are called in messages."""
        return "characters" if max(map(len, self.tokens)) == 1 else "tokens"

    def unknown(self, text: str) -> set[str]:
        """The characters of ``text``, normalised, that no token contains."""
        return set(self.normalize(text)).difference(self.characters)

    def spelled(self, text: str) -> str:
        """``text``, normalised, in characters of the alphabet; letters that it lacks stay."""
        return self.normalize(text)

    def decode(self, labels: Iterable[int]) -> str:
        """The text of labels without blanks: the inverse of :meth:`encode`.

        Raises:
            ValueError: a label is the blank or no token.
        """
        return unicodedata.normalize("NFC", self.joined(labels))

    def joined(self, labels: Iterable[int]) -> str:
        """The texts of labels one after the other, with all their spaces.

        Raises:
            ValueError: a label is the blank or no token.
        """
        texts = []
        for label in labels:
            if not 0 < label < len(self.tokens):
                raise ValueError(f"label must be 1 to {len(self.tokens) - 1}, but is {label}")
            texts.append(self.tokens[label])
        return "".join(texts)

    def words(self, labels: Sequence[int]) -> list[list[int]]:
        """For each word the places of its labels; a space alone belongs to none."""
        result: list[list[int]] = []
        between = True
        for place, label in enumerate(labels):
            text = self.tokens[label]
            if text.isspace():
                between = True
                continue
            if between or text[:1].isspace():
                result.append([])
            result[-1].append(place)
            between = text[-1:].isspace()
        return result

    def minimum_frames(self, labels: Sequence[int]) -> int:
        """How many frames CTC needs to emit ``labels``, with a blank between equal neighbours.

        A. Graves et al., Connectionist Temporal Classification, ICML 2006, section 3.
        """
        return len(labels) + sum(left == right for left, right in pairwise(labels))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.tokens)))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({arguments})"
