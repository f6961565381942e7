"""Build what inference needs from a checkpoint, and compare checkpoints with a network."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepspeech2 import decoding, plugins
from deepspeech2.checkpoint import onnx_file
from deepspeech2.checkpoint.recipe import COMPONENTS, create
from deepspeech2.errors import CheckpointError, ConfigError, SpeechError
from deepspeech2.escaping import first_line, printable
from deepspeech2.model import DeepSpeech2
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import Tokenizer
from deepspeech2.transforms import FrontEnd, GlobalNormalization


@dataclass(frozen=True, slots=True)
class Restored:
    """A checkpoint ready for inference."""

    pipeline: Pipeline
    text_encoder: Tokenizer
    decoder: decoding.Decoder
    metrics: dict[str, float]


def restore(
    content: Mapping[str, Any],
    path: Path,
    *,
    decoder: Callable[[Tokenizer], decoding.Decoder] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Restored:
    """Build what inference needs from the ``content`` of the checkpoint ``path``.

    Args:
        decoder: makes the decoder; None takes the one that the checkpoint names.
        options: replace options of that one.

    Raises:
        CheckpointError: a part is unknown, or the weights do not fit it; names the key.
        SpeechError: the decoder cannot be made.
    """
    recipe = content["recipe"]
    try:
        text_encoder = create(recipe, "text_encoder", path)
        features, normalization = (create(recipe, k, path) for k in ("features", "normalization"))
        front_end = FrontEnd(features, normalization)
        # shapes alone, until they are known to be the weights'; an own network may have more
        own = any(map(plugins.is_own, recipe.get("model", {}).values()))
        with torch.device("cpu" if own else "meta"):
            network = create(recipe, "model", path)
    except CheckpointError:
        raise
    except (SpeechError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe a model: {first_line(error)}") from error
    sizes = {"features": front_end.n_features, "tokens": text_encoder.n_tokens}
    for name, number in sizes.items():
        size = getattr(network, f"n_{name}")
        if size != number:
            raise CheckpointError(
                f"{path} does not describe a model: it has {number} {name}, but its network {size}"
            )
    pipeline = _pipeline(front_end, network, content, path)
    pipeline.eval()
    chosen = decoder(text_encoder) if decoder else _decoder(recipe, path, text_encoder, options)
    return Restored(pipeline, text_encoder, chosen, dict(content.get("metrics", {})))


def _pipeline(
    front_end: FrontEnd, network: DeepSpeech2, content: Mapping[str, Any], path: Path
) -> Pipeline:
    """Return the pipeline with its weights."""
    if onnx_file.SESSION in content:
        return onnx_file.make_pipeline(front_end, network, content, path)
    pipeline = Pipeline(front_end, network)
    check_weights(pipeline, content["state_dict"], path)
    if any(weight.is_meta for weight in network.state_dict().values()):
        network.to_empty(device="cpu")
    pipeline.load_state_dict(dict(content["state_dict"]))
    statistics = front_end.normalization
    if isinstance(statistics, GlobalNormalization) and not statistics.fits(front_end.n_features):
        raise CheckpointError(
            f"{path} does not describe a model: the mean and std of its normalization must be"
            f" {front_end.n_features} finite numbers each"
        )
    return pipeline


def _decoder(
    recipe: Mapping[str, Any],
    path: Path,
    text_encoder: Tokenizer,
    options: Mapping[str, Any] | None,
) -> decoding.Decoder:
    own = recipe.get("decoder")
    if not isinstance(own, Mapping):
        raise CheckpointError(f"{path} lacks recipe key 'decoder'")
    for key, value in (options or {}).items():
        maker = COMPONENTS.get(str(own.get("name")))
        if maker is not None and key not in inspect.signature(maker).parameters:
            raise ConfigError(
                f"decoder.{key}={value!r} does not exist: {path} names {own['name']}, which takes"
                f" no such option; choose decoder=beam or decoder=beam_lm"
            )
    for key in ("lm", "lexicon"):  # a pipe or a device would never end
        file = own.get(key)
        place = resolve(file) if isinstance(file, str) else ""
        if place and os.path.exists(place) and not os.path.isfile(place):
            raise CheckpointError(
                f"{path} names {printable(str(file))} as its {key}, which is no file"
            )
    changes = dict(options or {})
    beam, nbest = changes.get("beam_size"), own.get("nbest")
    if isinstance(beam, int) and isinstance(nbest, int) and "nbest" not in changes:
        changes["nbest"] = max(1, min(nbest, beam))  # it was asked for with a wider beam
    try:
        decoder: decoding.Decoder = create(recipe, "decoder", path, text_encoder, **changes)
    except SpeechError as error:
        if isinstance(error, CheckpointError):
            raise
        raise type(error)(
            f"the decoder of {path} cannot be made: {printable(str(error), 1000)}; decoder=beam"
            " needs nothing else"
        ) from error
    return decoder


def load_weights(module: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Load every weight, strictly.

    Raises:
        CheckpointError: see :func:`check_weights`.
    """
    check_weights(module, weights, path)
    module.load_state_dict(dict(weights))


def check_weights(module: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Compare weights with those of a module, which may be on the device "meta".

    Raises:
        CheckpointError: names the first key that is missing, too many, or of another shape.
    """
    own = module.state_dict()
    for key, value in own.items():
        if key not in weights:
            raise CheckpointError(f"{path} belongs to another architecture: it lacks {key!r}")
        given = weights[key]
        # statistics of features are empty until they are fitted or loaded
        fits = isinstance(given, torch.Tensor) and (given.shape == value.shape or not value.numel())
        if fits and given.is_floating_point() != value.is_floating_point():
            raise CheckpointError(f"{path} has {key!r} as {given.dtype}, not as {value.dtype}")
        if not fits:
            shape = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
            raise CheckpointError(
                f"{path} belongs to another architecture: {key!r} is {shape} there and"
                f" {tuple(value.shape)} here"
            )
    for key in weights:
        if key not in own:
            raise CheckpointError(
                f"{path} belongs to another architecture: {key!r} has no place here"
            )


def check_recipe(
    content: Mapping[str, Any], recipe: Mapping[str, Mapping[str, Any]], path: Path
) -> None:
    """Raise CheckpointError if the checkpoint was made with other settings; names the first."""
    for part in ("model", "features", "normalization", "text_encoder"):
        theirs, ours = content["recipe"].get(part, {}), recipe[part]
        defaults = _defaults(ours)
        for key in (*ours, *theirs):
            then, now = (each.get(key, defaults.get(key)) for each in (theirs, ours))
            if then != now:
                raise CheckpointError(
                    f"{path} was trained with {part}.{key}={then!r}, but the config says {now!r}"
                )


def _defaults(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a part of this project has where its recipe, which may be older, lacks a key."""
    made = COMPONENTS.get(str(node.get("name")))
    parameters = inspect.signature(made).parameters.values() if made else ()
    given = {each.name: each.default for each in parameters if each.default is not each.empty}
    return {key: list(value) if value == () else value for key, value in given.items()}
