"""Recognisers, and loaders of what they recognise, from a config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from deepspeech2 import checkpoint
from deepspeech2.config.components import TARGET, create, group, settings_of
from deepspeech2.config.loaders import open_loader
from deepspeech2.datasets.download import SPLITS
from deepspeech2.datasets.librispeech import GROUPS
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder
from deepspeech2.devices import use_threads
from deepspeech2.errors import ConfigError
from deepspeech2.inference import Recognizer
from deepspeech2.paths import resolve
from deepspeech2.settings import DataloaderSettings, InferencerSettings, RobustnessSettings
from deepspeech2.text import Tokenizer
from deepspeech2.types import Utterance

_FILTERS = frozenset(
    ("hours", "limit", "max_audio_length", "max_text_length", "name", "index_dir", "download",
     "n_workers")
)  # fmt: skip
"""Options of a corpus that choose among its recordings, or say how they are found."""


def recognizer_from(
    config: DictConfig, path: str | Path, settings: InferencerSettings | RobustnessSettings
) -> Recognizer:
    """Load the checkpoint at ``path`` with the group ``decoder``, on the settings' processor.

    Options of a group without ``_target_`` replace those of the checkpoint's decoder, unless null.
    """
    use_threads(settings.threads)
    node = group(config, "decoder")

    def configured(text_encoder: Tokenizer) -> Decoder:
        decoder: Decoder = create(node, "decoder", text_encoder)
        return decoder

    return Recognizer.from_checkpoint(
        path,
        device=settings.device,
        decoder=configured if TARGET in node else None,
        options={name: value for name, value in node.items() if value is not None},
    )


def loader_from(config: DictConfig) -> Callable[[Recognizer, Sequence[Utterance]], SpeechLoader]:
    """Return what opens a loader as the group ``dataloader`` says, at a recogniser's rate."""
    settings = settings_of(config, DataloaderSettings)

    def opened(recognizer: Recognizer, utterances: Sequence[Utterance]) -> SpeechLoader:
        return open_loader(settings, utterances, no_labels, recognizer.sample_rate, shuffle=False)

    return opened


def no_labels(text: str) -> list[int]:
    """Encode nothing: recognition needs no labels, and a reference may have other characters."""
    return []


@contextmanager
def checkpoint_to_fit(
    config: DictConfig, task: str, *, write: bool
) -> Iterator[tuple[Path, Mapping[str, Any], Recognizer]]:
    """Within, the checkpoint of ``inferencer`` is reserved: its path, content and recogniser.

    Args:
        task: what is fitted on the group ``datasets``: "tuning".
        write: whether the result goes into the checkpoint.

    Raises:
        ConfigError: ``datasets`` contains what the checkpoint was trained on.
        OSError: the checkpoint is to be written, and cannot be.
    """
    settings = settings_of(config, InferencerSettings)
    path = resolve(settings.from_pretrained)
    if write:
        checkpoint.check_writable(path)
    with checkpoint.reserved(path):
        content = checkpoint.load(path)
        refuse_training_data(group(config, "datasets"), content, path, task)
        yield path, content, recognizer_from(config, path, settings)


def refuse_training_data(
    named: Mapping[str, Any], content: Mapping[str, Any], path: Path, task: str
) -> None:
    """Raise ConfigError if a corpus is one that a checkpoint was trained on.

    Args:
        named: the config group ``datasets``.
        content: of the checkpoint at ``path``.
        task: what the corpora are for: "tuning".
    """
    remedy = f"choose other recordings for {task}, as datasets=dev_clean"
    if named.get("train"):
        raise ConfigError(
            f"datasets.train is what a model learns from, and of no use for {task}: leave it out"
            f" with ~datasets.train, or {remedy}"
        )
    config = content.get("config")
    learnt = config.get("datasets") if isinstance(config, Mapping) else None
    train = learnt.get("train") if isinstance(learnt, Mapping) else None
    if not isinstance(train, Mapping):
        return
    for name, node in named.items():
        if isinstance(node, Mapping) and _overlap(node, train):
            raise ConfigError(
                f"datasets.{name} is what {path} has learnt from (datasets.train there): {remedy}"
            )


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two corpora are the same except for filters, or share a split of LibriSpeech."""
    places = [
        {key: value for key, value in node.items() if key not in _FILTERS and value is not None}
        for node in (one, other)
    ]
    splits = [_splits(place.pop("part", None)) for place in places]
    kinds = [str(place.pop(TARGET, "")).rpartition(".")[2] for place in places]
    for place in places:
        for key in ("data_dir", "directory"):
            if isinstance(place.get(key), str):
                place[key] = str(resolve(place[key]))
    shared = splits[0] & splits[1]
    if kinds[0] != kinds[1] or (any(splits) and not shared):
        return False
    # a published split is the same wherever it is stored
    return bool(shared & SPLITS.keys()) or places[0] == places[1]


def _splits(part: Any) -> set[str]:
    names = [part] if isinstance(part, str) else part if isinstance(part, list) else []
    return {split for name in names for split in GROUPS.get(name, (name,))}
