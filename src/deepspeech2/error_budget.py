"""What caused the word errors.

The reference is scored as the hypothesis was. If it scores higher, the search has lost it;
otherwise the models prefer what is wrong, and the scores show which of them does (after L. Chase,
Error-responsive feedback mechanisms for speech recognizers, 1997, chapter 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from deepspeech2.decoding import Decoder
from deepspeech2.text import Tokenizer
from deepspeech2.types import Padded

_TOLERANCE = 1e-3  # nats; the scores of one text differ so much between batches
_TOGETHER = 64  # texts that are scored at a time


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """Word errors by cause; they add up to all errors.

    Attributes:
        unknown: of reference words outside of the decoder's vocabulary.
        search: where the reference scores higher than the hypothesis.
        language: where the language model, with word scores and hot words, prefers the
            hypothesis and the acoustic model the reference.
        acoustic: the other way round.
        both: where both prefer the hypothesis.
        words: words of all references.
    """

    unknown: int = 0
    search: int = 0
    language: int = 0
    acoustic: int = 0
    both: int = 0
    words: int = 0

    def __add__(self, other: ErrorBudget) -> ErrorBudget:
        names = [each.name for each in fields(self)]
        return ErrorBudget(*(getattr(self, name) + getattr(other, name) for name in names))

    def share(self, cause: str) -> float:
        """Return the word error rate that ``cause`` accounts for, as a fraction."""
        return int(getattr(self, cause)) / max(self.words, 1)


def error_budgets(
    decoder: Decoder,
    log_probs: Padded,
    references: Sequence[str],
    texts: Sequence[str],
    text_encoder: Tokenizer,
) -> list[ErrorBudget] | None:
    """Find what caused the errors of each utterance of a batch.

    Args:
        decoder: that made ``texts``.
        log_probs: (B, T, V).
        references: B normalised transcripts.
        texts: B hypotheses.
        text_encoder: spells them.

    Returns:
        None if the decoder cannot score a text.
    """
    if decoder.language_score("") is None:
        return None
    searched = decoder.acoustic(log_probs)
    theirs = acoustic_scores(searched, references, text_encoder)
    ours = acoustic_scores(searched, texts, text_encoder)
    return [_account(decoder, *each) for each in zip(references, texts, theirs, ours, strict=True)]


def error_budget_of_parts(
    decoder: Decoder,
    log_probs: Padded,
    reference: str,
    texts: Sequence[str],
    text_encoder: Tokenizer,
) -> ErrorBudget | None:
    """Do the same for one recording that was decoded in parts.

    Each part gets the words of the reference that the best alignment gives to its hypothesis, so
    the errors of the parts add up to those of the recording. An alphabet without a space makes a
    recording one word, which has one cause.

    Args:
        log_probs: (P, T, V), of the parts.
        texts: P hypotheses.
    """
    if text_encoder.spaced:
        pieces = divided(reference.split(), [text.split() for text in texts])
        references = [" ".join(piece) for piece in pieces]
        budgets = error_budgets(decoder, log_probs, references, texts, text_encoder)
        return None if budgets is None else sum(budgets, ErrorBudget())
    if decoder.language_score("") is None:
        return None
    references = ["".join(piece) for piece in divided(reference, texts)]
    searched = decoder.acoustic(log_probs)
    theirs = sum(acoustic_scores(searched, references, text_encoder))
    ours = sum(acoustic_scores(searched, texts, text_encoder))
    return _account(decoder, reference, "".join(texts), theirs, ours)


def divided(reference: Sequence[str], parts: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Split ``reference`` into a piece for each of ``parts``, with the fewest edits in all.

    >>> divided("abcd", ["ab", "x", "d"])
    ['ab', 'c', 'd']
    """
    places = [0]  # in the reference, before each token of the hypothesis and at its end
    for step in Levenshtein.opcodes(reference, [token for part in parts for token in part]):
        length = step.dest_end - step.dest_start
        places += [min(step.src_start + n, step.src_end) for n in range(1, length + 1)]
    ends = [places[end] for end in accumulate(map(len, parts))]
    return [reference[start:end] for start, end in pairwise([0, *ends[:-1], len(reference)])]


def acoustic_scores(
    log_probs: Padded, texts: Sequence[str], text_encoder: Tokenizer
) -> list[float]:
    """Return ln P(text | audio) of a text for each of (B, T, V); -inf if it cannot be spelled."""
    possible, labels = [], []
    for text, length in zip(texts, log_probs.lengths.tolist(), strict=True):
        spelled = [] if text_encoder.unknown(text) else text_encoder.encode(text)
        # more labels than frames would only take memory, of which a whole book takes too much
        possible.append(bool(spelled or not text) and len(spelled) <= length)
        labels.append(torch.tensor(spelled if possible[-1] else [], dtype=torch.int64))
    scores: list[float] = []
    for start in range(0, len(texts), _TOGETHER):
        few = slice(start, start + _TOGETHER)
        targets = Padded.stack(labels[few])
        losses: Tensor = torch.nn.functional.ctc_loss(
            log_probs.data[few].float().transpose(0, 1),
            targets.data.to(log_probs.data.device),
            log_probs.lengths[few],
            targets.lengths.to(log_probs.data.device),
            blank=text_encoder.blank,
            reduction="none",
        )
        scores += (-losses).tolist()
    return [score if each else float("-inf") for score, each in zip(scores, possible, strict=True)]


def _account(
    decoder: Decoder, reference: str, text: str, theirs: float, ours: float
) -> ErrorBudget:
    """Return the budget of one utterance from the acoustic scores of reference and hypothesis."""
    spoken, recognized = reference.split(), text.split()
    errors = unknown = 0
    for step in Levenshtein.opcodes(spoken, recognized):
        if step.tag == "equal":
            continue
        errors += max(step.src_end - step.src_start, step.dest_end - step.dest_start)
        unknown += sum(not decoder.knows(word) for word in spoken[step.src_start : step.src_end])
    rest, words = errors - unknown, len(spoken)
    if not errors:
        return ErrorBudget(words=words)
    acoustic = theirs - ours
    language = (decoder.language_score(reference) or 0.0) - (decoder.language_score(text) or 0.0)
    if acoustic + language > _TOLERANCE:
        return ErrorBudget(unknown=unknown, search=rest, words=words)
    if acoustic >= 0:
        return ErrorBudget(unknown=unknown, language=rest, words=words)
    if language >= 0:
        return ErrorBudget(unknown=unknown, acoustic=rest, words=words)
    return ErrorBudget(unknown=unknown, both=rest, words=words)
