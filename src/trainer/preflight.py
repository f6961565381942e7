"""What cannot be learnt from is found before training starts, not in the tenth hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from src.datasets.corpus import Corpus, Exclusion
from src.errors import ManifestError
from src.text import TextEncoder
from src.types import Utterance


def trainable(
    corpus: Corpus,
    text_encoder: TextEncoder,
    output_frames: Callable[[Tensor], Tensor],
    sample_rate: int,
) -> tuple[tuple[Utterance, ...], tuple[Exclusion, ...]]:
    """The utterances that CTC can align, and what was left out with the reason.

    Args:
        output_frames: maps numbers of samples (B,) to the fewest frames (B,) of the network.

    Raises:
        ManifestError: none is left.
    """
    samples = torch.tensor(
        [round(item.duration * sample_rate) for item in corpus], dtype=torch.int64
    )
    frames = output_frames(samples).tolist()
    kept: list[Utterance] = []
    left_out: list[Exclusion] = []
    for utterance, available in zip(corpus, frames, strict=True):
        reason = _objection(utterance, text_encoder, available)
        if reason is None:
            kept.append(utterance)
        else:
            left_out.append(Exclusion(utterance.id, reason))
    if not kept:
        reasons = sorted({exclusion.reason for exclusion in (*corpus.exclusions, *left_out)})
        raise ManifestError(
            f"{corpus.name} has no utterance to learn from: {'; '.join(reasons[:3])}"
        )
    return tuple(kept), tuple(left_out)


def _objection(utterance: Utterance, text_encoder: TextEncoder, frames: int) -> str | None:
    if utterance.text is None:
        return "it has no transcript"
    unknown = text_encoder.unknown(utterance.text)
    if unknown:
        characters = " ".join(repr(character) for character in sorted(unknown))
        return f"its transcript holds {characters}, which the alphabet lacks"
    labels = text_encoder.encode(utterance.text)
    if not labels:
        return "its transcript is empty after normalisation"
    needed = text_encoder.minimum_frames(labels)
    if needed > frames:
        return f"its {len(labels)} characters need {needed} frames, but it has {frames}"
    return None


def report(name: str, exclusions: Sequence[Exclusion]) -> str:
    """One message that names every utterance that was left out, grouped by reason."""
    lines = [f"{name}: {len(exclusions)} utterances are left out"]
    by_reason: dict[str, list[str]] = {}
    for exclusion in exclusions:
        by_reason.setdefault(exclusion.reason, []).append(exclusion.name)
    for reason, names in by_reason.items():
        lines.append(f"  {reason}: {', '.join(names)}")
    return "\n".join(lines)
