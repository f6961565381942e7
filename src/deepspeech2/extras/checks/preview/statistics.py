"""What can be said about a corpus without listening to it, in numbers and charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from deepspeech2.audio.stored import exists
from deepspeech2.datasets import BucketBatchSampler
from deepspeech2.datasets.bucketing import Indices, cuts, padding_share
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.extras.checks.corpus_check import TRAIN, objections
from deepspeech2.pipeline import Pipeline
from deepspeech2.settings import DataloaderSettings
from deepspeech2.text import Tokenizer
from deepspeech2.types import Utterance
from deepspeech2.writer import histograms


@dataclass(frozen=True)
class CorpusStatistics:
    """A corpus as training would use it.

    Attributes:
        name: in ``datasets``.
        utterances: (N) those that can be learnt from.
        labels, needed: (N,) of each utterance, its characters, and the frames CTC needs at least
            for them.
        available: (N,) the frames that the network gives at least, under any augmentation.
        characters: how often each occurs in all transcripts, normalised.
        left_out: by kind, the names of what is left out with the reason of each.
        batches: indices into ``utterances`` of the first epoch's batches.
        random_padding: the share of padding in batches of random utterances under the same limits.
    """

    name: str
    corpus: Corpus
    utterances: tuple[Utterance, ...]
    labels: NDArray[np.int64]
    needed: NDArray[np.int64]
    available: NDArray[np.int64]
    characters: Counter[str]
    left_out: dict[str, list[tuple[str, str]]]
    batches: list[Indices]
    random_padding: float

    @cached_property
    def durations(self) -> NDArray[np.float64]:
        """(N,) seconds."""
        return _durations(self.utterances)

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

    def tightest(self, number: int) -> list[tuple[Utterance, int, int]]:
        """The utterances that leave CTC least room, with frames needed and frames available."""
        used = self.needed / np.maximum(self.available, 1)
        order = np.argsort(-used, kind="stable")[:number]
        return [(self.utterances[i], int(self.needed[i]), int(self.available[i])) for i in order]

    def facts(self) -> dict[str, str]:
        """What a reader wants to know first, by its label."""
        seconds = self.durations
        if not len(seconds):
            return {"utterances": "0", "left out": f"{self.n_left_out:,}"}
        speakers = {item.speaker for item in self.utterances if item.speaker is not None}
        sizes = [len(batch) for batch in self.batches]
        rate = self.labels / np.maximum(seconds, 1e-9)
        facts = {
            "utterances": f"{len(seconds):,}",
            "hours": f"{self.hours:.2f}",
            "speakers": f"{len(speakers):,}" if speakers else "",
            "shortest, median, longest": (
                f"{seconds.min():.1f}, {np.median(seconds):.1f}, {seconds.max():.1f} s"
            ),
            "characters a second, median": f"{np.median(rate):.1f}",
            "batches an epoch": f"{len(sizes):,}",
            "utterances a batch": f"{min(sizes)} to {max(sizes)}" if sizes else "",
            "padding": f"{100 * self.padding:.1f} %",
            "left out": f"{self.n_left_out:,}",
        }
        return {label: value for label, value in facts.items() if value}

    def numbers(self, unknown: set[str]) -> dict[str, Any]:
        """The same for programs; shares are fractions.

        Args:
            unknown: characters that the alphabet lacks.
        """
        return {
            "corpus": self.corpus.name,
            "utterances": len(self.utterances),
            "hours": self.hours,
            "batches": len(self.batches),
            "padding": self.padding,
            "random_padding": self.random_padding,
            "characters": dict(self.characters.most_common()),
            "outside_alphabet": sorted(unknown & self.characters.keys()),
            "left_out": self.left_out,
        }


def examine(
    name: str,
    corpus: Corpus,
    text_encoder: Tokenizer,
    pipeline: Pipeline,
    dataloader: DataloaderSettings,
    seed: int,
) -> CorpusStatistics:
    """Go through all transcripts, under a bar where that takes more than a second."""
    left_out: dict[str, list[tuple[str, str]]] = {}
    for exclusion in corpus.exclusions:
        left_out.setdefault(exclusion.reason, []).append((exclusion.name, ""))
    utterances: list[Utterance] = []
    labels: list[int] = []
    needed: list[int] = []
    characters: Counter[str] = Counter()
    sample_rate = pipeline.front_end.sample_rate
    items = objections(corpus, text_encoder, pipeline.output_frames, sample_rate)
    bar = tqdm(
        items, f"examining {name}", len(corpus), unit=" utterances", leave=False, delay=1,
        disable=None,
    )  # fmt: skip
    for utterance, objection in bar:
        if not exists(utterance.audio):
            left_out.setdefault("missing files", []).append((utterance.id, str(utterance.audio)))
            continue
        characters.update(text_encoder.normalize(utterance.text or ""))
        if objection is not None:
            left_out.setdefault(objection.kind, []).append((utterance.id, objection.reason))
            continue
        encoded = text_encoder.encode(utterance.text or "")
        utterances.append(utterance)
        labels.append(len(encoded))
        needed.append(text_encoder.minimum_frames(encoded))
    samples = torch.tensor([round(item.duration * sample_rate) for item in utterances]).long()
    batches, random_padding = _batches(_durations(utterances), dataloader, seed, name == TRAIN)
    return CorpusStatistics(
        name, corpus, tuple(utterances), np.array(labels, np.int64), np.array(needed, np.int64),
        pipeline.output_frames(samples).numpy(), characters, left_out, batches, random_padding,
    )  # fmt: skip


def _durations(utterances: Sequence[Utterance]) -> NDArray[np.float64]:
    return np.array([utterance.duration for utterance in utterances], dtype=np.float64)


def _batches(
    durations: NDArray[np.float64], dataloader: DataloaderSettings, seed: int, shuffle: bool
) -> tuple[list[Indices], float]:
    """The batches of the first epoch, and the share of padding in batches of random order."""
    sampler = BucketBatchSampler(
        durations,
        max_batch_duration=dataloader.max_batch_duration,
        max_batch_size=dataloader.max_batch_size,
        shuffle=shuffle,
        seed=seed,
        sorted_epochs=dataloader.sorted_epochs if shuffle else 0,
    )
    order = np.random.default_rng(seed).permutation(len(durations))
    starts = cuts(durations[order], dataloader.max_batch_duration, dataloader.max_batch_size)
    random = [order[start:end] for start, end in pairwise(starts)]
    return sampler.batches(0), padding_share(durations, random)


def unknown_characters(corpora: Sequence[CorpusStatistics], text_encoder: Tokenizer) -> set[str]:
    """Characters of the transcripts that the alphabet lacks."""
    characters: set[str] = set().union(*(each.characters for each in corpora))
    return text_encoder.unknown("".join(characters)) if characters else set()


def charts(corpora: Sequence[CorpusStatistics], pipeline: Pipeline) -> dict[str, bytes]:
    """Durations, padding of train, and frames needed a second, as PNG by name."""
    train = corpora[0]
    shares = np.array([padding_share(train.durations, [batch]) for batch in train.batches])
    sizes = np.array([len(batch) for batch in train.batches])
    # the most frames a second, and the fewest of an hour whose speed augmentation has changed
    plain_rate = 1 / pipeline.seconds_per_frame
    hour = torch.tensor([3600 * pipeline.front_end.sample_rate])
    fewest = float(pipeline.output_frames(hour)) / 3600
    limits = [("what this network has", plain_rate)]
    if fewest < 0.99 * plain_rate:
        limits.append(("when augmentation speeds up", fewest))
    rates = {
        each.name: each.needed / np.maximum(each.durations, 1e-3)
        for each in corpora
        if each.utterances
    }
    figures = {
        "durations": histograms.durations({each.name: each.durations for each in corpora}),
        "padding": histograms.padding(shares, sizes),
        "speech_rates": histograms.speech_rates(rates, limits),
    }
    return {name: histograms.neutral_png(figure) for name, figure in figures.items()}
