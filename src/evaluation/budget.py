"""What word errors are owed to.

The reference is scored as the hypothesis was. If it scores higher, the search has lost it;
otherwise the models prefer what is wrong, and it shows which of them does (after L. Chase,
Error-responsive feedback mechanisms for speech recognizers, 1997, chapter 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor

from src.decoding import Decoder
from src.text import TextEncoder
from src.types import Padded

if TYPE_CHECKING:
    from src.evaluation.result import Recognized

_TOLERANCE = 1e-3  # nats; the scores of one text differ so much between batches


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """Word errors by cause; they add up to all errors.

    Attributes:
        unknown: of reference words that the decoder cannot say, being outside its vocabulary.
        search: where the reference scores higher than what was found.
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
        """The word error rate that is owed to ``cause``, as a fraction."""
        return int(getattr(self, cause)) / max(self.words, 1)


def add_to_budgets(
    budgets: dict[str, ErrorBudget],
    log_probs: Padded,
    results: Sequence[Recognized],
    decoders: Sequence[Decoder],
    text_encoder: TextEncoder,
) -> None:
    """Account for the errors of a batch.

    Args:
        budgets: by decoder's name; a decoder that cannot score a text loses its place.
        log_probs: (B, T, V) of the batch.
        results: of the same utterances; those without a reference do not count.
        decoders: what made them.
        text_encoder: spells the references.
    """
    known = [index for index, each in enumerate(results) if each.reference is not None]
    if not known:
        return
    chosen = Padded(log_probs.data[known], log_probs.lengths[known])
    references = [str(results[index].reference) for index in known]
    plain = acoustic_scores(chosen, references, text_encoder)
    for decoder in decoders:
        texts = [results[index].hypotheses[decoder.name][0].text for index in known]
        if decoder.language_score("") is None:
            budgets.pop(decoder.name, None)
            continue
        searched = decoder.acoustic(chosen)
        heard = plain if searched is chosen else acoustic_scores(searched, references, text_encoder)
        found = acoustic_scores(searched, texts, text_encoder)
        for reference, text, theirs, ours in zip(references, texts, heard, found, strict=True):
            budgets[decoder.name] += _account(decoder, reference, text, theirs, ours)


def acoustic_scores(
    log_probs: Padded, texts: Sequence[str], text_encoder: TextEncoder
) -> list[float]:
    """ln P(text | audio) of a text for each of (B, T, V); -inf for what cannot be spelled."""
    spelled = [not text_encoder.unknown(text) for text in texts]
    labels = [
        torch.tensor(text_encoder.encode(text) if possible else [], dtype=torch.int64)
        for text, possible in zip(texts, spelled, strict=True)
    ]
    targets = Padded.stack(labels)
    losses: Tensor = torch.nn.functional.ctc_loss(
        log_probs.data.float().transpose(0, 1),
        targets.data.to(log_probs.data.device),
        log_probs.lengths,
        targets.lengths.to(log_probs.data.device),
        blank=text_encoder.blank,
        reduction="none",
    )
    pairs = zip(losses.tolist(), spelled, strict=True)
    return [-loss if possible else float("-inf") for loss, possible in pairs]


def _account(
    decoder: Decoder, reference: str, text: str, theirs: float, ours: float
) -> ErrorBudget:
    """The budget of one utterance; acoustic scores of the reference and of the hypothesis."""
    spoken, found = reference.split(), text.split()
    errors = unknown = 0
    for step in Levenshtein.opcodes(spoken, found):
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
