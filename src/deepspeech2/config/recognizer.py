"""A recogniser from a checkpoint and the config group ``decoder``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepspeech2.config.components import create
from deepspeech2.decoding import Decoder
from deepspeech2.inference import Recognizer
from deepspeech2.text import TextEncoder


def recognizer_from(path: str, device: str, node: Mapping[str, Any]) -> Recognizer:
    """The checkpoint's model with the configured decoder, or its own if none is configured.

    Args:
        path: of the checkpoint.
        device: auto, cpu, cuda or cuda:N.
        node: the group ``decoder``; what is not null in one without ``_target_`` takes the place
            of the checkpoint's own option.
    """

    def configured(text_encoder: TextEncoder) -> Decoder:
        decoder: Decoder = create(dict(node), "decoder", text_encoder)
        return decoder

    return Recognizer.from_checkpoint(
        path,
        device=device,
        decoder=configured if "_target_" in node else None,
        options={name: value for name, value in node.items() if value is not None},
    )
