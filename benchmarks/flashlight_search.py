"""Flashlight's searches, and the lexicon that one of them walks through."""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.paths import resolve
from deepspeech2.text import TextEncoder

UNKNOWN = "<unk>"
MARKS = frozenset({"<s>", "</s>", UNKNOWN, "<UNK>"})

_log = logging.getLogger(__name__)


def label_search(text_encoder: TextEncoder, settings: dict[str, Any]) -> tuple[Any, Any]:
    """Flashlight's search for any labels, and the null model that it refers to."""
    library = _library()
    model = library.ZeroLM()
    options = library.LexiconFreeDecoderOptions(
        lm_weight=0.0, **_options(library, text_encoder, settings)
    )
    # What it calls silence stands before the first frame and merges with a label there that is
    # the same. No label is -1, so the sums over alignments come out exactly.
    return library.LexiconFreeDecoder(options, model, -1, text_encoder.blank, []), model


class WordSearch:
    """Flashlight's trie of a lexicon and the language model that weighs its words.

    Args:
        text_encoder: spells the words.
        lm: ARPA or binary file; None: none.
        lexicon: file of the words; None: those of the ARPA file.

    Raises:
        ConfigError: a file is missing or unreadable, or flashlight-text is not installed.
    """

    def __init__(self, text_encoder: TextEncoder, lm: str | None, lexicon: str | None) -> None:
        library = _library()
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        path = None if lm is None else resolve(lm)
        places = (path, None if lexicon is None else resolve(lexicon))
        spellings = _spellings(_words(*places, text_encoder.normalize), text_encoder)
        words = Dictionary([*spellings, UNKNOWN])
        try:
            self.model = library.ZeroLM() if path is None else KenLM(str(path), words)
        except RuntimeError as error:
            raise ConfigError(f"KenLM cannot read {path}: {str(error).splitlines()[-1]}") from error
        self.trie = library.Trie(text_encoder.n_tokens, text_encoder.space)
        start = self.model.start(False)
        for index, spelling in enumerate(spellings.values()):
            self.trie.insert(spelling, index, self.model.score(start, index)[1])
        # A prefix counts as the best word that it may become, so that the model prunes early.
        self.trie.smear(library.SmearingMode.MAX)
        self.unknown = words.get_index(UNKNOWN)
        self.text_encoder = text_encoder

    def weighed(self, settings: dict[str, Any]) -> Any:
        """The search for words with the weights and the beam of ``settings``."""
        library = _library()
        unknown_score = settings["unknown_score"]
        options = library.LexiconDecoderOptions(
            lm_weight=settings["lm_weight"] * math.log(10),
            word_score=settings["word_score"],
            unk_score=-math.inf if unknown_score is None else unknown_score,
            **_options(library, self.text_encoder, settings),
        )
        space, blank = self.text_encoder.space, self.text_encoder.blank
        return library.LexiconDecoder(
            options, self.trie, self.model, space, blank, self.unknown, [], False
        )


def _library() -> Any:
    try:
        from flashlight.lib.text import decoder
    except ImportError:
        raise ConfigError(
            "FlashlightDecoder needs flashlight-text, which is not installed:"
            " pip install -r requirements-lm.txt"
        ) from None
    return decoder


def _options(library: Any, text_encoder: TextEncoder, settings: dict[str, Any]) -> dict[str, Any]:
    limit, threshold = settings["beam_size_token"], settings["beam_threshold"]
    return {
        "beam_size": settings["beam_size"],
        "beam_size_token": text_encoder.n_tokens if limit is None else limit,
        "beam_threshold": math.inf if threshold is None else threshold,
        "sil_score": 0.0,
        "log_add": True,
        "criterion_type": library.CriterionType.CTC,
    }


def _words(lm: Path | None, lexicon: Path | None, normalize: Callable[[str], str]) -> list[str]:
    """The words to allow, as the language model writes them."""
    for path in (lm, lexicon):
        if path is not None and not path.is_file():
            raise ConfigError(f"{path} does not exist")
    if lexicon is None:
        assert lm is not None
        if _is_binary(lm):
            raise ConfigError(f"{lm} is a binary file: name its words with lexicon")
        return list(_column(1, lm, _unigrams))
    words = list(_column(0, lexicon))
    if lm is None or _is_binary(lm):
        return words
    # A lexicon of another case would otherwise silently consist of unknown words.
    written = {normalize(word): word for word in _column(1, lm, _unigrams)}
    return [written.get(normalize(word), word) for word in words]


def _is_binary(lm: Path) -> bool:
    with lm.open("rb") as file:
        return file.read(4) == b"mmap"


def _column(
    index: int, path: Path, part: Callable[[Iterator[bytes], Path], Iterator[bytes]] | None = None
) -> Iterator[str]:
    """One column of a part of a text file, split at white space as KenLM splits it."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in part(iter(file), path) if part else file:
                if len(fields := line.split()) > index:
                    yield fields[index].decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _spellings(words: Iterable[str], text_encoder: TextEncoder) -> dict[str, list[int]]:
    """The tokens of each word and of the space after it."""
    space = text_encoder.space
    if space is None:
        raise ConfigError(f"alphabet must hold a space for words, but is {text_encoder.alphabet!r}")
    found: dict[str, list[int]] = {}
    left_out = 0
    for word in words:
        try:
            labels = [] if word in MARKS else text_encoder.encode(word)
        except ManifestError:
            left_out += 1
        else:
            if labels:
                found[word] = [*labels, space]
    if left_out:
        _log.info("words left out for letters outside the alphabet: %d", left_out)
    if not found:
        raise ConfigError(f"no word of the lexicon is spelt with {text_encoder.alphabet!r}")
    return found


def _unigrams(lines: Iterator[bytes], path: Path) -> Iterator[bytes]:
    r"""The lines of an ARPA file's section ``\1-grams:``."""
    if not any(line.strip() == b"\\1-grams:" for line in lines):
        raise ConfigError(f"{path} is not an ARPA file: it has no section \\1-grams:")
    yield from takewhile(lambda line: not line.startswith(b"\\"), lines)
