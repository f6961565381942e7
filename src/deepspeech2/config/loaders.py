"""Corpora and loaders from the groups ``datasets`` and ``dataloader``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepspeech2.config.components import TARGET, create
from deepspeech2.datasets.corpus import Corpus
from deepspeech2.datasets.dataset import SpeechDataset
from deepspeech2.datasets.items import as_corpus
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.datasets.mixed import EpochDraw, MixedCorpus
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
    draw: EpochDraw | None = None,
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
        draw=draw,
    )


def corpora(node: Mapping[str, Any]) -> dict[str, Corpus]:
    """The corpora of the group ``datasets`` by their names; a list of corpora is a mix of them.

    Raises:
        ConfigError: there is none, or an entry is not a corpus.
    """
    opened: dict[str, Corpus] = {}
    for name, entry in node.items():
        if entry is None:
            continue
        key = f"datasets.{name}"
        entry = as_mix(entry, key)
        _check_target(entry, key)
        corpus = as_corpus(create(entry, key))
        if not isinstance(corpus, Corpus):
            raise ConfigError(
                f"{key} must be a corpus, or a Dataset with a length, but is a"
                f" {type(corpus).__name__}"
            )
        opened[name] = corpus
    if not opened:
        raise ConfigError("datasets names no corpus")
    return opened


def as_mix(entry: Any, key: str) -> Any:
    """The node of a mix for a list of corpora; any other ``entry`` as it is.

    Raises:
        ConfigError: a corpus of the list has no ``_target_``.
    """
    if not isinstance(entry, list):
        return entry
    for number, each in enumerate(entry):
        _check_target(each, f"{key}[{number}]")
    return {TARGET: f"{MixedCorpus.__module__}.{MixedCorpus.__name__}", "corpora": entry}


def map_corpora(change: Callable[[Any, str], Any], entry: Any, key: str) -> Any:
    """``entry`` with the node of each corpus as ``change`` returns it for that and its key.

    A mix has several. What becomes None is left out, and with it weights, which name it.
    """
    entry = as_mix(entry, key)
    if not isinstance(entry, Mapping) or "corpora" not in entry:
        return change(entry, key)
    nodes = entry["corpora"]
    named = nodes.items() if isinstance(nodes, Mapping) else enumerate(nodes or ())
    changed = {name: change(each, f"{key}.{name}") for name, each in named}
    left = {name: each for name, each in changed.items() if each is not None}
    if not left:
        return None
    kept = left if isinstance(nodes, Mapping) else list(left.values())
    return {**(entry if len(left) == len(changed) else {TARGET: entry[TARGET]}), "corpora": kept}


def _check_target(entry: Any, key: str) -> None:
    if not isinstance(entry, Mapping) or TARGET not in entry:
        raise ConfigError(f"{key} must name a {TARGET}, but is {entry!r}")
