"""Convert checkpoints of the course project that this one continues.

Its network is ours with ReLU behind the convolutions, batch normalisation before each GRU layer,
and the directions summed; its features are torchaudio's mel spectrogram, log(x + 1e-6), without
normalisation; its alphabet is a to z and the space, in this order, behind the blank.
"""

from __future__ import annotations

import reprlib
import string
from collections.abc import Mapping
from typing import Any

from deepspeech2.checkpoint.safe_unpickle import plain
from deepspeech2.errors import CheckpointError
from deepspeech2.extras.interchange.mapping import Converted, Mapper, indices

KIND = "a checkpoint of the predecessor"
ALPHABET = string.ascii_lowercase + " "
_STRIDES = ((2, 2), (2, 1), (2, 1))  # (frequency, time): no weight shows them
_SPECTRUM = ("sample_rate", "n_fft", "hop_length", "n_mels", "f_min", "f_max")


def fits(weights: Mapping[str, Any]) -> bool:
    """Whether these look like its weights."""
    return "conv_lay.0.weight" in weights and "final.weight" in weights


def convert(content: Mapping[str, Any], weights: Mapping[str, Any]) -> Converted:
    """Convert its network to ours.

    Args:
        content: of the file.
        weights: the state dict.

    Raises:
        CheckpointError: a weight is missing or has an impossible shape; names it.
    """
    config = plain(content.get("config"))
    mapper = Mapper(weights, KIND)
    features = {"name": "LogMelSpectrogram", **_spectrum(config)}
    convolutions = indices(mapper.given, "conv_lay.")[::2]
    layers = indices(mapper.given, "gru.")
    if len(convolutions) != len(_STRIDES):
        raise CheckpointError(
            f"it has {len(convolutions)} convolutions, but {KIND} has {len(_STRIDES)}"
        )
    for ours, theirs in enumerate(convolutions):
        block = f"network.convolutions.blocks.{ours}"
        mapper.take(f"conv_lay.{theirs}.weight", f"{block}.convolution.weight")
        mapper.norm(f"conv_lay.{theirs + 1}", f"{block}.norm")
    bidirectional = "gru.0.gru.weight_ih_l0_reverse" in mapper.given
    for layer in layers:
        mapper.norm(f"gru.{layer}.batch_norm", f"network.layers.{layer}.norm")
        mapper.recurrence(
            f"gru.{layer}.gru", f"network.layers.{layer}", bidirectional=bidirectional
        )
    mapper.norm("batch_norm", "network.norm")
    for name in ("weight", "bias"):
        mapper.take(f"final.{name}", f"network.output.{name}")
    kernels = [mapper.peek(f"conv_lay.{index}.weight", 4).shape for index in convolutions]
    network = {
        "name": "DeepSpeech2",
        "n_features": features["n_mels"],
        "n_tokens": mapper.peek("final.weight", 2).shape[0],
        "conv_channels": [kernel[0] for kernel in kernels],
        "conv_kernels": [list(kernel[2:]) for kernel in kernels],
        "conv_strides": [list(stride) for stride in _STRIDES],
        "activation": "relu",
        "rnn_type": "gru",
        "rnn_layers": len(layers),
        "rnn_size": mapper.peek("gru.0.gru.weight_hh_l0", 2).shape[1],
        "bidirectional": bidirectional,
        "merge": "sum",
    }
    recipe = {
        "model": network,
        "features": features,
        "normalization": {"name": "NoNormalization"},
        "text_encoder": {
            "name": "TextEncoder",
            "alphabet": _alphabet(config, network["n_tokens"]),
            "remove": "'.,!?;:\"()[]…",
        },
        "decoder": {"name": "BeamSearchDecoder", "beam_size": 10},
    }
    return mapper.converted(
        recipe,
        epoch=content.get("epoch"),
        config=config,
        notes=["strides of the convolutions are not in the file: (2, 2), (2, 1), (2, 1) taken"],
    )


def _spectrum(config: Any) -> dict[str, Any]:
    """Return the mel spectrogram that the config names, with torchaudio's defaults."""
    chosen: dict[str, Any] = {"sample_rate": 16000, "n_fft": 400, "n_mels": 128}
    for kind in ("instance_transforms", "batch_transforms"):
        named = at(config, "transforms", kind, "inference", "get_spectrogram")
        if isinstance(named, dict):
            numbers = {key: named.get(key) for key in _SPECTRUM}  # or null, or a reference
            chosen |= {key: n for key, n in numbers.items() if isinstance(n, int | float)}
    chosen.setdefault("hop_length", chosen["n_fft"] // 2)
    return chosen


def _alphabet(config: Any, n_tokens: int) -> str:
    given = at(config, "text_encoder", "alphabet")
    alphabet = ALPHABET
    if isinstance(given, str | list) and all(isinstance(each, str) for each in given):
        alphabet = "".join(given) or ALPHABET
    if len(alphabet) + 1 != n_tokens:
        raise CheckpointError(
            f"its last layer has {n_tokens} tokens, but its alphabet {reprlib.repr(alphabet)} needs"
            f" {len(alphabet) + 1} with the blank"
        )
    return alphabet


def at(node: Any, *keys: str) -> Any:
    """Return the value under ``keys``, one within the other; None where there is none."""
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
