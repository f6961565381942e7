"""What a decoder's weights and confidences are chosen on must not be what was learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepspeech2.config.components import TARGET
from deepspeech2.datasets.download import SPLITS
from deepspeech2.datasets.librispeech import GROUPS
from deepspeech2.errors import ConfigError
from deepspeech2.paths import resolve

_FILTERS = frozenset(
    ("hours", "limit", "max_audio_length", "max_text_length", "name", "index_dir", "download",
     "n_workers")
)  # fmt: skip
"""Options of a corpus that choose among its recordings, or how they are found."""


def refuse_training_data(
    named: Mapping[str, Any], content: Mapping[str, Any], path: Path, task: str
) -> None:
    """Raise ConfigError if a corpus is the one that a checkpoint has learnt from.

    Args:
        named: the config group ``datasets``.
        content: of the checkpoint at ``path``.
        task: what the corpora are wanted for: "tuning".
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
    """Whether two corpora are the same but for their filters, or have a LibriSpeech split alike."""
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
    # a published split is the same wherever it lies
    return bool(shared & SPLITS.keys()) or places[0] == places[1]


def _splits(part: Any) -> set[str]:
    names = [part] if isinstance(part, str) else part if isinstance(part, list) else []
    return {split for name in names for split in GROUPS.get(name, (name,))}
