"""What inference needs, built from the recipe of a checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src import decoding
from src.checkpoint.onnx_file import SESSION, STREAM, OnnxPipeline
from src.checkpoint.onnx_stream import OnnxStreamPipeline
from src.checkpoint.weights import first_line, load_weights
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
        pipeline = _pipeline(FrontEnd(features, normalization), network, content)
    except (SpeechError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe a model: {first_line(error)}") from error
    if not isinstance(pipeline, OnnxPipeline):
        load_weights(pipeline, content["state_dict"], path)
    pipeline.eval()
    chosen = decoder(text_encoder) if decoder else _decoder(recipe, path, text_encoder, options)
    return Restored(pipeline, text_encoder, chosen, dict(content.get("metrics", {})))


def _pipeline(front_end: FrontEnd, network: DeepSpeech2, content: Mapping[str, Any]) -> Pipeline:
    if SESSION in content and STREAM in content:
        return OnnxStreamPipeline(front_end, network, content[SESSION], content[STREAM])
    if SESSION in content:
        return OnnxPipeline(front_end, network, content[SESSION])
    return Pipeline(front_end, network)


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
    chosen = {**own, **(options or {})}
    beam, nbest = (options or {}).get("beam_size"), own.get("nbest")
    if isinstance(beam, int) and isinstance(nbest, int) and "nbest" not in (options or {}):
        chosen["nbest"] = max(1, min(nbest, beam))  # it was asked for with a wider beam
    part = {"decoder": chosen}
    try:
        decoder: decoding.Decoder = _create(part, "decoder", path, text_encoder)
    except SpeechError as error:
        if isinstance(error, CheckpointError):
            raise
        raise type(error)(
            f"the decoder of {path} cannot be made: {error}; decoder=beam needs nothing else"
        ) from error
    except (TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe a model: {first_line(error)}") from error
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
