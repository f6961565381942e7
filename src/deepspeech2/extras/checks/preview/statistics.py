"""What can be told of a corpus without listening to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from deepspeech2.datasets.bucketing import Indices, cuts, padding_share
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.extras.checks.corpus_check import OutputFrames, objections
from deepspeech2.text import TextEncoder
from deepspeech2.types import Utterance


@dataclass(frozen=True)
class Examined:
    """A corpus as training would use it.

    Attributes:
        name: in ``datasets``.
        corpus: what was examined.
        kept: the utterances that are left.
        labels, needed: (N,) of each of ``kept``, its characters, and the frames CTC needs at
            least for them.
        available: (N,) the frames that the network gives at least, under any augmentation.
        characters: how often each occurs in all transcripts, normalised.
        left_out: by kind, the names of what is left out with what there is to say of each.
        batches: indices into ``kept`` of the first epoch's batches.
        random_padding: the share of padding if utterances met at random.
    """

    name: str
    corpus: Corpus
    kept: tuple[Utterance, ...]
    labels: NDArray[np.int64]
    needed: NDArray[np.int64]
    available: NDArray[np.int64]
    characters: Counter[str]
    left_out: dict[str, list[tuple[str, str]]]
    batches: list[Indices] = field(default_factory=list)
    random_padding: float = 0.0

    @cached_property
    def durations(self) -> NDArray[np.float64]:
        """(N,) seconds."""
        return np.array([utterance.duration for utterance in self.kept], dtype=np.float64)

    @property
    def hours(self) -> float:
        return float(self.durations.sum()) / 3600

    @property
    def padding(self) -> float:
        """Share of padding in the batches, from 0 to 1."""
        return padding_share(self.durations, self.batches)

    @property
    def n_left_out(self) -> int:
        """Utterances and files; what is beyond a limit counts as one."""
        return sum(map(len, self.left_out.values()))


def examine(
    name: str,
    corpus: Corpus,
    text_encoder: TextEncoder,
    output_frames: OutputFrames,
    sample_rate: int,
) -> Examined:
    """Go through all transcripts, under a bar where that takes more than a second.

    Args:
        output_frames: maps numbers of samples (B,) to the fewest frames (B,) of the network.
    """
    left_out: dict[str, list[tuple[str, str]]] = {}
    for exclusion in corpus.exclusions:
        left_out.setdefault(exclusion.reason, []).append((exclusion.name, ""))
    kept: list[Utterance] = []
    labels: list[int] = []
    needed: list[int] = []
    characters: Counter[str] = Counter()
    found = objections(corpus, text_encoder, output_frames, sample_rate)
    bar = tqdm(
        found, f"examining {name}", len(corpus), unit=" utterances", leave=False, delay=1,
        disable=None,
    )  # fmt: skip
    for utterance, objection in bar:
        if not utterance.audio.is_file():
            left_out.setdefault("missing files", []).append((utterance.id, str(utterance.audio)))
            continue
        characters.update(text_encoder.normalize(utterance.text or ""))
        if objection is not None:
            left_out.setdefault(objection.kind, []).append((utterance.id, objection.reason))
            continue
        encoded = text_encoder.encode(utterance.text or "")
        kept.append(utterance)
        labels.append(len(encoded))
        needed.append(text_encoder.minimum_frames(encoded))
    samples = torch.tensor([round(item.duration * sample_rate) for item in kept]).long()
    available = output_frames(samples).numpy()
    return Examined(
        name, corpus, tuple(kept), np.array(labels, np.int64), np.array(needed, np.int64),
        available, characters, left_out,
    )  # fmt: skip


def padding_at_random(
    durations: NDArray[np.float64],
    max_batch_duration: float,
    max_batch_size: int | None,
    seed: int,
) -> float:
    """The share of padding if utterances met in random order under the same limits."""
    order = np.random.default_rng(seed).permutation(len(durations))
    starts = cuts(durations[order], max_batch_duration, max_batch_size)
    batches = [order[start:end] for start, end in pairwise(starts)]
    return padding_share(durations, batches)


def unknown_characters(examined: Sequence[Examined], text_encoder: TextEncoder) -> set[str]:
    """Characters of the transcripts that the alphabet lacks."""
    met: set[str] = set().union(*(each.characters for each in examined))
    return text_encoder.unknown("".join(met)) if met else set()


def tightest(examined: Examined, number: int) -> list[int]:
    """The utterances that leave CTC least room, first the tightest: indices into ``kept``."""
    used = examined.needed / np.maximum(examined.available, 1)
    return [int(index) for index in np.argsort(-used, kind="stable")[:number]]


def facts(examined: Examined) -> Mapping[str, str]:
    """What a reader wants to know first, by its label."""
    seconds = examined.durations
    if not len(seconds):
        return {"utterances": "0", "left out": f"{examined.n_left_out:,}"}
    speakers = {item.speaker for item in examined.kept if item.speaker is not None}
    sizes = [len(batch) for batch in examined.batches]
    rate = examined.labels / np.maximum(seconds, 1e-9)
    told = {
        "utterances": f"{len(seconds):,}",
        "hours": f"{examined.hours:.2f}",
        "speakers": f"{len(speakers):,}" if speakers else "",
        "shortest, median, longest": (
            f"{seconds.min():.1f}, {np.median(seconds):.1f}, {seconds.max():.1f} s"
        ),
        "characters a second, median": f"{np.median(rate):.1f}",
        "batches an epoch": f"{len(sizes):,}",
        "utterances a batch": f"{min(sizes)} to {max(sizes)}" if sizes else "",
        "padding": f"{100 * examined.padding:.1f} %",
        "left out": f"{examined.n_left_out:,}",
    }
    return {label: value for label, value in told.items() if value}
