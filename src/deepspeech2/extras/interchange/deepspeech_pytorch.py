"""Convert checkpoints of SeanNaren's deepspeech.pytorch, versions 2 and 3, of two directions.

Two convolutions with a bias, recurrent layers whose directions are summed, batch normalisation
before all of them but the first, and a last layer without bias. The features are log(1 + x)
of the magnitudes x of a short-time Fourier transform with a Hamming window, normalised to mean 0
and deviation 1 over the utterance.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

import torch

from deepspeech2.checkpoint.safe_unpickle import plain
from deepspeech2.errors import CheckpointError
from deepspeech2.extras.interchange.mapping import Converted, Mapper, indices
from deepspeech2.settings import is_number

KIND = "a checkpoint of deepspeech.pytorch"
BLANK = "_"
LABELS = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "
_CONVOLUTIONS = (("0", (2, 2)), ("3", (2, 1)))  # place, stride in (frequency, time)
_CELLS = {1: "rnn", 3: "gru", 4: "lstm"}  # by the number of gates


def fits(weights: Mapping[str, Any]) -> bool:
    """Whether these look like its weights."""
    return "conv.seq_module.0.weight" in weights and "rnns.0.rnn.weight_ih_l0" in weights


def convert(content: Mapping[str, Any], weights: Mapping[str, Any]) -> Converted:
    """Convert its network to ours.

    Args:
        content: of the file.
        weights: the state dict.

    Raises:
        CheckpointError: it runs in one direction, or a weight is missing or of a shape that its
            features do not lead to.
    """
    mapper = Mapper(weights, KIND)
    if any(key.startswith("lookahead.") for key in mapper.given):
        raise CheckpointError(
            "its network runs in one direction and clips what its lookahead gives, which ours"
            " does not: only networks in two directions can be imported"
        )
    chosen = content.get("hyper_parameters")
    settings = plain(chosen if isinstance(chosen, dict) and chosen else content)
    features = _features(settings)
    network = _network(mapper, features)
    alphabet, order = _alphabet(settings, network["n_tokens"])
    for name in ("weight", "bias"):
        value = mapper.weights[f"network.output.{name}"]
        mapper.weights[f"network.output.{name}"] = value[order]
    case = "lower" if alphabet == alphabet.lower() else "keep"
    recipe = {
        "model": network,
        "features": features,
        "normalization": {"name": "UtteranceNormalization", "per_feature": False, "level": None},
        "text_encoder": {"name": "TextEncoder", "alphabet": alphabet, "case": case},
        "decoder": {"name": "BeamSearchDecoder", "beam_size": 10},
    }
    return mapper.converted(
        recipe,
        epoch=content.get("epoch"),
        config={key: settings.get(key) for key in ("model_cfg", "spect_cfg", "audio_conf")},
        notes=["samples are divided by 32,768 here and by 32,767 there"],
    )


def _network(mapper: Mapper, features: Mapping[str, Any]) -> dict[str, Any]:
    width = features["n_fft"] // 2 + 1
    channels, kernels = [], []
    for ours, (place, stride) in enumerate(_CONVOLUTIONS):
        block, theirs = f"network.convolutions.blocks.{ours}", f"conv.seq_module.{place}"
        mapper.take(f"{theirs}.weight", f"{block}.convolution.weight")
        bias = f"{theirs}.bias" if f"{theirs}.bias" in mapper.given else None
        mapper.norm(f"conv.seq_module.{int(place) + 1}", f"{block}.norm", shift=bias)
        shape = mapper.peek(f"{theirs}.weight", 4).shape
        channels.append(shape[0])
        kernels.append(list(shape[2:]))
        width = (width - 1) // stride[0] + 1
    layers = indices(mapper.given, "rnns.")
    first = mapper.peek("rnns.0.rnn.weight_ih_l0", 2)
    hidden = mapper.peek("rnns.0.rnn.weight_hh_l0", 2).shape[1]
    if first.shape[1] != width * channels[-1]:
        raise CheckpointError(
            f"its recurrent layers read {first.shape[1]} features, but a window of"
            f" {features['n_fft']} samples and padded convolutions give {width * channels[-1]}:"
            " it is of a version before 2, or of another shape"
        )
    bidirectional = "rnns.0.rnn.weight_ih_l0_reverse" in mapper.given
    for layer in layers:
        if f"rnns.{layer}.batch_norm.module.weight" in mapper.given:
            mapper.norm(f"rnns.{layer}.batch_norm.module", f"network.layers.{layer}.norm")
        else:
            size = mapper.peek(f"rnns.{layer}.rnn.weight_ih_l0", 2).shape[1]
            mapper.no_norm(f"network.layers.{layer}.norm", size)
        mapper.recurrence(
            f"rnns.{layer}.rnn", f"network.layers.{layer}", bidirectional=bidirectional
        )
    mapper.norm("fc.0.module.0", "network.norm")
    mapper.take("fc.0.module.1.weight", "network.output.weight")
    n_tokens = mapper.peek("fc.0.module.1.weight", 2).shape[0]
    mapper.make("network.output.bias", torch.zeros(n_tokens), "there is none there")
    return {
        "name": "DeepSpeech2",
        "n_features": features["n_fft"] // 2 + 1,
        "n_tokens": n_tokens,
        "conv_channels": channels,
        "conv_kernels": kernels,
        "conv_strides": [list(stride) for _, stride in _CONVOLUTIONS],
        "activation": "hardtanh",
        "rnn_type": _CELLS.get(first.shape[0] // hidden, "unknown"),
        "rnn_layers": len(layers),
        "rnn_size": hidden,
        "bidirectional": bidirectional,
        "merge": "sum",
    }


def _features(settings: Any) -> dict[str, Any]:
    """Return window and step of the file, or the defaults of that program."""
    given: dict[str, Any] = {}
    for key in ("spect_cfg", "audio_conf"):
        if isinstance(settings.get(key), dict):
            given = settings[key]
    window = str(given.get("window", "hamming"))
    if window not in ("hamming", "hann"):
        raise CheckpointError(
            f"its window is {reprlib.repr(window)}, but only hamming and hann are known here"
        )
    rate = int(_number(given, "sample_rate", 16000))
    return {
        "name": "LogMagnitudeSpectrogram",
        "sample_rate": rate,
        "n_fft": int(rate * _number(given, "window_size", 0.02)),
        "hop_length": int(rate * _number(given, "window_stride", 0.01)),
        "window": window,
    }


def _number(given: Mapping[str, Any], key: str, default: float) -> float:
    value = given.get(key, default)
    if not is_number(value) or not 0 < value < 2**31:
        raise CheckpointError(f"its {key} cannot be {reprlib.repr(value)}")
    return float(value)


def _alphabet(settings: Any, n_tokens: int) -> tuple[str, list[int]]:
    """Return the characters, and the order of its tokens that has the blank first."""
    labels = settings.get("labels") or LABELS
    if not isinstance(labels, str | list) or not all(isinstance(each, str) for each in labels):
        raise CheckpointError(f"its labels cannot be {reprlib.repr(labels)}")
    if len(labels) != n_tokens:
        raise CheckpointError(
            f"its last layer has {n_tokens} tokens, but it names {len(labels)} labels"
        )
    if BLANK not in labels:
        raise CheckpointError(
            f"its labels lack the blank {BLANK!r}: {reprlib.repr(''.join(labels))}"
        )
    if any(len(each) != 1 for each in labels):
        raise CheckpointError(f"its labels must be single characters, but are {labels!r:.200}")
    blank = labels.index(BLANK)
    order = [blank, *(index for index in range(n_tokens) if index != blank)]
    alphabet = "".join(labels[index] for index in order[1:])
    if alphabet == alphabet.upper():
        alphabet = alphabet.lower()
    return alphabet, order
