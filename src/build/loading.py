"""Corpora and loaders from the groups ``datasets`` and ``dataloader``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any, get_type_hints

from src.build.components import create
from src.datasets.corpus import Corpus
from src.datasets.dataset import CACHE_KINDS, CacheKind, SpeechDataset
from src.datasets.loader import SpeechLoader
from src.errors import ConfigError
from src.hardware import cpus
from src.paths import resolve
from src.types import Utterance, check_type, is_number


@dataclass(frozen=True, slots=True)
class DataloaderSettings:
    """The config group ``dataloader``.

    Attributes:
        max_batch_duration: seconds of padded audio in a batch.
        max_batch_size: utterances in a batch; None for no limit.
        num_workers: processes that read audio; None: one for each core, at most 8.
        cache: what is kept of decoded audio: "none", "memory" (small corpora, num_workers 0) or
            "disk"; true is "memory" and false is "none".
        cache_dir: where the cache on the disk lies; a relative path counts from the
            repository's root.
        pin_memory: page-locked batches for a GPU.
        sorted_epochs: how many epochs of training go from the shortest to the longest utterances.

    Raises:
        ConfigError: a number is none, or ``cache`` or ``cache_dir`` is something else.
    """

    max_batch_duration: float
    max_batch_size: int | None = None
    num_workers: int | None = None
    cache: CacheKind | bool = "none"
    cache_dir: str = "data/cache"
    pin_memory: bool = True
    sorted_epochs: int = 0

    def __post_init__(self) -> None:
        if not is_number(self.max_batch_duration) or not self.max_batch_duration > 0:
            raise ConfigError(
                "dataloader.max_batch_duration must be positive, but is"
                f" {self.max_batch_duration!r}"
            )
        for name in ("max_batch_size", "num_workers", "sorted_epochs"):
            value = getattr(self, name)
            if type(value) is not int and (value is not None or name == "sorted_epochs"):
                raise ConfigError(f"dataloader.{name} must be a whole number, but is {value!r}")
        if not isinstance(self.cache, bool) and self.cache not in CACHE_KINDS:
            raise ConfigError(
                f"dataloader.cache must be none, memory or disk, but is {self.cache!r}"
            )
        if not isinstance(self.cache_dir, str) or not self.cache_dir:
            raise ConfigError(f"dataloader.cache_dir must be a path, but is {self.cache_dir!r}")

    @property
    def cache_kind(self) -> CacheKind:
        """``cache`` by its name."""
        if isinstance(self.cache, bool):
            return "memory" if self.cache else "none"
        return self.cache

    @classmethod
    def from_config(cls, node: Mapping[str, Any]) -> DataloaderSettings:
        settings: DataloaderSettings = from_group(cls, node, "dataloader")
        return settings

    def loader(
        self,
        utterances: Sequence[Utterance],
        encode: Callable[[str], Sequence[int]],
        sample_rate: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> SpeechLoader:
        workers = self.num_workers
        if workers is None:
            # The launcher says how many ranks share this machine's cores.
            beside = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
            workers = min(8, max(1, cpus() // beside))
        dataset = SpeechDataset(
            utterances,
            encode,
            sample_rate=sample_rate,
            cache=self.cache_kind,
            cache_dir=resolve(self.cache_dir),
        )
        return SpeechLoader(
            dataset,
            max_batch_duration=self.max_batch_duration,
            max_batch_size=self.max_batch_size,
            num_workers=workers,
            shuffle=shuffle,
            seed=seed,
            rank=rank,
            world_size=world_size,
            pin_memory=self.pin_memory,
            sorted_epochs=self.sorted_epochs if shuffle else 0,
        )


def no_labels(text: str) -> list[int]:
    """Recognition needs no labels; a reference may hold characters that the alphabet lacks."""
    return []


def from_group(cls: type[Any], node: Mapping[str, Any], key: str) -> Any:
    """A settings dataclass from a config group.

    Raises:
        ConfigError: a key does not exist or is missing; values are checked by the class.
    """
    known = cls.__dataclass_fields__
    for name in node:
        if name not in known:
            raise ConfigError(
                f"{key}.{name}={node[name]!r} does not exist: {key} takes {', '.join(known)}"
            )
    hints = get_type_hints(cls)
    # YAML reads some texts as numbers, as 16 of the precisions
    given = {
        name: str(value) if hints[name] is str and is_number(value) else value
        for name, value in node.items()
    }
    missing = [
        name
        for name, field in known.items()
        if name not in node and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"{key}.{missing[0]} has no value: give one as {key}.{missing[0]}=VALUE")
    for name, value in given.items():
        check_type(f"{key}.{name}", value, hints[name])
    return cls(**given)


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
