"""How words are spelled: a trie of letters, each node with the words that begin so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepspeech2.decoding.kernels.prefixes import SPELLING_NODE
from deepspeech2.text import Tokenizer


@dataclass(frozen=True, slots=True)
class Spellings:
    """A trie of words.

    Attributes:
        nodes: (N + 1,) of ``SPELLING_NODE``.
        ids: the words that it spells, and the language model's number of each.
        n_unknown: how many of these the language model lacks.
    """

    nodes: NDArray[np.void]
    ids: dict[str, int]
    n_unknown: int


def normalized(words: Sequence[str], text_encoder: Tokenizer) -> list[str]:
    """Return every word as the text encoder writes it; one that falls apart contains a space."""
    # One call for all is fifty times faster. It is right if no word falls apart or vanishes, which
    # words of plain letters do not.
    normalize = text_encoder.normalize
    together = normalize(" ".join(words)).split(" ")
    if not _is_word_by_word(together, words, text_encoder):
        together = [normalize(word) for word in words]
    return [text_encoder.spelled(word) for word in together] if text_encoder.composes else together


def _is_word_by_word(together: list[str], words: Sequence[str], text_encoder: Tokenizer) -> bool:
    if len(together) != len(words) or not all(words):
        return False
    rules = text_encoder.normalizer
    changing, step = set(rules.remove + rules.to_space), max(1, len(words) // 100)
    return all(
        result == text_encoder.normalize(word)
        for index, (result, word) in enumerate(zip(together, words, strict=True))
        if index % step == 0 or not word.isascii() or not changing.isdisjoint(word)
    )


def spellings(
    lm_spelled: Sequence[str],
    log10_unigrams: NDArray[np.float32],
    unknown: int,
    text_encoder: Tokenizer,
    *,
    lexicon: Sequence[str] | None = None,
    more: Sequence[str] = (),
) -> Spellings:
    """Build the trie of the words that may be recognised.

    Args:
        lm_spelled: the language model's words by id, normalised and sorted.
        log10_unigrams: (W,) their probabilities.
        unknown: the id of ``<unk>``, and of words that the model lacks.
        text_encoder: words with characters outside its alphabet are left out.
        lexicon: normalised words; None for those of the language model.
        more: more normalised words that may be recognised.
    """
    spellable = set(text_encoder.characters) - {" "}
    table = {word: index for index, word in reversed(list(enumerate(lm_spelled)))}
    wanted = (set(table) if lexicon is None else set(lexicon)) | set(more)
    words = sorted(word for word in wanted if word and spellable.issuperset(word))
    ids = np.array([table.get(word, -1) for word in words], dtype=np.int64)
    # the place of each word, or the one that it would have, among the model's
    before = np.searchsorted(_text(lm_spelled), _text(words), side="left")
    beyond = np.searchsorted(_text(lm_spelled), _text(words), side="right")
    probabilities = np.where(ids < 0, log10_unigrams[unknown], log10_unigrams[ids])
    known = np.where(ids < 0, unknown, ids)
    nodes = _trie(words, known, before, beyond, probabilities)
    return Spellings(nodes, dict(zip(words, known.tolist(), strict=True)), int((ids < 0).sum()))


def _text(words: Sequence[str]) -> NDArray[np.str_]:
    return np.array(words, dtype=np.str_) if words else np.zeros(0, dtype="U1")


def _trie(
    words: list[str],
    ids: NDArray[np.int64],
    before: NDArray[np.intp],
    beyond: NDArray[np.intp],
    probabilities: NDArray[np.float32],
) -> NDArray[np.void]:
    """Nodes depth by depth; each is the words between two borders, which begin alike."""
    n_words = len(words)
    lengths = np.array([len(word) for word in words], dtype=np.int64)
    longest = int(lengths.max(initial=0))
    letters = _text(words).view(np.uint32).reshape(n_words, max(1, longest))
    if n_words:
        differs = letters[1:] != letters[:-1]
        shared = np.concatenate([[-1], differs.argmax(axis=1)])
    levels = [np.zeros(1, dtype=SPELLING_NODE)]
    levels[0]["word"], levels[0]["last"] = -1, beyond[-1] if n_words else 0
    starts = np.zeros(1, dtype=np.int64)
    for depth in range(1, longest + 1):
        borders = np.flatnonzero(shared < depth)
        ends = np.append(borders[1:], n_words)
        best = np.maximum.reduceat(probabilities, borders)
        deep = lengths[borders] >= depth
        borders, ends, best = borders[deep], ends[deep], best[deep]
        level = np.zeros(len(borders), dtype=SPELLING_NODE)
        level["letter"] = letters[borders, depth - 1]
        level["word"] = np.where(lengths[borders] == depth, ids[borders], -1)
        level["first"], level["last"] = before[borders], beyond[ends - 1]
        level["outlook"] = best
        # until all levels are there, children are counted from the beginning of their level
        levels[-1]["first_child"] = np.searchsorted(borders, starts)
        levels.append(level)
        starts = borders
    return _joined(levels)


def _joined(levels: list[NDArray[np.void]]) -> NDArray[np.void]:
    nodes = np.concatenate([*levels, np.zeros(1, dtype=SPELLING_NODE)])
    ends = np.cumsum([len(level) for level in levels])
    start = 0
    for end in ends:
        nodes["first_child"][start:end] += end
        start = end
    # the deepest words have no children, and neither has what comes after them
    nodes["first_child"][ends[-1] - len(levels[-1]) :] = ends[-1]
    return nodes
