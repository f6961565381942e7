"""Pieces of words as tokens: byte-pair encoding, and unigram models."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.files import whole_file
from deepspeech2.paths import resolve
from deepspeech2.text.normalization import REMOVED, SPACED, Normalizer
from deepspeech2.text.tokenizer import Tokenizer

BOUNDARY = "\u2581"
"""Begins the first piece of a word; a space in the tokens."""
_CACHED = 100_000  # words


class SubwordEncoder(Tokenizer):
    """Divides words into pieces for CTC: token 0 is the blank, token i is ``pieces[i - 1]``.

    With scores the most probable pieces are taken (T. Kudo, Subword regularization, ACL 2018,
    section 3.2). Without, neighbours are merged, first those whose piece comes first (R. Sennrich
    et al., Neural machine translation of rare words with subword units, ACL 2016, section 3.2).

    Args:
        pieces: each once, with ``\u2581`` where a word begins and nowhere else. Every character of
            theirs, and ``\u2581``, must also be a piece by itself. Or a file of them with their
            scores, which ``train_tokenizer`` writes.
        scores: natural logarithms of the pieces' probabilities; None for byte-pair encoding.
        case, remove, to_space, spell_out: see :class:`Normalizer`.

    Raises:
        ConfigError: the pieces are not such, or normalisation would change one, or the scores are
            not as many finite numbers.
        ManifestError: the file is missing, or no such file.
    """

    def __init__(
        self,
        pieces: Sequence[str] | str | Path,
        scores: Sequence[float] | None = None,
        *,
        case: str = "lower",
        remove: str = REMOVED,
        to_space: str = SPACED,
        spell_out: str | None = None,
    ) -> None:
        if isinstance(pieces, str | Path):  # of a config; a checkpoint contains the pieces
            pieces, scores = read_pieces(resolve(pieces))
        self.pieces = list(pieces)
        self.scores = None if scores is None else [float(score) for score in scores]
        self.normalizer = Normalizer(case, remove, to_space, "", spell_out)
        self._check()
        self.tokens = ("", *(piece.replace(BOUNDARY, " ") for piece in self.pieces))
        self._tokens = {piece: token for token, piece in enumerate(self.pieces, start=1)}
        self._longest = max(map(len, self.pieces))
        # a text repeats its words
        divide = self._merged if self.scores is None else self._most_probable
        self._divide = lru_cache(_CACHED)(divide)

    def _check(self) -> None:
        known = set(self.pieces)
        if len(known) < len(self.pieces):
            repeated = next(each for each in self.pieces if self.pieces.count(each) > 1)
            raise ConfigError(f"text_encoder.pieces must be different, but repeat {repeated!r}")
        for piece in self.pieces:
            text = piece.removeprefix(BOUNDARY)
            if not piece or BOUNDARY in text or " " in text:
                raise ConfigError(
                    f"text_encoder.pieces must have {BOUNDARY} where a word begins and no space,"
                    f" but contain {piece!r}"
                )
            if self.normalizer(text) != text:
                raise ConfigError(
                    f"text_encoder.pieces must be normalised, but {piece!r} becomes"
                    f" {self.normalizer(text)!r}: train them with the same options"
                )
        if not known:
            raise ConfigError("text_encoder.pieces must contain at least one piece, but are none")
        if alone := sorted({BOUNDARY, *"".join(self.pieces)} - known):
            raise ConfigError(
                "text_encoder.pieces must contain every character as a piece by itself, but lack"
                f" {alone[0]!r}"
            )
        if self.scores is not None and (
            len(self.scores) != len(self.pieces) or not all(map(math.isfinite, self.scores))
        ):
            raise ConfigError(
                f"text_encoder.scores must be {len(self.pieces)} finite numbers, one for each"
                f" piece, but are {len(self.scores)}"
            )

    @property
    def settings(self) -> dict[str, Any]:
        scores = None if self.scores is None else list(self.scores)
        return {"pieces": list(self.pieces), "scores": scores, **self.normalizer.settings}

    def encode(self, text: str) -> list[int]:
        normal = self.normalizer(text)
        if unknown := self.unknown(normal):
            raise ManifestError(f"{min(unknown)!r} in {text!r} is in none of the pieces")
        return [token for word in normal.split() for token in self._divide(BOUNDARY + word)]

    def decode(self, labels: Iterable[int]) -> str:
        return super().decode(labels).strip()

    def _merged(self, word: str) -> tuple[int, ...]:
        """Merge the two neighbours whose piece comes first, the leftmost of several, and repeat."""
        parts = list(word)
        while len(parts) > 1:
            pairs = ((self._tokens.get(a + b, math.inf), i) for i, (a, b) in _pairs(parts))
            rank, place = min(pairs)
            if rank == math.inf:
                break
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        return tuple(self._tokens[part] for part in parts)

    def _most_probable(self, word: str) -> tuple[int, ...]:
        """The pieces with the largest sum of scores (Viterbi)."""
        assert self.scores is not None
        best, origins = [0.0], [(0, 0)]
        for end in range(1, len(word) + 1):
            best.append(-math.inf)
            origins.append((0, 0))
            for start in range(max(0, end - self._longest), end):
                token = self._tokens.get(word[start:end])
                if token and best[start] + self.scores[token - 1] > best[end]:
                    best[end] = best[start] + self.scores[token - 1]
                    origins[end] = start, token
        result, place = [], len(word)
        while place:
            place, token = origins[place]
            result.append(token)
        return tuple(reversed(result))

    def __getstate__(self) -> dict[str, Any]:
        return self.settings  # a cache is not copied to reader processes

    def __setstate__(self, settings: dict[str, Any]) -> None:
        self.__init__(**settings)  # type: ignore[misc]


def _pairs(parts: Sequence[str]) -> Iterator[tuple[int, tuple[str, str]]]:
    return enumerate(pairwise(parts))


def read_pieces(path: Path) -> tuple[list[str], list[float] | None]:
    """Read a file that :func:`write_pieces` wrote, return pieces and scores.

    Raises:
        ManifestError: it is missing or no such file.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        pieces, scores = content["pieces"], content["scores"]
    except OSError as error:
        raise ManifestError(
            f"text_encoder.pieces={path} cannot be read ({error.strerror or error}): name a file"
            " that deepspeech2 train-tokenizer wrote"
        ) from error
    except (ValueError, KeyError, TypeError):
        pieces = scores = None
    fits = isinstance(pieces, list) and all(isinstance(each, str) for each in pieces)
    if not fits or not (
        scores is None
        or (isinstance(scores, list) and all(isinstance(each, int | float) for each in scores))
    ):
        raise ManifestError(
            f"text_encoder.pieces={path} is no file of pieces: deepspeech2 train-tokenizer"
            " writes one"
        )
    return pieces, scores


def write_pieces(path: Path, pieces: Sequence[str], scores: Sequence[float] | None) -> None:
    """Write pieces and scores as JSON."""
    kind = "bpe" if scores is None else "unigram"
    content = {"type": kind, "pieces": list(pieces), "scores": scores}
    with whole_file(path, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=0)
        file.write("\n")
