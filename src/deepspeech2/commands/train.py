"""Training, from a config to the exit status."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from deepspeech2 import checkpoint
from deepspeech2.audio.phones import PhoneTargets
from deepspeech2.commands.budget import Measured, within_budget
from deepspeech2.commands.training_data import open_training_data, phone_targets
from deepspeech2.config.components import (
    TARGET,
    create,
    group,
    plain,
    recorded,
    settings_of,
    target,
)
from deepspeech2.config.metrics import own_metrics
from deepspeech2.config.optimization import (
    loss_from,
    optimizer_and_schedule,
    planned,
    planned_before,
)
from deepspeech2.config.writers import open_writers
from deepspeech2.decoding import Decoder, GreedyDecoder
from deepspeech2.devices import compile_network
from deepspeech2.engine import Engine
from deepspeech2.errors import CheckpointError, ConfigError
from deepspeech2.escaping import without_secrets
from deepspeech2.files import write_whole
from deepspeech2.hardware import cpus, processor
from deepspeech2.paths import resolve
from deepspeech2.pipeline import Pipeline, check_taps
from deepspeech2.processes import start_tracker
from deepspeech2.seeding import derive_seed
from deepspeech2.settings import TrainerSettings
from deepspeech2.text import Tokenizer
from deepspeech2.trainer import (
    Checkpoints,
    EpochEnd,
    Figures,
    Learner,
    Machine,
    Progress,
    RunFolder,
    RunSummary,
    Trainer,
    TrainingData,
    Validator,
    epoch_ends,
    find_checkpoint,
    freeze,
    logging_to,
    measure_pace,
    run_path,
    start_from,
    training_plan,
)
from deepspeech2.transforms import GlobalNormalization
from deepspeech2.writer import JsonlWriter, MultiWriter, NullWriter, Writer

log = logging.getLogger(__name__)


def train(config: DictConfig) -> int:
    """Train with ``config``, return the exit status."""
    started = time.monotonic()
    settings = settings_of(config, TrainerSettings)
    start_tracker()
    engine = Engine(settings.device, settings.precision, settings.threads)
    folder = _open_folder(config, settings, engine)
    try:
        with logging_to(folder.path / "info.log", engine.rank), ExitStack() as stack:
            if config.get("budget") is not None:
                measure = partial(_measure, engine=engine, folder=folder, started=started)
                config = within_budget(config, measure, _before(settings, folder))
                settings = settings_of(config, TrainerSettings)
            status = _trainer(config, settings, engine, folder, stack).run()
    finally:
        folder.release()
    engine.close()
    return status


def _open_folder(config: DictConfig, settings: TrainerSettings, engine: Engine) -> RunFolder:
    """Open the run's folder on the first rank; the others find it there."""
    path = run_path(settings.save_dir, str(group(config, "writer").get("run_name") or ""))
    start = settings.from_pretrained and resolve(settings.from_pretrained)
    if settings.override and start and start.resolve().is_relative_to(path.resolve()):
        raise ConfigError(
            f"trainer.from_pretrained={settings.from_pretrained} is in the run that"
            " trainer.override=true would move aside: choose another writer.run_name"
        )
    folder = RunFolder(path)
    if engine.is_main:
        folder = RunFolder.open(path, resume=bool(settings.resume_from), override=settings.override)
    engine.barrier()
    return folder


@dataclass(frozen=True, slots=True)
class _Parts:
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
    ) -> _Parts:
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


def _measure(config: DictConfig, engine: Engine, folder: RunFolder, started: float) -> Measured:
    """Take a few steps with ``config``, of which nothing stays."""
    settings = replace(settings_of(config, TrainerSettings), n_epochs=1, compile=False)
    logging.disable(logging.WARNING)  # the run itself says what is to be said of its data
    try:
        parts = _Parts.of(config, settings, engine, folder)
    finally:
        logging.disable(logging.NOTSET)
    pipeline, data = parts.pipeline, parts.data
    with closing(data.train.pass_once()) as batches:
        pipeline.front_end.fit(batch.waveforms for batch in islice(batches, 1))
    learner = _learner(config, pipeline, data, settings, engine, parts.phones)
    pace = measure_pace(learner, data, settings, parts.decoders, parts.text_encoder)
    steps = epoch_ends(data.train, 1, settings.epoch_len, settings.accumulate)[-1]
    spent = engine.host.numbers(time.monotonic() - started).max().item()
    engine.release_memory()
    return Measured(pace, steps, spent)


def _before(settings: TrainerSettings, folder: RunFolder) -> Mapping[str, Any]:
    """The config of the checkpoint that is resumed; empty if there is none."""
    resumed = find_checkpoint(folder.path, settings.resume_from) if settings.resume_from else None
    return (checkpoint.load(resumed).get("config") or {}) if resumed else {}


def _trainer(
    config: DictConfig,
    settings: TrainerSettings,
    engine: Engine,
    folder: RunFolder,
    stack: ExitStack,
) -> Trainer:
    """Make the trainer and all that it uses; ``stack`` closes the writer."""
    parts = _Parts.of(config, settings, engine, folder)
    text_encoder, pipeline, recipe = parts.text_encoder, parts.pipeline, parts.recipe
    decoders, data, phones = parts.decoders, parts.data, parts.phones
    metrics = own_metrics(config)

    # a checkpoint that does not fit is refused before anything in the folder changes
    resumed = find_checkpoint(folder.path, settings.resume_from) if settings.resume_from else None
    content = checkpoint.load(resumed) if resumed else {}
    if resumed:
        _check_start(settings, content, resumed)
    else:
        _first_weights(pipeline, recipe, data, settings, engine)
    learner = _learner(config, pipeline, data, settings, engine, phones)
    plan = training_plan(data.train, settings, engine.world_size) | planned(config)
    checkpoints = Checkpoints(folder.path, learner, recipe, _saved_config(config, content), plan)
    progress = Progress()
    if resumed:
        progress = checkpoints.resume(content, resumed, planned_before(content, config))
        if resumed.resolve().parent != folder.path.resolve():
            progress.best, progress.waited = None, 0  # of files that are elsewhere
        log.info("Resumed from %s at step %d", resumed, progress.step)
    _check_ranks(engine, progress, folder)

    # what is written while it trains
    if engine.is_main:
        text = OmegaConf.to_yaml(config, resolve=True)
        write_whole(folder.path / "config.yaml", without_secrets(text))
    resume_step = progress.step if settings.resume_from else None
    writer = stack.enter_context(closing(_writer(config, folder.path, engine, resume_step)))
    figures = Figures(writer, pipeline, text_encoder, folder.metrics, settings.seed)
    validator = Validator(learner, decoders, text_encoder, figures, metrics)
    summary = _summary(pipeline, data, engine)
    epoch_end = EpochEnd(settings, learner, data, validator, checkpoints, figures, writer, summary)
    return Trainer(settings, learner, data, epoch_end, checkpoints, writer, progress)


def _first_weights(
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


def _learner(
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


def _check_ranks(engine: Engine, progress: Progress, folder: RunFolder) -> None:
    """Raise CheckpointError if the ranks have resumed at different steps."""
    steps = engine.host.numbers(progress.step)
    if steps.min() != steps.max():
        raise CheckpointError(
            f"the ranks found different checkpoints in {folder.path} (steps"
            f" {int(steps.min())} to {int(steps.max())}): it must be on a disk that all share"
        )


def _check_start(settings: TrainerSettings, content: Mapping[str, Any], path: Path) -> None:
    """Raise CheckpointError if the run began with other weights than the settings name."""
    before, now = (content.get("config") or {}).get("trainer"), settings.from_pretrained
    if not now or not isinstance(before, Mapping):
        return
    then = before.get("from_pretrained")
    if not isinstance(then, str) or resolve(then) != resolve(now):
        raise CheckpointError(
            f"{path} was trained with trainer.from_pretrained={then} where this run has {now}:"
            " resume with the same, or start a new run with another writer.run_name"
        )


def _saved_config(config: DictConfig, resumed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config for checkpoints; one that was resumed keeps what its run started from.

    Args:
        resumed: content of the checkpoint; empty for a new run.
    """
    saved: dict[str, Any] = recorded(plain(config))
    trainer = saved["trainer"]
    if resumed:
        before = (resumed.get("config") or {}).get("trainer")
        trainer = before if isinstance(before, dict) else {}
    saved["trainer"]["from_pretrained"] = trainer.get("from_pretrained")
    return saved


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


def _writer(config: DictConfig, run_dir: Path, engine: Engine, resume_step: int | None) -> Writer:
    if not engine.is_main:
        return NullWriter()
    files = JsonlWriter(run_dir, resume_step=resume_step)
    derived = {"run_dir": run_dir, "config": recorded(plain(config)), "resume_step": resume_step}
    try:
        return MultiWriter([files, *open_writers(config, derived)])
    except Exception:  # of a user's own writer, too
        files.close()
        raise


def _summary(pipeline: Pipeline, data: TrainingData, engine: Engine) -> RunSummary:
    """Return what the run trains and where, and log it."""
    gpu = "Apple's GPU" if engine.device.type == "mps" else None
    if engine.device.type == "cuda":
        gpu = torch.cuda.get_device_name(engine.device)
    if gpu and engine.world_size > 1:
        gpu = f"{engine.world_size} x {gpu}"
    utterances = data.train.dataset.utterances
    summary = RunSummary(
        parameters=sum(p.numel() for p in pipeline.parameters()),
        device=str(engine.device),
        utterances=len(utterances),
        hours=sum(utterance.duration for utterance in utterances) / 3600,
        machine=Machine(processor(), cpus(), gpu),
    )
    log.info(
        "%.2f M parameters on %s; %d utterances, %.2f h to train on, %.1f %% padding",
        summary.parameters / 1e6,
        summary.device,
        summary.utterances,
        summary.hours,
        100 * data.train.padding(),
    )
    log.info(
        "machine: %s, %d cores; %s; torch %s, %d threads",
        summary.machine.processor,
        summary.machine.cpus,
        gpu or "no GPU",
        torch.__version__,
        torch.get_num_threads(),
    )
    return summary
