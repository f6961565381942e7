"""Corpora and loaders from the groups ``datasets`` and ``dataloader``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepspeech2.config.components import create
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.errors import ConfigError
from deepspeech2.hardware import cpus
from deepspeech2.paths import resolve
from deepspeech2.settings import DataloaderSettings
from deepspeech2.types import Utterance


def open_loader(
    settings: DataloaderSettings,
    utterances: Sequence[Utterance],
    encode: Callable[[str], Sequence[int]],
    sample_rate: int,
    *,
    shuffle: bool,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> SpeechLoader:
    """A loader of ``utterances`` as the group ``dataloader`` says."""
    workers = settings.num_workers
    if workers is None:
        # The launcher says how many ranks share this machine's cores.
        beside = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
        workers = min(8, max(1, cpus() // beside))
    dataset = SpeechDataset(
        utterances,
        encode,
        sample_rate=sample_rate,
        cache=settings.cache_kind,
        cache_dir=resolve(settings.cache_dir),
    )
    return SpeechLoader(
        dataset,
        max_batch_duration=settings.max_batch_duration,
        max_batch_size=settings.max_batch_size,
        num_workers=workers,
        shuffle=shuffle,
        seed=seed,
        rank=rank,
        world_size=world_size,
        pin_memory=settings.pin_memory,
        sorted_epochs=settings.sorted_epochs if shuffle else 0,
    )


def corpora(node: Mapping[str, Any]) -> dict[str, Corpus]:
    """The corpora of the group ``datasets`` by their names.

    Raises:
        ConfigError: there is none, or an entry is not a corpus.
    """
    found: dict[str, Corpus] = {}
    for name, entry in node.items():
        if entry is None:
            continue
        if not isinstance(entry, Mapping) or "_target_" not in entry:
            raise ConfigError(f"datasets.{name} must name a _target_, but is {entry!r}")
        corpus = create(entry, f"datasets.{name}")
        if not isinstance(corpus, Corpus):
            raise ConfigError(f"datasets.{name} must be a corpus, but is a {type(corpus).__name__}")
        found[name] = corpus
    if not found:
        raise ConfigError("datasets names no corpus")
    return found
