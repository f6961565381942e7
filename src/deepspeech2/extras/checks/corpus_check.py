"""What cannot be learnt from is found before training starts, not in the tenth hour."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deepspeech2.datasets.corpus import Corpus, Exclusion
from deepspeech2.errors import ManifestError
from deepspeech2.escaping import one_line
from deepspeech2.extras.checks.finding import Finding, Severity, few, quantity
from deepspeech2.text import TextEncoder
from deepspeech2.types import Utterance

OutputFrames = Callable[[Tensor], Tensor]
"""Maps numbers of samples (B,) to the fewest frames (B,) of the network."""

_ASKED_FOR = re.compile(r"\b(limit|max_\w+_length)=")  # reasons that name a setting

REMEDIES = {
    "transcripts": "Add the transcripts, or drop these recordings from the corpus.",
    "unknown characters": (
        "Correct the transcripts, or set text_encoder.alphabet, remove or to_space to fit them;"
        " text_encoder.spell_out=en makes words of digits."
    ),
    "empty transcripts": "Correct the transcripts, or drop these recordings from the corpus.",
    "alignment": (
        "Look whether the transcripts belong to the recordings, or set a smaller time stride in"
        " model."
    ),
}
"""By the kind of objection: what a user can do."""


class Objection(NamedTuple):
    """Why CTC cannot learn from an utterance: a key of the remedies, and the sentence."""

    kind: str
    reason: str


def trainable(
    corpus: Corpus,
    text_encoder: TextEncoder,
    output_frames: OutputFrames,
    sample_rate: int,
) -> tuple[tuple[Utterance, ...], tuple[Exclusion, ...]]:
    """The utterances that CTC can align, and what was left out with the reason.

    Args:
        output_frames: maps numbers of samples (B,) to the fewest frames (B,) of the network.

    Raises:
        ManifestError: none is left.
    """
    kept: list[Utterance] = []
    left_out: list[Exclusion] = []
    for utterance, objection in objections(corpus, text_encoder, output_frames, sample_rate):
        if objection is None:
            kept.append(utterance)
        else:
            left_out.append(Exclusion(utterance.id, objection.reason))
    if not kept:
        reasons = sorted({exclusion.reason for exclusion in (*corpus.exclusions, *left_out)})
        raise ManifestError(
            f"{corpus.name} has no utterance to learn from: {'; '.join(reasons[:3])}"
        )
    return tuple(kept), tuple(left_out)


def objections(
    corpus: Corpus, text_encoder: TextEncoder, output_frames: OutputFrames, sample_rate: int
) -> Iterator[tuple[Utterance, Objection | None]]:
    """Each utterance of ``corpus`` with why CTC cannot learn from it, or None."""
    samples = torch.tensor(
        [round(item.duration * sample_rate) for item in corpus], dtype=torch.int64
    )
    frames = output_frames(samples).tolist()
    for utterance, available in zip(corpus, frames, strict=True):
        yield utterance, _objection(utterance, text_encoder, available)


def _objection(utterance: Utterance, text_encoder: TextEncoder, frames: int) -> Objection | None:
    if utterance.text is None:
        return Objection("transcripts", "it has no transcript")
    unknown = text_encoder.unknown(utterance.text)
    if unknown:
        characters = " ".join(repr(character) for character in sorted(unknown))
        digits = any(character.isdigit() for character in unknown)
        hint = " (text_encoder.spell_out=en makes words of digits)" if digits else ""
        return Objection(
            "unknown characters",
            f"its transcript holds {characters}, which the alphabet lacks{hint}",
        )
    labels = text_encoder.encode(utterance.text)
    if not labels:
        return Objection("empty transcripts", "its transcript is empty after normalisation")
    needed = text_encoder.minimum_frames(labels)
    if needed > frames:
        return Objection(
            "alignment",
            f"its {len(labels)} characters need {needed} frames, but it has {frames}",
        )
    return None


def report(name: str, exclusions: Sequence[Exclusion]) -> str:
    """One message that names every utterance that was left out, grouped by reason."""
    lines = [f"{one_line(name)}: {len(exclusions)} utterances are left out"]
    by_reason: dict[str, list[str]] = {}
    for exclusion in exclusions:
        by_reason.setdefault(exclusion.reason, []).append(exclusion.name)
    for reason, names in by_reason.items():
        lines.append(f"  {one_line(reason)}: {', '.join(map(one_line, names))}")
    return "\n".join(lines)


def judge_size(area: str, corpus: Corpus) -> list[Finding]:
    """How much there is, and what the corpus itself left out.

    Args:
        area: what the findings are called after, as in ``datasets.train``.
    """
    found = f"{corpus.name}, {quantity(len(corpus), 'utterance')}, {corpus.duration / 3600:.2f} h"
    check = f"{area}: size"
    findings = [Finding("ok", check, found)]
    if not len(corpus):
        findings = [Finding("error", check, found, "Look at the reasons below.")]
    by_reason: dict[str, list[str]] = {}
    for exclusion in corpus.exclusions:
        by_reason.setdefault(exclusion.reason, []).append(exclusion.name)
    for reason, names in by_reason.items():
        found = f"{len(names)} left out ({reason}): {few(names)}"
        if _ASKED_FOR.search(reason):
            findings.append(Finding("ok", f"{area}: settings", found))
        else:
            remedy = "Mend these files, or go on without them."
            findings.append(Finding("warning", f"{area}: files", found, remedy))
    return findings


def judge_transcripts(
    area: str,
    corpus: Corpus,
    text_encoder: TextEncoder,
    output_frames: OutputFrames,
    sample_rate: int,
) -> list[Finding]:
    """Unknown characters, empty transcripts, and what CTC cannot align, one finding for each."""
    by_kind: dict[str, list[tuple[Utterance, str]]] = {}
    for utterance, objection in objections(corpus, text_encoder, output_frames, sample_rate):
        if objection is not None:
            by_kind.setdefault(objection.kind, []).append((utterance, objection.reason))
    if not by_kind:
        return [Finding("ok", f"{area}: transcripts", "all can be aligned by CTC")]
    left = len(corpus) - sum(map(len, by_kind.values()))
    severity: Severity = "warning" if left else "error"
    findings = []
    for kind, found in by_kind.items():
        what = list(dict.fromkeys(reason for _, reason in found))
        if kind == "unknown characters":
            texts = [utterance.text or "" for utterance, _ in found]
            counts = Counter(c for text in texts for c in sorted(text_encoder.unknown(text)))
            what = [f"{character!r} in {count}" for character, count in counts.most_common()]
        names = few([utterance.id for utterance, _ in found])
        text = f"{quantity(len(found), 'utterance')} left out ({few(what)}): {names}"
        findings.append(Finding(severity, f"{area}: {kind}", text, REMEDIES[kind]))
    return findings
