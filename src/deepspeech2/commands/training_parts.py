"""What a training learns with: network, data, optimiser and schedule, from its config."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from omegaconf import DictConfig

from deepspeech2 import checkpoint
from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.commands.budget import Measured
from deepspeech2.commands.training_data import open_training_data, phone_targets
from deepspeech2.config.components import TARGET, create, group, settings_of, target
from deepspeech2.config.optimization import loss_from, optimizer_and_schedule
from deepspeech2.decoding import Decoder, GreedyDecoder
from deepspeech2.devices import compile_network
from deepspeech2.engine import Engine
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline, check_taps
from deepspeech2.seeding import derive_seed
from deepspeech2.settings import TrainerSettings
from deepspeech2.text import Tokenizer
from deepspeech2.trainer import (
    Learner,
    RunFolder,
    TrainingData,
    epoch_ends,
    freeze,
    measure_pace,
    start_from,
)
from deepspeech2.transforms import GlobalNormalization

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is trained, and on what."""

    text_encoder: Tokenizer
    pipeline: Pipeline
    recipe: dict[str, dict[str, Any]]
    decoders: list[Decoder]
    data: TrainingData
    phones: PhoneTargets | None

    @classmethod
    def of(
        cls, config: DictConfig, settings: TrainerSettings, engine: Engine, folder: RunFolder
    ) -> Parts:
        text_encoder: Tokenizer = create(group(config, "text_encoder"), "text_encoder")
        torch.manual_seed(settings.seed)
        pipeline, recipe = _pipeline(config, text_encoder)
        decoders = _decoders(config, text_encoder)
        recipe["decoder"] = _made_part(decoders[-1], group(config, "decoder"))
        data = open_training_data(config, settings, engine, text_encoder, pipeline, folder.path)
        phones = phone_targets(pipeline, data.train.dataset.utterances, text_encoder, engine)
        if phones is not None:
            torch.manual_seed(derive_seed(settings.seed, "phones"))
            pipeline.network.add_phones(phones.phones)
            recipe["model"]["phones"] = list(phones.phones)
        return cls(text_encoder, pipeline, recipe, decoders, data, phones)


def measured(config: DictConfig, engine: Engine, folder: RunFolder, started: float) -> Measured:
    """Take a few steps with ``config``, of which nothing stays."""
    settings = replace(settings_of(config, TrainerSettings), n_epochs=1, compile=False)
    logging.disable(logging.WARNING)  # the run itself says what is to be said of its data
    try:
        parts = Parts.of(config, settings, engine, folder)
    finally:
        logging.disable(logging.NOTSET)
    pipeline, data = parts.pipeline, parts.data
    with closing(data.train.pass_once()) as batches:
        pipeline.front_end.fit(batch.waveforms for batch in islice(batches, 1))
    learner = make_learner(config, pipeline, data, settings, engine, parts.phones)
    pace = measure_pace(learner, data, settings, parts.decoders, parts.text_encoder)
    steps = epoch_ends(data.train, 1, settings.epoch_len, settings.accumulate)[-1]
    spent = engine.host.numbers(time.monotonic() - started).max().item()
    engine.release_memory()
    return Measured(pace, steps, spent)


def first_weights(
    pipeline: Pipeline,
    recipe: dict[str, dict[str, Any]],
    data: TrainingData,
    settings: TrainerSettings,
    engine: Engine,
) -> None:
    """Start a new run from the weights of another one if asked to, and fit the normalisation."""
    if settings.from_pretrained:
        start = resolve(settings.from_pretrained)
        for line in start_from(pipeline, recipe, checkpoint.load(start), start):
            log.info("%s", line)
    normalization = pipeline.front_end.normalization
    if not isinstance(normalization, GlobalNormalization) or normalization.fitted:
        return
    # on the first rank's share of the data, for all ranks
    if engine.is_main:
        with closing(data.train.pass_once()) as batches:
            pipeline.front_end.fit(batch.waveforms for batch in batches if len(batch))
    normalization.load_state_dict(engine.host.objects(normalization.state_dict())[0])


def make_learner(
    config: DictConfig,
    pipeline: Pipeline,
    data: TrainingData,
    settings: TrainerSettings,
    engine: Engine,
    phones: PhoneTargets | None,
) -> Learner:
    """Make optimiser and schedule of what is not frozen."""
    if settings.freeze:
        frozen = freeze(pipeline.network, settings.freeze)
        log.info("%d tensors of the network are frozen", len(frozen))
    if settings.compile:
        compile_network(pipeline.network, engine.device)
    optimizer, schedule = optimizer_and_schedule(config, pipeline, data.train, settings, engine)
    return Learner(
        engine,
        pipeline,
        optimizer,
        schedule,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        ema=settings.ema,
        phones=phones,
    )


def _recipe_part(node: Mapping[str, Any] | None, key: str, **derived: Any) -> dict[str, Any]:
    """Return the part of a checkpoint's recipe that a config node describes."""
    if node is None:
        return {"name": "NoNormalization"}
    options = {name: value for name, value in node.items() if name != TARGET}
    return checkpoint.entry(target(node, key), {**options, **derived})


def _made_part(part: Decoder | Tokenizer, node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a recipe that makes ``part`` again: by what it says of itself, or, where
    that is nothing, by its config node.
    """
    options = {name: value for name, value in node.items() if name != TARGET}
    return checkpoint.entry(type(part), part.settings or options)


def _pipeline(
    config: DictConfig, text_encoder: Tokenizer
) -> tuple[Pipeline, dict[str, dict[str, Any]]]:
    """Make front end, network and loss, and the recipe by which a checkpoint rebuilds them."""
    transforms = group(config, "transforms")
    front_end = create(transforms, "transforms")
    derived = {"n_features": front_end.n_features, "n_tokens": text_encoder.n_tokens}
    model = group(config, "model")
    network = create(model, "model", **derived)
    loss = loss_from(config)
    for wasted in check_taps(network, loss):
        log.warning("%s", wasted)
    recipe = {
        "model": _recipe_part(model, "model", **derived),
        "features": _recipe_part(transforms["features"], "transforms.features"),
        "normalization": _recipe_part(transforms.get("normalization"), "transforms.normalization"),
        "text_encoder": _made_part(text_encoder, group(config, "text_encoder")),
    }
    return Pipeline(front_end, network, loss), recipe


def _decoders(config: DictConfig, text_encoder: Tokenizer) -> list[Decoder]:
    """Make the greedy decoder, and the configured one where it is another."""
    chosen: Decoder = create(group(config, "decoder"), "decoder", text_encoder)
    greedy = GreedyDecoder(text_encoder)
    return [greedy] if chosen.name == greedy.name else [greedy, chosen]
