"""flashlight-text's beam search for words, with a KenLM model, as a peer of ours.

J. Kahn et al., Flashlight: Enabling Innovation in Tools for Machine Learning, ICML 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import Decode, spaced
from deepspeech2.errors import ManifestError
from deepspeech2.text import TextEncoder
from deepspeech2.text.ngram.arpa import read_arpa
from deepspeech2.text.ngram.backoff import BEGIN, END, UNKNOWN

NEVER = -1e4
"""The logarithm of 0: flashlight's sum of two infinite ones is not a number."""


class FlashlightWords:
    """A language model and a trie of its words, for searches with different weights.

    Args:
        text_encoder: spells the words; those with other letters are left out.
        lm: ARPA file, also gzipped.
    """

    def __init__(self, text_encoder: TextEncoder, lm: Path) -> None:
        from flashlight.lib.text import decoder as library
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        self.library = library
        self.text_encoder = text_encoder
        spellings = _spellings(lm, text_encoder)
        words = Dictionary([*spellings, UNKNOWN])
        self.unknown = words.get_index(UNKNOWN)
        # The search refers to the model without owning it:
        # https://github.com/pytorch/audio/issues/3218
        self.model = KenLM(str(lm), words)
        self.trie = library.Trie(text_encoder.n_tokens, text_encoder.space)
        start = self.model.start(False)
        for index, spelling in enumerate(spellings.values()):
            self.trie.insert(spelling, index, self.model.score(start, index)[1])
        # A prefix counts as the best word that it may become, so that the model prunes early.
        self.trie.smear(library.SmearingMode.MAX)

    def weighed(
        self, lm_weight: float, word_score: float, beam_size: int, *, beam_threshold: float = 50.0
    ) -> Decode:
        """The search for words of the model, one utterance after the other.

        Args:
            lm_weight: of natural logarithms; flashlight's own is for base-10 logarithms.
            word_score: natural logarithm.
            beam_size: beams to keep.
            beam_threshold: nats behind the best at which a beam is dropped.
        """
        options = self.library.LexiconDecoderOptions(
            beam_size=beam_size,
            beam_size_token=self.text_encoder.n_tokens,
            beam_threshold=beam_threshold,
            lm_weight=lm_weight * math.log(10),
            word_score=word_score,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=self.library.CriterionType.CTC,
        )
        space, blank = self.text_encoder.space, self.text_encoder.blank
        search = self.library.LexiconDecoder(
            options, self.trie, self.model, space, blank, self.unknown, [], False
        )
        return lambda log_probs: [self._text(search, frames) for frames in log_probs]

    def _text(self, search: Any, frames: Tensor) -> str:
        """The best text of (T, V) log-probabilities."""
        # In the lexicon a space ends every word, but networks seldom emit one at the end. Where any
        # beam stands between words at the end, flashlight drops all that stand within one; so
        # without a certain space the last word would often be lost or be a shorter one.
        certain_space = torch.full((1, self.text_encoder.n_tokens), NEVER)
        certain_space[0, self.text_encoder.space] = 0.0
        data = torch.cat([frames.float().nan_to_num(nan=NEVER, neginf=NEVER), certain_space])
        results = search.decode(data.data_ptr(), *data.shape)
        path: Sequence[int] = results[0].tokens[1 : len(frames) + 1] if results else ()
        labels = [token for token, _ in groupby(path) if token != self.text_encoder.blank]
        return spaced(self.text_encoder.decode(labels))


def _spellings(lm: Path, text_encoder: TextEncoder) -> dict[str, list[int]]:
    """The tokens of each word that the alphabet can spell, and of the space after it."""
    assert text_encoder.space is not None, "words need a space between them"
    result: dict[str, list[int]] = {}
    for word in read_arpa(lm).words:
        if word in (BEGIN, END, UNKNOWN):
            continue
        try:
            labels = text_encoder.encode(word)
        except ManifestError:
            continue
        if labels:
            result[word] = [*labels, text_encoder.space]
    return result
