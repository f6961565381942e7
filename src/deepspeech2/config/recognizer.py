"""Recognisers, and loaders of what they recognise, from a config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from deepspeech2 import checkpoint
from deepspeech2.config.components import create, group, settings_of
from deepspeech2.config.held_out import refuse_training_data
from deepspeech2.config.loaders import no_labels, open_loader
from deepspeech2.datasets.loader import SpeechLoader
from deepspeech2.decoding import Decoder
from deepspeech2.engine import use_threads
from deepspeech2.inference import Recognizer
from deepspeech2.paths import resolve
from deepspeech2.settings import DataloaderSettings, InferencerSettings, RobustnessSettings
from deepspeech2.text import TextEncoder
from deepspeech2.types import Utterance


def recognizer_from(
    config: DictConfig, path: str | Path, settings: InferencerSettings | RobustnessSettings
) -> Recognizer:
    """Load the checkpoint at ``path`` with the group ``decoder``, on the settings' processor.

    Options of a group without ``_target_`` replace those of the checkpoint's decoder, unless null.
    """
    use_threads(settings.threads)
    node = group(config, "decoder")

    def configured(text_encoder: TextEncoder) -> Decoder:
        decoder: Decoder = create(node, "decoder", text_encoder)
        return decoder

    return Recognizer.from_checkpoint(
        path,
        device=settings.device,
        decoder=configured if "_target_" in node else None,
        options={name: value for name, value in node.items() if value is not None},
    )


def loader_from(config: DictConfig) -> Callable[[Recognizer, Sequence[Utterance]], SpeechLoader]:
    """Return what opens a loader as the group ``dataloader`` says, at a recogniser's rate."""
    settings = settings_of(config, DataloaderSettings)

    def opened(recognizer: Recognizer, utterances: Sequence[Utterance]) -> SpeechLoader:
        return open_loader(settings, utterances, no_labels, recognizer.sample_rate, shuffle=False)

    return opened


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
