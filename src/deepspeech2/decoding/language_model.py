"""A word n-gram model bound to an alphabet and, if asked for, to a lexicon.

The models that LibriSpeech comes with (OpenSLR 11) are fetched when first used.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepspeech2.decoding.kernels.prefixes import Fusion
from deepspeech2.decoding.spelling import Spellings, normalized, spellings
from deepspeech2.errors import ConfigError, ManifestError
from deepspeech2.http.fetch import MIRRORS, fetch
from deepspeech2.paths import resolve
from deepspeech2.text import Tokenizer
from deepspeech2.text.ngram.backoff import NGramModel
from deepspeech2.text.ngram.cache import load_ngram
from deepspeech2.text.ngram.texts import open_text

_log = logging.getLogger(__name__)

FOLDER = "data/lm"
# name: (md5, bytes); the checksums are those that the recipes of other toolkits state
MODELS = {
    "3-gram.pruned.3e-7": ("8f67ec741827742eee05799ab7605b50", 13_654_242),
    "3-gram.pruned.1e-7": ("9a0f1325bcaf3a0f7b7be4be10823c2a", 34_094_057),
    "3-gram": ("74cbb837e582378c26c602e1c8cbcb9c", 759_636_181),
    "4-gram": ("6abdcd5b055bd482e4f9defe91d40408", 1_355_172_078),
}

_MARKERS = {"<unk>", "<UNK>", "<s>", "</s>"}
_LEAST_SPELLABLE = 0.5
_SAMPLED = 10_000


@dataclass(frozen=True, slots=True)
class FusedModel:
    """A language model with weights.

    Attributes:
        model: the n-grams; its words are sorted as the text encoder writes them.
        spellings: of the words that may be recognised.
        weight: of the natural logarithm of the model's probability.
        word_score: nats for each word.
        unknown_score: nats for each word that is not spelled; None: there are none such.
    """

    model: NGramModel
    spellings: Spellings
    weight: float
    word_score: float
    unknown_score: float | None

    @property
    def digest(self) -> str:
        """Distinguishes models and lexicons, by all words and some probabilities."""
        nodes = self.model.nodes
        some = nodes[:: max(1, len(nodes) // _SAMPLED)]
        result = hashlib.sha256(repr((self.model.counts, len(self.spellings.ids))).encode())
        result.update("\n".join(self.spellings.ids).encode())
        result.update(some["log10_probability"].tobytes() + some["log10_backoff"].tobytes())
        return result.hexdigest()[:16]

    def score(self, text: str) -> float:
        """Nats for a text spelled in the alphabet, as the search counts them."""
        words = text.split()
        n_unknown = sum(word not in self.spellings.ids for word in words)
        ids = [self.spellings.ids.get(word, self.model.unknown) for word in words]
        total = self.weight * math.log(10.0) * sum(self.model.log10_probabilities(ids))
        penalty = self._unknown_score * n_unknown if n_unknown else 0.0
        return total + self.word_score * len(words) + penalty

    @property
    def _unknown_score(self) -> float:
        return -math.inf if self.unknown_score is None else float(self.unknown_score)

    def onto(self, fusion: Fusion) -> Fusion:
        """``fusion`` with this model."""
        nodes = self.model.nodes
        weight = self.weight * math.log(10.0)
        # only positive back-off weights can make a prefix better than was to be expected
        surprise = max(0.0, float(nodes["log10_backoff"].max())) * (self.model.order - 1)
        best = max(0.0, self.word_score) + weight * surprise
        return fusion._replace(
            has_lm=True,
            lm=nodes,
            spellings=self.spellings.nodes,
            weight=weight,
            word_score=float(self.word_score),  # a whole number would be compiled for anew
            unknown_score=self._unknown_score,
            unknown=self.model.unknown,
            end=self.model.end,
            start=self.model.start,
            at_most=fusion.at_most + best * _words_touched(fusion),
        )


def _words_touched(fusion: Fusion) -> NDArray[np.float64]:
    """(V,) how many ends and parts of words each token consists of, at least 1."""
    is_space = fusion.letters == fusion.space
    counts = []
    for start, end in pairwise(fusion.bounds.tolist()):
        spaces = is_space[start:end]
        begins = ~spaces & np.append(True, spaces[:-1])[: len(spaces)]
        counts.append(max(1, int(spaces.sum() + begins.sum())))
    return np.array(counts, dtype=np.float64)


def locate(lm: str) -> Path:
    """Find the ARPA file that ``lm`` names: one of :data:`MODELS`, or a path.

    A named model that is missing is downloaded to ``data/lm`` and checked.

    Raises:
        ManifestError: there is neither such a model nor such a file.
        DownloadError: the download failed; it is resumed next time.
    """
    name = lm.removesuffix(".gz").removesuffix(".arpa")
    if name not in MODELS or resolve(lm).exists():
        path = resolve(lm)
        if not path.is_file():
            raise ManifestError(
                f"decoder.lm={lm} does not exist: name an ARPA file (deepspeech2 train-lm makes"
                f" one), or one of LibriSpeech's models, {', '.join(MODELS)}"
            )
        return path
    target = resolve(FOLDER) / f"{name}.arpa.gz"
    if not target.exists():  # it was checked when it was downloaded
        md5, size = MODELS[name]
        urls = [f"{base.rstrip('/')}/11/{target.name}" for base in MIRRORS]
        fetch(urls, target, md5=md5, size=size)
    return target


def load_model(
    lm: str, text_encoder: Tokenizer, lexicon: str | None, hot: Sequence[str] = ()
) -> tuple[NGramModel, Spellings]:
    """Load a model, return the model and the words that may be recognised.

    Args:
        lm: see :func:`locate`; a cache is made of the ARPA file.
        text_encoder: normalises and spells the words.
        lexicon: one word a line, whatever follows it there; None: the model's own words.
        hot: more spelled words that may be recognised.

    Raises:
        ManifestError: a file is missing or malformed.
        DownloadError: the model cannot be downloaded.
        ConfigError: alphabet, case or lexicon do not fit the model.
    """
    path = locate(lm)
    if not text_encoder.spaced:
        raise ConfigError(
            "a language model of words needs a space between words, but the alphabet"
            f" {text_encoder.characters!r} has none"
        )
    rules = f"{text_encoder.normalizer!r}{text_encoder.characters * text_encoder.composes}"
    model = load_ngram(path, key=text_encoder.spelled, key_name=rules)
    spelled = normalized(model.words, text_encoder)
    words = None if lexicon is None else _read_lexicon(resolve(lexicon), text_encoder)
    trie = spellings(
        spelled,
        model.nodes["log10_probability"][1 : 1 + len(spelled)],
        model.unknown,
        text_encoder,
        lexicon=words,
        more=hot,
    )
    _check(path, spelled, words, trie, text_encoder)
    return model, trie


def _read_lexicon(path: Path, text_encoder: Tokenizer) -> list[str]:
    """The first word of each line; further columns, such as pronunciations, are not read."""
    try:
        with open_text(path) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ManifestError(f"decoder.lexicon={path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"decoder.lexicon={path} cannot be read: {error}") from error
    words = normalized([line.split()[0] for line in lines if line.split()], text_encoder)
    if not words:
        raise ManifestError(f"decoder.lexicon={path} contains no word")
    return words


def _check(
    path: Path,
    spelled: list[str],
    lexicon: list[str] | None,
    trie: Spellings,
    text_encoder: Tokenizer,
) -> None:
    """Log how many words can be recognised; raise ConfigError where that is less than half."""
    n_spelled = len(trie.ids)
    n_words = len(set(lexicon) if lexicon is not None else set(spelled) - _MARKERS)
    source = f"the lexicon for {path.name}" if lexicon is not None else str(path)
    if n_spelled < _LEAST_SPELLABLE * n_words:
        words = (word for word in lexicon or spelled if word not in _MARKERS)
        example = next((word for word in words if text_encoder.unknown(word)), "")
        raise ConfigError(
            f"{n_spelled} of the {n_words} words of {source} can be spelled with the alphabet"
            f" {text_encoder.characters!r} in {text_encoder.normalizer.case} case ({example!r} for"
            " one cannot): choose a model of the same language, or another text_encoder"
        )
    if lexicon is not None and trie.n_unknown > _LEAST_SPELLABLE * n_spelled:
        raise ConfigError(
            f"{path} knows only {n_spelled - trie.n_unknown} of the {n_spelled} words of"
            " decoder.lexicon: choose a model and a lexicon that belong together"
        )
    _log.info(
        "language model %s: %d words can be recognised, %d of the model or lexicon cannot be"
        " spelled, %d of the lexicon or the hot words are unknown to the model",
        path.name, n_spelled, n_words - n_spelled, trie.n_unknown,
    )  # fmt: skip
