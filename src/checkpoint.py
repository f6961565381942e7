"""Checkpoints: one file of plain containers and tensors that holds all that inference needs.

Keys of a checkpoint:

- ``format``, ``version``: what it is.
- ``arch``: the network's name.
- ``recipe``: arguments of the network, features, normalisation, text encoder and decoder.
- ``state_dict``: weights, and statistics of the features where there are any.
- ``epoch``, ``step``, ``metrics``: when it was written and how good it was.
- ``training``: what only resuming needs; absent from files made for inference alone.
- ``config``: the run's config, for people to read.
"""

from __future__ import annotations

import inspect
import os
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src import decoding
from src.errors import CheckpointError, ConfigError, SpeechError
from src.model import DeepSpeech2
from src.pipeline import Pipeline
from src.text import TextEncoder
from src.transforms import (
    FrontEnd,
    GlobalNormalization,
    LogMagnitudeSpectrogram,
    LogMelSpectrogram,
    LogSpectrogram,
    NoNormalization,
    UtteranceNormalization,
)

FORMAT = "deepspeech2-checkpoint"
VERSION = 1

# A recipe names its parts; only these are ever constructed, so that a file cannot choose
# what code runs.
_PARTS: tuple[type, ...] = (
    DeepSpeech2,
    LogMagnitudeSpectrogram,
    LogMelSpectrogram,
    LogSpectrogram,
    NoNormalization,
    UtteranceNormalization,
    GlobalNormalization,
    TextEncoder,
    decoding.GreedyDecoder,
    decoding.BeamSearchDecoder,
    decoding.LanguageModelDecoder,
    decoding.FlashlightDecoder,
)
COMPONENTS: dict[str, type] = {part.__name__: part for part in _PARTS}


@dataclass(frozen=True, slots=True)
class Restored:
    """What a checkpoint turns into."""

    pipeline: Pipeline
    text_encoder: TextEncoder
    decoder: decoding.Decoder
    metrics: dict[str, float]


def save(payload: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint so that ``path`` holds the old file or the whole new one.

    Raises:
        CheckpointError: it could not be written, for one because the disk is full.
    """
    content = {"format": FORMAT, "version": VERSION, **payload}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path} could not be written ({error}); what was there before is whole: free some"
            " space or choose another trainer.save_dir"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint without executing anything from it.

    Raises:
        CheckpointError: missing, cut off, or not one of ours.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path} does not exist: train a model, run download_model.py, or name another file"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of other pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds objects other than tensors and plain containers, so nothing of it"
            f" was loaded ({_first_line(error)})"
        ) from error
    except Exception as error:  # bytes that are no checkpoint make the reader raise anything
        raise CheckpointError(
            f"{path} is cut off or no checkpoint ({_first_line(error)})"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of this project: key 'format' is not {FORMAT!r}"
        )
    if content.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has version {content.get('version')!r}, but this code reads {VERSION}"
        )
    for key in ("recipe", "state_dict"):
        if not isinstance(content.get(key), dict):
            raise CheckpointError(f"{path} lacks key {key!r}")
    return content


def restore(
    content: Mapping[str, Any],
    path: Path,
    *,
    decoder: Callable[[TextEncoder], decoding.Decoder] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Restored:
    """Build what inference needs from the ``content`` of the checkpoint ``path``.

    ``decoder`` makes the decoder; None takes the one that the checkpoint names, with ``options``
    in the place of its own.

    Raises:
        CheckpointError: a part is unknown, or the weights do not fit it; names the key.
        SpeechError: the decoder cannot be made.
    """
    recipe = content["recipe"]
    try:
        text_encoder = _create(recipe, "text_encoder", path)
        features = _create(recipe, "features", path)
        normalization = _create(recipe, "normalization", path)
        network = _create(recipe, "model", path)
        pipeline = Pipeline(FrontEnd(features, normalization), network)
    except (SpeechError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe a model: {_first_line(error)}") from error
    load_weights(pipeline, content["state_dict"], path)
    pipeline.eval()
    chosen = decoder(text_encoder) if decoder else _decoder(recipe, path, text_encoder, options)
    return Restored(pipeline, text_encoder, chosen, dict(content.get("metrics", {})))


def load_weights(module: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Load every weight, strictly.

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
    module.load_state_dict(dict(weights))


def check_recipe(
    content: Mapping[str, Any], recipe: Mapping[str, Mapping[str, Any]], path: Path
) -> None:
    """Raise CheckpointError if the checkpoint was made with other settings; names the first."""
    for part in ("model", "features", "normalization", "text_encoder"):
        theirs, ours = content["recipe"].get(part, {}), recipe[part]
        for key in (*ours, *theirs):
            if theirs.get(key) != ours.get(key):
                raise CheckpointError(
                    f"{path} was trained with {part}.{key}={theirs.get(key)!r}, but the config"
                    f" says {ours.get(key)!r}"
                )


def _decoder(
    recipe: Mapping[str, Any],
    path: Path,
    text_encoder: TextEncoder,
    options: Mapping[str, Any] | None,
) -> decoding.Decoder:
    own = recipe.get("decoder")
    if not isinstance(own, dict):
        raise CheckpointError(f"{path} lacks recipe key 'decoder'")
    for key, value in (options or {}).items():
        maker = COMPONENTS.get(str(own.get("name")))
        if maker is not None and key not in inspect.signature(maker).parameters:
            raise ConfigError(
                f"decoder.{key}={value!r} does not exist: {path} names {own['name']}, which takes"
                f" no such option; choose decoder=beam or decoder=beam_lm"
            )
    part = {"decoder": {**own, **(options or {})}}
    try:
        decoder: decoding.Decoder = _create(part, "decoder", path, text_encoder)
    except SpeechError as error:
        if isinstance(error, CheckpointError):
            raise
        raise type(error)(
            f"the decoder of {path} cannot be made: {error}; decoder=beam needs nothing else"
        ) from error
    except (TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe a model: {_first_line(error)}") from error
    return decoder


def _create(recipe: Mapping[str, Any], key: str, path: Path, *arguments: Any) -> Any:
    part = recipe.get(key)
    if not isinstance(part, dict) or "name" not in part:
        raise CheckpointError(f"{path} lacks recipe key {key!r}")
    options = {name: value for name, value in part.items() if name != "name"}
    if part["name"] not in COMPONENTS:
        raise CheckpointError(
            f"{path} wants a {key} named {part['name']!r}, which is not one of"
            f" {', '.join(COMPONENTS)}"
        )
    return COMPONENTS[part["name"]](*arguments, **options)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
